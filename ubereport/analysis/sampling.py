"""Look at a case pass by pass until everything that counts has been seen at the full rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.analysis.decode_report import DecodeReport
from ubereport.analysis.measurement import Measurement, assemble_series
from ubereport.analysis.measurer import Looks, Measurer, PassProgress
from ubereport.analysis.refine import next_looks
from ubereport.analysis.view.validity import settle_frozen
from ubereport.analysis.view.view_changes import FieldStretch
from ubereport.core.arrays import BoolArray, IntArray
from ubereport.core.config import AnalysisConfig, SamplingMode, ValidityConfig
from ubereport.core.frames import SamplingPlan
from ubereport.core.progress import ProgressHook
from ubereport.core.recording import RecordingIndex
from ubereport.video.candidates import Candidates
from ubereport.video.process_shares import groups_of

# Nobody knows how much the passes after the first will want; this much of the bar is kept for it.
FIRST_PASS_SHARE = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredCase:
    """The plan that came out, what was measured of its pictures, and who read them."""

    plan: SamplingPlan
    measurement: Measurement
    decoded: DecodeReport


def measure_case(
    measurer: Measurer,
    stretches: Sequence[FieldStretch],
    on_progress: ProgressHook,
    joined_parts: tuple[int, ...] = (),
) -> MeasuredCase:
    """Look at what comes first, then at what `next_looks` names, until it names nothing.

    `joined_parts` follow the next part without a pause.

    Every pass adds at least one picture, and passes reach ever farther, so that this ends.

    Raises
    ------
    DecodeError, PredictionError, OutputError
        As `Measurer.measure`.
    """
    candidates, config = measurer.candidates, measurer.config
    every = np.arange(len(candidates))
    groups = _groups(candidates, measurer.index)
    progress = PassProgress(float(candidates.durations_s(every).sum()), on_progress)
    # The uniform plan, and recordings with groups so long that all of them is decoded at once, need
    # no second pass: the bar then runs to its end in the first.
    is_one_pass = bool(candidates.is_first[candidates.is_full_rate].all())
    seen = _Seen(np.empty(0, dtype=np.int64), Measurement.concatenate(()))
    wanted = np.flatnonzero(candidates.is_first).astype(np.int64)
    reports: list[DecodeReport] = []
    while len(wanted):
        still_frac = config.validity.frozen_moved_frac
        looks = seen.looks(candidates, groups, wanted, len(reports), still_frac)
        progress.start(len(looks.rows), 1.0 if is_one_pass else FIRST_PASS_SHARE)
        measured, decoded = measurer.measure(looks, stretches, progress)
        reports.append(decoded)
        seen = seen.merged(looks, measured)
        # Freezes are settled anew after every pass, from all that was seen so far: a picture that
        # was compared across a gap may now have a nearer neighbor that differs.
        chosen, measurement = seen.settled(candidates, config.validity)
        series = assemble_series(candidates.plan(chosen, ""), measurement, (), joined_parts)
        wanted = next_looks(
            candidates, chosen, series, config.events, config.sampling, len(reports)
        )
    progress.tell(is_over=True)
    why = _why(candidates, chosen, config, len(reports))
    return MeasuredCase(candidates.plan(chosen, why), measurement, DecodeReport.layered(reports))


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Rows of the candidates that were looked at, increasing, and what was measured of each."""

    rows: IntArray
    measurement: Measurement

    def looks(
        self,
        candidates: Candidates,
        groups: IntArray,
        wanted: IntArray,
        pass_index: int,
        still_frac: float,
    ) -> Looks:
        """Return the next pass: the rows wanted, and the neighbors to compare them with.

        The neighbor before is compared where it lies in the same group of pictures, since then it
        has to be decoded anyway. Others only where the view stands still there: a freeze that no
        two pictures seen so far show is shorter than the gaps between them.
        """
        neighbors = np.empty(0, dtype=np.int64)
        if len(self.rows):
            # Every wanted picture has at most one looked-at neighbor on either side. Comparing with
            # it costs a decoding, so that it is done only where the picture is decoded anyway, or
            # where it matters.
            at = np.searchsorted(self.rows, wanted)
            is_still = self.measurement.moved_frac <= still_frac
            is_still |= np.append(is_still[1:], False)
            before, after = np.clip(at - 1, 0, None), np.clip(at, 0, len(self.rows) - 1)
            is_decoded = groups[self.rows[before]] == groups[wanted]
            pairs = (
                (self.rows[before], (at > 0) & (is_decoded | is_still[before])),
                (self.rows[after], (at < len(self.rows)) & is_still[after]),
            )
            # No neighbor is looked at again across a gap in the recording: a view may look the same
            # after it without having stood still.
            runs = candidates.run_index
            neighbors = np.concatenate(
                [rows[is_there & (runs[rows] == runs[wanted])] for rows, is_there in pairs]
            )
        rows = np.union1d(wanted, neighbors).astype(np.int64)
        return Looks(pass_index, rows, np.isin(rows, wanted))

    def merged(self, looks: Looks, measured: Measurement) -> _Seen:
        """Return all that was seen once `found` of `looks` is added."""
        new, known = np.flatnonzero(looks.is_new), np.flatnonzero(~looks.is_new)
        # Neighbors that were looked at again bring no new area, only a comparison with a nearer
        # picture.
        at = np.searchsorted(self.rows, looks.rows[known])
        compared = self.measurement.compared_with_nearer(at, measured.rows(known))
        rows = np.concatenate([self.rows, looks.rows[new]])
        order = np.argsort(rows, kind="stable")
        joined = Measurement.concatenate([compared, measured.rows(new)]).rows(order)
        return _Seen(rows[order], joined)

    def settled(
        self, candidates: Candidates, validity: ValidityConfig
    ) -> tuple[IntArray, Measurement]:
        """Return the rows that the plan takes, and what was measured with freezes found."""
        measured = self.measurement
        reason = settle_frozen(
            candidates.time_s[self.rows],
            measured.reason,
            measured.moved_frac,
            measured.moved_from_s,
            validity,
        )
        is_seen = np.zeros(len(candidates), dtype=np.bool_)
        is_seen[self.rows] = True
        chosen = candidates.chosen(is_seen)
        at = np.searchsorted(self.rows, chosen)
        return chosen, measured.with_reason(reason).rows(at)


def _groups(candidates: Candidates, index: RecordingIndex) -> IntArray:
    """(n,) the group of pictures of each candidate, counted through the case."""
    groups = np.empty(len(candidates), dtype=np.int64)
    n_before = 0
    for number, part in enumerate(index.parts):
        inside = candidates.part_index == number
        groups[inside] = n_before + groups_of(part.is_key, candidates.frame_index[inside])
        n_before += int(part.is_key.sum()) + 1
    return groups


def _why(candidates: Candidates, chosen: IntArray, config: AnalysisConfig, n_passes: int) -> str:
    """Return how the pictures were chosen and what came of it, as a part of a sentence."""
    n, mode = len(chosen), config.sampling.mode
    step_s = 1 / config.sampling.rate_hz
    duration_s = candidates.durations_s(chosen)
    total_s = float(duration_s.sum())
    if mode is SamplingMode.UNIFORM:
        return f"uniform, the picture shown every {step_s:g} s"
    if mode is SamplingMode.KEYFRAMES:
        return f"keyframes, one every {total_s / n:.2g} s on average"
    coarse_s = candidates.durations_s(np.flatnonzero(candidates.is_first).astype(np.int64))
    is_full = _is_at_full_rate(candidates, chosen)
    full_share = float(duration_s[is_full].sum()) / total_s
    return (
        f"adaptive: {n} pictures looked at in {n_passes} passes; first one every "
        f"{float(np.mean(coarse_s)):.2g} s, at most {float(np.max(coarse_s)):.2g} s apart, then "
        f"every {step_s:g} s in the {full_share:.0%} of the recording where the area crossed or "
        "neared a threshold, changed fast, or the view was lost"
    )


def _is_at_full_rate(candidates: Candidates, chosen: IntArray) -> BoolArray:
    """(m,) whether each sample stands no longer than the full-rate grid lets it."""
    rows = np.arange(len(candidates))
    is_waiting = candidates.is_full_rate.copy()
    is_waiting[chosen] = False
    n_waiting = np.append(np.cumsum(is_waiting), is_waiting.sum())
    following = np.append(chosen[1:], len(rows))
    return np.asarray(n_waiting[following - 1] == n_waiting[chosen])
