"""Numbers, intervals and units in words, and why one is missing; metrics and their axes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ubereport.cohort.wording import p_text, value_text
from ubereport.core.metrics import MetricSpec
from ubereport.documents.page.drawing import Axis, Unit
from ubereport.documents.page.text import DASH, decimal, percent
from ubereport.language.speaking import N_, _, paragraph, told
from ubereport.metrics.registry import metric_spec
from ubereport.statistics.estimates import Estimate

_MAX_NAMES = 12
_SHORT_TITLES = {
    "impaired_share_20": N_("Obscured ≥ 20 %"),
    "area_mean_frac": N_("Mean area"),
    "closing_area_mean_frac": N_("Closing area"),
    "coverage_frac": N_("Coverage"),
    "event_count": N_("Events"),
    "event_rate_per_10min": N_("Events per 10 min"),
    "longest_run_20_s": N_("Longest run ≥ 20 %"),
}
_MARKS = "¹²³⁴⁵⁶"


def number_cell(value: float | None, n_decimals: int = 2, factor: float = 1.0) -> str:
    """Return a number for a cell; a dash where there is none."""
    return DASH if value is None else decimal(factor * value, n_decimals)


def share_cell(share: float | None) -> str:
    """Return a share for a cell in whole percent; a dash where there is none."""
    return DASH if share is None else percent(share, 0)


def level_text(level: str) -> str:
    """Return a level of a covariate; a flag's in words."""
    return {"True": _("yes"), "yes": _("yes"), "False": _("no"), "no": _("no")}.get(level, level)


def difference_unit(spec: MetricSpec) -> str:
    """Return the unit of a difference in words."""
    if spec.is_share:
        return _("percentage points")
    return {
        "1": _("the count"),
        "s": _("seconds"),
        "/(10.min)": _("events per 10 minutes at risk"),
        "min/h": _("minutes per hour"),
    }.get(spec.unit, spec.unit)


def _with_unit(label: str, spec: MetricSpec) -> str:
    unit = {"1": "", "s": "s", "/(10.min)": _("per 10 min"), "min/h": _("min per h")}.get(
        spec.unit, spec.unit
    )
    return f"{label} ({unit})" if unit and unit not in label else label


def gap_text(estimate: Estimate, spec: MetricSpec) -> str:
    """Return a difference with its interval: "−3.1 (−7.0 to 0.5)", percentage points for shares."""
    return estimate_text(estimate, 100.0 if spec.is_share else 1.0, is_signed=True)


def delta_text(estimate: Estimate) -> str:
    """Return a number between −1 and 1, such as Cliff’s delta, with its interval."""
    return estimate_text(estimate, n_decimals=2, is_signed=True)


def pair_text(group: str, reference: str) -> str:
    """Name a difference between two groups, as it is subtracted."""
    return f"{group} − {reference}"


def share_text(estimate: Estimate, n_decimals: int = 0) -> str:
    """Return a share with its interval in percent.

    >>> share_text(Estimate(0.5, 0.25, 0.75, "Wilson"))
    '50 % (25 to 75)'
    """
    if estimate.value is None:
        return _("not available: {reason}", reason=estimate.reason)
    value = f"{decimal(100 * estimate.value, n_decimals)} %"
    if estimate.low is None or estimate.high is None:
        return value
    low, high = (decimal(100 * limit, n_decimals) for limit in (estimate.low, estimate.high))
    return _("{value} ({low} to {high})", value=value, low=low, high=high)


def reasons_once(rows: Sequence[Sequence[Estimate]], note: str) -> tuple[list[list[Estimate]], str]:
    """Say once, in the note beneath a table, why numbers are missing that share a reason.

    Returned are the rows, with a raised figure in place of such a reason, and the longer note.
    """
    counts = Counter(e.reason for row in rows for e in row if e.low is None or e.high is None)
    # A reason that occurs once stays in its cell: a mark would send the eye away for nothing.
    shared = [reason for reason, n in counts.items() if n > 1 and reason]
    marks = dict(zip(shared, _MARKS, strict=False))
    marked = [[replace(e, reason=marks.get(e.reason, e.reason)) for e in row] for row in rows]
    return marked, paragraph(note, *(f"{mark} {told(r)}." for r, mark in marks.items()))


def estimate_text(
    estimate: Estimate, factor: float = 1.0, n_decimals: int | None = None, *, is_signed: bool
) -> str:
    """Return a number with its interval, all at the same number of decimals.

    >>> estimate_text(Estimate(0.4, -0.02, 0.81, "m"), n_decimals=2, is_signed=True)
    '+0.40 (−0.02 to +0.81)'
    """
    if estimate.value is None:
        return _("not available: {reason}", reason=estimate.reason)
    # One number of decimals for all three: limits to more digits than the number would promise more
    # than is known.
    if n_decimals is None:
        # Three digits are more than any of these numbers is known to.
        n_decimals = 0 if abs(factor * estimate.value) >= 100 else 1

    def text(value: float) -> str:
        # Rounded to zero it is neither above nor below: a sign would claim a direction.
        is_above = is_signed and round(factor * value, n_decimals) > 0
        return f"{'+' if is_above else ''}{decimal(factor * value, n_decimals)}"

    if estimate.low is None or estimate.high is None:
        return _(
            "{value} (no interval: {reason})", value=text(estimate.value), reason=estimate.reason
        )
    return _(
        "{value} ({low} to {high})",
        value=text(estimate.value),
        low=text(estimate.low),
        high=text(estimate.high),
    )


def p_cell(p_value: float | None) -> str:
    """Return a p-value as a cell of a table."""
    if p_value is None:
        return _("not given")
    return p_text(p_value).removeprefix("p ").removeprefix("= ")


def capitalized(text: str) -> str:
    """Return a text with a capital letter at its start."""
    return text[:1].upper() + text[1:]


def short_title(key: str) -> str:
    """Return what a metric is called in the head of a narrow column."""
    short = _SHORT_TITLES.get(key)
    return told(metric_spec(key).title) if short is None else _(short)


def names_text(names: Sequence[str]) -> str:
    """Return names one after the other, long lists cut and counted."""
    shown = ", ".join(names[:_MAX_NAMES])
    n_more = len(names) - _MAX_NAMES
    return _("{shown} and {n_more} more", shown=shown, n_more=n_more) if n_more > 0 else shown


def metric_text(value: float | None, spec: MetricSpec) -> str:
    """Return a value of a metric as a cell: no unit but percent; a dash where there is none."""
    if value is None:
        return DASH
    if spec.is_share:
        return value_text(value, spec)
    return f"{value:.0f}" if value.is_integer() or value >= 100 else decimal(value, 1)


def axis_of(spec: MetricSpec) -> Axis:
    """Return the axis that values of a metric are drawn on."""
    if spec.is_share:
        return Axis(spec.title, Unit.PERCENT, low=0.0)
    if spec.unit == "s":
        return Axis(spec.title, Unit.SECONDS, low=0.0)
    return Axis(
        _with_unit(told(spec.title), spec), Unit.COUNT if spec.unit == "1" else Unit.NUMBER, 0.0
    )


def difference_axis(label: str, spec: MetricSpec) -> Axis:
    """Return the axis that differences of a metric are drawn on."""
    if spec.is_share:
        return Axis(_("{label}, percentage points", label=label), Unit.NUMBER)
    return Axis(_with_unit(label, spec), Unit.NUMBER)
