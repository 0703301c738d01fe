"""What a departmental audit found: control charts, funnel, learning curves, relations."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ubereport.cohort.comparison_results import DropCount, ModelUse, UnreadCase
from ubereport.core.validation import Named
from ubereport.statistics.estimates import Estimate, TestResult


class Signal(StrEnum):
    """Why a point of a control chart stands out."""

    OUTSIDE = "outside"
    ONE_SIDE = "one_side"
    TREND = "trend"
    NEAR_LIMIT = "near_limit"
    AVERAGE = "average"


@dataclass(frozen=True, slots=True)
class ControlPoint:
    """One case on a chart; limits are None where too few points exist to draw any."""

    case_id: str
    date: str
    value: float
    lower: float | None
    upper: float | None
    signals: tuple[Signal, ...]


@dataclass(frozen=True, slots=True)
class Dispersion:
    """Whether counts vary more than a Poisson process would let them.

    `ratio` is Pearson's chi-square over its degrees of freedom; `sigma_z` is Laney's factor by
    which the limits were widened if `is_applied`.
    """

    ratio: float
    p_value: float
    sigma_z: float
    is_applied: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlChart:
    """An XmR or u-chart of one procedure, in the unit of the metric.

    `is_trial` marks limits from fewer than the needed points. `n_screened` moving ranges were
    left out of their mean because they were beyond their own limit. `limit_sigmas` is how far the
    limits lie from the center. `excluded` cases of the baseline stood out and were taken out of the
    limits. `autocorrelation` is that of neighboring cases, where it is more than chance and the
    limits were widened for it.
    """

    kind: str
    procedure: str
    metric_key: str
    title: str
    unit: str
    scale: str
    points: tuple[ControlPoint, ...]
    center: float | None = None
    lower: float | None = None
    upper: float | None = None
    near_lower: float | None = None
    near_upper: float | None = None
    n_baseline: int
    n_screened: int = 0
    is_trial: bool
    dispersion: Dispersion | None = None
    dropped: tuple[DropCount, ...]
    reading: str
    limit_sigmas: float = 3.0
    excluded: tuple[str, ...] = ()
    autocorrelation: float | None = None


class FunnelZone(StrEnum):
    """Where a point lies in a funnel."""

    INSIDE = "inside"
    BEYOND_95 = "beyond_95"
    BEYOND_998 = "beyond_998"


@dataclass(frozen=True, slots=True)
class FunnelLimit:
    """Limits of the funnel at a number of cases, in the unit of the metric."""

    n_cases: float
    low_95: float
    high_95: float
    low_998: float
    high_998: float


@dataclass(frozen=True, slots=True)
class FunnelPoint:
    """One surgeon, under the pseudonym of the manifest."""

    surgeon: str
    n_cases: int
    value: float
    zone: FunnelZone


@dataclass(frozen=True, slots=True)
class Funnel:
    """A funnel plot over surgeons, ordered by pseudonym, never ranked.

    Each surgeon is compared with the others: the limits know that the target holds the surgeon's
    own cases. It holds the cases of one procedure (empty: all) between two dates. `is_share` where
    the values are shares, which people read in percent.

    `phi` is Spiegelhalter's winsorized overdispersion; where it is more than chance
    (`is_overdispersed`) the limits are widened by its square root.
    """

    metric_key: str
    title: str
    unit: str
    scale: str
    target: float | None
    points: tuple[FunnelPoint, ...]
    limits: tuple[FunnelLimit, ...]
    phi: float | None
    is_overdispersed: bool
    n_too_few_cases: int
    reading: str
    reason: str = ""
    procedure: str = ""
    first_date: str = ""
    last_date: str = ""
    is_share: bool = False


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """CUSUM of one surgeon against the own mean, on the scale of the model.

    `turning_case` is the 1-based case at which the CUSUM is farthest from zero. `p_value` is the
    share of random orders of the same cases that reach as far, neighboring cases resembling each
    other as much as these do (`autocorrelation`); `p_holm` is corrected for the number of curves.
    `is_turning` where that is seldom enough for the page. `n_drawn_in` cases far from the own
    median were drawn in, so that one odd case makes no curve. `held_equal` are the columns whose
    part in the values was taken off before.
    """

    surgeon: str
    metric_key: str
    scale: str
    case_ids: tuple[str, ...]
    dates: tuple[str, ...]
    cusum: tuple[float, ...]
    fitted: tuple[float, ...]
    degree: int
    r_squared: float
    turning_case: int
    mean_before: float
    mean_after: float | None
    p_value: float
    p_holm: float
    reading: str
    is_turning: bool = False
    autocorrelation: float = 0.0
    n_drawn_in: int = 0
    held_equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """How often a steady department would see any signal on this page, and the rules it rests on.

    `probability` is of the whole page: `charts`, `funnels` (beyond the outer limits) and `curves`
    (a named turning point) together. `trend_points` is None where trends are no signal.
    """

    probability: float
    charts: float
    funnels: float
    curves: float
    limit_sigmas: float
    run_points: int
    trend_points: int | None
    is_near_used: bool
    average_sigmas: float | None = None


@dataclass(frozen=True, slots=True)
class RatingCell:
    """How many cases were rated `rating` and measured in band `band`."""

    rating: int
    band: int
    n_cases: int


@dataclass(frozen=True, slots=True)
class Agreement:
    """Surgeon-rated clarity against the measured view."""

    column: str
    metric_key: str
    n_cases: int
    band_edges: tuple[float, ...]
    table: tuple[RatingCell, ...]
    weighted_kappa: Estimate
    spearman: Estimate
    reading: str


@dataclass(frozen=True, slots=True)
class OutcomeRelation:
    """A metric against an outcome column of the manifest."""

    column: str
    metric_key: str
    n_cases: int
    measure: str
    estimate: Estimate
    test: TestResult
    reading: str


@dataclass(frozen=True, slots=True)
class MonthQuality:
    """Coverage and flags in one calendar month ("2026-03")."""

    month: str
    n_cases: int
    coverage_median_frac: float | None
    n_flagged: int


@dataclass(frozen=True, slots=True)
class AuditCase:
    """One row of the case table; `folder` is the case's folder inside the library.

    `signals` are those on the chart of the audited metric; `elsewhere` has the keys of the other
    metrics on whose charts the case has one.
    """

    case_id: str
    folder: str
    date: str
    procedure: str
    technique: str
    surgeon: str
    coverage_frac: float | None
    values: Named[float | None]
    n_flags: int
    signals: tuple[Signal, ...]
    is_used: bool
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Audit:
    """A department's cases over time: `ubereport audit`."""

    metric_key: str
    n_cases: int
    charts: tuple[ControlChart, ...]
    funnels: tuple[Funnel, ...]
    learning_curves: tuple[LearningCurve, ...]
    agreements: tuple[Agreement, ...]
    outcomes: tuple[OutcomeRelation, ...]
    months: tuple[MonthQuality, ...]
    cases: tuple[AuditCase, ...]
    models: tuple[ModelUse, ...]
    dropped: tuple[DropCount, ...]
    unread: tuple[UnreadCase, ...]
    reading: tuple[str, ...]
    caveats: tuple[str, ...]
    false_alarm: FalseAlarm
