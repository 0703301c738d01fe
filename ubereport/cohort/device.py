"""What the model's own error may do to a contrast: a measured area is not a true one.

A model finds a share f of the blood and paints a share p of what is clean, so that of a true area
t it measures ``p + (f - p) t``. Both differ from operation to operation, and may differ from
technique to technique (a gelatin sponge, bone wax, a wetter field). Were group j measured as a
usual operation is, ``m' = p0 + (f0 - p0) (m - pj) / (fj - pj)`` would stand where m stands: an
affine map of every area of that group, under which a mean moves along and a share of time above x
becomes the share above ``(x - a) / b``, interpolated between the shares at 5, 20 and 50 %.

Only what differs between the groups matters: an error that all share is the same map for all, and
errors that differ from case to case are among what cases differ by, so that chance already holds
them. Nobody has seen how a model errs under one technique unless stills of that technique were
labelled. Without them a technique is allowed to differ as a whole as much as one operation differs
from the next, without the chance that comes from the few stills of each; with them, as much as the
labelled stills leave open.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ubereport.cohort.scales import LOGIT_OFFSET_FRAC, MetricScale, ScaleKind
from ubereport.core.arrays import FloatArray, IntArray
from ubereport.core.errors import UsageError
from ubereport.core.held_out import MIN_OPERATIONS, HeldOutOperation
from ubereport.statistics.random_effects import UnitSpread, unit_spread

AREA_METRICS = ("area_mean_frac", "area_median_frac", "area_p90_frac", "closing_area_mean_frac")
SHARE_LEVELS = {"impaired_share_5": 0.05, "impaired_share_20": 0.20, "impaired_share_50": 0.50}
KNOT_KEYS = tuple(SHARE_LEVELS)
# The logarithm of an area needs a floor: a tenth of a percent is less than any bundle measures.
_SMALLEST_FRAC = 1e-3
# A model that finds hardly more of the blood than it paints on clean tissue cannot be read
# backwards: areas would be stretched without bound.
_MIN_SLOPE = 0.05
_N_SEEN = 20_000
_LOGIT = MetricScale(ScaleKind.LOGIT, LOGIT_OFFSET_FRAC)


@dataclass(frozen=True, slots=True)
class GroupError:
    """What labelled stills of one group say of the model there, with standard errors.

    Parameters
    ----------
    painted_clean_frac, blood_found_share
        As in `HeldOutOperation`, over the stills of the group.
    painted_se, found_se
        Their standard errors, recordings drawn as wholes.
    n_stills, n_recordings
        How many were labelled.
    """

    painted_clean_frac: float
    painted_se: float
    blood_found_share: float
    found_se: float
    n_stills: int
    n_recordings: int


@dataclass(frozen=True, slots=True)
class SeenError:
    """How far two operations of the test lay apart; one pair of ten lay farther.

    `factor` is the ratio of the shares of blood found, `false_area_frac` the difference of what was
    painted on clean tissue.
    """

    n_operations: int
    factor: float
    false_area_frac: float


def read_group_errors(path: Path) -> dict[str, GroupError]:
    """Read what ``evaluate stills --by`` wrote: one object a group.

    Raises
    ------
    UsageError
        If the file cannot be read or holds something else.
    """
    try:
        content = json.loads(path.read_bytes())
        return {str(name): GroupError(**error) for name, error in content["groups"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            "The file with errors by group cannot be read. Give errors_by_group.json as written by "
            "ubereport evaluate stills --by COLUMN."
        ) from None


def seen_error(operations: Sequence[HeldOutOperation]) -> SeenError | None:
    """Return how differently the model did on operations it had not seen; None with too few."""
    drawn = _drawn_errors(operations, 2, _N_SEEN, np.random.default_rng(0))
    if drawn is None:
        return None
    painted, found_share, _ = drawn
    # What stretches areas is found less painted, the slope of measured over true.
    ratios = np.exp(np.abs(np.diff(np.log(found_share - painted), axis=1)))
    gaps = np.abs(np.diff(painted, axis=1))
    n = sum(o.blood_found_share is not None for o in operations)
    return SeenError(n, float(np.quantile(ratios, 0.9)), float(np.quantile(gaps, 0.9)))


def _drawn_errors(
    operations: Sequence[HeldOutOperation], n_units: int, n_draws: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, tuple[float, float]] | None:
    """Return (k, u) painted and found of units that differ as operations do, and the usual pair.

    How far operations lie apart is itself known from k of them only: Student's t, one divisor a
    draw.
    """
    with_blood = [o for o in operations if o.blood_found_share is not None]
    if len(with_blood) < MIN_OPERATIONS:
        return None
    painted = unit_spread([o.painted_clean_frac for o in operations],
                          [o.n_stills for o in operations])  # fmt: skip
    found_spread = unit_spread([float(o.blood_found_share or 0.0) for o in with_blood],
                        [max(o.n_with_blood, 1) for o in with_blood])  # fmt: skip

    def units(spread: UnitSpread) -> FloatArray:
        degrees = spread.n_units - 1
        divisor = np.sqrt(rng.chisquare(degrees, (n_draws, 1)) / degrees)
        return spread.draw(rng.standard_normal((n_draws, n_units)) / divisor)

    painted_frac, found_share = units(painted), units(found_spread)
    found_share = np.maximum(found_share, painted_frac + _MIN_SLOPE)
    return painted_frac, found_share, (painted.usual, found_spread.usual)


@dataclass(frozen=True, slots=True, eq=False)
class ErrorDraws:
    """How the areas of each group may have to be read: ``m' = shift + slope m``, (k, g) each."""

    shift: FloatArray
    slope: FloatArray


def draw_errors(
    groups: Sequence[str],
    operations: Sequence[HeldOutOperation],
    local: Mapping[str, GroupError],
    n_draws: int,
    seed: int,
) -> ErrorDraws | None:
    """Draw what the model may have erred in each group.

    Groups with labelled stills draw around what those say; without `local`, each group errs as an
    operation that nobody saw. None where neither is known.

    Raises
    ------
    ValueError
        If `local` has some of the groups and not the others.
    """
    rng = np.random.default_rng(seed)
    if local:
        missing = [group for group in groups if group not in local]
        if missing:
            raise ValueError(f"no labelled stills of {', '.join(missing)}")
        found_by = [local[group] for group in groups]
        painted = np.column_stack(
            [rng.normal(e.painted_clean_frac, e.painted_se, n_draws) for e in found_by]
        )
        found_share = np.column_stack(
            [rng.normal(e.blood_found_share, e.found_se, n_draws) for e in found_by]
        )
        usual = (
            float(np.mean([e.painted_clean_frac for e in found_by])),
            float(np.mean([e.blood_found_share for e in found_by])),
        )
    else:
        drawn = _drawn_errors(operations, len(groups), n_draws, rng)
        if drawn is None:
            return None
        painted, found_share, usual = drawn
    # Solve m = p + (f - p) t for the true area and put it into the usual operation's line: the same
    # areas, had this group been measured as usual. A group that finds less blood has its areas
    # stretched, one that paints clean tissue has that taken off first.
    painted = np.clip(painted, 0.0, 1.0)
    slope = (usual[1] - usual[0]) / np.maximum(found_share - painted, _MIN_SLOPE)
    return ErrorDraws(np.asarray(usual[0] - slope * painted), np.asarray(slope))


@dataclass(frozen=True, slots=True, eq=False)
class CaseAreas:
    """What is known of each case's areas: enough to say what a metric would be under an error.

    `values` (n,) is the metric `key`; `shares` (n, 3) are the shares of time at 5, 20 and 50 % or
    more, for metrics that are such a share.
    """

    key: str
    values: FloatArray
    shares: FloatArray | None

    @property
    def is_known(self) -> bool:
        """Whether this metric can be read under another error of the model."""
        return self.key in AREA_METRICS or (self.key in SHARE_LEVELS and self.shares is not None)

    def under(self, shift: FloatArray, slope: FloatArray, codes: IntArray) -> FloatArray:
        """Return (k, n) the metric if areas of group g had been ``shift[:, g] + slope[:, g] m``.

        `codes` (n,) is the group of each case.
        """
        a, b = shift[:, codes], slope[:, codes]
        if self.key in AREA_METRICS:
            return np.asarray(np.clip(a + b * self.values, 0.0, 1.0))
        if self.shares is None or self.key not in SHARE_LEVELS:
            raise ValueError(f"{self.key} cannot be read under another error of the model")
        # Time at or above x under the other error is time at or above (x - a) / b as measured. Of
        # each case that share is known at 5, 20 and 50 %: draw it as two straight lines, logit of
        # the share over log of the area, and read it off there, also a little beyond their ends.
        at_frac = (SHARE_LEVELS[self.key] - a) / b
        log_at = np.log(np.clip(at_frac, _SMALLEST_FRAC, None))
        low, middle, high = _LOGIT.forward(self.shares).T
        first, second, third = np.log(list(SHARE_LEVELS.values()))
        is_below = log_at <= second
        below = middle + (low - middle) * (second - log_at) / (second - first)
        above = middle + (high - middle) * (log_at - second) / (third - second)
        share = _LOGIT.back(np.where(is_below, below, above))
        # An area of 0 or less has no log: all of the time reaches it.
        share = np.where(at_frac <= 0, 1.0, np.where(at_frac >= 1, 0.0, share))
        return np.asarray(np.clip(share, 0.0, 1.0))
