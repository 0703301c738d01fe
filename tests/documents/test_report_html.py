"""The HTML page: self-contained, escaped, accessible, the same every time."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from documents import sample_record
from jinja2 import UndefinedError

from ubereport.core.case import CaseRecord, Flag, FlagLevel
from ubereport.core.disclaimer import DISCLAIMER
from ubereport.documents.case.rendering import render_html
from ubereport.documents.page.html import Medium, render_page
from ubereport.documents.page.text import printable
from ubereport.files.resources import templates_dir
from ubereport.language.languages import find_language
from ubereport.language.speaking import speaking
from ubereport.language.translator import translator

HOSTILE = (
    "<img src=x onerror=alert(1)></script><script>alert(2)</script>{{7*7}}{% raw %}\"'&amp;"
    "\u202eevil\u202c file:///etc/passwd http://169.254.169.254/latest "
    "</style><style>@import url(http://169.254.169.254/a.css);</style>\u2028\x00"
)
VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Every element with its attributes, the text between them, and what was left open."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.text = [], [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open
        assert self.open[-1] == tag
        self.open.pop()

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if not self.open or self.open[-1] not in {"style", "script"}:
            self.text.append(data)

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self):
        return re.sub(r"\s+", " ", " ".join(self.text))


def hostile_record() -> CaseRecord:
    record = sample_record.twenty_seconds()
    made = record.provenance
    model = replace(
        made.model,
        name=HOSTILE,
        version=HOSTILE,
        title=HOSTILE,
        architecture=HOSTILE,
        training_population=HOSTILE,
        limits=HOSTILE,
        operating_characteristics=((HOSTILE, 0.5), ("sensitivity", 0.9), ("specificity", 0.5)),
        evaluated_on=HOSTILE,
        sha256=HOSTILE,
    )
    made = replace(
        made,
        model=model,
        ubereport_version=HOSTILE,
        library_versions=((HOSTILE, HOSTILE),),
        config_toml=HOSTILE,
        config_sha256=HOSTILE,
        device=HOSTILE,
        precision=HOSTILE,
        sampling=HOSTILE,
        readers=(replace(made.readers[0], reader=HOSTILE, why=HOSTILE),),
        decode_failures=(HOSTILE,),
    )
    part = replace(record.parts[0], codec=HOSTILE, pixel_format=HOSTILE, sha256=HOSTILE)
    part = replace(part, field_of_view=replace(part.field_of_view, shape=HOSTILE))
    metrics = (
        replace(record.metrics[8], value=None, reason=HOSTILE, band_low=None, band_high=None),
    )
    return replace(
        record,
        case_id=HOSTILE,
        parts=(part,),
        metrics=(*metrics, *record.metrics[:8]),
        flags=(Flag(HOSTILE, FlagLevel.WARNING, HOSTILE),),
        key_frames=(replace(record.key_frames[0], raw_path=HOSTILE, overlay_path="../../x.jpg"),),
        provenance=made,
    )


@pytest.fixture(scope="session")
def usual_page(usual_html):
    return Page(usual_html)


@pytest.fixture(scope="session")
def hostile_html(build_view, tmp_path_factory):
    return render_html(build_view(hostile_record(), tmp_path_factory.mktemp("hostile")))


def test_every_element_is_closed_and_every_id_unique(usual_page):
    assert usual_page.open == []
    ids = [attributes["id"] for _, attributes in usual_page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_needs_nothing_but_itself(usual_page, usual_html):
    policy = next(m["content"] for m in usual_page.of("meta") if "http-equiv" in m)
    assert policy.startswith("default-src 'none'")
    script = re.search(r"<script>(.*?)</script>", usual_html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    for tag, attributes in usual_page.elements:
        for name in ("src", "href", "xlink:href", "data", "action", "poster", "srcset"):
            target = attributes.get(name)
            assert target is None or target.startswith(("data:", "#")), (tag, name)
    styles = re.findall(r"url\(\s*[\"']?([^)\"']*)", usual_html)
    assert styles
    assert all(target.startswith(("data:", "#")) for target in styles)
    assert "@import" not in usual_html
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {
        t for t, _ in usual_page.elements
    }


DATA = [
    {"type": "application/json", "id": "case-data"},
    {"type": "application/json", "id": "timeline-words"},
]


def test_the_only_script_is_ours(usual_page, usual_html):
    assert usual_page.of("script") == [*DATA, {}]
    ours = (templates_dir() / "timeline_reader.js").read_text(encoding="utf-8")
    assert usual_html.count(f"<script>{ours}</script>") == 1
    assert not re.search(r"fetch|XMLHttpRequest|import|eval|innerHTML|https?:", ours)


def test_references_within_the_page_resolve(usual_page):
    ids = {attributes.get("id") for _, attributes in usual_page.elements}
    for attributes in usual_page.of("a"):
        assert attributes["href"][1:] in ids


def test_hostile_strings_stay_text(hostile_html):
    page = Page(hostile_html)
    assert page.open == []
    assert page.of("script") == [*DATA, {}]
    assert len(page.of("style")) == 1
    assert all(attributes.get("src", "data:").startswith("data:") for attributes in page.of("img"))
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
    assert "{{7*7}}" in page.words
    visible = re.sub(r"\s+", " ", printable(HOSTILE))
    assert page.words.count(visible) > 15


def test_nothing_invisible_or_turning_around_is_left(hostile_html):
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b-\u200f\u2028\u2029\x00]", hostile_html)


def test_the_data_block_gives_back_the_very_strings(hostile_html):
    block = re.search(
        r'<script type="application/json" id="case-data">(.*?)</script>', hostile_html, re.DOTALL
    )[1]
    assert json.loads(block)["case_id"] == HOSTILE
    assert not re.search("[<>&]", block)


def test_the_data_block_holds_what_a_player_needs(usual_html, usual_record):
    block = re.search(r'id="case-data">(.*?)</script>', usual_html, re.DOTALL)[1]
    data = json.loads(block)
    assert data["schema"] == "ubereport-case-report/1"
    assert [event["id"] for event in data["events"]] == [f"event-{k}" for k in range(1, 10)]
    assert [event["onset_s"] for event in data["events"]] == [
        event.onset_s for event in usual_record.events
    ]
    assert data["events"][3]["clear_s"] is None
    assert len(data["series"]["time_s"]) == len(usual_record.series)
    lost = [area is None for area in data["series"]["area_frac"]]
    assert lost == (~usual_record.series.is_valid).tolist()
    assert [part["start_s"] for part in data["parts"]] == [0.0, 2520.0]


def test_rows_carry_their_seconds(usual_page, usual_record):
    rows = {a["id"]: a["data-time-s"] for a in usual_page.of("tr") if "data-time-s" in a}
    assert {name: float(at) for name, at in rows.items()} == {
        f"event-{k}": event.onset_s for k, event in enumerate(usual_record.events, start=1)
    }


def test_page_one_says_the_essentials_before_anything_else(usual_html):
    front = Page(usual_html[: usual_html.index('<section class="events"')]).words
    for words in (
        "Case UBE-2026-017",
        "at least 20 % of the view",
        "with a stricter or laxer model",
        "Coverage 90.4 %",
        "Time lost, by reason",
        "Closing field",
        "Longest run",
        "Median time to clear",
        "pressure can hide a bleeder",
        "Has seen no recording of unilateral biportal endoscopy",
        "Part 2 ends 90 s before its declared length",
        "1 more flag",
    ):
        assert words in front.replace("\u00a0", " "), words


def test_wording(usual_page):
    words = usual_page.words
    assert DISCLAIMER in words
    assert "obscured by blood" in words
    for never in (r"\bmL\b", "milliliter", "VIBe", "Boezaart", "Wormald", "blood loss in"):
        assert not re.search(never, words), never


def test_empty_sections_say_so(build_view):
    words = Page(render_html(build_view(sample_record.no_events()))).words
    assert "None: the analysis raised no flag about this recording." in words
    assert "No hemostasis event" in words


def test_figures_have_names_and_tables(usual_page):
    drawings = [a for a in usual_page.of("svg") if not a["aria-label"].startswith("Key: ")]
    assert len(drawings) == 3
    assert all(a["role"] == "img" and a["aria-label"] for a in drawings)
    assert len(usual_page.of("details")) == 3
    assert all(attributes.get("alt") for attributes in usual_page.of("img"))


def test_undefined_names_are_errors(usual_view):
    with pytest.raises(UndefinedError):
        render_page("case.html", usual_view.page, Medium.SCREEN)


def test_paper_follows_the_language_that_is_spoken(usual_view):
    with speaking(translator(find_language("en-US"))):
        assert "size: letter" in render_html(usual_view)
    assert "size: A4" in render_html(usual_view)


def test_another_process_writes_the_same_bytes(build_view):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from documents import sample_record\n"
        "from ubereport.core.config import EventConfig, MetricConfig\n"
        "from ubereport.documents.case.rendering import render_html\n"
        "from ubereport.documents.case.view_model import build_view_model\n"
        "record = sample_record.twenty_seconds()\n"
        "view = build_view_model(record, None, EventConfig(), MetricConfig())\n"
        "sys.stdout.buffer.write(render_html(view).encode())\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).resolve().parents[1])],
        capture_output=True,
        check=True,
        timeout=120,
        env=environment,
        cwd=Path(__file__).resolve().parents[2],
    )
    view = build_view(sample_record.twenty_seconds())
    assert done.stdout.decode() == render_html(view)
