"""What commands say, and every error, is in the catalogs: no English left but names."""

import ast
import json
import re
from pathlib import Path

import pytest
from language.gathering import CHECKOUT, errors_script, languages_script, pseudo_translator
from made_up_library import make_library

from ubereport.cli import guard
from ubereport.cli.main import main
from ubereport.language.catalogs import RECORDED, read_catalog
from ubereport.language.languages import LANGUAGES

NOT_FOLLOWED = {
    # Errors whose text is made where the catalogs' script does not look, and what covers them.
    "DecodeError(f'lost {self._device} ({_reason(error)})')": "one word and a name",
    "DependencyError(problem)": "what no printer said of itself, an error each",
}
SPEAKING = {"_", "_n", "_p", "N_", "told", "told_as_typed"}
ECHOING = {"say", "say_rows", "say_table", "warn", "echo", "add_task", "Table"}
UNMARKED = {"ubereport: {words}", "ubereport {__version__}"}
"""What is said with nothing to translate around it."""
WORDS = re.compile(r"[A-Za-z]*[aeiou][A-Za-z]*(?: [A-Za-z]*[aeiou][A-Za-z]*)+")
"""Two English words in a row: in the made-up language every vowel has an accent."""
OF_LIBRARIES = re.compile(r"Expect(?:ed|ing) [^(]*(?:\([^)]*\))?")
"""What Python's readers of JSON and TOML say in our parentheses."""
OTHERS = [language for language in LANGUAGES if not language.is_english]


@pytest.fixture(scope="module")
def code():
    return errors_script.Code.read()


def test_every_error_is_made_of_texts_that_the_catalogs_know(code):
    gathered = {message for _file, message in languages_script.error_sentences()}
    unknown = set()
    for scope, call in code.error_calls():
        if errors_script.called(call) not in errors_script.ERRORS:
            continue
        texts = [t for t in code.texts_of(scope, call) if languages_script.is_sentence(t)]
        if not texts:
            unknown.add(ast.unparse(call))
        assert {s for t in texts for s in languages_script.one_by_one(t)} <= gathered
    assert unknown == set(NOT_FOLLOWED), (
        "The text of these errors was not found in the source. Write it where it is raised, as a "
        "string or an f-string, or say in NOT_FOLLOWED what covers it."
    )


@pytest.mark.parametrize("language", OTHERS, ids=lambda language: language.code)
def test_every_sentence_that_is_raised_is_translated(code, language):
    messages = read_catalog(language).messages
    raised = [
        sentence
        for name in errors_script.ERRORS
        for _scope, call in code.calls.get(name, [])
        for argument in call.args
        for sentence in languages_script.one_by_one(errors_script.text_of(argument))
    ]
    assert len(raised) > 600
    assert [s for s in raised if (RECORDED, s) not in messages] == []


def unmarked(node: ast.AST) -> list[str]:
    """Return the texts below a call that echoes and below nothing that translates."""
    if isinstance(node, ast.Call) and errors_script.called(node) in SPEAKING:
        return []
    text = errors_script.text_of(node)
    own = [text] if languages_script.is_sentence(text) and text not in UNMARKED else []
    return own + [each for child in ast.iter_child_nodes(node) for each in unmarked(child)]


def test_every_echo_of_a_command_is_marked():
    left = []
    for path in sorted((CHECKOUT / "ubereport" / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and errors_script.called(node) in ECHOING:
                left += [(path.name, text) for text in unmarked(node)]
    assert left == [], (
        f"Commands say this in English only: wrap it in _() of language.speaking. {left}"
    )


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command in the made-up language; return exit code and what it said."""
    monkeypatch.setattr(guard, "translator", lambda language: pseudo_translator())

    def run_command(*argv: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in argv])
        out, err = capsys.readouterr()
        return (0 if end.value.code is None else end.value.code), out + err

    return run_command


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("department") / "library"
    make_library(root, {"wax": [0.01 * i for i in range(1, 7)], "RF": [0.1, 0.2, 0.3, 0.25]})
    return root


def english_in(said: str) -> list[str]:
    return WORDS.findall(OF_LIBRARIES.sub("", said))


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


BAD_SETTINGS = (
    "[sampling]\nrate_hz = 100\n",
    "[sampling]\nrate = 1\n",
    "[sampling]\nmode = 'fast'\n",
    "[events]\nonset_frac = 0.01\noffset_frac = 0.5\n",
    "[view]\nn_probe_frames = 'many'\n",
    "[records]\nis_frames_kept = 3\n",
    "[sampling\n",
    "sampling = 3\n",
)


@pytest.mark.parametrize("text", BAD_SETTINGS)
def test_wrong_settings_are_told(run, tmp_path, text):
    recording = tmp_path / "a.mp4"
    recording.write_bytes(b"x")
    code, said = run(
        *("analyze", recording, "--out", tmp_path / "out"),
        *("--config", written(tmp_path / "settings.toml", text)),
    )
    assert code == 2
    assert english_in(said) == []


BAD_MANIFESTS = (
    "",
    "case_id;files\n",
    "case_id;files\nC1;none.mp4\n",
    "case_id;files;technique\nC1;;bone wx\n",
    "case_id;files;patient_name\nC1;a.mp4;x\n",
    "case_id;fils\nC1;a.mp4\n",
    "case_id;files;date\nC1;a.mp4;03/04/2026\nC1;a.mp4;yesterday\n",
    "case_id;files;levels;revision\nC1;a.mp4;two;perhaps\nC2;a.mp4;1.5;no\n",
    "case_id;files;use_times\nC1;a.mp4;12:30;11:00\n",
    "case_id;files;technique_times\n;a.mp4;13:00 12:00\n",
)


@pytest.mark.parametrize("text", BAD_MANIFESTS)
def test_what_is_wrong_with_a_manifest_is_told(run, tmp_path, text):
    (tmp_path / "a.mp4").write_bytes(b"x")
    code, said = run("batch", written(tmp_path / "cases.csv", text), "--check")
    assert code == 2
    assert english_in(said.replace("bone wx", "").replace("bone wax", "")) == []


def test_what_is_no_recording_is_told(run, tmp_path):
    text, empty, image = (tmp_path / name for name in ("a.mp4", "b.mp4", "c.mp4"))
    text.write_text("no recording\n" * 50)
    empty.write_bytes(b"")
    image.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    for part in (text, empty, image, tmp_path, tmp_path / "none.mp4"):
        code, said = run("analyze", part, "--out", tmp_path / "out", "--quiet")
        assert code in (2, 4)
        assert english_in(said) == [], part
    code, said = run("analyze", text, text, "--out", tmp_path / "out")
    assert english_in(said) == []
    code, said = run("analyze", text, "--out", text, "--quiet")
    assert english_in(said) == []


def test_errors_of_libraries_and_cases_are_told(run, tmp_path, library):
    (tmp_path / "case").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "case.json").write_text("{")
    (tmp_path / "broken" / "series.parquet").write_text("{")
    for argv in (
        ("library", "list", tmp_path / "none"),
        ("library", "show", library, "C-99"),
        ("compare", library, "--by", "techniqe", "--out", tmp_path / "out"),
        ("compare", library, "--by", "technique", "--out", library),
        ("compare", library, "--by", "technique", "--reference", "x", "--out", tmp_path / "out"),
        ("compare", library, "--by", "technique", "--primary", "share", "--out", tmp_path / "out"),
        ("compare", tmp_path / "none", "--by", "technique", "--out", tmp_path / "out"),
        ("audit", library, "--metric", "share", "--out", tmp_path / "out"),
        ("plan", library, "--by", "technique", "--margin", "-1"),
        ("plan", library, "--by", "technique", "--primary", "share"),
        ("report", tmp_path / "case"),
        ("report", tmp_path / "broken"),
        ("review", tmp_path / "case"),
        ("models", "prepare", tmp_path / "case"),
        ("batch", tmp_path / "none.csv", "--library", tmp_path / "l"),
        ("batch", tmp_path / "none.txt", "--library", tmp_path / "l"),
        ("simulate", "--out", tmp_path / "s", "--minutes", "-1"),
        ("evaluate", "recording", "--case", library / "x", "--truth", tmp_path),
        ("evaluate", "stills", "--images", tmp_path, "--masks", tmp_path, "--model", "hsv-red",
         "--out", tmp_path / "e"),
        ("train", "propose", tmp_path, "--out", tmp_path / "p"),
        ("train", "import", tmp_path / "none", "--out", tmp_path / "p", "--stills", tmp_path),
        ("train", "finetune", tmp_path / "none.toml", "--manifest", tmp_path / "none.csv"),
    ):  # fmt: skip
        code, said = run(*argv)
        assert code in (2, 4), argv
        assert english_in(said) == [], argv


def test_good_runs_are_told(run, tmp_path, library, bleeding_recording):
    analyze = ("analyze", bleeding_recording, "--out", tmp_path, "--model", "hsv-red", "--rate",
               "0.5", "--case-id", "C1", "--pdf", "never")  # fmt: skip
    said = [run(*analyze), run(*analyze, "--quiet")]
    (case,) = (path.parent for path in tmp_path.glob("*/case.json"))
    said += [
        run(*argv)
        for argv in (
            ("report", case, "--pdf", "never"),
            ("library", "list", tmp_path),
            ("library", "show", tmp_path, "C1"),
            ("plan", library, "--by", "technique"),
            ("compare", library, "--by", "technique", "--out", tmp_path / "c", "--pdf", "never"),
            ("audit", library, "--out", tmp_path / "a", "--pdf", "never"),
            ("models", "list"),
            ("models", "verify"),
        )
    ]
    assert [code for code, _ in said] == [0] * len(said)
    assert [
        english for _, text in said if (english := english_in(text.replace("Bone wax", "")))
    ] == []
    assert json.loads((case / "case.json").read_text())["case_id"] == "C1"
