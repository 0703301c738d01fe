"""What was measured of the samples of a plan, and the series that follows from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, IntArray, freeze
from ubereport.core.frames import SamplingPlan
from ubereport.core.series import AreaSeries, LossReason
from ubereport.video.timeline import LostStretch

COLUMNS = ("area_frac", "is_undecoded", "is_corrupt", "moved_frac", "moved_from_s")
"""What a measurement holds as arrays, beside its reasons."""


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """One row a sample, in the order of the plan.

    Parameters
    ----------
    area_frac
        (n, 4) float64: lenient, central and strict threshold, and the central one over visible
        tissue; NaN where the sample is lost, and the last also where no tissue was measured.
    reason
        n reasons, NONE where the sample is valid.
    is_undecoded, is_corrupt
        (n,) bool: samples that no reader could give, and those given but damaged.
    moved_frac, moved_from_s
        (n,) float64, share of pixels that differ from the readable picture at that time; NaN where
        the sample was compared with none.
    """

    area_frac: FloatArray
    reason: tuple[LossReason, ...]
    is_undecoded: BoolArray
    is_corrupt: BoolArray
    moved_frac: FloatArray
    moved_from_s: FloatArray

    def __post_init__(self) -> None:
        freeze(self, np.float64, "area_frac", "moved_frac", "moved_from_s")
        freeze(self, np.bool_, "is_undecoded", "is_corrupt")
        n = len(self.reason)
        if self.area_frac.shape != (n, 4):
            raise ValueError(f"areas of shape {self.area_frac.shape} for {n} reasons; need (n, 4)")
        for name in ("is_undecoded", "is_corrupt", "moved_frac", "moved_from_s"):
            if getattr(self, name).shape != (n,):
                raise ValueError(f"{name} needs shape ({n},)")

    def __len__(self) -> int:
        return len(self.reason)

    @classmethod
    def concatenate(cls, pieces: Iterable[Measurement]) -> Measurement:
        """Join measurements of consecutive samples."""
        nothing, no_flag = np.empty(0), np.empty(0, np.bool_)
        every = [cls(np.empty((0, 4)), (), no_flag, no_flag, nothing, nothing), *pieces]
        columns = {n: np.concatenate([getattr(piece, n) for piece in every]) for n in COLUMNS}
        return cls(reason=tuple(reason for piece in every for reason in piece.reason), **columns)

    def rows(self, rows: IntArray) -> Measurement:
        """Return the measurement of some samples."""
        columns = {name: getattr(self, name)[rows] for name in COLUMNS}
        return Measurement(reason=tuple(self.reason[i] for i in rows), **columns)

    def compared_with_nearer(self, rows: IntArray, again: Measurement) -> Measurement:
        """Return this with the comparisons of `again`, which looked at `rows` a second time.

        They count where the picture compared with is a nearer one, that was looked at since.
        """
        moved_frac, moved_from_s = self.moved_frac.copy(), self.moved_from_s.copy()
        # Written with a negation so that NaN, which is what a first look without any comparison
        # left, counts as farther away than everything.
        is_nearer = ~(again.moved_from_s <= moved_from_s[rows]) & ~np.isnan(again.moved_from_s)
        moved_frac[rows[is_nearer]] = again.moved_frac[is_nearer]
        moved_from_s[rows[is_nearer]] = again.moved_from_s[is_nearer]
        return dataclasses.replace(self, moved_frac=moved_frac, moved_from_s=moved_from_s)

    def with_reason(self, reason: tuple[LossReason, ...]) -> Measurement:
        """Return the measurement under other reasons; samples that are now lost lose their area."""
        is_lost = np.array([r is not LossReason.NONE for r in reason], dtype=np.bool_)
        area_frac = np.where(is_lost[:, np.newaxis], np.nan, self.area_frac)
        return dataclasses.replace(self, area_frac=area_frac, reason=reason)


def assemble_series(
    plan: SamplingPlan,
    measurement: Measurement,
    lost: Iterable[LostStretch],
    joined_parts: tuple[int, ...] = (),
    *,
    has_tissue: bool = False,
) -> AreaSeries:
    """Merge samples and stretches without pictures into one series in time order.

    `joined_parts` follow the next part without a pause; `has_tissue` tells whether areas over
    visible tissue were measured.

    Raises
    ------
    ValueError
        If the measurement does not belong to the plan, or rows overlap.
    """
    if len(plan) != len(measurement):
        raise ValueError(f"{len(measurement)} measured samples for a plan of {len(plan)}")
    gone = [stretch for stretch in lost if stretch.interval.duration_s > 0]
    n_gone = len(gone)
    area_frac = np.concatenate([measurement.area_frac, np.full((n_gone, 4), np.nan)])
    reason = (*measurement.reason, *(stretch.reason for stretch in gone))
    time_s = np.concatenate([plan.time_s, [s.interval.start_s for s in gone]])
    duration_s = np.concatenate([plan.duration_s, [s.interval.duration_s for s in gone]])
    part_index = np.concatenate([plan.part_index, [s.part_index for s in gone]])
    # A lost stretch may begin at the very time of a sample that stands for nothing there; a stable
    # order keeps the rows the same on every machine.
    order = np.argsort(time_s, kind="stable")
    return AreaSeries(
        time_s=time_s[order],
        duration_s=duration_s[order],
        part_index=part_index[order].astype(np.int64),
        area_frac=area_frac[order, 1],
        area_frac_lenient=area_frac[order, 0],
        area_frac_strict=area_frac[order, 2],
        is_valid=np.array([reason[i] is LossReason.NONE for i in order], dtype=np.bool_),
        reason=tuple(reason[i] for i in order),
        joined_parts=joined_parts,
        area_frac_of_tissue=area_frac[order, 3] if has_tissue else None,
    )
