"""Who prints a report: WeasyPrint, else a browser, else nobody, and then a sentence says why."""

import io
import os
import re
import shutil
import stat
import subprocess
import sys
import time

import pytest
from documents import sample_record
from pypdf import PdfReader

from ubereport.core.choices import PdfChoice
from ubereport.core.disclaimer import DISCLAIMER
from ubereport.core.errors import DependencyError
from ubereport.documents.case.rendering import render_pdf
from ubereport.documents.page import chromium, weasyprint
from ubereport.documents.page.html import Medium, render_page
from ubereport.documents.page.pdf import missing_printer, try_printers
from ubereport.language.languages import find_language
from ubereport.language.speaking import speaking
from ubereport.language.translator import translator

SYSTEMS = ("apt-get install", "dnf install", "brew install", "MSYS2")
FOREIGN = '<p>before</p><script>document.write("ran")</script><img src="http://127.0.0.1:1/x.png">'


@pytest.fixture(scope="module")
def browser():
    found = chromium.find_chromium()
    if found is None:
        if "browser" in os.environ.get("UBEREPORT_REQUIRE", "").split(","):
            pytest.fail("headless Chromium is required here (UBEREPORT_REQUIRE) and not installed")
        pytest.skip("no Chromium, Chrome or Edge is installed")
    return found


@pytest.fixture
def no_pango(monkeypatch):
    """A WeasyPrint that behaves as one without Pango: a page on stdout, then OSError."""

    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "weasyprint":
                sys.stdout.write("WeasyPrint could not import some external libraries.")
                raise OSError("cannot load library 'libpango-1.0-0'")

    for name in [name for name in sys.modules if name.partition(".")[0] == "weasyprint"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])


@pytest.fixture
def no_browser(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


def fake_browser(folder, script, monkeypatch):
    program = folder / "chromium"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_weasyprint_is_given_nothing_that_it_does_not_know(caplog):
    content, printer = weasyprint.print_with_weasyprint("<html lang=en><p>one</p></html>")
    assert "one" in PdfReader(io.BytesIO(content)).pages[0].extract_text()
    assert printer.startswith("WeasyPrint ")
    assert [r.message for r in caplog.records if r.levelname == "ERROR"] == []


def test_nobody_prints_where_nobody_wants_it(usual_view):
    printed = render_pdf(usual_view, choice=PdfChoice.NEVER)
    assert (printed.pdf, printed.printer, printed.problem) == (None, None, "")
    assert printed.run_facts == {"printer": None, "problem": None}


def test_weasyprint_comes_first(build_view):
    printed = render_pdf(build_view(sample_record.twenty_seconds()))
    assert printed.pdf.startswith(b"%PDF")
    assert re.fullmatch(r"WeasyPrint \d+\.\d+", printed.printer)
    assert missing_printer() == ""


def test_without_any_printer_one_sentence_names_four_systems(
    build_view, no_pango, no_browser, capsys
):
    printed = render_pdf(build_view(sample_record.twenty_seconds()), choice=PdfChoice.ALWAYS)
    assert (printed.pdf, printed.printer) == (None, None)
    assert printed.problem == missing_printer()
    assert "Pango" in printed.problem
    assert "no Chromium, Chrome or Edge" in printed.problem
    for system in SYSTEMS:
        assert system in printed.problem
    assert "\n" not in printed.problem
    assert printed.run_facts == {"printer": None, "problem": printed.problem}
    # Standard output belongs to the command, which may print JSON.
    assert capsys.readouterr().out == ""
    assert [trial.printer for trial in try_printers()] == [None, None]


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("tag", ["en", "en-US"])
def test_a_browser_sets_the_same_pages(browser, usual_view, tag, no_pango_view, monkeypatch):
    # WeasyPrint alone sets a case closer where that saves a sheet: how full its last one is, a
    # browser does not tell.
    monkeypatch.setattr(weasyprint, "_HALF", 0.0)
    with speaking(translator(find_language(tag))):
        by_weasyprint = pages(render_pdf(usual_view).pdf)
        printed = no_pango_view(usual_view)
    assert re.fullmatch(r"(Chromium|Chrome|Edge) \d+", printed.printer)
    by_browser = pages(printed.pdf)
    assert len(by_browser) == len(by_weasyprint)
    for number, (one, other) in enumerate(zip(by_browser, by_weasyprint, strict=True), start=1):
        assert one.mediabox[2:] == pytest.approx(other.mediabox[2:], abs=1.0)
        text = words(one)
        assert words(DISCLAIMER) in text
        assert words(f"Page {number} of {len(by_browser)}") in text
        assert (words("Case UBE-2026-017") in text) or number > 1
    assert headings(by_browser) == headings(by_weasyprint)


@pytest.fixture
def no_pango_view(monkeypatch):
    def render(view):
        def absent(_html):
            raise DependencyError(weasyprint.NO_PANGO)

        with monkeypatch.context() as patch:
            patch.setattr("ubereport.documents.page.pdf.print_with_weasyprint", absent)
            return render_pdf(view)

    return render


def pages(pdf):
    return PdfReader(io.BytesIO(pdf)).pages


def words(page):
    text = page if isinstance(page, str) else page.extract_text()
    return re.sub(r"\s+", "", text.replace("\u00a0", ""))


def headings(of_pages):
    """Return on which page each section begins, as far as all printers must agree."""
    names = ("Hemostasisevents", "Keyframes", "Thecaseinblocks", "Timelineinnumbers", "Themodel")
    texts = [words(page) for page in of_pages]
    return {name: [name in text for text in texts[1:]] for name in names}


@pytest.mark.browser
def test_a_browser_prints_the_same_bytes_tagged_and_untimed(browser, build_view):
    view = build_view(sample_record.twenty_seconds())
    html = render_page("case.html", view.page, Medium.BROWSER_PAPER, view=view)
    pdf, _ = chromium.print_with_chromium(html)
    assert [chromium.print_with_chromium(html)[0] == pdf for _ in range(3)] == [True] * 3
    root = PdfReader(io.BytesIO(pdf)).trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert "/JavaScript" not in str(root)
    assert PdfReader(io.BytesIO(pdf)).metadata.creation_date.year == 1970


@pytest.mark.browser
def test_a_browser_leaves_nothing_behind_and_touches_no_home(
    browser, build_view, tmp_path, monkeypatch
):
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(chromium.tempfile, "tempdir", str(scratch))
    chromium.print_with_chromium("<!DOCTYPE html><title>a</title><p>a</p>")
    assert list(home.rglob("*")) == []
    assert list(scratch.rglob("*")) == []


@pytest.mark.browser
def test_a_page_that_runs_and_loads_gets_nothing(browser, build_view):
    view = build_view(sample_record.twenty_seconds())
    html = render_page("case.html", view.page, Medium.BROWSER_PAPER, view=view)
    pdf, _ = chromium.print_with_chromium(html.replace("<main>", f"<main>{FOREIGN}"))
    text = "".join(page.extract_text() for page in pages(pdf))
    assert "before" in text
    assert "ran" not in text.split("before")[1][:10]


@pytest.mark.skipif(sys.platform == "win32", reason="the fake browser is a shell script")
def test_a_browser_that_hangs_is_ended_with_its_children(tmp_path, monkeypatch):
    pid_file = tmp_path / "pid"
    fake_browser(tmp_path, f"sleep 600 & echo $! > {pid_file}\nwait", monkeypatch)
    started = time.monotonic()
    with pytest.raises(DependencyError, match="did not end within 1 s"):
        chromium.print_with_chromium("<p>", watchdog_s=1.0)
    assert time.monotonic() - started < 30
    assert is_gone(int(pid_file.read_text()))


def is_gone(pid):
    """Whether a process is no more, or only waits to be reaped by whoever inherited it."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return state == "" or state.startswith("Z")


@pytest.mark.skipif(sys.platform == "win32", reason="the fake browser is a shell script")
@pytest.mark.parametrize("script", ["exit 0", "exit 1", 'echo "$@"; exit 3'])
def test_a_browser_that_prints_nothing_is_told(tmp_path, monkeypatch, script, build_view, no_pango):
    fake_browser(tmp_path, script, monkeypatch)
    with pytest.raises(DependencyError, match="gave no PDF"):
        chromium.print_with_chromium("<p>")
    printed = render_pdf(build_view(sample_record.twenty_seconds()))
    assert printed.pdf is None
    assert "gave no PDF" in printed.problem


def test_a_browser_that_cannot_be_started_is_told(tmp_path, monkeypatch):
    program = tmp_path / "chromium"
    program.write_bytes(b"\x7fELF no program")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DependencyError, match="cannot be started"):
        chromium.print_with_chromium("<p>")


def test_no_browser_is_told(no_browser):
    assert shutil.which("chromium") is None
    with pytest.raises(DependencyError, match="no Chromium, Chrome or Edge"):
        chromium.print_with_chromium("<p>")


@pytest.mark.parametrize(
    ("platform", "variables", "program"),
    [
        ("darwin", {}, "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
        ("win32", {"ProgramFiles(x86)": "X"}, r"X/Microsoft\Edge\Application\msedge.exe"),
        ("linux", {}, None),
    ],
)
def test_the_usual_places_of_other_systems(monkeypatch, platform, variables, program):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    places = [str(path) for path in chromium._usual_places(platform)]
    assert (program in places) if program else places == []
