"""What the record says of the recording: parts without names, flags that a reader must know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ubereport.analysis.measurement import Measurement
from ubereport.analysis.view.view_changes import FieldStretch
from ubereport.core.case import FieldSummary, Flag, FlagLevel, PartSummary, worst_first
from ubereport.core.frames import FieldOfView, SamplingPlan
from ubereport.core.intervals import Interval
from ubereport.core.recording import PartIndex, PlacedPart, RecordingIndex, Timeline

MIN_FIELD_CONFIDENCE = 0.5
MIN_MISSING_S = 1.0
_STORED = (
    *("container", "codec", "pixel_format", "width_px", "height_px"),
    *("rotation_deg", "is_interlaced", "color_matrix", "color_range"),
)
"""How pictures are stored, under the names of `VideoFormat` and `PartSummary`."""


def part_summaries(
    index: RecordingIndex,
    timeline: Timeline,
    stretches: Sequence[FieldStretch],
    plan: SamplingPlan,
    measurement: Measurement,
) -> tuple[PartSummary, ...]:
    """Describe every part by its hash and its pictures, never by its name."""
    return tuple(
        _part_summary(
            part,
            placed,
            _first_field(stretches, placed.part_index),
            measurement.rows(np.flatnonzero(plan.part_index == placed.part_index)),
        )
        for part, placed in zip(index.parts, timeline.parts, strict=True)
    )


def _first_field(stretches: Sequence[FieldStretch], part_index: int) -> FieldOfView:
    return next(s.field for s in stretches if s.part_index == part_index)


def _part_summary(
    part: PartIndex, placed: PlacedPart, field: FieldOfView, measured: Measurement
) -> PartSummary:
    video = part.video
    rate_hz = video.average_rate_hz
    return PartSummary(
        sha256=part.sha256,
        size_bytes=part.size_bytes,
        average_rate_hz=None if rate_hz is None else float(rate_hz),
        start_s=placed.start_s,
        duration_s=placed.duration_s,
        found_duration_s=part.duration_s,
        declared_duration_s=part.declared_duration_s,
        found_n_frames=part.n_frames,
        declared_n_frames=part.declared_n_frames,
        gaps=tuple(
            Interval(placed.start_s + g.start_s, placed.start_s + g.end_s) for g in part.gaps
        ),
        n_samples=len(measured),
        n_undecoded=int(measured.is_undecoded.sum()),
        n_corrupt=int(measured.is_corrupt.sum()),
        field_of_view=FieldSummary(
            shape=str(field.shape),
            left_px=field.crop.left_px,
            top_px=field.crop.top_px,
            right_px=field.crop.right_px,
            bottom_px=field.crop.bottom_px,
            confidence=round(field.confidence, 3),
        ),
        **{name: getattr(video, name) for name in _STORED},
    )


def recording_flags(
    parts: Sequence[PartSummary],
    index: RecordingIndex,
    view_changes_s: Sequence[float],
    decode_failures: Sequence[str],
) -> tuple[Flag, ...]:
    """Return the flags that follow from the recording and its decoding, the worst first."""
    flags = [
        flag
        for number, (summary, part) in enumerate(zip(parts, index.parts, strict=True), start=1)
        for flag in (*_loss_flags(number, summary, part), *_reading_flags(number, summary, part))
    ]
    if view_changes_s:
        changes = "once" if len(view_changes_s) == 1 else f"{len(view_changes_s)} times"
        flags.append(
            Flag(
                "view_changed",
                FlagLevel.CAUTION,
                f"The field of view changed {changes} (zoom or another scope); each stretch was "
                "measured in its own field.",
            )
        )
    # Reasons name readers and libraries, nothing that a surgeon can act on: the count is told, the
    # sentences stand under Provenance.
    if decode_failures:
        failed = "once" if len(decode_failures) == 1 else f"{len(decode_failures)} times"
        flags.append(
            Flag(
                "decoding_failed",
                FlagLevel.CAUTION,
                f"Decoding failed {failed} and went on; see Provenance.",
            )
        )
    return worst_first(flags)


def _loss_flags(number: int, summary: PartSummary, part: PartIndex) -> Iterator[Flag]:
    if part.declared_duration_s is not None and part.missing_tail_s >= MIN_MISSING_S:
        yield Flag(
            "truncated",
            FlagLevel.WARNING,
            f"Part {number} is cut: it declares {part.declared_duration_s:.1f} s, "
            f"{part.duration_s:.1f} s were found; the rest counts as lost.",
        )
    n_lost = summary.n_undecoded + summary.n_corrupt
    if n_lost:
        yield Flag(
            "damaged",
            FlagLevel.WARNING,
            f"Part {number} is damaged: {n_lost} of {summary.n_samples} samples could not be "
            "decoded intact and count as lost.",
        )
    if summary.gaps:
        gap_s = sum(gap.duration_s for gap in summary.gaps)
        n_gaps = len(summary.gaps)
        many = "1 gap" if n_gaps == 1 else f"{n_gaps} gaps"
        yield Flag(
            "gaps", FlagLevel.CAUTION, f"Part {number} has {many} of {gap_s:.1f} s in total."
        )


def _reading_flags(number: int, summary: PartSummary, part: PartIndex) -> Iterator[Flag]:
    if part.n_clock_jumps:
        yield Flag(
            "clock_jumps",
            FlagLevel.CAUTION,
            f"The clock of part {number} jumps {part.n_clock_jumps} times in a way no camera "
            "does; the jumps were taken out.",
        )
    if summary.field_of_view.confidence < MIN_FIELD_CONFIDENCE:
        yield Flag(
            "field_uncertain",
            FlagLevel.CAUTION,
            f"The field of view of part {number} could not be told from its surround; area is "
            f"counted over this outline: {summary.field_of_view.shape}.",
        )
    for note in part.notes:
        yield Flag("recording_note", FlagLevel.INFO, f"Part {number}: {note}")
