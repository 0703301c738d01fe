"""Time to clear when some clearings were not seen: the Kaplan–Meier curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ubereport.core.arrays import FloatArray, IntArray, freeze
from ubereport.core.events import HemostasisEvent

_Z_95 = 1.959963984540054
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class KaplanMeierCurve:
    """Share of events not yet cleared, over the time since their onset.

    Parameters
    ----------
    time_s
        (k,) float64, 0 and then the distinct times to clear, increasing.
    survival_frac
        (k,) float64, share not yet cleared from that time on; first is 1.
    low_frac, high_frac
        (k,) float64, 95 % confidence limits (Greenwood, log-log); NaN where all are cleared, for
        which the formula has no answer.
    n_at_risk
        (k,) int64, events still followed and not cleared just before that time.
    n_cleared
        (k,) int64, clearings at that time.
    duration_s
        (n,) float64, how long each event was followed, increasing.
    n_events
        Events the curve rests on: all with an onset that was seen.
    n_censored
        Those of them whose clearing was not seen.
    n_onset_unseen
        Events left out because their onset was not seen.
    """

    time_s: FloatArray
    survival_frac: FloatArray
    low_frac: FloatArray
    high_frac: FloatArray
    n_at_risk: IntArray
    n_cleared: IntArray
    duration_s: FloatArray
    n_events: int
    n_censored: int
    n_onset_unseen: int

    def __post_init__(self) -> None:
        freeze(self, np.float64, "time_s", "survival_frac", "low_frac", "high_frac", "duration_s")
        freeze(self, np.int64, "n_at_risk", "n_cleared")

    @property
    def median_s(self) -> float | None:
        """Time by which half of the events are cleared; None if the curve does not get there."""
        return self.cleared_by_share_s(0.5)

    def cleared_by_share_s(self, share: float) -> float | None:
        """Return the time by which `share` (0..1) of the events are cleared; None if never seen.

        Where the curve runs level exactly at that share, the middle of the level stretch is
        returned, so that without censoring the median is the ordinary one (as in R's survfit).

        Raises
        ------
        ValueError
            If `share` lies outside 0..1.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"share of {share}; allowed: 0 to 1")
        left_frac = 1 - share
        # A product of shares that is 0.5 by rights may lie above it by rounding: the median would
        # then be one clearing late.
        at_or_below = np.flatnonzero(self.survival_frac <= left_frac + _ROUNDING)
        if len(at_or_below) == 0:
            return None
        first = int(at_or_below[0])
        is_level = abs(self.survival_frac[first] - left_frac) <= _ROUNDING
        following = min(first + 1, len(self.time_s) - 1) if is_level else first
        return float((self.time_s[first] + self.time_s[following]) / 2)

    def cleared_share_at(self, time_s: float) -> float | None:
        """Return the share cleared by `time_s` after onset; None if no event was followed so long.

        Raises
        ------
        ValueError
            If `time_s` is negative.
        """
        if time_s < 0:
            raise ValueError(f"time of {time_s} s after onset; allowed: 0 or more")
        last_frac = float(self.survival_frac[-1])
        followed_s = float(self.duration_s[-1]) if self.n_events else 0.0
        # Beyond the longest watch nothing is known, unless all had cleared by then.
        if self.n_events == 0 or (last_frac > 0 and time_s > followed_s + _ROUNDING):
            return None
        at = int(np.searchsorted(self.time_s, time_s + _ROUNDING, side="right")) - 1
        return 1 - float(self.survival_frac[at])

    def n_at_risk_at(self, time_s: float) -> int:
        """Return how many events were still followed and not cleared just before `time_s`."""
        return int(np.sum(self.duration_s >= time_s - _ROUNDING))


def kaplan_meier(events: Sequence[HemostasisEvent]) -> KaplanMeierCurve:
    """Return the curve of time to clear of `events`; those with an unseen onset are left out."""
    with_onset = [event for event in events if event.is_onset_observed]
    return kaplan_meier_of_durations(
        [event.duration_s for event in with_onset],
        [not event.is_censored for event in with_onset],
        n_onset_unseen=len(events) - len(with_onset),
    )


def kaplan_meier_of_durations(
    duration_s: ArrayLike, is_cleared: ArrayLike, n_onset_unseen: int = 0
) -> KaplanMeierCurve:
    """Return the product-limit estimate (Kaplan and Meier, J Am Stat Assoc 1958;53:457).

    Events that are cleared and others that are censored at the same time: the clearing counts
    first. The confidence limits are Greenwood's, on the log-log scale (Kalbfleisch and Prentice).

    Parameters
    ----------
    duration_s
        (n,) how long each event was followed from its onset, 0 or more.
    is_cleared
        (n,) whether it then cleared; False where it was censored.
    n_onset_unseen
        Events left out before, carried along for the caption.

    Raises
    ------
    ValueError
        If lengths differ or a duration is negative or not finite.
    """
    followed_s = np.asarray(duration_s, dtype=np.float64).reshape(-1)
    cleared = np.asarray(is_cleared, dtype=np.bool_).reshape(-1)
    if followed_s.shape != cleared.shape:
        raise ValueError(f"{followed_s.size} durations, but {cleared.size} entries of is_cleared")
    if not np.all(np.isfinite(followed_s)) or np.any(followed_s < 0):
        raise ValueError("durations must be finite and 0 or more")
    # At each time at which an event cleared: of those still followed, which share did not clear?
    # The product of these shares up to a time is the share not cleared by then.
    time_s, n_cleared = np.unique(followed_s[cleared], return_counts=True)
    n_at_risk = np.array([np.sum(followed_s >= t) for t in time_s], dtype=np.int64)
    survival_frac = np.cumprod(1 - n_cleared / n_at_risk).astype(np.float64)
    limits = _limits(survival_frac, n_at_risk, n_cleared)
    return KaplanMeierCurve(
        time_s=np.append(0.0, time_s),
        survival_frac=np.append(1.0, survival_frac),
        low_frac=np.append(1.0, [low for low, _ in limits]),
        high_frac=np.append(1.0, [high for _, high in limits]),
        n_at_risk=np.append(len(followed_s), n_at_risk),
        n_cleared=np.append(0, n_cleared),
        duration_s=np.sort(followed_s),
        n_events=len(followed_s),
        n_censored=int(np.sum(~cleared)),
        n_onset_unseen=n_onset_unseen,
    )


def _limits(
    survival_frac: FloatArray, n_at_risk: IntArray, n_cleared: IntArray
) -> list[tuple[float, float]]:
    limits: list[tuple[float, float]] = []
    greenwood = 0.0
    for share, at_risk, n in zip(
        survival_frac.tolist(), n_at_risk.tolist(), n_cleared.tolist(), strict=True
    ):
        if n == at_risk:
            limits.append((math.nan, math.nan))
            continue
        greenwood += n / (at_risk * (at_risk - n))
        # On the log-log scale limits stay between 0 and 1; plain ones leave it where few are left.
        spread = math.exp(_Z_95 * math.sqrt(greenwood) / abs(math.log(share)))
        limits.append((share**spread, share ** (1 / spread)))
    return limits
