"""A review by keys alone in a real Chromium, as one person does it, key by key.

    python -m tests.perf.keyed_review CASE --recording FILE... --out DIR [--keys PLAN] [--who SIM]

Without --keys it only looks: pictures at 10, 30, 50, 70 and 90 % of each event are kept as
screenshots to decide by. With --keys it plays the file: keys apart by spaces or lines
(`shift+ArrowRight`, `+`, `Space`), what follows # is a note. Of every key it keeps the seconds
until the page was at rest, a screenshot, and what the page said (keys.csv); at the end the report
is rendered by keys, too. Prints keys, seconds and the headline before and after. CASE is changed by
it: give a copy. A person's thinking takes longer than the seconds that it prints.
"""

import argparse
import contextlib
import csv
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.browser.devtools import Page, chromium
from ubereport.files.records.store import read_case

LOOKED_AT = (0.1, 0.3, 0.5, 0.7, 0.9)
SAID = ("progress", "headline", "where", "said", "note")
AT_REST = "document.getElementById('picture').dataset.exact === '1'"
SHOWN = ("impaired_share_20", "impaired_share_5", "area_mean_frac", "event_count")


@contextlib.contextmanager
def opened(case: Path, recordings: list[Path], who: str) -> Iterator[Page]:
    """Serve the case and open it; yield the page once its first picture stands."""
    named = [word for path in recordings for word in ("--recording", str(path))]
    command = [sys.executable, "-m", "ubereport", "review", str(case), *named, "--no-browser"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
    ):
        try:
            address = server.stdout.readline().strip()
            with (
                chromium(shutil.which("chromium"), Path(profile)) as running,
                running.page() as page,
            ):
                page.size(1280, 720)
                page.open(address)
                page.wait("document.getElementById('who')?.open")
                for letter in who:
                    page.key(letter)
                page.key("Enter")
                page.wait(AT_REST)
                yield page
        finally:
            server.terminate()


def look(page: Page, out: Path) -> None:
    """Go to each event and keep what is to be seen of it."""
    events = page.run("fetch('/api/cases/0/review?reviewer=LOOK').then((a) => a.json())")["events"]
    for number, event in enumerate(events, 1):
        length_s = event["end_s"] - event["onset_s"]
        for share in LOOKED_AT:
            at_s = event["onset_s"] + share * length_s
            page.run(f"location.hash = 'at-{at_s:.3f}'")
            rest(page)
            page.screenshot(out / f"event-{number:02d}-{round(100 * share)}.png")
        print(number, f"{event['onset_s']:.1f} to {event['end_s']:.1f} s", event["peak_area_frac"])


def rest(page: Page) -> None:
    """Wait until the picture asked for stands, with its mask where it has one."""
    time.sleep(0.3)  # until then the nearest picture has taken the place of the one before
    page.wait(AT_REST)
    with contextlib.suppress(TimeoutError):
        page.wait("document.getElementById('overlay').width > 1", 6.0)


def press(page: Page, name: str) -> None:
    held, key = ("", name) if name == "+" else name.rpartition("+")[::2]
    page.key(" " if key == "Space" else key, shift="shift" in held, ctrl="ctrl" in held)


def play(page: Page, keys: list[str], out: Path) -> float:
    """Press the keys; write keys.csv and a screenshot of each; return the seconds."""
    started = time.monotonic()
    with (out / "keys.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("number", "key", "seconds", *SAID))
        for number, name in enumerate(keys, 1):
            pressed = time.monotonic()
            press(page, name)
            rest(page)
            seconds = round(time.monotonic() - pressed, 2)
            said = [page.run(f"document.getElementById('{id_}').innerText") for id_ in SAID]
            rows.writerow((number, name, seconds, *(" ".join(words.split()) for words in said)))
            page.screenshot(out / f"key-{number:03d}.png")
    return time.monotonic() - started


def render(page: Page) -> tuple[int, float]:
    """Render the report by keys: Tab to its button, Enter. Return keys and seconds."""
    started = time.monotonic()
    n_keys = 1
    while page.run("document.activeElement.id") != "render":
        page.key("Tab")
        n_keys += 1
    page.key("Enter")
    page.wait("document.getElementById('said').textContent.includes('rendered again')", 60)
    return n_keys, time.monotonic() - started


def plan_of(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [key for line in lines for key in line.partition("#")[0].split()]


def tell_numbers(case: Path) -> None:
    record = read_case(case)
    for key in SHOWN:
        after = None if record.review is None else record.review.metric(key).value
        print(f"{key}: {record.metric(key).value} measured, {after} after review")
    if record.review is not None:
        print(f"state: {record.review.state}, estimated: {record.review.estimated_s:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", type=Path)
    parser.add_argument("--recording", type=Path, nargs="+", default=[])
    parser.add_argument("--keys", type=Path)
    parser.add_argument("--who", default="SIM")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with opened(options.case, options.recording, options.who) as page:
        page.screenshot(options.out / "before.png")
        if options.keys is None:
            look(page, options.out)
            return
        keys = plan_of(options.keys)
        seconds = play(page, keys, options.out)
        n_more, render_s = render(page)
        page.screenshot(options.out / "after.png")
        print(
            f"{len(keys)} keys, {seconds:.0f} s; {n_more} more and {render_s:.1f} s for the report"
        )
        print("console:", page.console)
    tell_numbers(options.case)


if __name__ == "__main__":
    main()
