"""The review page in a real Chromium: keys, pictures, names for screen readers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
from browser.devtools import Page
from review.desk.conftest import RECORDING, measured_case  # noqa: F401 -- a fixture

from ubereport.documents.page.text import clock
from ubereport.files.records.store import read_case
from ubereport.review.journal import read_journal
from ubereport.review.strokes import Action

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / ".axe" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = ("serious", "critical")
END_S = 30


@contextlib.contextmanager
def served_by(command: list[str]):
    """Run a review until it is ended by Ctrl-C, as a person ends it; yield what it prints first."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().strip()
            server.send_signal(signal.SIGINT)
            server.wait(END_S)
        finally:
            server.kill()


def served(*arguments: str):
    """Run `ubereport review` as a person does; yield the address that it prints."""
    return served_by([sys.executable, "-m", "ubereport", "review", *arguments, "--no-browser"])


def begin(page: Page, address: str) -> None:
    """Open a case and say who reviews it."""
    page.open(address)
    page.wait("document.getElementById('who')?.open")
    page.run("document.getElementById('initials').value = 'KT'")
    page.run("document.querySelector('#who button').click()")


@pytest.fixture
def case_folder(measured_case, tmp_path):  # noqa: F811 -- the fixture
    folder = tmp_path / "library" / measured_case.name
    shutil.copytree(measured_case, folder)
    return folder


@pytest.fixture
def page(tab, case_folder):
    with served(str(case_folder), "--recording", str(RECORDING)) as address:
        tab.size(1280, 720)
        begin(tab, address)
        tab.wait("document.getElementById('picture').dataset.exact === '1'")
        yield tab


def _text(page: Page, element: str) -> str:
    return page.run(f"document.getElementById('{element}').textContent")


def _n_left(page: Page) -> int:
    return page.run("document.querySelectorAll('#events .open').length")


def test_it_opens_at_the_moment_that_a_report_names(tab, case_folder):
    event = read_case(case_folder).events[-1]
    moment = f"{event.peak_s:.1f}"
    command = (str(case_folder), "--recording", str(RECORDING), "--at", moment)
    with served(*command) as address:
        assert address.endswith(f"#at-{moment.removesuffix('.0')}")
        begin(tab, address)
        tab.wait("document.querySelector('#events [aria-current=true]')")
        chosen = tab.run("document.querySelector('#events [aria-current=true]').textContent")
        assert clock(int(event.onset_s)) in f"0:0{chosen}"
        assert clock(int(event.peak_s)) in "0:0" + _text(tab, "where")


def test_no_time_on_the_clock_is_one_sentence(case_folder):
    done = subprocess.run(
        [sys.executable, "-m", "ubereport", "review", str(case_folder), "--at", "noon"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--at noon is no time on the case clock" in done.stderr


def test_every_event_is_decided_by_one_key(page, case_folder):
    n_events = len(read_case(case_folder).events)
    assert n_events >= 3
    for number in range(n_events):
        page.key("x" if number % 2 else "c")
        page.wait(f"document.querySelectorAll('#events .open').length === {n_events - number - 1}")
    assert "all decided" in _text(page, "progress")
    assert page.run("!document.getElementById('done').hidden")
    strokes = read_journal(case_folder, "C001").strokes
    assert len(strokes) == n_events
    assert {stroke.reviewer for stroke in strokes} == {"KT"}
    assert page.console == []


def test_fast_keys_on_a_slow_machine_are_all_taken_in_their_order(page, case_folder):
    n_events = len(read_case(case_folder).events)
    page.call("Network.emulateNetworkConditions", offline=False, latency=400,
              downloadThroughput=-1, uploadThroughput=-1)  # fmt: skip
    for number in range(n_events):
        page.key("x" if number % 2 else "c")
    page.wait("document.querySelectorAll('#events .open').length === 0")
    strokes = read_journal(case_folder, "C001").strokes
    wanted = [Action.STRIKE if number % 2 else Action.CONFIRM for number in range(n_events)]
    assert [stroke.action for stroke in strokes] == wanted
    assert len({stroke.event for stroke in strokes}) == n_events


def test_times_move_by_keys_and_bounds_follow(page, case_folder):
    first = page.run("document.querySelector('#events button span').textContent")
    before = _text(page, "where")
    page.key("ArrowRight", shift=True)
    assert _text(page, "where") != before
    page.key("e")
    page.wait("document.querySelectorAll('#events .mended').length === 1")
    page.key("u")
    page.wait("document.querySelectorAll('#events .mended').length === 0")
    page.key("ArrowRight", ctrl=True)
    page.key("+")
    page.wait("document.getElementById('said').textContent || document.querySelector('.added')")
    actions = [stroke.action for stroke in read_journal(case_folder, "C001").strokes]
    assert actions[:2] == [Action.SET_CLEAR, Action.UNDO]
    assert first


def test_far_moments_are_one_key_away(page):
    page.key("Home")
    assert _text(page, "where").startswith("0:00.0")
    page.key("PageDown")
    assert _text(page, "where").startswith("1:00.0")
    page.key("End")
    page.key("PageUp")
    assert _text(page, "where").startswith("2:00.0")


def test_a_drawn_mask_is_kept(page, case_folder):
    page.wait("document.getElementById('overlay').width > 1")
    page.key("d")
    page.wait("!document.getElementById('brush').hidden")
    box = page.run(
        "(() => { const r = document.getElementById('overlay').getBoundingClientRect();"
        " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
    )
    page.mouse("mousePressed", *box)
    for step in range(20):
        page.mouse("mouseMoved", box[0] + 3 * step, box[1])
    page.mouse("mouseReleased", box[0] + 60, box[1])
    assert "Mended mask" in _text(page, "where")
    page.key("Enter")
    page.wait("document.getElementById('brush').hidden")
    for _ in range(200):
        strokes = read_journal(case_folder, "C001").strokes
        if strokes:
            break
        time.sleep(0.05)
    assert strokes[0].action is Action.MASK
    assert (case_folder / strokes[0].mask.mask_path).is_file()


def test_a_mask_is_drawn_by_keys_alone(page, case_folder, tmp_path):
    """A square of 40 mask pixels is erased from what the model called blood, and kept so."""
    page.wait("document.getElementById('overlay').width > 1")
    page.key("d")
    page.wait("!document.getElementById('brush').hidden")
    page.key("r")
    page.key("ArrowUp", shift=True)
    assert "on blood; 0 points" in _text(page, "note")
    page.key(" ")
    assert "three points" in _text(page, "said")
    page.key("ArrowUp")
    page.key("ArrowDown")
    assert _text(page, "said") == ""
    for key in ("ArrowLeft", "ArrowDown", "ArrowRight", "ArrowUp"):
        page.key("Enter")
        for _ in range(2):
            page.key(key, shift=True)
    page.key("Enter")
    assert "5 points" in _text(page, "note")
    page.key("Backspace")
    assert "4 points" in _text(page, "note")
    page.screenshot(tmp_path / "keys.png")
    page.key(" ")
    assert "Mended mask" in _text(page, "where")
    page.key("Enter")
    page.wait("document.getElementById('brush').hidden")
    for _ in range(200):
        strokes = read_journal(case_folder, "C001").strokes
        if strokes:
            break
        time.sleep(0.05)
    mask = cv2.imread(str(case_folder / strokes[0].mask.mask_path), cv2.IMREAD_GRAYSCALE)
    y, x = mask.shape[0] // 2 - 20, mask.shape[1] // 2
    assert (mask[y + 2 : y + 38, x - 38 : x - 2] == 0).all()
    around = mask[y - 4 : y + 44, x - 44 : x + 4]
    assert (around == 255).sum() > 0.9 * (48 * 48 - 40 * 40)
    assert page.console == []


def test_escape_leaves_a_mask_drawn_by_keys(page, case_folder):
    page.wait("document.getElementById('overlay').width > 1")
    page.key("d")
    page.wait("!document.getElementById('brush').hidden")
    page.key("ArrowRight")
    page.key("Enter")
    page.key("Escape")
    assert page.run("document.getElementById('brush').hidden")
    before = _text(page, "where")
    page.key("ArrowRight", shift=True)  # moves in time again
    assert _text(page, "where") != before
    assert read_journal(case_folder, "C001").strokes == ()


def test_an_area_said_by_keys_is_carried_along_its_event(page, case_folder):
    event = read_case(case_folder).events[0]
    page.key("a")
    assert page.run("document.activeElement.id") == "area"
    assert page.run("getSelection().toString() || document.getElementById('area').value")
    for key in ("7", "Enter"):
        page.key(key)
    page.wait("document.getElementById('where').textContent.includes('7.0\u00a0%')")
    assert page.run("document.activeElement.id") != "area"
    (stroke,) = read_journal(case_folder, "C001").strokes
    assert (stroke.action, stroke.area_frac) == (Action.AREA, 0.07)
    assert event.onset_s <= stroke.time_s < event.end_s
    page.key("ArrowRight")
    assert "(estimated)" in _text(page, "where")
    assert "is estimated" in _text(page, "said")
    page.key("a")
    for key in ("9", "9", "9", "Enter"):
        page.key(key)
    assert "from 0 to 100 %" in _text(page, "said")
    page.key("a")
    page.key("Escape")
    page.key("u")
    page.wait("!document.getElementById('where').textContent.includes('estimated')")
    assert page.console == []


def test_a_report_opens_its_moments_while_the_page_runs(page, case_folder, tmp_path):
    """The file by itself has no link: only the page that frames it is told of a moment."""
    event = read_case(case_folder).events[1]
    page.run("location.assign(document.getElementById('report').href)")
    page.wait("document.getElementById('report')?.contentWindow && document.readyState")
    page.frame_run("document.querySelectorAll('tr button.moment').length >= 2", is_awaited=True)
    page.screenshot(tmp_path / "report.png")
    page.frame_run("document.querySelector('#event-2 button.moment').click()")
    page.wait("document.querySelector('#events [aria-current=true]')")
    assert page.run("location.hash") == f"#case-0-at-{event.onset_s:.3f}"
    chosen = page.run("document.querySelector('#events [aria-current=true]').textContent")
    assert clock(int(event.onset_s)) in f"0:0{chosen}"
    html = (case_folder / "report.html").read_text(encoding="utf-8")
    assert 'class="moment"' not in html
    assert page.console == []


def test_what_is_said_never_reaches_a_stretch_out_of_sight(page, case_folder):
    page.key("[")
    page.key("ArrowRight", shift=True)
    page.key("]")
    assert not page.run("document.getElementById('stretch').hidden")
    page.key("n")
    for key in ("a", "9", "Enter"):
        page.key(key)
    page.wait("document.getElementById('where').textContent.includes('9.0\u00a0%')")
    (stroke,) = read_journal(case_folder, "C001").strokes
    assert (stroke.action, stroke.stretch) == (Action.AREA, None)


def test_small_pictures_follow_an_added_event(page):
    first = "document.querySelector('#strip img').alt"
    page.key("Home")
    before = page.run(first)
    page.key("+")
    page.wait("document.querySelector('#events .added')")
    page.wait(f"{first} !== '{before}'")
    assert page.run(first).startswith("Picture at 0:00.")


def test_two_tabs_lose_nothing(page, case_folder):
    address = page.run("location.origin")
    page.new_tab(f"{address}/")  # shares the cookie
    n_events = len(read_case(case_folder).events)
    stroke = (
        "fetch('/api/cases/0/strokes', {method: 'POST', body: JSON.stringify("
        "{action: 'finish', reviewer: 'MS'})}).then((answer) => answer.status)"
    )
    codes = page.run(f"Promise.all(Array.from({{length: 12}}, () => {stroke}))")
    page.key("c")
    page.wait(f"document.querySelectorAll('#events .open').length === {n_events - 1}")
    assert codes == [200] * 12
    assert len(read_journal(case_folder, "C001").strokes) == 13


@pytest.mark.parametrize(("width_px", "height_px", "scale"), [(1280, 720, 1), (640, 360, 2)])
def test_nothing_runs_out_of_the_window(page, width_px, height_px, scale):
    """1280 × 720 as it is, and at 200 % zoom, where half the pixels are left."""
    page.size(width_px, height_px, scale)
    page.wait(f"innerWidth === {width_px}")
    assert page.run("document.documentElement.scrollWidth <= innerWidth + 1")


def test_what_is_judged_stays_in_sight_in_a_small_window(page):
    """At 200 % zoom the picture and the chosen event are seen together, whatever is scrolled."""
    page.size(640, 360, 2)
    page.wait("innerWidth === 640")
    page.key("n")
    within = "(({ top, bottom }) => top >= -1 && bottom <= innerHeight + 1)"
    for element in ("#stage", "#events [aria-current=true]"):
        page.wait(f"{within}(document.querySelector('{element}').getBoundingClientRect())")
    assert page.run("document.querySelector('.bar').offsetHeight") <= 0.3 * 360


def test_key_frames_alone_are_said_and_no_mask_is_asked_for(tab, case_folder):
    with served(str(case_folder)) as address:
        begin(tab, address)
        tab.wait("document.getElementById('picture').dataset.exact === '0'")
        tab.wait("document.getElementById('said').textContent.includes('key frames only')")
        assert tab.run("!document.querySelector('.said.refused')")
        assert tab.console == []


def test_axe_finds_nothing_serious(page):
    if not AXE.is_file():
        if "axe" in os.environ.get("UBEREPORT_REQUIRE", "").split(","):
            pytest.fail("axe-core is required here (UBEREPORT_REQUIRE) and not in .axe")
        pytest.skip("axe-core is not installed (make axe)")
    page.call("Page.setBypassCSP", enabled=True)
    page.run(AXE.read_text(encoding="utf-8"))
    found = page.run(
        "axe.run().then((r) => r.violations.map((v) => [v.impact, v.id,"
        " v.nodes.map((n) => n.html).slice(0, 3)]))"
    )
    assert [violation for violation in found if violation[0] in SERIOUS] == []


def test_the_focus_is_seen_and_every_control_has_a_name(page):
    seen = []
    for _ in range(12):
        page.key("Tab")
        seen.append(
            page.run(
                "(() => { const e = document.activeElement;"
                " return [e.tagName, e.innerText || e.ariaLabel || e.id ||"
                " e.querySelector('img')?.alt,"
                " getComputedStyle(e).outlineStyle]; })()"
            )
        )
    assert len({name for _, name, _ in seen}) >= 8
    assert all(name for _, name, _ in seen)
    assert all(style == "solid" for tag, _, style in seen if tag in ("BUTTON", "CANVAS", "A"))
