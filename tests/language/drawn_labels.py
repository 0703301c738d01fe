"""What a figure writes, and where it lands: outside of the drawing, or over other words."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import combinations

import matplotlib.text
from matplotlib import rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ubereport.documents.page import plot
from ubereport.documents.page.fonts import JAPANESE_FAMILY, japanese_characters

_SLACK_PX = 1.5
_LEAST_OVERLAP = 0.15
"""Share of the smaller label that another may touch: boxes hold room above the letters."""


class MeasuredFigure(Figure):
    """A figure that looks at its labels when it is saved."""

    cut: list[str]
    crossing: list[tuple[str, str]]

    def savefig(self, *args, **kwargs):
        written = "".join(text.get_text() for text in self.findobj(matplotlib.text.Text))
        if japanese_characters(written) and JAPANESE_FAMILY not in rcParams["font.family"]:
            return super().savefig(*args, **kwargs)  # drawn once more, with widths of that font
        canvas = FigureCanvasAgg(self)
        self.draw_without_rendering()
        unseen = _unseen_ticks(self)
        texts = [
            text
            for text in self.findobj(matplotlib.text.Text)
            if text.get_visible() and text.get_text().strip() and id(text) not in unseen
        ]
        boxes = [text.get_window_extent(canvas.get_renderer()) for text in texts]
        whole = self.bbox
        for text, box in zip(texts, boxes, strict=True):
            if (
                box.x0 < whole.x0 - _SLACK_PX
                or box.x1 > whole.x1 + _SLACK_PX
                or box.y0 < whole.y0 - _SLACK_PX
                or box.y1 > whole.y1 + _SLACK_PX
            ):
                beyond = max(
                    whole.x0 - box.x0, box.x1 - whole.x1, whole.y0 - box.y0, box.y1 - whole.y1
                )
                type(self).cut.append(f"{text.get_text()!r} by {beyond / 72 * 25.4:.1f} mm")
        for (one, box), (other, beside) in combinations(zip(texts, boxes, strict=True), 2):
            if _overlap(box, beside) > _LEAST_OVERLAP:
                type(self).crossing.append((one.get_text(), other.get_text()))
        return super().savefig(*args, **kwargs)


def _unseen_ticks(figure: Figure) -> set[int]:
    """Return labels of ticks beyond the ends of their axis, which are kept and not drawn."""
    unseen = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-6 * (high - low)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low - slack <= tick.get_loc() <= high + slack or not axis.get_visible():
                    unseen |= {id(tick.label1), id(tick.label2)}
    return unseen


def _overlap(one, other) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / max(1e-9, min(one.width * one.height, other.width * other.height))


@contextmanager
def measured_labels():
    """Measure every figure that is drawn until the block ends; yields (cut, crossing)."""

    class Measured(MeasuredFigure):
        cut, crossing = [], []

    kept = plot.Figure
    plot.Figure = Measured
    try:
        yield Measured.cut, Measured.crossing
    finally:
        plot.Figure = kept
