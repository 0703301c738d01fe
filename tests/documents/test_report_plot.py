"""Drawings: the same bytes every time, safe labels, no trace left in matplotlib."""

import re
import warnings
import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest

from ubereport.core.series import LossReason
from ubereport.documents.case.timeline_drawing import loss_swatch
from ubereport.documents.page.marks import GROUP_STYLES, LOSS_MARKS, LOSS_WORDS
from ubereport.documents.page.plot import draw_svg

HOSTILE = "<img src=x onerror=alert(1)>--></script>&\"'{{7*7}}$x$"


def labeled(label):
    def draw(figure):
        axes = figure.add_subplot()
        axes.set_title(label)
        axes.bar([0, 1], [1, 2], hatch="//", label=label)
        axes.text(0.5, 1, label)

    return draw


def test_the_same_drawing_gives_the_same_bytes():
    first = draw_svg("one", "title", (80, 40), labeled("a"))
    assert draw_svg("one", "title", (80, 40), labeled("a")) == first
    assert "date" not in first.lower()


def test_settings_of_the_machine_neither_matter_nor_change():
    plain = draw_svg("one", "title", (80, 40), labeled("a"))
    with mpl.rc_context({"font.size": 40, "svg.fonttype": "path", "axes.grid": True}):
        before = dict(mpl.rcParams)
        assert draw_svg("one", "title", (80, 40), labeled("a")) == plain
        assert dict(mpl.rcParams) == before


def test_ids_carry_the_figure_and_every_reference_resolves():
    svg = draw_svg("one", "title", (80, 40), labeled("a"))
    ids = re.findall(r'\bid="([^"]*)"', svg)
    assert ids
    assert all(name.startswith("one-") for name in ids)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'href="#([^"]*)"', svg)) | set(re.findall(r"url\(#([^)]*)\)", svg))
    assert used
    assert used <= set(ids)


def test_labels_are_escaped_text():
    svg = draw_svg("one", HOSTILE, (80, 40), labeled(HOSTILE))
    root = ET.fromstring(svg)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert HOSTILE in texts
    assert root.get("aria-label") == HOSTILE
    assert root.find("{http://www.w3.org/2000/svg}title").text == HOSTILE
    assert "<img" not in svg
    assert "<!--" not in svg
    assert "<style" not in svg


def test_scripts_that_the_font_lacks_stay_text_and_warn_nobody():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = draw_svg("one", "止血", (80, 40), labeled("止血 技術"))
    assert "止血 技術" in svg


@pytest.mark.parametrize("name", ["", "One", "1a", 'a"b', "a b"])
def test_an_id_that_could_break_out_is_refused(name):
    with pytest.raises(ValueError, match="figure_id"):
        draw_svg(name, "title", (80, 40), labeled("a"))


def test_every_reason_for_lost_time_has_its_own_mark_and_words():
    reasons = [reason for reason in LossReason if reason]
    assert set(LOSS_MARKS) == set(LOSS_WORDS) == set(reasons)
    assert len(set(LOSS_MARKS.values())) == len(reasons)
    assert len({loss_swatch(reason).split("</title>")[1] for reason in reasons}) == len(reasons)


def luminance(color):
    red, green, blue = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_groups_differ_in_more_than_color():
    assert len({style.marker for style in GROUP_STYLES}) == len(GROUP_STYLES)
    assert len({str(style.line) for style in GROUP_STYLES}) == len(GROUP_STYLES)
    assert len({style.color for style in GROUP_STYLES}) == len(GROUP_STYLES)
    assert all(luminance(style.color) < 0.6 for style in GROUP_STYLES)
