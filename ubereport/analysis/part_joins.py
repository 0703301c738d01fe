"""Whether parts follow each other without a pause: what lengths, sizes and pictures tell.

A recorder that cuts its files ends each at the same length or size, and the next begins with the
next picture. A person who stops and starts again ends a part anywhere, and the view has moved on.
Both have to speak for a cut before events cross from one part into the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ubereport.analysis.opened_case import OpenedCase
from ubereport.analysis.view.view_changes import FieldStretch
from ubereport.core.arrays import FloatArray, IntArray, RgbArray
from ubereport.core.case import CutEvidence, EndPictures, PartJoin
from ubereport.core.frames import PixelBox
from ubereport.core.recording import PartIndex

_Verdict = tuple[EndPictures, float | None, float | None]

# A recorder that cuts where a group of pictures ends makes parts that differ by up to a group in
# length, and by some of it in size.
LENGTH_TOLERANCE_S = 2.0
LENGTH_TOLERANCE_FRAC = 0.005
SIZE_TOLERANCE_FRAC = 0.02
USUAL_LENGTHS_S = tuple(60.0 * minutes for minutes in (1, 2, 3, 5, 10, 15, 20, 30, 60))
USUAL_SIZES_BYTES = (10**9, 2**30, 2 * 10**9, 2**31, 4 * 10**9, 2**32)
_RATE_TOLERANCE_FRAC = 0.01
_MAX_MISSING_TAIL_S = 0.5

STEP_S = 0.1
N_LOOKS = 6
LAG = 2
MAX_CHANGE = 1.15
"""The join may change by this many times what the view usually changes in ``LAG * STEP_S``."""
_STILL_LEVELS = 0.1
_PLAIN_LEVELS = 6.0
_LOOK_WIDTH_PX = 48
_NOTHING_TOLD: _Verdict = (EndPictures.UNTOLD, None, None)


def recorder_cuts(parts: Sequence[PartIndex]) -> dict[int, CutEvidence]:
    """Return the parts that a recorder seems to have ended, not a person, and what tells so.

    A recorder cuts at a fixed length or size, so that every part but the last of a sitting is as
    long, or as large, as the longest of the case: at least two are, or it is a length or size at
    which recorders cut. The next part has to be stored alike.
    """
    if len(parts) < 2:
        return {}
    length_s = np.array([part.duration_s for part in parts])
    size_bytes = np.array([float(part.size_bytes) for part in parts])
    is_full_length = length_s >= length_s.max() - _tolerance_s(length_s.max())
    is_full_size = size_bytes >= size_bytes.max() * (1 - SIZE_TOLERANCE_FRAC)
    evidence: dict[int, CutEvidence] = {}
    for k, (part, following) in enumerate(pairwise(parts)):
        # Another size or codec is another recorder or another sitting; a missing tail means that
        # the file did not end where the recorder ended it.
        if not _is_stored_alike(part, following) or part.missing_tail_s > _MAX_MISSING_TAIL_S:
            continue
        if is_full_length[k] and is_full_length.sum() >= 2:
            evidence[k] = CutEvidence.EQUAL_LENGTHS
        elif is_full_size[k] and is_full_size.sum() >= 2:
            evidence[k] = CutEvidence.EQUAL_SIZES
        elif is_full_length[k] and _is_usual_length(part.duration_s):
            evidence[k] = CutEvidence.USUAL_LENGTH
        elif is_full_size[k] and _is_usual_size(part.size_bytes):
            evidence[k] = CutEvidence.USUAL_SIZE
    return evidence


def _tolerance_s(length_s: float) -> float:
    return max(LENGTH_TOLERANCE_S, LENGTH_TOLERANCE_FRAC * length_s)


def _is_usual_length(length_s: float) -> bool:
    return any(abs(length_s - usual) <= _tolerance_s(usual) for usual in USUAL_LENGTHS_S)


def _is_usual_size(size_bytes: int) -> bool:
    return any(abs(size_bytes / usual - 1) <= SIZE_TOLERANCE_FRAC for usual in USUAL_SIZES_BYTES)


def _is_stored_alike(part: PartIndex, following: PartIndex) -> bool:
    rates = [p.video.average_rate_hz for p in (part, following)]
    if rates[0] and rates[1] and abs(rates[1] / rates[0] - 1) > _RATE_TOLERANCE_FRAC:
        return False
    return _stored_as(part) == _stored_as(following)


def _stored_as(part: PartIndex) -> tuple[object, ...]:
    video = part.video
    return (
        *(video.codec, video.pixel_format, video.width_px, video.height_px),
        *(video.rotation_deg, video.is_interlaced),
    )


def compare_ends(before: RgbArray, after: RgbArray, black_level: float) -> _Verdict:
    """Tell whether the first picture of a part goes on where the last one of another stopped.

    The change across the join is held against how much the view changes within a fifth of a second
    on either side (the median), so that a keyframe's crispness, repeated pictures and a few that
    the recorder lost are no pause.

    Parameters
    ----------
    before, after
        (n, h, w, 3) uint8 in time order, `STEP_S` apart: the end of a part, the beginning of the
        next, in the same crop.
    black_level
        Mean level under which a picture is black.

    Returns
    -------
    verdict, change, usual change
        Mean absolute difference in levels 0..255; None where the pictures tell nothing: black,
        without structure, or standing still on one side, since all such pictures are alike.
    """
    ends = [np.asarray(pictures, dtype=np.float64) for pictures in (before, after)]
    changes = [_change(pictures[LAG:], pictures[:-LAG]) for pictures in ends]
    is_empty = any(_shows_nothing(pictures, black_level) for pictures in (ends[0][-1], ends[1][0]))
    is_still = any(len(change) == 0 or change.max() < _STILL_LEVELS for change in changes)
    if is_empty or is_still:
        return _NOTHING_TOLD
    # What is usual is taken from both sides: a scope that comes to rest, or sets off, right at the
    # cut would make a join look like a pause by one side alone.
    usual = float(np.median(np.concatenate(changes)))
    change = float(_change(ends[0][-1:], ends[1][:1])[0])
    is_join = change <= MAX_CHANGE * usual
    return EndPictures.JOIN if is_join else EndPictures.DIFFER, change, usual


def _change(some: FloatArray, others: FloatArray) -> FloatArray:
    return np.asarray(np.abs(some - others).mean(axis=(1, 2, 3)))


def _shows_nothing(picture: FloatArray, black_level: float) -> bool:
    gray = picture.mean(axis=2)
    return float(gray.mean()) < black_level or float(gray.std()) < _PLAIN_LEVELS


def find_joins(opened: OpenedCase, stretches: Sequence[FieldStretch]) -> tuple[PartJoin, ...]:
    """Look at the ends of the parts that a recorder seems to have cut; none where it was said.

    Raises
    ------
    DecodeError
        If the recording no longer decodes.
    """
    if opened.config.events.is_continuous is not None:
        return ()
    parts, level = opened.index.parts, opened.config.validity.black_mean_level
    joins = []
    for k, evidence in recorder_cuts(parts).items():
        # The field in which part k ended, for both sides: in fields of their own two views of one
        # place would differ by their crops.
        crop = [s.field.crop for s in stretches if s.part_index == k][-1]
        before = _pictures(opened, k, _last_frames(parts[k]), crop)
        after = _pictures(opened, k + 1, _first_frames(parts[k + 1]), crop)
        verdict = _NOTHING_TOLD
        if before is not None and after is not None:
            verdict = compare_ends(before, after, level)
        joins.append(PartJoin(k, evidence, *verdict))
    return tuple(joins)


def _last_frames(part: PartIndex) -> IntArray:
    times_s = part.time_s[-1] - STEP_S * np.arange(N_LOOKS, dtype=np.float64)[::-1]
    return _spaced_frames(part, np.asarray(times_s, dtype=np.float64))


def _first_frames(part: PartIndex) -> IntArray:
    return _spaced_frames(part, STEP_S * np.arange(N_LOOKS, dtype=np.float64))


def _spaced_frames(part: PartIndex, times_s: FloatArray) -> IntArray:
    """Return the pictures shown at `times_s`; fewer than asked for where they lie apart."""
    frames = np.searchsorted(part.time_s, times_s + STEP_S / 100, side="right") - 1
    is_near = (frames >= 0) & (times_s - part.time_s[np.maximum(frames, 0)] < STEP_S)
    return np.asarray(frames[is_near], dtype=np.int64)


def _pictures(
    opened: OpenedCase, part_index: int, frames: IntArray, crop: PixelBox
) -> RgbArray | None:
    """Return the small pictures at the end of a part; None where one is missing or damaged."""
    if len(np.unique(frames)) <= LAG:
        return None
    batch = opened.small_pictures(part_index, frames, crop, _LOOK_WIDTH_PX)
    is_whole = batch.is_decoded & ~batch.is_corrupt
    return batch.rgb if is_whole.all() else None
