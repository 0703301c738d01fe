"""What a test on Linux can show of Windows and macOS: no system's own part is taken for granted."""

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests_support import copy_bytes

from ubereport.files import system

PACKAGE = Path(__file__).resolve().parents[1] / "ubereport"
SOURCES = sorted(PACKAGE.rglob("*.py"))
FOREIGN_MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "msvcrt", "winreg", "posix"}
# Every use of a part that some system lacks, and what stands in its place there.
ALLOWED = {
    ("files/atomic.py", "renameat2"): "Linux alone; elsewhere the old folder is moved aside first",
    ("files/system.py", "O_NOFOLLOW"): "left out where the system has no such flag",
    ("files/system.py", "O_NONBLOCK"): "left out where the system has no such flag",
    ("documents/page/chromium.py", "geteuid"): "asked for by hasattr: Windows has no root",
    ("documents/page/chromium.py", "killpg"): "not on Windows: children end with the browser",
    ("documents/page/chromium.py", "SIGKILL"): "not on Windows: children end with the browser",
    ("laboratory/installation.py", "sysconf"): "asked for by hasattr: memory is then not told",
    ("laboratory/training/made_stills.py", "fork"): "asked for: without it one process makes all",
    ("video/child.py", "/proc"): "no bound on memory where there is no /proc",
    ("video/child.py", "RLIMIT_AS"): "no bound on memory where there is no module resource",
    ("video/child.py", "RLIMIT_DATA"): "no bound on memory where there is no module resource",
    ("video/child.py", "setrlimit"): "no bound on memory where there is no module resource",
    ("video/decode.py", "sched_getaffinity"): "asked for by hasattr: all cores are counted",
    ("video/shared_pictures.py", "memfd_create"): "asked for by hasattr: a temporary file",
    ("video/shared_pictures.py", "fork"): "asked for by hasattr: without it files have names",
}
PARTS = re.compile(
    r"\b(fork|forkpty|geteuid|getuid|sched_getaffinity|killpg|setsid|pread|pwrite|memfd_create|"
    r"sysconf|mkfifo|O_NOFOLLOW|O_NONBLOCK|O_DIRECTORY|SIGKILL|SIGHUP|SIGALRM|AF_UNIX|prctl|"
    r"RLIMIT_\w+|setrlimit|renameat2|preexec_fn|set_start_method)\b|/dev/shm|(/proc)/"
)


def code_of(path):
    """Return a file without its comments and docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            first.value.value = ""
    return ast.unparse(tree)


def test_every_part_that_a_system_lacks_is_stated():
    found = {
        (path.relative_to(PACKAGE).as_posix(), match[2] or match[0])
        for path in SOURCES
        for match in PARTS.finditer(code_of(path))
    }
    assert ("video/shared_pictures.py", "fork") in found
    assert found - set(ALLOWED) == set()


def test_no_module_of_one_system_is_imported_at_the_top():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            assert not {name.split(".")[0] for name in names} & FOREIGN_MODULES, path


def test_text_is_read_and_written_in_one_encoding():
    bare = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            given = {keyword.arg for keyword in node.keywords}
            if node.func.attr == "read_text" and not given & {"encoding"} and not node.args:
                bare.append(f"{path.name}:{node.lineno}")
            if node.func.attr == "write_text" and not given & {"encoding"}:
                bare.append(f"{path.name}:{node.lineno}")
    assert bare == []


# Loaded by every Python process of the run, since it lies on PYTHONPATH.
BARE_SYSTEM = """
import ctypes, importlib.util, multiprocessing, os, pathlib, subprocess, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {"fcntl", "resource", "pwd", "grp", "termios"}:
            raise ImportError(name)

for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Absent())
for name in ("fork", "forkpty", "geteuid", "getuid", "sched_getaffinity", "memfd_create", "pread",
             "pwrite", "sysconf", "killpg"):
    if hasattr(os, name):
        delattr(os, name)
multiprocessing.set_start_method("spawn")
# After subprocess, which takes a system with this module for Windows.
spec = importlib.util.spec_from_file_location("msvcrt", pathlib.Path(__file__).parent / "locks.py")
sys.modules["msvcrt"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["msvcrt"])
with open(os.environ["PORTABILITY_LOG"], "a") as log:
    log.write(" ".join(sys.orig_argv[1:4]) + "\\n")
"""
# Windows' locks, made of flock: one byte far behind the file is as good as the whole of it.
MSVCRT = """
import ctypes
LK_NBLCK = 2
_libc = ctypes.CDLL(None, use_errno=True)

def locking(descriptor, mode, n_bytes):
    if _libc.flock(descriptor, 2 | 4):
        raise PermissionError(13, "Permission denied")
"""


@pytest.fixture
def bare_system(tmp_path, monkeypatch):
    """A Python without what Windows lacks, for this run and every process that it starts."""
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BARE_SYSTEM)
    (folder / "locks.py").write_text(MSVCRT)
    settings = tmp_path / "settings.toml"
    settings.write_text('[segmentation]\nmodel = "hsv-red"\n[records]\nis_frames_kept = false\n')
    log = tmp_path / "started"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(PACKAGE.parent)]),
        "PORTABILITY_LOG": str(log),
    }

    def run(*words):
        argv = [sys.executable, "-m", "ubereport", *map(str, words), "--config", str(settings)]
        return subprocess.run(
            argv, env=environment, capture_output=True, text=True, check=False, timeout=240
        )

    run.log = log
    return run


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("run.json", "manifest.json")
    }


@pytest.mark.slow
def test_analyze_and_batch_run_where_every_child_is_spawned_and_posix_parts_are_absent(
    bleeding_recording, tmp_path, bare_system
):
    manifest = tmp_path / "cases.csv"
    copies = [copy_bytes(bleeding_recording, tmp_path / f"{k}.mp4") for k in "12"]
    rows = [f"C{k},{copy}" for k, copy in enumerate(copies, start=1)]
    manifest.write_text("\n".join(["case_id,files", *rows]) + "\n")
    options = ("--pdf", "never", "--quiet", "--json")
    done = bare_system("batch", manifest, "--library", tmp_path / "bare-out", "--jobs", 2, *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n_done"] == 2
    words = ("analyze", copies[0], "--out", tmp_path / "one", "--case-id", "C1", *options)
    done = bare_system(*words)
    assert done.returncode == 0, done.stderr
    case = Path(json.loads(done.stdout)["case_folder"])
    # The same bytes as from a worker of the batch, and no file of the rings is left.
    assert digests(case) == digests(tmp_path / "bare-out" / case.name)
    started = bare_system.log.read_text()
    assert started.count("ubereport.video.child") >= 3
    assert "multiprocessing.spawn" in started
    assert not [p for p in (tmp_path / "one").iterdir() if p.name.endswith(".lock")]


def test_the_bare_system_lacks_what_it_should(tmp_path, bare_system):
    done = bare_system("doctor", "--help")
    assert done.returncode == 2  # doctor takes no --config; it ran as far as its own parser
    probe = "import os, sys; import fcntl"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "bare"),
                   "PORTABILITY_LOG": str(tmp_path / "log")}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", probe], env=environment, capture_output=True, text=True, check=False
    )
    assert "ImportError: fcntl" in done.stderr


def test_a_console_without_our_signs_loses_no_result():
    code = "from ubereport.cli.console import say\nimport typer\nimport ubereport.cli.main as m\n"
    code += "m.app = lambda **_: say('area \\u2265 20 %')\nm.main([])\n"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, rb"area \u2265 20 %")


def test_windows_patience_with_files_that_are_open(tmp_path, monkeypatch):
    monkeypatch.setattr(system, "IS_WINDOWS", True)
    source, target = tmp_path / "new", tmp_path / "old"
    source.write_text("new")
    target.write_text("old")
    refusals = iter([PermissionError(13, "in use")] * 3)
    real = Path.replace

    def busy(self, other):
        refusal = next(refusals, None)
        if refusal is not None:
            raise refusal
        return real(self, other)

    monkeypatch.setattr(Path, "replace", busy)
    system.replace(source, target)
    assert target.read_text() == "new"
    refusals = iter([PermissionError(13, "in use")] * 10_000)
    monkeypatch.setattr(system, "_PATIENCE_S", 0.2)
    source.write_text("newer")
    with pytest.raises(PermissionError):
        system.replace(source, target)
    assert target.read_text() == "new"


def test_a_system_without_locks_is_told(monkeypatch, tmp_path):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(system.importlib, "import_module", absent)
    with (tmp_path / "lock").open("w") as file, pytest.raises(system.DependencyError):
        system.try_lock(file.fileno())


MAKEFILE = PACKAGE.parent / "Makefile"


@pytest.mark.slow
def test_three_levels_of_instructions_are_held_to():
    """`make test-portable` has three levels; the first two hold torch and the choice of bf16."""
    makefile = MAKEFILE.read_text(encoding="utf-8")
    paths = re.search(r"^PORTABLE := (.+)$", makefile, re.MULTILINE)[1].split()
    assert len(paths) > 3
    assert all((MAKEFILE.parent / path).exists() for path in paths)
    steps = re.search(r"^test-portable:.*\n((?:\t.+\n)+)", makefile, re.MULTILINE)[1].splitlines()
    levels = [dict(re.findall(r"(\w+_(?:CAPABILITY|ISA))=(\w+)", step)) for step in steps]
    assert [level.get("ATEN_CPU_CAPABILITY") for level in levels] == ["avx2", "avx512", None]
    assert [level.get("ONEDNN_MAX_CPU_ISA") for level in levels] == ["AVX2", "AVX512_CORE", None]
    code = (
        "import torch; from ubereport.segmentation.devices import cpu_gains_from_bf16; "
        "print(torch.backends.cpu.get_cpu_capability(), cpu_gains_from_bf16())"
    )
    for level in levels[:2]:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **level}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        capability, gains_from_bf16 = done.stdout.split()
        assert gains_from_bf16 == "False"
        assert level["ATEN_CPU_CAPABILITY"] == "avx512" or capability != "AVX512"
