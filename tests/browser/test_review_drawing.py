"""A mask drawn on the review page is kept with its own picture, or stays until it is left."""

from __future__ import annotations

import shutil
import time

import cv2
import pytest
from browser.devtools import Page
from browser.test_review_browser import (
    _text,
    case_folder,  # noqa: F401 -- a fixture
    page,  # noqa: F401 -- a fixture
    served,
)
from review.desk.conftest import RECORDING, measured_case  # noqa: F401 -- a fixture

from ubereport.files.records.store import read_case
from ubereport.review.journal import read_journal
from ubereport.review.strokes import Action

pytestmark = pytest.mark.browser

# Answers to requests whose address holds a word wait until `release()`.
HOLD = """
window.held = 0;
window.send ||= window.fetch;
window.fetch = async (path, options) => {
  if (path.includes(%r)) {
    window.held += 1;
    await new Promise((done) => { window.release = done; });
  }
  return window.send(path, options);
};
"""
REFUSE = """
window.send ||= window.fetch;
window.fetch = async (path, options) => path.includes("/strokes")
  ? new Response(JSON.stringify({ error: "The disk is full." }), { status: 503 })
  : window.send(path, options);
"""
ANSWER_AGAIN = "window.fetch = window.send"
IS_MENDING = "!document.getElementById('brush').hidden"
MIDDLE = """
(() => { const r = document.getElementById(%r).getBoundingClientRect();
  return [r.x + r.width / 2, r.y + r.height / 2]; })()
"""


IS_EXACT = "document.getElementById('picture').dataset.exact === '1'"
EARLIER = "document.getElementById('picture').ariaLabel === 'Picture at 0:34.5'"
AT_FIRST = "document.getElementById('picture').ariaLabel === 'Picture at 0:44.5'"
LATER = "document.getElementById('picture').ariaLabel === 'Picture at 0:54.5'"


def begin_mending(page: Page) -> None:  # noqa: F811
    page.key("d")
    page.wait(IS_MENDING)


def draw(page: Page) -> None:  # noqa: F811
    """Erase a stroke from the middle, which is taken for blood at the moments looked at here."""
    page.key("r")
    x, y = page.run(MIDDLE % "overlay")
    page.mouse("mousePressed", x, y)
    for step in range(10):
        page.mouse("mouseMoved", x + 6 * step, y)
    page.mouse("mouseReleased", x + 60, y)
    assert "Mended mask" in _text(page, "where")


def click(page: Page, element: str) -> None:  # noqa: F811
    x, y = page.run(MIDDLE % element)
    page.mouse("mousePressed", x, y)
    page.mouse("mouseReleased", x, y)


def kept_strokes(folder):
    return read_journal(folder, "C001").strokes


def wait_for_strokes(folder, n: int):
    for _ in range(200):
        strokes = kept_strokes(folder)
        if len(strokes) == n:
            return strokes
        time.sleep(0.05)
    raise TimeoutError(f"{len(strokes)} strokes are kept, and not {n}")


def test_a_mask_that_comes_late_is_not_drawn_on_another_picture(page, case_folder):  # noqa: F811
    page.wait("document.getElementById('overlay').width > 1")
    page.run(HOLD % "/mask?")
    for _ in range(2):
        page.key("o")
    page.key("ArrowLeft", ctrl=True)
    page.wait(f"{EARLIER} && {IS_EXACT}")
    page.key("d")
    page.wait("held === 1")
    for label in (AT_FIRST, LATER):
        page.key("ArrowRight", ctrl=True)
        page.wait(f"{label} && {IS_EXACT}")
    page.run("release()")
    page.run(ANSWER_AGAIN)
    page.run("new Promise((done) => setTimeout(done, 500))")
    assert not page.run(IS_MENDING)
    begin_mending(page)
    draw(page)
    page.key("Enter")
    (stroke,) = wait_for_strokes(case_folder, 1)
    assert abs(stroke.time_s - 54.48) < 0.05
    assert page.console == []


def test_what_is_drawn_on_is_the_picture_asked_for(page, case_folder):  # noqa: F811
    """Not the near one that stands in for it at first; and it stands still, also after playing."""
    page.wait("document.getElementById('overlay').width > 1")
    page.run(HOLD % "exact=1")
    page.key("ArrowRight", ctrl=True)
    page.wait("held === 1")
    page.key("d")
    page.wait("document.getElementById('note').textContent.includes('nearest picture')")
    assert not page.run(IS_MENDING)
    page.run("release()")
    page.run(ANSWER_AGAIN)
    page.wait(IS_MENDING)
    assert page.run(LATER)
    page.key("5")
    page.key(" ")
    page.run("new Promise((done) => setTimeout(done, 400))")
    assert not page.run(IS_MENDING)
    begin_mending(page)
    assert _text(page, "play").startswith("Play")
    shown = page.run("document.getElementById('picture').ariaLabel")
    draw(page)
    page.run("new Promise((done) => setTimeout(done, 400))")
    assert page.run(IS_MENDING)
    assert page.run("document.getElementById('picture').ariaLabel") == shown
    assert kept_strokes(case_folder) == ()
    assert page.console == []


def test_a_mask_on_its_way_is_not_drawn_on_in_another_case(tab, case_folder):  # noqa: F811
    shutil.copytree(case_folder, case_folder.parent / "second")
    with served(str(case_folder.parent), "--recording", str(RECORDING)) as address:
        tab.open(address)
        tab.wait("document.querySelector('#rows a')")
        tab.run("location.hash = '#case-0'")
        tab.wait("document.getElementById('who').open")
        tab.run("document.getElementById('initials').value = 'KT'")
        tab.run("document.querySelector('#who button').click()")
        tab.wait("document.getElementById('overlay').width > 1")
        tab.run(HOLD % "cases/0/mask?")
        tab.key("ArrowRight", shift=True)
        tab.wait("held === 1")
        tab.run("const first = release")
        tab.key("d")
        tab.run("location.hash = '#case-1'")
        asked = "performance.getEntriesByType('resource').map((one) => one.name)"
        tab.wait(f"{asked}.some((name) => name.includes('cases/1/mask?'))")
        tab.run("first(); release()")
        tab.run("new Promise((done) => setTimeout(done, 500))")
        assert not tab.run(IS_MENDING)


def test_a_refused_mask_stays_to_be_kept_again(page, case_folder):  # noqa: F811
    begin_mending(page)
    draw(page)
    page.run(REFUSE)
    page.key("Enter")
    page.wait("document.getElementById('said').textContent === 'The disk is full.'")
    assert page.run(IS_MENDING)
    page.run(HOLD % "/strokes")
    page.key("Enter")
    page.wait("held === 1")
    page.key("Enter")  # a second time, before the first is answered
    click(page, "overlay")
    page.key("PageDown")  # waits, and moves once the mask is kept
    assert page.run(IS_MENDING)
    page.run("release()")
    page.wait("document.getElementById('where').textContent.startsWith('1:44.5')")
    assert not page.run(IS_MENDING)
    page.run("new Promise((done) => setTimeout(done, 300))")
    (stroke,) = kept_strokes(case_folder)
    assert stroke.action is Action.MASK
    assert abs(stroke.time_s - 44.48) < 0.05
    mask = cv2.imread(str(case_folder / stroke.mask.mask_path), cv2.IMREAD_GRAYSCALE)
    assert mask[mask.shape[0] // 2, mask.shape[1] // 2 + 4] == 0
    assert page.console == []


LEAVING = "Keep what you drew first"


def test_what_is_drawn_is_left_by_its_own_keys_alone(page, case_folder):  # noqa: F811
    begin_mending(page)
    draw(page)
    for key in ("c", "x", "n", "d", " ", "u", "+", "b", "a", "PageDown", "End"):
        page.key(key)
        assert LEAVING in _text(page, "said"), key
        page.key("o")  # what the page said is gone, what is drawn is not
        assert _text(page, "said") == ""
    page.key("ArrowRight", ctrl=True)
    assert LEAVING in _text(page, "said")
    for element in ("timeline", "setarea"):
        page.key("o")
        click(page, element)
        assert LEAVING in _text(page, "said"), element
    page.key("o")
    page.run("document.querySelector('#events li:last-child button').click()")
    assert LEAVING in _text(page, "said")
    page.key("o")
    page.run("document.querySelector('#strip button').click()")
    assert LEAVING in _text(page, "said")
    page.key("o")
    address = page.run("location.href")
    page.run("location.hash = '#at-5.0'")
    page.wait(f"document.getElementById('said').textContent.includes('{LEAVING}')")
    assert page.run("location.href") == address
    is_asked = (
        "(() => { const e = new Event('beforeunload', { cancelable: true });"
        " window.dispatchEvent(e); return e.defaultPrevented; })()"
    )
    assert page.run(is_asked)
    assert page.run(IS_MENDING)
    assert page.run(AT_FIRST)
    assert kept_strokes(case_folder) == ()
    page.key("Escape")
    assert not page.run(IS_MENDING)
    assert not page.run(is_asked)
    begin_mending(page)  # anew: with a brush that paints, as the page says
    assert page.run("document.getElementById('erase').ariaPressed") == "false"
    page.key("c")
    assert not page.run(IS_MENDING)
    assert page.console == []


def test_a_mask_on_which_nothing_is_drawn_holds_nobody(page, case_folder):  # noqa: F811
    n_events = len(read_case(case_folder).events)
    begin_mending(page)
    page.key("c")
    page.wait(f"document.querySelectorAll('#events .open').length === {n_events - 1}")
    assert not page.run(IS_MENDING)
    page.run(HOLD % "/mask?")
    page.key("ArrowRight", shift=True)
    page.wait("held === 1")
    page.key("d")
    page.key("x")  # decides instead of drawing
    page.run("release()")
    page.run(ANSWER_AGAIN)
    page.wait(f"document.querySelectorAll('#events .open').length === {n_events - 2}")
    page.run("new Promise((done) => setTimeout(done, 300))")
    assert not page.run(IS_MENDING)
    actions = [stroke.action for stroke in kept_strokes(case_folder)]
    assert actions == [Action.CONFIRM, Action.STRIKE]


def test_a_moment_that_was_overtaken_is_asked_for_again(page):  # noqa: F811
    page.run(
        "window.nAsked = 0; window.send = window.fetch;"
        " window.fetch = (path, options) => path.includes('/picture?') && (nAsked += 1) % 2"
        " ? Promise.resolve(new Response('{\"superseded\": true}', { status: 409 }))"
        " : window.send(path, options)"
    )
    page.key("ArrowRight", ctrl=True)
    page.wait(f"{LATER} && {IS_EXACT}")
    assert _text(page, "said") == ""


def test_a_moment_is_asked_for_to_the_microsecond(page):  # noqa: F811
    """Of 30 pictures a second the one at 33.333333 s begins after 33.3333 s."""
    asked = page.run(
        "import('/page/wire.js').then((wire) => { const asked = [];"
        " window.fetch = async (path) => { asked.push(path); return new Response('no'); };"
        " return Promise.allSettled([wire.mask(0, 100 / 3), wire.picture(0, 100 / 3, true, 640)])"
        ".then(() => asked); })"
    )
    assert len(asked) == 2
    assert all("time_s=33.333333" in path for path in asked)
