"""How long a page takes to open in Chromium, and how smoothly it scrolls.

    python tests/perf/opening_in_a_browser.py audit.html [comparison.html …]

Speaks the DevTools protocol over pipes, so it needs nothing but the browser.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SCROLL = """
new Promise(done => {
  const frames = []; let last = performance.now(); let y = 0;
  const step = now => {
    frames.push(now - last); last = now; y += 400; window.scrollTo(0, y);
    if (y < document.documentElement.scrollHeight && frames.length < 200)
      requestAnimationFrame(step);
    else { frames.sort((a, b) => a - b);
      done({n: frames.length, median_ms: frames[frames.length >> 1],
            p95_ms: frames[Math.floor(frames.length * 0.95)],
            elements: document.querySelectorAll('*').length}); }
  };
  requestAnimationFrame(step);
})
"""
TIMING = "performance.getEntriesByType('navigation')[0].toJSON()"


class Browser:
    """A headless Chromium and the two pipes to it."""

    def __init__(self, profile: str) -> None:
        (to_read, self._out), (self._in, to_write) = os.pipe(), os.pipe()

        def arrange() -> None:
            one, other = os.dup(to_read), os.dup(to_write)
            os.dup2(one, 3)
            os.dup2(other, 4)
            os.set_inheritable(3, True)
            os.set_inheritable(4, True)

        self._process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--remote-debugging-pipe",
             f"--user-data-dir={profile}", "--window-size=1280,900", "about:blank"],
            preexec_fn=arrange, close_fds=False, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._pending, self._number, self._session = b"", 0, None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.ask("Page.enable")
        self.ask("Performance.enable")

    def ask(self, method: str, **params: object) -> dict:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        return self._until(lambda m: m.get("id") == self._number).get("result", {})

    def wait_for(self, event: str) -> None:
        self._until(lambda m: m.get("method") == event)

    def value_of(self, expression: str) -> dict:
        answer = self.ask(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        return answer["result"]["value"]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _until(self, is_it) -> dict:
        while True:
            while b"\0" in self._pending:
                first, _, self._pending = self._pending.partition(b"\0")
                message = json.loads(first)
                if is_it(message):
                    return message
            self._pending += os.read(self._in, 1 << 16)


def main() -> None:
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(profile)
        for name in sys.argv[1:]:
            path = Path(name).resolve()
            browser.ask("Page.navigate", url=path.as_uri())
            browser.wait_for("Page.loadEventFired")
            timing = browser.value_of(TIMING)
            scroll = browser.value_of(SCROLL)
            metrics = {
                m["name"]: m["value"] for m in browser.ask("Performance.getMetrics")["metrics"]
            }
            print(
                f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {scroll['elements']} elements; "
                f"load {timing['loadEventEnd']:.0f} ms, "
                f"layout {1000 * metrics['LayoutDuration']:.0f} ms, "
                f"style {1000 * metrics['RecalcStyleDuration']:.0f} ms; frame while scrolling "
                f"median {scroll['median_ms']:.1f} ms, 95 % {scroll['p95_ms']:.1f} ms "
                f"({scroll['n']} frames)"
            )
        browser.close()


if __name__ == "__main__":
    main()
