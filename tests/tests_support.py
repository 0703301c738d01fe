"""Small things that tests of several rooms use."""

from pathlib import Path

from ubereport.report.pdf import PrintedReport

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
