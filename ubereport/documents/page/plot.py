"""The only file that imports matplotlib: a drawing function in, deterministic inline SVG out.

Labels stay text, so that they can be read aloud, searched and shown in scripts that the bundled
font lacks; the page sets the font. Matplotlib's settings hold only while a figure is drawn.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findSystemFonts, fontManager
from matplotlib.patches import PathPatch
from matplotlib.path import Path as MplPath
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from ubereport.documents.page.fonts import JAPANESE_FAMILY, LATIN_FAMILY, japanese_characters
from ubereport.documents.page.text import DIRECTION_MARKS, printable
from ubereport.files.resources import templates_dir

__all__ = [
    "FONT_FAMILY",
    "INK",
    "MM",
    "Axes",
    "Figure",
    "FixedLocator",
    "FuncFormatter",
    "MaxNLocator",
    "MplPath",
    "NullLocator",
    "PathPatch",
    "draw_svg",
]

MM = 1 / 25.4
FONT_FAMILY = LATIN_FAMILY
INK = "#16202a"
_RULE = "#9aa5b0"
_FONT_FILES = {LATIN_FAMILY: "Inter-*.ttf", JAPANESE_FAMILY: "BizUdpGothic-*.ttf"}

_STYLE: dict[str, Any] = {
    "font.family": [FONT_FAMILY],
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": _RULE,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.solid_capstyle": "butt",
    "hatch.linewidth": 0.7,
    "hatch.color": "edge",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    # A dollar sign in a case id is a dollar sign.
    "text.parse_math": False,
    "svg.fonttype": "none",
    # Ids of clip paths and the like are hashes: with a salt of our own they are the same in every
    # run.
    "svg.hashsalt": "ubereport",
    "path.simplify": False,
}


def draw_svg(
    figure_id: str,
    title: str,
    size_mm: tuple[float, float],
    draw: Callable[[Figure], None],
) -> str:
    """Draw one figure and return it as an ``<svg>`` element to be put into a page.

    Parameters
    ----------
    figure_id
        Prefix of every id inside the drawing, so that figures on one page never mix.
    title
        What the figure shows, for readers who cannot see it.
    size_mm
        Width and height on paper.
    draw
        Puts axes and marks into the empty figure.

    Raises
    ------
    ValueError
        If `figure_id` has other characters than lower-case letters, digits and hyphens.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", figure_id):
        raise ValueError(f"figure_id {figure_id!r} must be lower-case letters, digits and hyphens")
    svg = _drawn(size_mm, draw, [FONT_FAMILY])
    if japanese_characters(svg):
        # Again, with the widths of a font that has the labels' characters.
        svg = _drawn(size_mm, draw, [FONT_FAMILY, JAPANESE_FAMILY])
    return _as_inline(svg, figure_id, title)


def _drawn(
    size_mm: tuple[float, float], draw: Callable[[Figure], None], families: list[str]
) -> str:
    """Return matplotlib's SVG of a figure whose labels are measured in these fonts."""
    _register_fonts(families)
    # The defaults first: a matplotlibrc of the reader's machine must not change a report.
    settings: dict[Any, Any] = {k: v for k, v in mpl.rcParamsDefault.items() if k != "backend"}
    settings.update(_STYLE)
    settings["font.family"] = families
    with mpl.rc_context(settings), warnings.catch_warnings():
        # The reader's own fonts show what ours lacks.
        warnings.filterwarnings("ignore", message=r"Glyph \d+", category=UserWarning)
        warnings.filterwarnings("ignore", category=mpl.MatplotlibDeprecationWarning)
        figure = Figure(figsize=(size_mm[0] * MM, size_mm[1] * MM))
        draw(figure)
        buffer = StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _register_fonts(families: list[str]) -> None:
    """Make our fonts known to matplotlib, once; nothing else of its registry changes."""
    names = {entry.name for entry in fontManager.ttflist}
    for family in families:
        if family not in names:
            for path in sorted((templates_dir() / "fonts").glob(_FONT_FILES[family])):
                fontManager.addfont(path)


def system_fonts() -> Iterator[Path]:
    """Yield the font files of this machine, as matplotlib finds them."""
    yield from (Path(name) for name in sorted(findSystemFonts()))


_DROPPED = (
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"<metadata>.*?</metadata>", re.DOTALL),
    re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL),
    re.compile(rf"font-family: '{FONT_FAMILY}'(?:, '{JAPANESE_FAMILY}')?;? ?"),
    re.compile(r' transform="rotate\(-0 [^"]*\)"'),
    re.compile(r"(?<=\n) +"),
)
_ID = re.compile(r'\b(id="|xlink:href="#|href="#|url\(#)')
_NUMBER = re.compile(r"(\d+\.\d{2})\d+")
_PATH_DATA = re.compile(r' (?:d|points|x|y|width|height|transform)="[^"]*"')


def _as_inline(document: str, figure_id: str, title: str) -> str:
    """Cut what belongs to a stand-alone file out of matplotlib's SVG and make its ids unique."""
    svg = document[document.index("<svg") :]
    for pattern in _DROPPED:
        svg = pattern.sub("", svg)
    svg = _ID.sub(lambda match: f"{match[1]}{figure_id}-", svg)
    # A hundredth of a point is less than any printer shows; the digits beyond only make the page
    # longer.
    svg = _PATH_DATA.sub(lambda match: _NUMBER.sub(r"\1", match[0]), svg)
    svg = svg.replace("\n", " ").replace("> <", "><").strip()
    head_end = svg.index(">")
    box = re.search(r'viewBox="[^"]*"', svg[:head_end])
    if box is None:  # pragma: no cover -- matplotlib always writes one
        raise ValueError("matplotlib wrote an SVG without viewBox")
    width = re.search(r'width="([\d.]+)pt"', svg[:head_end])
    name = escape(printable(title, DIRECTION_MARKS))
    families = f"{FONT_FAMILY}, {JAPANESE_FAMILY}" if japanese_characters(svg) else FONT_FAMILY
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{box[0]} width="{width[1] if width else ""}pt" role="img" aria-label="{name}" '
        f'class="plot" font-family="{families}, sans-serif" stroke-linejoin="round" '
        f'stroke-linecap="butt"><title>{name}</title>'
    )
    return head + svg[head_end + 1 :]
