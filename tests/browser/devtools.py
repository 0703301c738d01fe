"""A real Chromium driven through the pipe of its DevTools protocol: keys, clicks, scripts.

One Chromium serves all tests of a process; each page has a context of its own, which shares no
cookie, storage or cache with any other and ends with it.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_PLACE_PIPES = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4);"
    " os.execvp(sys.argv[3], sys.argv[3:])"
)
KEY_CODES = {
    " ": 32,
    "Enter": 13,
    "Escape": 27,
    "PageUp": 33,
    "PageDown": 34,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowRight": 39,
    "ArrowUp": 38,
    "ArrowDown": 40,
    "Backspace": 8,
    "Tab": 9,
}


class Chromium:
    """A running Chromium: questions go down its pipe, answers and events come up."""

    def __init__(self, write_fd: int, read_fd: int) -> None:
        self._write_fd, self._read_fd = write_fd, read_fd
        self._buffer = b""
        self._n = 0

    def ask(
        self, session: str | None, on_event: Callable[[dict[str, Any]], None], method: str, **params
    ) -> dict[str, Any]:
        """Call a method in a session; what the session tells meanwhile goes to `on_event`."""
        self._n += 1
        message: dict[str, Any] = {"id": self._n, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self._write_fd, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._n:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            if answer.get("sessionId") == session:
                on_event(answer)

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            piece = os.read(self._read_fd, 1 << 16)
            if not piece:
                raise RuntimeError("Chromium ended")
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(line)

    @contextlib.contextmanager
    def page(self) -> Iterator[Page]:
        """Open a page in a context of its own, and close both."""
        context = self.ask(None, _ignored, "Target.createBrowserContext")["browserContextId"]
        try:
            yield Page(self, context)
        finally:
            self.ask(None, _ignored, "Target.disposeBrowserContext", browserContextId=context)


class Page:
    """One tab; `console` collects what it complained about."""

    def __init__(self, chromium: Chromium, context: str) -> None:
        self._chromium, self._context = chromium, context
        self._session: str | None = None
        self.console: list[str] = []
        self._session = self._attached(self.new_tab("about:blank"))
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def new_tab(self, url: str) -> str:
        """Open another tab beside this one, with the same cookies; return its target."""
        asked = {"url": url, "browserContextId": self._context}
        return self._chromium.ask(None, _ignored, "Target.createTarget", **asked)["targetId"]

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._chromium.ask(self._session, self._note, method, **params)

    def _attached(self, target: str) -> str:
        return self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.console.append(params["entry"]["text"])
        if event.get("method") == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.console.append(details.get("exception", {}).get("description", details["text"]))

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    def frame_run(self, script: str, *, is_awaited: bool = False, timeout_s: float = 20.0) -> Any:
        """Run a script in the only frame of the page; `is_awaited` until it is true."""
        started = time.monotonic()
        while True:
            value = self._frame_value(script)
            if value or not is_awaited:
                return value
            if time.monotonic() - started > timeout_s:
                raise TimeoutError(f"{script} is not so in the frame after {timeout_s} s")
            time.sleep(0.05)

    def _frame_value(self, script: str) -> Any:
        frames = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "iframe"]
        if not frames:
            return None
        page, self._session = self._session, self._attached(frames[0]["targetId"])
        try:
            return self.run(script)
        finally:
            self._session = page

    def wait(self, condition: str, timeout_s: float = 20.0) -> float:
        """Wait until a script is true; return the seconds that took."""
        started = time.monotonic()
        while time.monotonic() - started < timeout_s:
            if self.run(f"Boolean({condition})"):
                return time.monotonic() - started
            time.sleep(0.01)
        said = self.run("document.body && document.body.innerText.slice(0, 600)")
        raise TimeoutError(f"{condition} is not so after {timeout_s} s; the page says: {said}")

    def key(self, key: str, *, shift: bool = False, ctrl: bool = False) -> None:
        held = (8 if shift else 0) + (2 if ctrl else 0)
        text = key if len(key) == 1 and not ctrl else ("\r" if key == "Enter" else "")
        code = KEY_CODES.get(key, ord(key.upper()) if len(key) == 1 else 0)
        common = {"key": key, "windowsVirtualKeyCode": code, "modifiers": held}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def mouse(self, kind: str, x: float, y: float) -> None:
        buttons = 0 if kind == "mouseReleased" else 1
        self.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button="left",
            buttons=buttons,
            clickCount=1,
        )

    def size(self, width_px: int, height_px: int, scale: float = 1.0) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width_px,
            height=height_px,
            deviceScaleFactor=scale,
            mobile=False,
        )

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


def _ignored(event: dict[str, Any]) -> None:
    """What Chromium tells of itself interests nobody."""


def _high_pipe() -> tuple[int, int]:
    """Return a pipe whose ends lie above the numbers that Chromium wants."""
    low = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low]
    for end in low:
        os.close(end)
    return high[0], high[1]


@contextlib.contextmanager
def chromium(program: str, profile: Path) -> Iterator[Chromium]:
    """Start Chromium without a network of its own and close it whatever happens."""
    to_read, to_write = _high_pipe()
    from_read, from_write = _high_pipe()
    command = [
        program,
        "--headless=new",
        "--remote-debugging-pipe",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        f"--user-data-dir={profile}",
        "about:blank",
    ]

    # The protocol wants descriptors 3 and 4, whatever this process has open under those numbers: a
    # process of its own places them and becomes Chromium.
    process = subprocess.Popen(
        [sys.executable, "-SE", "-c", _PLACE_PIPES, str(to_read), str(from_write), *command],
        pass_fds=(to_read, from_write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(from_write)
    try:
        yield Chromium(to_write, from_read)
    finally:
        os.close(to_write)
        os.close(from_read)
        try:
            process.wait(5)  # it ends when nobody speaks to it, and cleans up behind itself
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
