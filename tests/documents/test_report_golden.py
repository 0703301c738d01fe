"""The usual report against a kept copy: whatever changes in it is seen in review.

Styles, fonts, pictures and drawings are left out (a drawing is kept as its labels), so that the
copy says what the report says. Write it anew with ``python tests/golden/update_report.py``.
"""

import os
import re
from pathlib import Path

from ubereport.documents.case.rendering import render_html

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "report_case.html"


def skeleton(html: str) -> str:
    """Return the page without styles, encoded content, drawings and the numbers for players."""
    html = re.sub(r"<style>.*?</style>", "<style></style>", html, flags=re.DOTALL)
    html = re.sub(r'(data:[a-z/0-9]+;base64),[^"]*', r"\1", html)
    html = re.sub(r'(id="case-data">).*?(</script>)', r"\1\2", html, flags=re.DOTALL)
    html = re.sub(r"<svg .*?</svg>", labels_of, html, flags=re.DOTALL)
    lines = (line.strip() for line in html.splitlines())
    return "\n".join(line for line in lines if line) + "\n"


def labels_of(drawing: re.Match) -> str:
    name = re.search(r"<title>(.*?)</title>", drawing[0])[1]
    labels = re.findall(r"<text[^>]*>([^<]*)</text>", drawing[0])
    return f"<svg>{name}: {' | '.join(labels)}</svg>"


def test_the_usual_report_is_as_kept(usual_view):
    found = skeleton(render_html(usual_view))
    if os.environ.get("UBEREPORT_UPDATE_GOLDEN"):
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8")
