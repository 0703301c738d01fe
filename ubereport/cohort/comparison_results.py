"""What a comparison of groups of cases found: plain values, ready to be written or drawn.

Everything is in the unit of its metric (fractions stay fractions); percent exists only in the
sentences of `Comparison.reading`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ubereport.core.held_out import HeldOutOperation
from ubereport.core.metrics import Direction
from ubereport.statistics.estimates import Estimate, TestResult


@dataclass(frozen=True, slots=True)
class UnreadCase:
    """A folder of the library that holds no readable case."""

    folder: str
    reason: str


@dataclass(frozen=True, slots=True)
class DropCount:
    """Cases that a result leaves out, and why."""

    reason: str
    case_ids: tuple[str, ...]

    @property
    def n_cases(self) -> int:
        """How many."""
        return len(self.case_ids)


def drop_counts(drops: Iterable[tuple[str, str]]) -> tuple[DropCount, ...]:
    """Count cases by the reason why they are left out; each drop is a reason and a case id.

    >>> [(drop.reason, drop.n_cases) for drop in drop_counts([("b", "C1"), ("a", "C2")])]
    [('a', 1), ('b', 1)]
    """
    ids: dict[str, list[str]] = {}
    for reason, case_id in drops:
        ids.setdefault(reason, []).append(case_id)
    return tuple(DropCount(reason, tuple(own)) for reason, own in sorted(ids.items()))


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a bundle says of itself, as every report must: whom it learned from, what it errs.

    `operations` is what it erred on each operation it had not seen; empty where it does not say.
    """

    title: str
    training_population: str
    limits: str
    evaluated_on: str
    sensitivity: float | None
    specificity: float | None
    operations: tuple[HeldOutOperation, ...]


NO_MODEL_FACTS = ModelFacts("", "", "", "", None, None, ())


@dataclass(frozen=True, slots=True)
class ModelUse:
    """One way of measuring found in a library: a model bundle with its analysis settings.

    Numbers measured in different ways are never put into one statistic: `is_used` marks the way
    that the results rest on. Dates are ISO, empty where no case has one.
    """

    name: str
    version: str
    sha256: str
    settings_sha256: str
    n_cases: int
    first_date: str
    last_date: str
    is_used: bool
    facts: ModelFacts = NO_MODEL_FACTS


@dataclass(frozen=True, slots=True)
class CasePoint:
    """One case in a figure."""

    case_id: str
    value: float


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """A metric in one group; median and quartiles are None where the group has no value."""

    group: str
    n_cases: int
    n_surgeons: int
    median: float | None
    quartile_low: float | None
    quartile_high: float | None
    minimum: float | None
    maximum: float | None
    points: tuple[CasePoint, ...]


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two groups compared, `group` minus `reference`.

    `shift` is the Hodges–Lehmann shift in the unit of the metric. `cliff_delta` is the share of
    pairs in which the case of `group` is larger minus the share in which it is smaller.
    """

    group: str
    reference: str
    n_group: int
    n_reference: int
    shift: Estimate
    cliff_delta: Estimate
    magnitude: str
    test: TestResult


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric over all groups."""

    metric_key: str
    title: str
    unit: str
    direction: Direction
    is_primary: bool
    groups: tuple[GroupSummary, ...]
    omnibus: TestResult
    contrasts: tuple[Contrast, ...]
    dropped: tuple[DropCount, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A covariate that a model does not use, and why."""

    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class AdjustedValue:
    """Typical value of the metric in a group if all cases of the model were of that group."""

    group: str
    value: float


@dataclass(frozen=True, slots=True)
class AdjustedContrast:
    """Two groups compared with the covariates held equal.

    `effect` is on the scale of the model; `ratio` is its exponential (an odds ratio on the logit
    scale, a ratio on the log scale), None on the identity scale; `difference` is in the unit of
    the metric, at the average case.
    """

    group: str
    reference: str
    effect: Estimate
    ratio: Estimate | None
    difference: Estimate
    test: TestResult


@dataclass(frozen=True, slots=True)
class AdjustedComparison:
    """The primary metric with surgeon and covariates taken into account.

    `reason` says why there is no result; then the tuples are empty.
    """

    method: str
    scale: str
    n_cases: int
    n_surgeons: int
    covariates: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    dropped: tuple[DropCount, ...]
    values: tuple[AdjustedValue, ...]
    contrasts: tuple[AdjustedContrast, ...]
    surgeon_sd: float | None
    residual_sd: float | None
    notes: tuple[str, ...]
    reason: str = ""


class Verdict(StrEnum):
    """What may be said of two groups; `DESCRIPTIVE` where no direction may be named."""

    LOWER = "lower"
    HIGHER = "higher"
    EQUIVALENT = "equivalent"
    NOT_SHOWN = "not_shown"
    DESCRIPTIVE = "descriptive"


@dataclass(frozen=True, slots=True)
class ThresholdContrast:
    """The adjusted difference at one probability threshold of the bundle."""

    threshold: str
    difference: Estimate


@dataclass(frozen=True, slots=True)
class TippingPoint:
    """How much more the model must err in `group` to undo the finding, and what it was seen to err.

    `factor`: areas that many times too large; `false_area_frac`: that share of clean view painted.
    None where no such error undoes it. Of two unseen operations of the model's test, one pair of
    ten differed by more than `seen_factor` and `seen_false_area_frac`; None where not known.
    """

    group: str
    factor: float | None
    false_area_frac: float | None
    seen_factor: float | None
    seen_false_area_frac: float | None
    n_operations: int


@dataclass(frozen=True, slots=True)
class Lead:
    """The estimate that leads, `group` minus `reference`, in the unit of the metric.

    `barriers` say why no direction may be named. `difference` is adjusted; `with_error` is the same
    with an interval for the model's own error beside chance. `e_value` says how strong something
    unmeasured would have to be to explain the difference.
    """

    group: str
    reference: str
    verdict: Verdict
    barriers: tuple[str, ...]
    difference: Estimate
    with_error: Estimate
    at_thresholds: tuple[ThresholdContrast, ...]
    tipping: TippingPoint | None
    e_value: float | None
    test: TestResult


@dataclass(frozen=True, slots=True)
class UseEffect:
    """The share of time at 20 % or more before and after the first use, within cases of a group."""

    group: str
    n_cases: int
    before_median: float
    after_median: float
    difference: Estimate


@dataclass(frozen=True, slots=True)
class OtherEstimate:
    """The difference by another way of making groups alike, in the unit of the metric."""

    group: str
    reference: str
    method: str
    n_group: int
    n_reference: int
    difference: Estimate


class PlanStatus(StrEnum):
    """Whether a comparison followed a plan that was written before its cases were measured."""

    NONE = "none"
    FOLLOWED = "followed"
    DEPARTED = "departed"
    LATE = "late"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class PlanUse:
    """The plan that a comparison found, and how it stands to it; `detail` says what differs."""

    status: PlanStatus
    written_at: str = ""
    sha256: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AtRisk:
    """Events still open and observed at a time."""

    time_s: float
    n_at_risk: int


@dataclass(frozen=True, slots=True)
class ClearCurve:
    """Kaplan–Meier curve of the time to clear in one group.

    `open_frac[i]` is the share of events not yet cleared from `time_s[i]` on; the first time is 0.
    `n_onset_unseen` events have no time to clear and are left out. Every case counts alike. Bands
    are at 0, 5, … 300 s. `bounds_60s` and `bounds_180s` are the shares cleared if none, and if all,
    of the events lost from view before then had cleared; `limits_60s` and `limits_180s` hold chance
    too. `watched_s` is how long events were seen open, all together.
    """

    group: str
    n_cases: int
    n_events: int
    n_cleared: int
    n_censored: int
    n_onset_unseen: int
    time_s: tuple[float, ...]
    open_frac: tuple[float, ...]
    at_risk: tuple[AtRisk, ...]
    median_s: Estimate
    cleared_60s_share: Estimate
    cleared_180s_share: Estimate
    mean_to_horizon_s: Estimate
    band_low_frac: tuple[float, ...] = ()
    band_high_frac: tuple[float, ...] = ()
    bounds_60s: tuple[float, float] | None = None
    bounds_180s: tuple[float, float] | None = None
    limits_60s: tuple[float, float] | None = None
    limits_180s: tuple[float, float] | None = None
    watched_s: float = 0.0
    censored_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ClearDifference:
    """Two groups compared at event level, `group` minus `reference`.

    `time_ratio` says how many times as long events of `group` take with surgeons held equal, by a
    log-normal model of accelerated failure times.
    """

    group: str
    reference: str
    cleared_60s_share: Estimate
    cleared_180s_share: Estimate
    mean_to_horizon_s: Estimate
    time_ratio: Estimate


@dataclass(frozen=True, slots=True)
class TimeToClear:
    """Event-level comparison; its intervals know that events cluster in cases and surgeons."""

    horizon_s: float
    clustering: str
    n_bootstrap: int
    curves: tuple[ClearCurve, ...]
    differences: tuple[ClearDifference, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BalanceCell:
    """A covariate in one group: mean and SD of a number, or the share of a level."""

    group: str
    n_known: int
    n_missing: int
    mean: float | None
    sd: float | None


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """How alike the groups are in a covariate.

    `level` is empty for numbers. `standardized_difference` is the largest absolute one over the
    pairs of groups, None where it cannot be computed. `apart` names the pairs of groups that the
    covariate alone tells apart: no value of one occurs in the other, so that nothing can be said of
    the groups that could not as well be said of the covariate.
    """

    column: str
    level: str
    cells: tuple[BalanceCell, ...]
    standardized_difference: float | None
    is_unbalanced: bool
    apart: tuple[tuple[str, str], ...] = ()

    @property
    def is_total(self) -> bool:
        """Whether two groups do not overlap at all."""
        return bool(self.apart)


@dataclass(frozen=True, slots=True)
class PowerNote:
    """The smallest shift that this many cases would have shown with the stated power."""

    group: str
    reference: str
    n_group: int
    n_reference: int
    power: float
    alpha: float
    cliff_delta: float | None
    shift: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Groups of cases compared: `ubereport compare`."""

    by: str
    reference: str
    n_cases: int
    n_surgeons: int
    primary: MetricComparison
    secondary: tuple[MetricComparison, ...]
    adjusted: AdjustedComparison
    time_to_clear: TimeToClear
    balance: tuple[BalanceRow, ...]
    power: tuple[PowerNote, ...]
    dropped: tuple[DropCount, ...]
    unread: tuple[UnreadCase, ...]
    models: tuple[ModelUse, ...]
    reading: tuple[str, ...]
    caveats: tuple[str, ...]
    headline: tuple[str, ...] = ()
    leads: tuple[Lead, ...] = ()
    plan: PlanUse = PlanUse(PlanStatus.NONE)
    time_zero: str = ""
    use_effects: tuple[UseEffect, ...] = ()
    other_estimates: tuple[OtherEstimate, ...] = ()
