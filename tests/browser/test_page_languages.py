"""The review page in other languages, in a real Chromium: no English, no clipped label, axe."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from browser.devtools import chromium
from browser.test_review_browser import AXE, SERIOUS, begin, served
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


@contextlib.contextmanager
def served_in_pseudo_language(*arguments: str):
    command = [sys.executable, "-c", SERVE_PSEUDO, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


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


def test_no_text_of_the_pseudo_language_is_english(browser, tmp_path, case_folder):
    with (
        served_in_pseudo_language(str(case_folder), str(RECORDING)) as address,
        chromium(browser, tmp_path / "profile") as page,
    ):
        page.size(1280, 720)
        page.open(address)
        page.wait("document.getElementById('who')?.open")
        assert english(page, "C001") == []
        enter(page, address)
        page.wait("document.getElementById('overlay').width > 1")
        page.run("document.querySelector('details').open = true")
        moments = [("d", "brush"), ("ArrowRight", None), (" ", None), ("Escape", None)]
        moments += [("[", None), ("]", "stretch"), ("o", None), ("g", None), (" ", None)]
        for key, appears in moments:
            page.key(key)
            if appears:
                page.wait(f"!document.getElementById('{appears}').hidden")
            assert english(page, "C001") == [], key
        page.key(" ")
        n_events = page.run("document.querySelectorAll('#events .open').length")
        for number in range(n_events):
            page.key("x" if number % 2 else "c")
            page.wait(
                f"document.querySelectorAll('#events .open').length === {n_events - number - 1}"
            )
        assert english(page, "C001") == []
        assert page.run("document.title").count(MARK)
        for action in ("c", "k", "u", "f"):
            page.key(action)
            assert english(page, "C001") == [], action
        page.call("Network.emulateNetworkConditions", offline=True, latency=0,
                  downloadThroughput=0, uploadThroughput=0)  # fmt: skip
        page.key("f")
        page.wait("document.getElementById('said').textContent")
        assert english(page, "C001") == []


def test_no_text_of_a_library_is_english(browser, tmp_path, case_folder):
    other = case_folder.parent / "other"
    shutil.copytree(case_folder, other)
    with (
        served_in_pseudo_language(str(case_folder.parent)) as address,
        chromium(browser, tmp_path / "profile") as page,
    ):
        page.open(address)
        page.wait("document.querySelectorAll('#rows tr').length === 2")
        assert english(page, "C001") == []
        assert page.run(CLIPPED) == []


def test_nothing_is_clipped_in_documents_of_longer_words(browser, tmp_path):
    pages = all_pages(tmp_path)
    with speaking(pseudo_translator()):
        html = {name: render() for name, render in pages.kinds.items()}
    with chromium(browser, tmp_path / "profile") as page:
        for name, text in html.items():
            path = tmp_path / f"{name.replace(' ', '-')}.html"
            path.write_text(text, encoding="utf-8")
            for width_px in (1280, 800):
                page.size(width_px, 800)
                page.open(path.as_uri())
                page.wait(f"document.readyState === 'complete' && innerWidth === {width_px}")
                assert page.run(CLIPPED) == [], name
                assert page.run(OUTSIDE) == [], name


@pytest.mark.parametrize("tag", ["ja", "de"])
def test_axe_finds_nothing_serious_and_nothing_is_clipped(browser, tmp_path, case_folder, tag):
    command = (str(case_folder), "--recording", str(RECORDING), "--language", tag)
    with served(*command) as address, chromium(browser, tmp_path / "profile") as page:
        page.size(1280, 720)
        enter(page, address)
        assert page.run("document.documentElement.lang") == tag
        page.run("document.querySelector('details').open = true")
        for width_px in (1280, 640):
            page.size(width_px, 720)
            page.wait(f"innerWidth === {width_px}")
            assert page.run(CLIPPED) == []
            assert page.run(OUTSIDE) == []
        if not AXE.is_file():
            pytest.skip("axe-core is not installed (make axe)")
        page.call("Page.setBypassCSP", enabled=True)
        page.run(AXE.read_text(encoding="utf-8"))
        found = page.run("axe.run().then((r) => r.violations.map((v) => [v.impact, v.id]))")
        assert [violation for violation in found if violation[0] in SERIOUS] == []
        assert page.console == []
