"""Size limits, room rules and start-up cost, checked by machine."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "ubereport"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 80
DOORS = {
    "av": ["video/pyav.py"],
    "decord": ["video/decord.py"],
    "pydicom": ["video/dicom.py"],
    "openvino": ["segmentation/openvino.py"],
    "onnx": ["segmentation/onnx_graph.py"],
    "onnx_ir": ["segmentation/onnx_graph.py"],
    "onnxscript": ["segmentation/onnx_graph.py"],
    "ray": ["batch/engine/ray.py"],
    "babel": ["language/catalogs.py", "language/translator.py"],
    "fontTools": ["documents/page/fonts.py"],
    "matplotlib": ["documents/page/plot.py"],
    "jinja2": ["documents/page/html.py"],
    "weasyprint": ["documents/page/weasyprint.py"],
    "starlette": ["review/desk/gate.py", "review/desk/web.py"],
    "uvicorn": ["review/desk/serve.py"],
}


ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "av", "decord", "openvino", "ray"}:
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
"""


def functions_over(source: str, limit: int) -> list[str]:
    return [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > limit
    ]


def top_imports(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_limits_can_be_exceeded():
    long_function = "def f():\n" + "    x = 1\n" * 90
    assert functions_over(long_function, MAX_FUNCTION_LINES) == ["f: 91 lines"]
    assert top_imports("import av.container\nfrom ray import get") == {"av", "ray"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_files_and_functions_stay_small(path):
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= MAX_FILE_LINES
    assert functions_over(source, MAX_FUNCTION_LINES) == []


def test_no_conflict_of_two_versions_is_left():
    root = PACKAGE.parent
    kept = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True
    ).stdout.split(b"\0")
    marked = [
        name.decode()
        for name in kept
        if name
        and (root / name.decode()).is_file()
        and any(
            line.startswith((b"<" * 7 + b" ", b">" * 7 + b" "))
            for line in (root / name.decode()).read_bytes().split(b"\n")
        )
    ]
    assert marked == []


@functools.cache
def imports_of_files():
    return {
        path.relative_to(PACKAGE).as_posix(): top_imports(path.read_text(encoding="utf-8"))
        for path in SOURCES
    }


@pytest.mark.parametrize("library", DOORS)
def test_heavy_libraries_have_one_door(library):
    importers = {file for file, names in imports_of_files().items() if library in names}
    assert importers <= set(DOORS[library])


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(' '.join(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("room", ["documents", "cohort", "files", "metrics", "review"])
def test_rooms_after_the_series_run_without_decoders_and_torch(room):
    names = [
        f"ubereport.{p.relative_to(PACKAGE).with_suffix('').as_posix().replace('/', '.')}"
        for p in (PACKAGE / room).rglob("*.py")
        if p.name != "__init__.py" and "desk" not in p.parts  # the review page shows pictures
    ]
    loaded = modules_after(ABSENT + "".join(f"import {name}\n" for name in names))
    assert "ubereport" in loaded
    assert not loaded & {"torch", "av", "decord", "openvino", "ray"}


def test_what_serves_a_review_leaves_decoders_to_other_processes():
    loaded = modules_after("import ubereport.review.desk.serve, ubereport.review.desk.shelf")
    assert "starlette" in loaded
    assert not loaded & {"av", "decord", "torch", "openvino", "matplotlib", "weasyprint"}


def test_absent_libraries_cannot_be_imported():
    with pytest.raises(subprocess.CalledProcessError):
        modules_after(ABSENT + "import torch")


def test_help_loads_no_heavy_library():
    loaded = modules_after(
        "from ubereport.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code in (0, None)\n"
    )
    assert not loaded & {"torch", "av", "decord", "cv2", "pandas", "scipy", "matplotlib", "ray"}


def test_no_test_moves_the_places_that_others_import_from() -> None:
    """`from conftest import …` finds another file once a folder of tests has put itself first."""
    moved = [
        path.name
        for path in Path(__file__).parent.rglob("*.py")
        for line in ast.parse(path.read_text(encoding="utf-8")).body
        if ast.unparse(line).startswith("sys.path.")
    ]
    assert moved == []


def test_a_decoding_process_starts_without_what_checks_records():
    """One is started for every part of a recording; pydantic would be a third of its start."""
    children = ("child", "pyav_reader", "moment_child", "scan")
    loaded = modules_after("".join(f"import ubereport.video.{name}\n" for name in children))
    assert "av" in loaded
    assert not loaded & {"pydantic", "torch", "matplotlib", "pandas", "scipy"}
