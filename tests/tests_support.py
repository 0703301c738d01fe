"""Small things that tests of several rooms use."""

from pathlib import Path

from ubereport.report.pdf import PrintedReport

HALF_EPS = 2.0**-24
"""The most that one sum or product in fp32 is rounded by, as a share of it."""

PLAIN_PDF = PrintedReport(b"%PDF", "none", "")


def copy_bytes(source: Path, target: Path, share: float = 1.0) -> Path:
    """Copy the first `share` of a file."""
    content = source.read_bytes()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content[: round(len(content) * share)])
    return target


def plain_reports(monkeypatch):
    """Take stand-ins for a case's reports: rendering takes seconds."""
    monkeypatch.setattr("ubereport.report.view_model.build_view_model", lambda *_: None)
    monkeypatch.setattr("ubereport.report.html.render_html", lambda _: "html")
    monkeypatch.setattr("ubereport.report.pdf.render_pdf", lambda _, choice: PLAIN_PDF)


def fp32_roundings(network):
    """Return how far two processors may differ in fp32, as a share of the size of an answer.

    A value is a sum of as many products as its convolution has weights, each rounded by up to
    half an eps, in an order that the processor chooses. Independent errors add as the root of
    their number; six of their standard deviations hold for every one of 10^5 pixels.
    """
    kernels = (m.weight[0].numel() for m in network.modules() if hasattr(m, "kernel_size"))
    return 6 * HALF_EPS * sum(kernels) ** 0.5
