"""Nothing is asked of the network by a whole run, by any of its processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Loaded by every Python process of the run: addresses asked for and connections made are noted and
# refused.
WATCH = """
import os, socket
def _noted(what):
    def refuse(*args, **kwargs):
        with open(os.environ["NETWORK_LOG"], "a") as log:
            log.write(f"{what} {args[:2]}\\n")
        raise OSError("no network here")
    return refuse
socket.getaddrinfo = _noted("getaddrinfo")
_connect = socket.socket.connect
def connect(self, address):
    if self.family != getattr(socket, "AF_UNIX", None):
        _noted("connect")(address)
    return _connect(self, address)
socket.socket.connect = connect
socket.socket.connect_ex = connect
"""


def watched(tmp_path: Path, *argv: str) -> tuple[str, Path]:
    """Run a Python program under watch; return what it asked of the network, and its home."""
    site, home, log = tmp_path / "site", tmp_path / "home", tmp_path / "network.log"
    site.mkdir()
    home.mkdir()
    (site / "sitecustomize.py").write_text(WATCH)
    # Some packages report their use, but not where they are built and tested.
    told = {"CI", "CONTINUOUS_INTEGRATION", "BUILD_NUMBER", "GITHUB_ACTIONS", "TF_BUILD"}
    env = {name: value for name, value in os.environ.items() if name not in told}
    env |= {"PYTHONPATH": str(site), "HOME": str(home), "NETWORK_LOG": str(log)}
    done = subprocess.run([sys.executable, *argv], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return (log.read_text() if log.exists() else ""), home


def test_the_watch_sees_what_is_asked(tmp_path):
    asked = "import socket\ntry:\n socket.create_connection(('example.org', 80))\nexcept OSError: 0"
    assert "example.org" in watched(tmp_path, "-c", asked)[0]


@pytest.mark.slow
def test_an_analysis_with_the_shipped_model_asks_nothing(bleeding_recording, tmp_path):
    argv = ["-m", "ubereport", "analyze", str(bleeding_recording), "--out", str(tmp_path / "out")]
    argv += ["--case-id", "K1", "--model", "ube-blood", "--rate", "1", "--sampling", "uniform"]
    argv += ["--pdf", "never"]  # printing has a test of its own, with sockets blocked
    asked, home = watched(tmp_path, *argv, "--quiet")
    assert asked == ""
    assert list(tmp_path.glob("out/*/report.html"))
    # OpenVINO keeps the id by which it reports its use there.
    assert not (home / "intel").exists()
