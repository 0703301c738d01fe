"""Reports that are no single case (audit, comparison, evaluation) as plain, frozen parts.

Figures are given as numbers; how they look is decided in `document_figures`, the table of each in
`document_tables`. Strings are shown as they are given, escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ubereport.documents.page.blocks import Image, Pair, TableBlock
from ubereport.language.speaking import N_


class Unit(StrEnum):
    """How the numbers of an axis are printed."""

    NUMBER = "number"
    COUNT = "count"
    PERCENT = "percent"
    SECONDS = "seconds"


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis shows; fractions are printed as percent under `Unit.PERCENT`.

    `low` and `high` fix the ends; None leaves them to the data.
    """

    label: str
    unit: Unit = Unit.NUMBER
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on an axis worth naming, such as 60 s."""

    value: float
    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One named line; `low` and `high` shade around it, `censored` are x with upright ticks."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    censored: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class AtRiskRow:
    """How many are still observed at each `at_risk_x` of a `CurveFigure`."""

    name: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CurveFigure:
    """Lines or steps, such as Kaplan–Meier curves with the numbers at risk below."""

    curves: tuple[Curve, ...]
    x: Axis
    y: Axis
    is_step: bool = True
    marks: tuple[Mark, ...] = ()
    at_risk_x: tuple[float, ...] = ()
    at_risk: tuple[AtRiskRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Raw values of one group with its center and interval; None where there is none."""

    name: str
    values: tuple[float, ...]
    center: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class GroupFigure:
    """Groups beside each other: every raw point, center and interval over them."""

    groups: tuple[Group, ...]
    axis: Axis


@dataclass(frozen=True, slots=True)
class ControlMark:
    """One point of a control chart; `signal` names why it stands out, empty where it does not.

    `at` places it on a real axis, such as days; None for its number in order.
    """

    label: str
    value: float
    lower: float | None = None
    upper: float | None = None
    signal: str = ""
    at: float | None = None


@dataclass(frozen=True, slots=True)
class ControlFigure:
    """Points in order with center and limits; trial limits are drawn fainter and named so."""

    points: tuple[ControlMark, ...]
    center: float | None
    y: Axis
    order_name: str = N_("cases in order of operation")
    is_trial: bool = False


@dataclass(frozen=True, slots=True)
class FunnelMark:
    """One point of a funnel, named by pseudonym."""

    name: str
    x: float
    y: float
    is_outside: bool = False


@dataclass(frozen=True, slots=True)
class FunnelFigure:
    """Points against their precision with inner (95 %) and outer (99.8 %) limits around a target.

    `limit_x` and the four limits have one length.
    """

    points: tuple[FunnelMark, ...]
    target: float | None
    limit_x: tuple[float, ...]
    inner_low: tuple[float, ...]
    inner_high: tuple[float, ...]
    outer_low: tuple[float, ...]
    outer_high: tuple[float, ...]
    x: Axis
    y: Axis


@dataclass(frozen=True, slots=True)
class CusumFigure:
    """A cumulative sum over cases.

    `turning_index` is the 0-based case farthest from zero, None where none is named. `labels`
    name the cases, empty for their numbers.
    """

    values: tuple[float, ...]
    y: Axis
    fitted: tuple[float, ...] = ()
    turning_index: int | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One estimate with its interval; None draws nothing and prints `text` alone."""

    label: str
    value: float | None
    low: float | None
    high: float | None
    text: str


@dataclass(frozen=True, slots=True)
class ForestFigure:
    """Estimates below each other around a reference (0 for differences, 1 for ratios).

    `sides` say what lies left and right of it.
    """

    rows: tuple[ForestRow, ...]
    axis: Axis
    reference: float = 0.0
    sides: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, with an interval where `low` and `high` are given."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class BarFigure:
    """Named bars below each other."""

    bars: tuple[Bar, ...]
    axis: Axis


@dataclass(frozen=True, slots=True)
class PointSet:
    """Points of one kind in a scatter plot."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ScatterFigure:
    """Points of one or several kinds, with lines such as equality or limits of agreement."""

    sets: tuple[PointSet, ...]
    x: Axis
    y: Axis
    lines: tuple[Curve, ...] = ()


@dataclass(frozen=True, slots=True)
class HistogramFigure:
    """Counts between edges; there is one edge more than there are counts."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    x: Axis
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageStrip:
    """Pictures beside each other, each with a line under it."""

    images: tuple[Image, ...]
    captions: tuple[str, ...]


Drawing = (
    CurveFigure
    | GroupFigure
    | ControlFigure
    | FunnelFigure
    | CusumFigure
    | ForestFigure
    | BarFigure
    | ScatterFigure
    | HistogramFigure
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing with what it shows and how to read it.

    `figure_id` is unique in its document: lower-case letters, digits and hyphens. Without `table`
    the numbers of the drawing become one. `is_half` puts two figures beside each other;
    forests and named curves need the full width.
    """

    figure_id: str
    title: str
    caption: str
    drawing: Drawing | ImageStrip
    table: TableBlock | None = None
    is_half: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, then paragraphs, figures, tables, terms and notes, in this order."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[TableBlock, ...] = ()
    terms: tuple[Pair, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report that is no single case.

    Parameters
    ----------
    title, subtitle
        What it is about, and in one line on what.
    sections
        In reading order; the first page starts with `lead`, `facts` and `caveats`.
    kicker
        Kind of report, such as "Technique comparison".
    software
        Program and model, for the masthead.
    lead
        The answer in plain sentences.
    facts
        A few large numbers with what they are.
    caveats
        How to read it with care; never empty for anything that compares people or techniques.
    """

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    kicker: str = N_("Report")
    software: str = "ubereport"
    lead: tuple[str, ...] = ()
    facts: tuple[Pair, ...] = ()
    caveats: tuple[str, ...] = ()
