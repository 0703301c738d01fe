"""The review page in other languages, in a real Chromium: no English, no clipped label, axe."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from browser.test_review_browser import AXE, SERIOUS, begin, served, served_by
from language.all_pages import all_pages
from language.gathering import MARK, pseudo_translator
from language.test_case_report import PLAIN
from review.desk.conftest import RECORDING, measured_case  # noqa: F401 -- a fixture

from ubereport.language.speaking import speaking

pytestmark = pytest.mark.browser

TESTS = Path(__file__).parents[1]
SERVE_PSEUDO = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from pathlib import Path
from language.gathering import pseudo_translator
from ubereport.files.resources import models_dir
from ubereport.language.speaking import speaking
from ubereport.review.desk.serve import serve_review
from ubereport.review.desk.shelf import Shelf
shelf = Shelf(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]], models_dir())
with speaking(pseudo_translator()):
    serve_review(shelf, 0, lambda address: print(address, flush=True), lambda folder: None)
"""
# What is read or heard: texts with the keys in them, names for screen readers; nothing hidden.
READ = """
[...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && e.tagName !== "KBD")
  .flatMap((e) => [
  [...e.childNodes].filter((n) => n.nodeType === Node.TEXT_NODE || n.tagName === "KBD")
    .map((n) => n.textContent).join(""),
  e.getAttribute("aria-label"), e.getAttribute("alt"), e.getAttribute("title"),
  e.getAttribute("aria-valuetext"),
]).filter((text) => text && text.trim()).map((text) => text.trim())
"""
# Boxes whose text runs out of them and is cut or lies over the next; what scrolls is at hand.
CLIPPED = """
[...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && e.innerText
  && (["hidden", "clip"].includes(getComputedStyle(e).overflowX)
    || e.matches("button, td, th, dt, dd, label")) && !e.matches(".unseen")
  && (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline"))
  .map((e) => e.innerText.slice(0, 60))
"""
# Tables and drawings scroll in frames of their own.
OUTSIDE = """
[...document.querySelectorAll("body *")].filter((e) => e.checkVisibility()
  && !e.closest(".table-frame, .drawing") && e.getBoundingClientRect().right > innerWidth + 1)
  .map((e) => e.tagName + " " + e.id)
"""


def served_in_pseudo_language(*arguments: str):
    return served_by([sys.executable, "-c", SERVE_PSEUDO, *arguments])


def enter(page, address):
    begin(page, address)
    page.wait("document.getElementById('picture').dataset.exact === '1'")


def english(page, *names):
    found = page.run(READ)
    assert len(found) > 5
    return [t for t in found if MARK not in t and not PLAIN.fullmatch(t) and t not in names]


@pytest.fixture
def case_folder(measured_case, tmp_path):  # noqa: F811 -- the fixture
    folder = tmp_path / "library" / measured_case.name
    shutil.copytree(measured_case, folder)
    return folder


def test_no_text_of_the_pseudo_language_is_english(tab, case_folder):
    with served_in_pseudo_language(str(case_folder), str(RECORDING)) as address:
        tab.size(1280, 720)
        tab.open(address)
        tab.wait("document.getElementById('who')?.open")
        assert english(tab, "C001") == []
        enter(tab, address)
        tab.wait("document.getElementById('overlay').width > 1")
        tab.run("document.querySelector('details').open = true")
        moments = [("d", "brush"), ("ArrowRight", None), (" ", None), ("Escape", None)]
        moments += [("[", None), ("]", "stretch"), ("o", None), ("g", None), (" ", None)]
        for key, appears in moments:
            tab.key(key)
            if appears:
                tab.wait(f"!document.getElementById('{appears}').hidden")
            assert english(tab, "C001") == [], key
        tab.key(" ")
        n_events = tab.run("document.querySelectorAll('#events .open').length")
        for number in range(n_events):
            tab.key("x" if number % 2 else "c")
            tab.wait(
                f"document.querySelectorAll('#events .open').length === {n_events - number - 1}"
            )
        assert english(tab, "C001") == []
        assert tab.run("document.title").count(MARK)
        for action in ("c", "k", "u", "f"):
            tab.key(action)
            assert english(tab, "C001") == [], action
        tab.call("Network.emulateNetworkConditions", offline=True, latency=0,
                  downloadThroughput=0, uploadThroughput=0)  # fmt: skip
        tab.key("f")
        tab.wait("document.getElementById('said').textContent")
        assert english(tab, "C001") == []


def test_no_text_of_a_library_is_english(tab, case_folder):
    other = case_folder.parent / "other"
    shutil.copytree(case_folder, other)
    with served_in_pseudo_language(str(case_folder.parent)) as address:
        tab.open(address)
        tab.wait("document.querySelectorAll('#rows tr').length === 2")
        assert english(tab, "C001") == []
        assert tab.run(CLIPPED) == []


def test_nothing_is_clipped_in_documents_of_longer_words(tab, tmp_path):
    pages = all_pages(tmp_path)
    with speaking(pseudo_translator()):
        html = {name: render() for name, render in pages.kinds.items()}
    for name, text in html.items():
        path = tmp_path / f"{name.replace(' ', '-')}.html"
        path.write_text(text, encoding="utf-8")
        for width_px in (1280, 800):
            tab.size(width_px, 800)
            tab.open(path.as_uri())
            tab.wait(f"document.readyState === 'complete' && innerWidth === {width_px}")
            assert tab.run(CLIPPED) == [], name
            assert tab.run(OUTSIDE) == [], name


@pytest.mark.parametrize("tag", ["ja", "de"])
def test_axe_finds_nothing_serious_and_nothing_is_clipped(tab, case_folder, tag):
    command = (str(case_folder), "--recording", str(RECORDING), "--language", tag)
    with served(*command) as address:
        tab.size(1280, 720)
        enter(tab, address)
        assert tab.run("document.documentElement.lang") == tag
        tab.run("document.querySelector('details').open = true")
        for width_px in (1280, 640):
            tab.size(width_px, 720)
            tab.wait(f"innerWidth === {width_px}")
            assert tab.run(CLIPPED) == []
            assert tab.run(OUTSIDE) == []
        if not AXE.is_file():
            pytest.skip("axe-core is not installed (make axe)")
        tab.call("Page.setBypassCSP", enabled=True)
        tab.run(AXE.read_text(encoding="utf-8"))
        found = tab.run("axe.run().then((r) => r.violations.map((v) => [v.impact, v.id]))")
        assert [violation for violation in found if violation[0] in SERIOUS] == []
        assert tab.console == []
