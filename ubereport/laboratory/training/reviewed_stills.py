"""From reviewed cases to the labelled folder that training reads: what was said becomes masks.

The folder holds ``stills/`` and ``MANIFEST.csv`` with ``masks/`` and ``ignore/`` as every labelled
folder, and ``SETS.toml``, which names the licence: `train finetune` and `train export` take either.
Stills are named by case id, by what was said of them and by their time on the case clock; nothing
of a recording's name, path or container is written.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.case import PartSummary, part_at
from ubereport.core.errors import OutputError, ReviewError, UbereportError, UsageError
from ubereport.files.atomic import staged_for, write_file
from ubereport.files.names import folder_name
from ubereport.files.records.store import case_folders
from ubereport.laboratory.annotation.files import png_mask, rgb_png_bytes
from ubereport.laboratory.annotation.folders import MANIFEST_NAME, write_manifest_folder
from ubereport.laboratory.annotation.still_index import Joined
from ubereport.laboratory.annotation.types import Annotation
from ubereport.laboratory.training.config import FramesConfig
from ubereport.laboratory.training.reviewed_moments import ReviewedMoment, Said, reviewed_moments
from ubereport.review.agreement import standing_review
from ubereport.review.desk.case_desk import CaseDesk
from ubereport.review.desk.case_pictures import CasePictures, field_mask
from ubereport.review.desk.mask_network import MaskNetwork
from ubereport.review.desk.recordings import PartState, recording_files
from ubereport.review.journal import Journal
from ubereport.review.reviewed_case import ReviewedCase
from ubereport.review.strokes import MendedMask

SETS_NAME = "SETS.toml"
_ROLE = "pictures of reviewed cases, as reviewers drew, cleared or confirmed them"


@dataclass(frozen=True, slots=True)
class ReviewSources:
    """Where reviews and the pictures that they speak of come from.

    Parameters
    ----------
    cases
        Case folders and libraries.
    recordings
        Files, or folders of files, among which the parts of the cases are looked for.
    models
        Folder of bundles: the one that measured a case lays the mask over a confirmed peak.
    licence
        Under which terms the pictures and masks may be used; empty where not yet stated, and then
        no bundle that learned from them can be exported.
    """

    cases: tuple[Path, ...]
    recordings: tuple[Path, ...]
    models: Path
    licence: str = ""


@dataclass(frozen=True, slots=True)
class ReviewedLabels:
    """What a labelled folder got from reviews.

    `n_stills` counts by what was said; `n_to_draw` are confirmed peaks where the bundle's strict
    threshold finds no blood, so that only a person can draw it; `n_unreviewed` are cases that
    nobody has reviewed whole; `failed` are (case id or folder, why) of those that gave less than
    their review says.
    """

    manifest: Path
    sets: Path
    n_cases: int
    n_stills: tuple[tuple[Said, int], ...]
    n_groups: int
    n_to_draw: int
    n_unreviewed: int
    failed: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Case:
    """A case whose review stands."""

    desk: CaseDesk
    journal: Journal
    review: ReviewedCase


def import_reviews(
    sources: ReviewSources,
    folder: Path,
    on_progress: Callable[[int, int], None] | None = None,
) -> ReviewedLabels:
    """Write the labelled folder of reviewed cases whole or not at all.

    A case counts where one review stands. Cases that hold a part of one recording are one group.
    A case that cannot be read, whose review was altered, or whose recording is not at hand ends
    nothing: it is listed in `failed`, and what was drawn in it is taken where that can be.

    Raises
    ------
    UsageError
        If there is no case, none is reviewed whole, or nothing can be taken from those that are.
    OutputError
        If `folder` exists or cannot be written.
    """
    if folder.exists():
        raise OutputError(f"{folder.name} exists already. Choose another name with --out.")
    files = recording_files(sources.recordings)
    cases, failed, n_unreviewed = _reviewed_cases(sources.cases, files)
    groups = _groups([case.desk for case in cases])
    said: Counter[Said] = Counter()
    n_to_draw = 0
    pairs: list[tuple[Annotation, Path]] = []
    with staged_for(folder) as staged, MaskNetwork() as network:
        (staged / "stills").mkdir(parents=True)
        for number, (case, group) in enumerate(zip(cases, groups, strict=True), 1):
            of_case = _taken(
                case, group, CasePictures(case.desk, sources.models, network), staged / "stills"
            )
            pairs += of_case.pairs
            said.update(of_case.said)
            n_to_draw += of_case.n_to_draw
            failed += [(case.desk.record.case_id, why) for why in of_case.failed]
            if on_progress is not None:
                on_progress(number, len(cases))
        if not pairs:
            raise UsageError(_nothing(len(cases), failed, n_unreviewed))
        write_manifest_folder(Joined(tuple(pairs), ()), staged)
        write_file(staged / SETS_NAME, _sets(folder.name, sources.licence))
    return ReviewedLabels(
        manifest=folder / MANIFEST_NAME,
        sets=folder / SETS_NAME,
        n_cases=len(cases),
        n_stills=tuple((kind, said[kind]) for kind in Said),
        n_groups=len({annotation.group for annotation, _ in pairs}),
        n_to_draw=n_to_draw,
        n_unreviewed=n_unreviewed,
        failed=tuple(failed),
    )


def _reviewed_cases(
    given: Sequence[Path], files: Sequence[Path]
) -> tuple[list[_Case], list[tuple[str, str]], int]:
    """Open the cases whose review stands; return those that cannot be read and count the rest."""
    cases: list[_Case] = []
    failed: list[tuple[str, str]] = []
    n_unreviewed = 0
    for folder in [case for path in given for case in case_folders(path)]:
        try:
            desk = CaseDesk(folder, files)
            journal = desk.journal()
            reviews = [desk.reviewed(journal, name) for name in journal.reviewers]
        except UbereportError as error:
            failed.append((folder.name, str(error)))
            continue
        # The same rule by which numbers count: what is not settled between two reviewers teaches
        # nothing.
        standing = standing_review(reviews, desk.record.series)
        if standing is None:
            n_unreviewed += 1
        else:
            cases.append(_Case(desk, journal, standing))
    return cases, failed, n_unreviewed


def _groups(desks: Sequence[CaseDesk]) -> list[str]:
    """Name the group of each case; cases that share a part of a recording share a group.

    Otherwise a recording that was measured twice, under two case ids, could stand on both sides of
    a split between training and validation.
    """
    groups = [folder_name(desk.record.case_id) for desk in desks]
    first: dict[str, int] = {}
    for number, desk in enumerate(desks):
        for part in desk.record.parts:
            other = first.setdefault(part.sha256, number)
            # Both groups become one, with all cases that either had been joined with before.
            joined, kept = groups[number], groups[other]
            groups = [kept if group == joined else group for group in groups]
    return groups


@dataclass(frozen=True, slots=True)
class _Taken:
    pairs: tuple[tuple[Annotation, Path], ...]
    said: tuple[Said, ...]
    n_to_draw: int
    failed: tuple[str, ...]


def _taken(case: _Case, group: str, of_case: CasePictures, stills: Path) -> _Taken:
    """Write the stills of a case and return their annotations; what fails is told once a reason."""
    missing = _missing_parts(case.desk)
    pairs: list[tuple[Annotation, Path]] = []
    said: list[Said] = []
    reasons: Counter[str] = Counter()
    n_to_draw = 0
    with closing(of_case) as pictures:
        for moment in reviewed_moments(case.desk.record, case.journal, case.review):
            part_index = part_at(case.desk.record.parts, moment.time_s)
            # What was drawn was kept with the picture under it; everything else needs the
            # recording.
            if moment.said is not Said.DRAWN and part_index in missing:
                reasons[missing[part_index]] += 1
                continue
            try:
                rgb, blood, ignore = _labelled(case.desk, pictures, moment)
            except UbereportError as error:
                reasons[str(error)] += 1
                continue
            # The person saw blood that the strict threshold does not find: only a hand can draw it.
            if moment.said is Said.CONFIRMED and not blood.any():
                n_to_draw += 1
                continue
            pairs.append(_written(case, moment, group, stills, (rgb, blood, ignore)))
            said.append(moment.said)
    failed = tuple(f"{n} picture(s) left out: {why}" for why, n in reasons.items())
    return _Taken(tuple(pairs), tuple(said), n_to_draw, failed)


def _missing_parts(desk: CaseDesk) -> dict[int | None, str]:
    """Say of each part without its file why; a file counts once its hash was checked."""
    words = {
        PartState.MISSING: "is not among the recordings given",
        PartState.OTHER: "is another recording than the one measured (its sha256 differs)",
    }
    return {
        part.part_index: f"Part {part.part_index + 1} of the case {words[part.state]}. Name its"
        " file, or the folder that holds it, with --recording."
        for part in desk.checked_parts()
        if part.state in words
    }


def _labelled(
    desk: CaseDesk, pictures: CasePictures, moment: ReviewedMoment
) -> tuple[RgbArray, BoolArray, BoolArray]:
    """Return (picture, blood, undecided) of a moment; black outside of the field of view.

    Of a confirmed peak a person confirmed the event and not each pixel: what the bundle's own
    thresholds disagree about counts neither way.
    """
    if moment.mask is not None:
        part_index = part_at(desk.record.parts, moment.time_s)
        if part_index is None:
            raise ReviewError("A mask was drawn outside of every part. Review the case again.")
        return _drawn(desk.folder, desk.record.parts[part_index], moment.mask)
    if moment.said is Said.CONFIRMED:
        rgb, field, lenient, strict = pictures.graded_masks(moment.time_s)
        return _inside(rgb, field), strict, lenient & ~strict
    side_px = FramesConfig().side_px
    rgb, field, _ = pictures.still_of_size(moment.time_s, side_px, side_px)
    nothing = np.zeros(field.shape, np.bool_)
    return _inside(rgb, field), nothing, nothing


def _drawn(
    folder: Path, part: PartSummary, mended: MendedMask
) -> tuple[RgbArray, BoolArray, BoolArray]:
    """Return what the journal sealed: the picture and mask of a stroke, by their hashes."""
    picture = _sealed(folder / mended.picture_path, mended.picture_sha256)
    content = _sealed(folder / mended.mask_path, mended.mask_sha256)
    bgr = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    mask = png_mask(content, "of a stroke")
    if bgr is None or bgr.shape[:2] != mask.shape:
        raise ReviewError("A drawn mask does not fit its picture. Draw it again.")
    rgb = np.asarray(bgr[..., ::-1], np.uint8)
    return _inside(rgb, field_mask(part, mask.shape)), mask, np.zeros_like(mask)


def _sealed(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    # The journal sealed what was drawn: a mask changed afterwards is nobody's review.
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ReviewError(
            "A drawn mask or its picture is missing or was changed after it was drawn. Bring the"
            " folder review/ of the case back from a backup, or draw the mask again."
        )
    return content


def _inside(rgb: RgbArray, field: BoolArray) -> RgbArray:
    # What lies around the view may show names and dates that a recorder writes there.
    return np.where(field[..., None], rgb, 0).astype(np.uint8)


def _written(
    case: _Case,
    moment: ReviewedMoment,
    group: str,
    stills: Path,
    labelled: tuple[RgbArray, BoolArray, BoolArray],
) -> tuple[Annotation, Path]:
    rgb, blood, ignore = labelled
    case_name = folder_name(case.desk.record.case_id)
    name = f"{case_name}-{moment.said.value}-{round(moment.time_s * 1000):010d}.png"
    content = rgb_png_bytes(rgb)
    write_file(stills / name, content)
    digest = hashlib.sha256(content).hexdigest()
    annotation = Annotation.from_masks(
        name, blood, ignore, annotator=case.review.reviewer, sha256=digest, group=group
    )
    return annotation, stills / name


def _sets(name: str, licence: str) -> bytes:
    """Return the list of sets; JSON strings are TOML strings."""
    head = (
        "# Say under which terms these pictures and masks may be used; without it no bundle is"
        " exported.\n"
    )
    rows = {"name": name, "path": MANIFEST_NAME, "licence": licence, "role": _ROLE}
    lines = [f"{key} = {json.dumps(value)}" for key, value in rows.items()]
    return (head + "[[collections]]\n" + "\n".join(lines) + "\n").encode()


def _nothing(n_cases: int, failed: Sequence[tuple[str, str]], n_unreviewed: int) -> str:
    n_all = n_cases + n_unreviewed + len({who for who, _ in failed})
    why = f" {failed[0][0]}: {failed[0][1]}" if failed else ""
    if n_cases == 0:
        return (
            f"None of the {n_all} cases has a review that stands, so that there is nothing to learn"
            f" from. Decide every event with `ubereport review`.{why}"
        )
    return (
        f"The {n_cases} reviewed cases give no labelled picture.{why} Mend that and import again."
    )
