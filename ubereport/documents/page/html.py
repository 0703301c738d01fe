"""The only file that imports jinja2: views in, one self-contained HTML page out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from enum import StrEnum
from functools import cache, partial
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from ubereport.core.disclaimer import DISCLAIMER
from ubereport.documents.page import text as printed
from ubereport.documents.page.blocks import PageHead, TableBlock, columns
from ubereport.documents.page.fonts import JAPANESE_FAMILY, japanese_characters, japanese_faces
from ubereport.files.resources import templates_dir
from ubereport.language.scripts import script_words_json
from ubereport.language.speaking import _, _n, paragraph, spoken, told

_FONTS_CSS = "css/fonts.css"
_CSS = (_FONTS_CSS, "css/base.css", "css/case.css", "css/document.css")
_SHEETS = {
    "screen": (*_CSS, "css/screen.css", "css/print.css"),
    "paper": (*_CSS, "css/print.css", "css/paper.css"),
    "browser-paper": (*_CSS, "css/print.css", "css/browser_paper.css"),
}
_NUMBER_FILTERS = (
    *("clock", "decimal", "duration", "file_size", "percent"),
    *("printable", "seconds", "short_number", "short_percent"),
)
_CSS_PLACE = "/* style sheets */"


class Medium(StrEnum):
    """What a page is rendered for: a browser's window, or the PDF by WeasyPrint or a browser."""

    SCREEN = "screen"
    PAPER = "paper"
    BROWSER_PAPER = "browser-paper"


class Paper(StrEnum):
    """Size of a printed page, as CSS names it."""

    A4 = "A4"
    LETTER = "letter"


def usual_paper() -> Paper:
    """Return the paper of the language spoken here: letter where its territory prints on it."""
    return Paper.LETTER if spoken().language.is_on_letter else Paper.A4


def render_page(
    template: str,
    page: PageHead,
    medium: Medium,
    script: str = "",
    **context: Any,  # noqa: ANN401 -- whatever the template lays out
) -> str:
    """Render one of the templates that extend ``base.html``.

    Strings are escaped, undefined names are errors. Styles and fonts are inlined; WOFF2 for
    browsers, TrueType for WeasyPrint.

    Raises
    ------
    jinja2.UndefinedError
        If the template names something that `context` lacks.
    """
    environment = _environment()
    names = {
        "page": page,
        "medium": "screen" if medium is Medium.SCREEN else "paper",
        "is_for_browser": medium is not Medium.PAPER,
        "paper": str(usual_paper()),
        "script": Markup(script),  # noqa: S704 -- a script of our own
        # The page's own policy lets a script of this digest run and no other: a report is opened
        # from a disk, where no server could say so.
        "script_sha256": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    # The words come first: they decide which fonts the style sheets bring.
    page_html = environment.get_template(template).render(**names, css=_CSS_PLACE, **context)
    return page_html.replace(_CSS_PLACE, _css(environment, medium, names, page_html), 1)


def render_app(
    template: str,
    scripts: Sequence[str],
    **context: Any,  # noqa: ANN401 -- whatever the template lays out
) -> str:
    """Render a page that scripts fill, with its own styles, in the language spoken here.

    One that has a place for style sheets, since nobody serves it, gets the bundled fonts there.

    Parameters
    ----------
    template
        Its name; it gets ``language``, a tag, ``words``, the JSON that `words.js` reads, `scripts`
        and the ``disclaimer``.
    scripts
        Texts of the page's scripts; what they mark is in ``words``.

    Raises
    ------
    jinja2.UndefinedError
        If the template names something that `context` lacks.
    """
    environment, words = _environment(), script_words_json(spoken(), scripts)
    page_html = environment.get_template(template).render(
        language=spoken().language.tag,
        words=words,
        scripts=[Markup(script) for script in scripts],  # noqa: S704 -- scripts of our own
        disclaimer=told(DISCLAIMER),
        **context,
    )
    if _CSS_PLACE not in page_html:
        return page_html  # its server brings the fonts
    # What scripts say is JSON in ASCII: read, its characters count like those of the page.
    japanese = japanese_characters(f"{page_html}{json.loads(words)}")
    sheet = environment.get_template(_FONTS_CSS).render(font_uri=partial(_font_uri, "woff2"))
    return page_html.replace(_CSS_PLACE, japanese_faces(japanese, "woff2") + sheet, 1)


@cache
def _environment() -> Environment:
    """Return the environment of every page: templates are compiled once a process."""
    environment = Environment(
        loader=FileSystemLoader(templates_dir()),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {
        "_": _,
        "_n": _n,
        "paragraph": paragraph,
        "columns": columns,
        "TableBlock": TableBlock,
    }
    environment.globals["pixels"] = printed.pixels
    environment.filters |= {name: getattr(printed, name) for name in _NUMBER_FILTERS}
    environment.filters |= {"recorded": _recorded, "svg": _svg_of_medium}
    environment.filters["json_block"] = _json_block
    environment.filters["keys"] = _keys
    environment.filters["css_string"] = _css_string
    environment.filters["css_page_number"] = _css_page_number
    return environment


def _css(environment: Environment, medium: Medium, names: dict[str, Any], page_html: str) -> str:
    """Join the style sheets of a medium, with the fonts that a page needs."""
    suffix = "ttf" if medium is Medium.PAPER else "woff2"
    page_number = _("Page {page} of {pages}", page="\1", pages="\2")
    # The margins of a page are set by the style sheets: their words count, too.
    words = f"{page_html}{page_number}{names['page'].disclaimer}{names['page'].running}"
    japanese = japanese_characters(words)
    faces = japanese_faces(japanese, suffix)
    families = f', "{JAPANESE_FAMILY}"' if japanese else ""
    css = "\n".join(
        environment.get_template(sheet).render(
            **names,
            font_uri=partial(_font_uri, suffix),
            families=Markup(families),  # noqa: S704 -- a name of our own
            page_number=page_number,
        )
        for sheet in (*_SHEETS[medium], *_language_sheets())
    )
    return faces + css


def _language_sheets() -> tuple[str, ...]:
    """Return what a language's typography asks for, where it has a style sheet of its own."""
    sheet = f"css/language_{spoken().language.code}.css"
    return (sheet,) if (templates_dir() / sheet).is_file() else ()


def _finalize(value: object) -> object:
    """Spell out invisible characters of whatever a template prints, whoever formatted it."""
    # What is Markup already was made here; anything else came from a manifest, a record or a model
    # card.
    if isinstance(value, str) and not isinstance(value, Markup):
        return printed.printable(value, printed.DIRECTION_MARKS)
    return value


def _recorded(text: str) -> str:
    """Tell what a record quotes in English, in the language of the page."""
    return told(printed.printable(text))


def _font_uri(suffix: str, name: str) -> str:
    content = (templates_dir() / "fonts" / f"{name}.{suffix}").read_bytes()
    return f"data:font/{suffix};base64,{base64.b64encode(content).decode('ascii')}"


@pass_context
def _svg_of_medium(context: Context, svg: str) -> Markup:
    """Put a drawing into a page: as it is for browsers, as a picture for WeasyPrint."""
    if context["is_for_browser"]:
        return Markup(svg)  # noqa: S704 -- drawings of our own, labels escaped there
    return _svg_image(svg)


def _svg_image(svg: str) -> Markup:
    """Wrap a drawing as a picture: WeasyPrint then sets its labels in the page's font."""
    title = re.search(r"<title>(.*?)</title>", svg)
    uri = base64.b64encode(svg.encode()).decode("ascii")
    alt = title[1] if title else ""
    return Markup(  # noqa: S704 -- the title is escaped inside the drawing, the rest is Base64
        f'<img class="plot" alt="{alt}" src="data:image/svg+xml;base64,{uri}">'
    )


def _json_block(text: str) -> Markup:
    """Make JSON text harmless inside ``<script type="application/json">``; it stays equal JSON."""
    for char in "<>&'\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)  # noqa: S704 -- no character that could end the block is left


def _keys(text: str) -> Markup:
    """Set what stands in square brackets as keys of a keyboard."""
    pieces = re.split(r"\[([^\]]+)\]", text)
    return Markup("").join(
        Markup("<kbd>{}</kbd>").format(piece) if number % 2 else piece
        for number, piece in enumerate(pieces)
    )


def _css_page_number(text: str) -> Markup:
    """Put CSS counters in the places of a text such as "Page 1 of 4"."""
    places = {"\1": "counter(page)", "\2": "counter(pages)"}
    pieces = [piece for piece in re.split("([\1\2])", text) if piece]
    content = " ".join(places.get(piece) or str(_css_string(piece)) for piece in pieces)
    return Markup(content)  # noqa: S704 -- every piece is a quoted string or a counter


def _css_string(text: str) -> Markup:
    """Quote `text` as a CSS string whose every special character is a CSS escape."""
    quoted = "".join(
        char if char.isalnum() or char in " .,;-–·" else f"\\{ord(char):x} " for char in text
    )
    return Markup(f'"{quoted}"')  # noqa: S704 -- nothing that could end the string is left
