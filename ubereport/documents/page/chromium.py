"""Chromium, Chrome or Edge as a printer: no window, no network, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ubereport.core.errors import DependencyError

NO_BROWSER = "there is no Chromium, Chrome or Edge"
WATCHDOG_S = 120.0
_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "microsoft-edge-stable",
    "msedge",
)
_MAC_APPLICATIONS = ("Google Chrome", "Chromium", "Microsoft Edge")
_WINDOWS_PROGRAMS = (
    r"Google\Chrome\Application\chrome.exe",
    r"Chromium\Application\chrome.exe",
    r"Microsoft\Edge\Application\msedge.exe",
)
_WINDOWS_ROOTS = ("ProgramFiles", "ProgramFiles(x86)", "LocalAppData")
_SWITCHES = (
    "--headless",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-crash-reporter",
    "--disable-component-update",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--password-store=basic",
    "--use-mock-keychain",
    # No name resolves and no address answers. The page itself forbids loads and scripts too.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=127.0.0.1:9",
    "--no-pdf-header-footer",
    "--generate-pdf-document-outline",
)
_PRODUCER = re.compile(rb"/Producer \(Skia/PDF m([0-9]+)\)")
_NODE = re.compile(rb"\(node([0-9]{8})\)")
_DATE = re.compile(rb"(/(?:CreationDate|ModDate) \(D:)[0-9]{14}")


def find_chromium() -> Path | None:
    """Return a browser that can print, or None: one on the PATH, else where they install."""
    on_path = (shutil.which(name) for name in _NAMES)
    program = next((Path(program) for program in on_path if program), None)
    return program or next((path for path in _usual_places(sys.platform) if path.is_file()), None)


def _usual_places(platform: str) -> list[Path]:
    if platform == "darwin":
        applications = (Path("/Applications"), Path.home() / "Applications")
        return [
            root / f"{name}.app" / "Contents" / "MacOS" / name
            for root in applications
            for name in _MAC_APPLICATIONS
        ]
    if platform == "win32":
        roots = tuple(Path(os.environ[name]) for name in _WINDOWS_ROOTS if name in os.environ)
        return [root / program for root in roots for program in _WINDOWS_PROGRAMS]
    return []


def print_with_chromium(html: str, watchdog_s: float = WATCHDOG_S) -> tuple[bytes, str]:
    """Set a page as a tagged PDF; return it and which browser made it.

    The same page gives the same bytes with the same browser.

    The browser gets a home and a profile that are removed afterwards, and is ended after
    `watchdog_s` seconds.

    Raises
    ------
    DependencyError
        If there is no browser, it does not end in time, or it prints nothing.
    """
    program = find_chromium()
    if program is None:
        raise DependencyError(NO_BROWSER)
    with tempfile.TemporaryDirectory(prefix="ubereport-print-", ignore_cleanup_errors=True) as home:
        scratch = Path(home)
        page, printed = scratch / "page.html", scratch / "page.pdf"
        page.write_text(html, encoding="utf-8")
        command = [
            str(program),
            *_SWITCHES,
            *_unsandboxed(),
            f"--user-data-dir={scratch / 'profile'}",
            f"--print-to-pdf={printed}",
            page.as_uri(),
        ]
        _run_bounded(command, _home_in(scratch), watchdog_s)
        # What was printed counts, not how the browser said that it ended.
        content = printed.read_bytes() if printed.is_file() else b""
    if not content.startswith(b"%PDF"):
        raise DependencyError("the browser that should print gave no PDF.")
    return _reproducible(content), _name(program, content)


def _reproducible(content: bytes) -> bytes:
    """Take out what makes two equal reports differ, byte for byte, so that offsets stay.

    That is the time of printing, and how the browser happened to count the nodes that tags
    refer to.
    """
    content = _DATE.sub(rb"\g<1>19700101000000", content)
    ranks = {number: k for k, number in enumerate(sorted(set(_NODE.findall(content))))}
    return _NODE.sub(lambda node: b"(node%08d)" % ranks[node[1]], content)


def _name(program: Path, content: bytes) -> str:
    """Name the browser; its version is in what it printed, and asking Windows' opens a window."""
    stem = program.stem.lower()
    kind = "Edge" if "edge" in stem else "Chrome" if "chrome" in stem else "Chromium"
    version = _PRODUCER.search(content)
    return kind if version is None else f"{kind} {version[1].decode('ascii')}"


def _unsandboxed() -> list[str]:
    """Chromium refuses its sandbox to root; the page has no script that it would hold."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return ["--no-sandbox"] if is_root else []


def _home_in(scratch: Path) -> Mapping[str, str]:
    homes = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")
    return {**os.environ, **dict.fromkeys(homes, str(scratch / "home"))}


def _run_bounded(command: list[str], environment: Mapping[str, str], watchdog_s: float) -> None:
    try:
        process = subprocess.Popen(  # noqa: S603 -- a browser found on this machine
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # its own group, which can be ended as a whole
        )
    except OSError as error:
        raise DependencyError("the browser that should print cannot be started.") from error
    try:
        process.wait(watchdog_s)
    except subprocess.TimeoutExpired:
        raise DependencyError(
            f"the browser that should print did not end within {watchdog_s:g} s."
        ) from None
    finally:
        _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a browser with its own children; on Windows they end with it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
