"""A document with one figure of every kind, from seeded numbers."""

import numpy as np

from ubereport.documents.page.blocks import Column, Image, Pair, TableBlock
from ubereport.documents.page.chart_drawings import (
    ControlFigure,
    ControlMark,
    CusumFigure,
    FunnelFigure,
    FunnelMark,
)
from ubereport.documents.page.curve_drawings import (
    AtRiskRow,
    Curve,
    CurveFigure,
    HistogramFigure,
    PointSet,
    ScatterFigure,
)
from ubereport.documents.page.document import Document, Figure, ImageStrip, Section
from ubereport.documents.page.drawing import Axis, Mark, Unit
from ubereport.documents.page.row_drawings import (
    Bar,
    BarFigure,
    ForestFigure,
    ForestRow,
    Group,
    GroupFigure,
)

SHARE = Axis("Time with at least 20 % of the view obscured", Unit.PERCENT, low=0.0)


def curves() -> CurveFigure:
    made = []
    for name, pace in (("RF coagulation", 60.0), ("Bone wax", 85.0), ("Gelatin–thrombin", 64.0)):
        x = tuple(float(s) for s in range(0, 240, 12))
        y = tuple(1 - np.exp(-s / pace) for s in x)
        low, high = (tuple(np.clip(v + d, 0, 1) for v in y) for d in (-0.08, 0.08))
        made.append(Curve(name, x, y, low, high, censored=(100.0, 160.0)))
    return CurveFigure(
        curves=tuple(made),
        x=Axis("Time since onset", Unit.SECONDS, 0.0, 240.0),
        y=Axis("Events cleared", Unit.PERCENT, 0.0, 1.0),
        marks=(Mark(60.0, "60 s"), Mark(180.0, "180 s")),
        at_risk_x=(0.0, 60.0, 120.0, 180.0),
        at_risk=tuple(AtRiskRow(c.name, (120, 61, 30, 12)) for c in made),
    )


def groups() -> GroupFigure:
    rng = np.random.default_rng(5)
    return GroupFigure(
        tuple(
            Group(name, tuple(v), float(np.median(v)), *np.quantile(v, [0.25, 0.75]).tolist())
            for name, v in (
                ("RF coagulation", rng.beta(2, 12, 38).tolist()),
                ("Bone wax", rng.beta(2, 9, 21).tolist()),
                ("Gelatin–thrombin matrix with a long name", rng.beta(2, 16, 14).tolist()),
            )
        ),
        SHARE,
    )


def control() -> ControlFigure:
    rng = np.random.default_rng(9)
    values = rng.beta(3, 20, 30)
    values[21] = 0.46
    signals = {21: "outside", 27: "trend", 28: "trend", 29: "trend"}
    return ControlFigure(
        tuple(
            ControlMark(f"26-{k // 4 + 1:02d}", float(v), 0.02, 0.38, signals.get(k, ""))
            for k, v in enumerate(values)
        ),
        float(np.median(values)),
        SHARE,
        is_trial=True,
    )


def funnel() -> FunnelFigure:
    n = np.linspace(5, 90, 40)
    half = 0.35 / np.sqrt(n)
    return FunnelFigure(
        (
            FunnelMark("S-01", 12, 0.2),
            FunnelMark("S-02", 34, 0.13),
            FunnelMark("S-03", 71, 0.29, True),
        ),
        0.15,
        tuple(n),
        tuple(np.clip(0.15 - half, 0, 1)),
        tuple(0.15 + half),
        tuple(np.clip(0.15 - 1.6 * half, 0, 1)),
        tuple(0.15 + 1.6 * half),
        Axis("Cases", Unit.COUNT, 0.0),
        SHARE,
    )


def cusum() -> CusumFigure:
    x = np.arange(60)
    values = 2.4 * np.sin(np.pi * x / 59) + 0.2 * np.sin(x)
    return CusumFigure(
        tuple(values),
        Axis("Cumulative sum"),
        tuple(2.4 * np.sin(np.pi * x / 59)),
        int(values.argmax()),
    )


def forest() -> ForestFigure:
    return ForestFigure(
        (
            ForestRow("Bone wax − RF coagulation", 0.04, -0.01, 0.09, "4.0 points (−1.0 to 9.0)"),
            ForestRow("Gelatin − RF coagulation", -0.03, -0.07, 0.005, "−3.0 points (−7.0 to 0.5)"),
            ForestRow("Gelatin sponge − RF", None, None, None, "not available: 3 cases"),
        ),
        Axis("Shift of the share of time", Unit.PERCENT),
    )


def bars() -> BarFigure:
    return BarFigure(
        (Bar("Technique known", 0.92), Bar("Pump pressure", 0.55, 0.5, 0.6), Bar("Drain", None)),
        Axis("Cases with a value", Unit.PERCENT, 0.0, 1.0),
    )


def scatter() -> ScatterFigure:
    rng = np.random.default_rng(3)
    x = rng.beta(2, 6, 60)
    y = np.clip(x + rng.normal(0, 0.05, 60), 0, 1)
    return ScatterFigure(
        (
            PointSet("part A", tuple(x[:30]), tuple(y[:30])),
            PointSet("part B", tuple(x[30:]), tuple(y[30:])),
        ),
        Axis("Area, annotated", Unit.PERCENT, 0.0, 1.0),
        Axis("Area, measured", Unit.PERCENT, 0.0, 1.0),
        lines=(Curve("equality", (0.0, 1.0), (0.0, 1.0)),),
    )


def histogram() -> HistogramFigure:
    return HistogramFigure(
        tuple(np.linspace(-0.2, 0.2, 9)),
        (1, 4, 12, 31, 28, 9, 3, 1),
        Axis("Area error", Unit.PERCENT),
        marks=(Mark(0.011, "bias"),),
    )


def strip() -> ImageStrip:
    return ImageStrip(
        (Image("", "a still", "the still is missing"),) * 2, ("Dice 0.81", "Dice 0.42")
    )


KINDS = {
    "curves": curves,
    "groups": groups,
    "control": control,
    "funnel": funnel,
    "cusum": cusum,
    "forest": forest,
    "bars": bars,
    "scatter": scatter,
    "histogram": histogram,
}


def document(word: str = "") -> Document:
    """Return a comparison-like document; `word` is put into every string for the hostile tests."""
    half = {"scatter", "histogram", "bars", "cusum"}
    figures = tuple(
        Figure(
            name,
            f"Figure of {name} {word}",
            f"How to read {name}. {word}",
            make(),
            is_half=name in half - {"scatter"},
        )
        for name, make in KINDS.items()
    )
    pictures = Figure("stills", f"Best and worst {word}", f"Left is best. {word}", strip())
    table = TableBlock(
        f"Balance {word}",
        (Column("Covariate"), Column(f"RF {word}", is_number=True), Column("Wax", is_number=True)),
        ((f"Age {word}", "61 (9)", "60 (11)"), ("Pump pressure", "30 (4)", "not available")),
        note=f"Mean (SD). {word}",
    )
    return Document(
        title=f"Hemostatic techniques compared {word}",
        subtitle=f"73 cases, 4 surgeons, 3 techniques {word}",
        kicker=f"Technique comparison {word}",
        software=f"ubereport 0.1.0 {word}",
        lead=(f"The view was obscured for about as long with each technique. {word}",),
        facts=(
            Pair("Cases", "73", lines=(f"5 left out {word}",)),
            Pair("Shift", "−3.0 points", note="95 % −7.0 to 0.5"),
        ),
        caveats=(f"Not randomized: agents are used because it bleeds. {word}",),
        sections=(
            Section(f"Results {word}", (f"In words. {word}",), figures),
            Section(
                "Balance", (), (pictures,), (table,), (Pair(f"Term {word}", "Value"),), ("Note.",)
            ),
        ),
    )
