"""The documentation says what the program does: generated pages, links, every block of code.

Which blocks run for real: all Python (on a small case), every settings file (read as settings),
every table of the data manager (its columns as a manifest). Command lines are held
against the real parser, option by option, and not run: they take minutes and recordings.
"""

import csv
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from ubereport.batch.case import CaseRequest, run_case
from ubereport.cli.main import app
from ubereport.core.choices import PdfChoice
from ubereport.core.config import AnalysisConfig, SegmentationConfig, config_from_toml
from ubereport.core.progress import silent
from ubereport.files.resources import models_dir
from ubereport.segmentation.bundle import find_bundle, load_bundle

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:^    \S.*\n(?:^ {4,}.*\n)*)", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


def blocks(kind):
    return [
        pytest.param(match[2], id=f"{page.relative_to(ROOT)}-{match.start()}")
        for page in PAGES
        for match in FENCE.finditer(page.read_text(encoding="utf-8"))
        if match[1] == kind
    ]


def command_lines():
    """Return every line of a block that starts our program, continued lines joined."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        code = [m[2] for m in FENCE.finditer(text)] + INDENTED.findall(FENCE.sub("", text))
        for line in "\n".join(code).splitlines():
            words = line.split("#")[0].strip()
            if words.startswith("ubereport ") and "…" not in words:
                found.append(pytest.param(words, id=f"{page.name}: {words[:60]}"))
    return found


def parsed(words):
    """Return the command that takes `words`, and the options among them that it lacks."""
    command, rest = typer.main.get_command(app), shlex.split(words)[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}
    given = {word.split("=")[0] for word in rest if word.startswith("--")}
    return command, given - known


@pytest.mark.parametrize("words", command_lines())
def test_every_command_line_is_one_of_the_program(words):
    command, unknown = parsed(words)
    assert not getattr(command, "commands", None), "a group of commands, none named"
    assert unknown == set()


def test_a_wrong_command_line_would_be_noticed():
    assert parsed("ubereport analyze a.mp4 --outt x")[1] == {"--outt"}
    assert getattr(parsed("ubereport analyse a.mp4")[0], "commands", None)
    assert len(command_lines()) > 30


@pytest.mark.parametrize("text", blocks("toml"))
def test_every_settings_file_is_read(text, tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    assert config_from_toml(path, AnalysisConfig) is not None


@pytest.mark.parametrize("text", blocks("csv"))
def test_every_table_has_the_columns_that_a_manifest_needs(text):
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows
    for row in rows:
        assert {"case_id", "files"} <= set(row)
        assert None not in row
        assert None not in row.values()


@pytest.mark.slow
def test_the_python_of_the_documentation_runs(bleeding_recording, tmp_path):
    config = AnalysisConfig(segmentation=SegmentationConfig(model="hsv-red"))
    request = CaseRequest((bleeding_recording,), tmp_path, "C1", config, pdf=PdfChoice.NEVER)
    names = {"folder": str(run_case(request, silent).folder)}
    code = [block.values[0] for block in blocks("python")]
    assert code
    for text in code:
        exec(compile(text, "documentation", "exec"), names)


def test_every_block_of_code_says_its_kind_and_every_kind_is_tested():
    kinds = {m[1] for page in PAGES for m in FENCE.finditer(page.read_text(encoding="utf-8"))}
    assert kinds <= {"console", "toml", "csv", "python"}


def test_generated_pages_are_fresh():
    done = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "fresh\n")


@pytest.mark.parametrize("name", ["ube-blood", "ube-blood-open"])
def test_the_licence_of_weights_is_the_one_that_their_bundle_states(name):
    words = " ".join((DOCS / "cite.md").read_text(encoding="utf-8").split())
    stated = load_bundle(find_bundle(name, models_dir())).metadata.licence
    assert re.search(rf"those of `{name}` are under {re.escape(stated)}[,.]", words)


def test_the_readme_says_the_rule_of_presence_that_the_default_bundle_has():
    words = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    rule = load_bundle(find_bundle(SegmentationConfig().model, models_dir())).metadata.presence
    assert (
        f"`ube-blood`: where at least {100 * rule.view_frac:g} % of it reaches a probability of "
        f"{rule.probability:g})"
    ) in words


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


def test_the_documentation_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path, required):
    try:
        import mkdocs  # noqa: F401
    except ImportError:
        required("docs", is_present=False)
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", tmp_path],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 7
    sources = r'<script[^>]*src|<link[^>]*rel="stylesheet"[^>]*href|<img[^>]*src'
    loads = re.compile(rf'(?:{sources})="(https?:)?//')
    for page in pages:
        assert not loads.search(page.read_text(encoding="utf-8")), page.name
