"""The HTML report in a real browser, with the network off."""

import http.server
import re
import threading

import cv2
import numpy as np
import pytest
from browser.headless import complaints, run_browser
from documents import sample_record

from ubereport.core.config import EventConfig, MetricConfig
from ubereport.documents.case.rendering import render_html
from ubereport.documents.case.view_model import build_view_model
from ubereport.documents.page.marks import LOSS_WORDS
from ubereport.documents.page.text import clock

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    record = sample_record.case_record()
    sample_record.write_key_frames(record, folder, width_px=64)
    view = build_view_model(record, folder, EventConfig(), MetricConfig())
    path = folder / "report.html"
    path.write_text(render_html(view), encoding="utf-8")
    return path


def test_the_report_opens_without_a_complaint(browser, report, tmp_path):
    done = run_browser(browser, report.as_uri(), tmp_path, "--dump-dom")
    page = done.stdout.decode()
    assert "Case UBE-2026-017" in page
    assert page.count("<svg") >= 3
    assert "not for judging one person" in page
    assert complaints(done.stderr) == []


def test_a_broken_page_would_be_noticed(browser, report, tmp_path):
    broken = tmp_path / "broken.html"
    html = report.read_text(encoding="utf-8")
    broken.write_text(html.replace("</main>", "<script>alert(1)</script></main>"), encoding="utf-8")
    done = run_browser(browser, broken.as_uri(), tmp_path / "profile", "--dump-dom")
    assert any("Content Security Policy" in line for line in complaints(done.stderr))


@pytest.mark.parametrize(("width_px", "least_share"), [(1280, 0.04), (500, 0.04)])
def test_the_first_screen_is_painted(browser, report, tmp_path, width_px, least_share):
    picture = tmp_path / "screen.png"
    run_browser(
        browser,
        report.as_uri(),
        tmp_path / "profile",
        f"--screenshot={picture}",
        f"--window-size={width_px},1000",
    )
    pixels = cv2.imread(str(picture))
    assert pixels.shape[1] == width_px
    dark = pixels.max(axis=2) < 160
    assert dark.mean() > least_share
    # Nothing runs out of the page: the outermost columns stay white.
    assert not dark[:, -8:].any()
    # The headline is dark red.
    blue, _, red = (pixels[..., k].astype(int) for k in range(3))
    assert ((red - blue > 60) & dark).any()


def test_opening_the_report_asks_no_server(browser, report, tmp_path):
    asked = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = report.read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/report.html"
            done = run_browser(browser, url, tmp_path, "--dump-dom", "--host-resolver-rules=")
        finally:
            server.shutdown()
            thread.join()
    assert re.search(rb"Case UBE-2026-017", done.stdout)
    # Browsers ask every server for an icon by themselves.
    assert [path for path in asked if path != "/favicon.ico"] == ["/report.html"]


@pytest.fixture
def opened(tab, report):
    tab.size(1280, 900)
    tab.open(report.as_uri())
    tab.wait("document.querySelector('.time-said')")
    return tab


def test_the_timeline_tells_what_lies_under_the_pointer(opened, report):
    record = sample_record.case_record()
    box = opened.run("document.querySelector('.time-reader').getBoundingClientRect().toJSON()")
    end_s = float(record.series.end_time_s[-1])
    event = record.events[2]
    at_s = (event.onset_s + event.end_s) / 2
    opened.mouse("mouseMoved", box["x"] + box["width"] * at_s / end_s, box["y"] + 40)
    said = opened.run("document.querySelector('.time-said').textContent")
    assert said.startswith(clock(at_s)[:5])
    assert "of the view obscured · event 3" in said
    lost = np.flatnonzero(record.series.duration_s * ~record.series.is_valid > end_s / 300)[0]
    at_s = float(record.series.time_s[lost] + record.series.duration_s[lost] / 2)
    opened.mouse("mouseMoved", box["x"] + box["width"] * at_s / end_s, box["y"] + 40)
    said = opened.run("document.querySelector('.time-said').textContent")
    assert said == (
        f"{clock(record.series.time_s[lost] - 0.5)} · "
        f"lost: {LOSS_WORDS[record.series.reason[lost]]}"
    )
    assert opened.console == []


def test_the_timeline_is_read_by_keys_and_leads_to_pictures(opened):
    record = sample_record.case_record()
    opened.run("document.querySelector('.time-reader').focus()")
    value = "document.querySelector('.time-reader').getAttribute('aria-valuetext')"
    assert opened.run(value).startswith("0:00:00 · ")
    opened.key("ArrowRight")
    assert opened.run(value).startswith(clock(record.series.time_s[1] - 0.5))
    for number in (1, 2):
        opened.key("PageDown")
        assert opened.run(value).endswith(f"event {number}")
    opened.key("Enter")
    assert opened.run("location.hash") == "#event-2-stills"
    assert opened.run("document.getElementById('event-2-stills').getBoundingClientRect().top < 900")
    assert opened.console == []


def test_an_event_row_leads_to_its_pictures(opened):
    row = "document.getElementById('event-4')"
    opened.run(f"{row}.scrollIntoView({{block: 'center'}})")
    box = opened.run(f"{row}.lastElementChild.getBoundingClientRect().toJSON()")
    at = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    opened.mouse("mousePressed", *at)
    opened.mouse("mouseReleased", *at)
    opened.wait("location.hash === '#event-4-stills'", 5.0)
