"""Numbers as a surgeon reads them: percent, seconds, p-values."""

from __future__ import annotations

from collections.abc import Sequence

from ubereport.cohort.comparison_results import UnreadCase
from ubereport.core.metrics import MetricSpec
from ubereport.language.speaking import _, localized, told
from ubereport.language.translator import Translator
from ubereport.statistics.estimates import Estimate


def value_text(value: float | None, spec: MetricSpec) -> str:
    """Return a value in the unit that people read.

    >>> from ubereport.core.metrics import Direction
    >>> spec = MetricSpec("x", "X", "1", "", Direction.NEUTRAL, 0.0, 1.0)
    >>> value_text(0.0412, spec), value_text(None, spec)
    ('4.1 %', 'not known')
    """
    if value is None:
        return "not known"
    if spec.is_share:
        return f"{_rounded(100 * value)} %"
    unit = "" if spec.unit == "1" else f" {_spoken(spec.unit)}"
    return f"{_rounded(value)}{unit}"


def difference_text(value: float, spec: MetricSpec) -> str:
    """Return the size of a difference, without its sign: percentage points for shares."""
    if spec.is_share:
        points = _rounded(100 * abs(value))
        if points in ("1", "1.0"):
            return _("{points} percentage point", points=localized(points))
        return _("{points} percentage points", points=localized(points))
    return value_text(abs(value), spec)


def interval_text(estimate: Estimate, spec: MetricSpec) -> str:
    """Return the interval of a difference, e.g. "95 % interval −3.1 to −0.4 percentage points"."""
    if estimate.low is None or estimate.high is None:
        return _("no interval: {reason}", reason=told(estimate.reason))
    factor = 100.0 if spec.is_share else 1.0
    limits = (factor * estimate.low, factor * estimate.high)
    is_large = max(abs(limit) for limit in limits) >= 1
    low, high = (
        localized(_signed(f"{limit:.1f}" if is_large else f"{limit:.2g}")) for limit in limits
    )
    confidence = f"{100 * estimate.confidence:.0f}"
    if spec.is_share:
        return _(
            "{confidence} % interval {low} to {high} percentage points",
            confidence=confidence, low=low, high=high,
        )  # fmt: skip
    unit = "" if spec.unit == "1" else f" {told(_spoken(spec.unit))}"
    return _(
        "{confidence} % interval {low} to {high}{unit}",
        confidence=confidence, low=low, high=high, unit=unit,
    )  # fmt: skip


def p_text(p_value: float) -> str:
    """Return a p-value to three digits.

    >>> p_text(0.0312), p_text(0.00002)
    ('p = 0.031', 'p < 0.001')
    """
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def list_text(words: list[str]) -> str:
    """Join words as in a sentence.

    >>> list_text(["a", "b", "c"])
    'a, b and c'
    """
    return Translator().enumeration(words)


def plural(n: int, noun: str) -> str:
    """Return a number with its noun.

    >>> plural(1, "case"), plural(12, "case")
    ('1 case', '12 cases')
    """
    return f"{n} {noun}{'' if n == 1 else 's'}"


def unread_text(unread: Sequence[UnreadCase]) -> str:
    """Count the folders that could not be read.

    >>> unread_text([UnreadCase("a", "cut off")])
    '1 case folder could not be read'
    """
    n = len(unread)
    return f"{n} case folder could not be read" if n == 1 else f"{n} case folders could not be read"


def _rounded(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 0.1 else f"{value:.2g}"


def _signed(number: str) -> str:
    # Rounded to zero it is neither above nor below: a sign would claim a direction.
    return number.removeprefix("-") if float(number) == 0 else number.replace("-", "−")


def _spoken(unit: str) -> str:
    return {"/(10.min)": "per 10 min", "min/h": "min per h"}.get(unit, unit)
