"""Small things that tests of several rooms use."""

import os
import signal
import time
from pathlib import Path

from pypdf import PdfReader

from ubereport.documents.page.pdf import PrintedReport

HALF_EPS = 2.0**-24
"""The most that one sum or product in fp32 is rounded by, as a share of it."""

TINY_TRAINING = """
name = "tiny"
steps = 2
batch_size = 2
side_px = 32
input_px = 32
initial = "random"
decoder_channels = [16, 12, 8, 8, 4]
validate_every = 2
n_threads = 1
device = "cpu"

[optimizer]
n_frozen_stages = 0

[data]
cache_side_px = 64
n_folds = 3
fold = 0
"""
"""Settings of a training run that takes a second or two."""

PLAIN_PDF = PrintedReport(b"%PDF", "none", "")


def printed_text(pdf: Path) -> str:
    """Return the text of a PDF, line by line as it stands on paper."""
    pages = PdfReader(pdf).pages
    return "\n".join(page.extract_text(extraction_mode="layout") for page in pages)


def copy_bytes(source: Path, target: Path, share: float = 1.0) -> Path:
    """Copy the first `share` of a file."""
    content = source.read_bytes()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content[: round(len(content) * share)])
    return target


def decoding_children() -> set[int]:
    """Return the decoding processes of this one that still run.

    Threads and processes end while they are counted, and are then none.
    """
    name = "ubereport.video.child"
    return {child for child in _children() if name in _text(Path(f"/proc/{child}/cmdline"))}


def unreaped_children() -> set[int]:
    """Return the processes of this one that have ended and that nothing has waited for."""
    return {
        child
        for child in _children()
        if _text(Path(f"/proc/{child}/stat")).rpartition(")")[2].startswith(" Z")
    }


def _children() -> set[int]:
    tasks = Path(f"/proc/{os.getpid()}/task")
    return {int(child) for task in tasks.iterdir() for child in _text(task / "children").split()}


def _text(path: Path) -> str:
    """Return what stands in a file of /proc; nothing if what it tells of has ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def plain_reports(monkeypatch):
    """Take stand-ins for a case's reports: rendering takes seconds."""
    monkeypatch.setattr("ubereport.documents.case.view_model.build_view_model", lambda *_: None)
    monkeypatch.setattr("ubereport.documents.case.rendering.render_html", lambda _: "html")
    monkeypatch.setattr(
        "ubereport.documents.case.rendering.render_pdf", lambda _, choice: PLAIN_PDF
    )


def fp32_roundings(network, n_each=1):
    """Return how far two processors may differ in fp32, as a share of the size of an answer.

    `n_each` roundings a product: 3 where two runtimes fold normalizations into weights, too.

    A value is a sum of as many products as its convolution has weights, each rounded by up to
    half an eps, in an order that the processor chooses. Independent errors add as the root of
    their number; six of their standard deviations hold for every one of 10^5 pixels.
    """
    kernels = (m.weight[0].numel() for m in network.modules() if hasattr(m, "kernel_size"))
    return 6 * HALF_EPS * (n_each * sum(kernels)) ** 0.5


def stay_whatever_is_asked(pipe):
    """Say so, and then do not end when asked to; for processes that are started."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pipe.send("here")
    time.sleep(60)


def assert_names_its_model(page: str) -> None:
    """Hold that a page names the model of `made_up_library`, what it errs and its limits."""
    for said in ("ube-blood, version 1.0", "no patients", "Made up.", "sensitivity 90 %",
                 "specificity 80 %", "12 with their own errors"):  # fmt: skip
        assert said in " ".join(page.replace(chr(160), " ").split())
