"""The reports of a case folder: rendered in a language, and which languages a folder holds."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ubereport.core.case import CaseRecord
from ubereport.core.choices import PdfChoice
from ubereport.core.config import AnalysisConfig, config_from_toml
from ubereport.files.records.store import read_frames, write_into_case
from ubereport.language.languages import ENGLISH, find_language
from ubereport.language.speaking import speaking, spoken
from ubereport.language.translator import translator

if TYPE_CHECKING:
    from ubereport.documents.case.extension import SectionView
    from ubereport.documents.page.pdf import PrintedReport

REPORT_STEM = "report"
_BESIDE = re.compile(r"report\.([a-z]{2,3}(?:-[A-Z]{2})?)\.html")


@dataclass(frozen=True, slots=True, eq=False)
class RenderedReport:
    """A report as it goes into a case folder, under `stem`."""

    html: bytes
    printed: PrintedReport
    elapsed_s: float
    stem: str = REPORT_STEM

    @property
    def files(self) -> dict[str, bytes]:
        """The files by name."""
        pdf = {} if self.printed.pdf is None else {f"{self.stem}.pdf": self.printed.pdf}
        return {f"{self.stem}.html": self.html, **pdf}


def spoken_tag() -> str:
    """Return the tag of the language that is spoken here."""
    return spoken().language.tag


def report_stem(language: str, own_language: str) -> str:
    """Return what the report in a language is called in a case of `own_language`.

    >>> report_stem("de", "de"), report_stem("ja", "de")
    ('report', 'report.ja')
    """
    return REPORT_STEM if language == own_language else f"{REPORT_STEM}.{language}"


def case_language(folder: Path) -> str:
    """Return the language of a case's ``report.html``; English where the case does not say."""
    tag = run_facts(folder).get("language")
    return tag if isinstance(tag, str) else ENGLISH.tag


def run_facts(folder: Path) -> dict[str, Any]:
    """Return what ``run.json`` of a case says; empty where there is none or it is damaged."""
    try:
        facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def other_languages(folder: Path) -> list[str]:
    """Return the languages of the reports that lie beside ``report.html``."""
    matches = (_BESIDE.fullmatch(path.name) for path in folder.glob("report.*.html"))
    return sorted(match[1] for match in matches if match is not None)


def render_report(
    record: CaseRecord,
    files: Mapping[str, bytes],
    choice: PdfChoice,
    language: str,
    sections: tuple[SectionView, ...],
    stem: str = REPORT_STEM,
) -> RenderedReport:
    """Render the report in a language; the key frames are handed over in a private folder."""
    from ubereport.documents.case.rendering import render_html, render_pdf
    from ubereport.documents.case.view_model import build_view_model

    started = time.perf_counter()
    config = config_from_toml(record.provenance.config_toml, AnalysisConfig)
    is_spoken = language == spoken_tag()
    with (
        speaking(spoken() if is_spoken else translator(find_language(language))),
        tempfile.TemporaryDirectory(prefix="ubereport-") as scratch,
    ):
        for name, content in files.items():
            target = Path(scratch) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        view = build_view_model(record, Path(scratch), config.events, config.metrics, sections)
        html, printed = render_html(view).encode(), render_pdf(view, choice=choice)
    return RenderedReport(html, printed, time.perf_counter() - started, stem)


def with_added_sections(record: CaseRecord) -> tuple[CaseRecord, tuple[SectionView, ...]]:
    """Return what installed packages add to reports of a case, each asked once however many follow.

    The record has a flag for each section that fails on it.
    """
    from ubereport.documents.case.extension import added_sections

    sections, left_out = added_sections(record)
    return replace(record, flags=(*record.flags, *left_out)), sections


def render_late(
    folder: Path, record: CaseRecord, choice: PdfChoice, language: str
) -> RenderedReport:
    """Add what a case that is reused lacks: a report in this language, or its PDF."""
    from ubereport.documents.case.extension import added_sections
    from ubereport.documents.page.pdf import PrintedReport, missing_printer

    stem = report_stem(language, case_language(folder))
    has_html = (folder / f"{stem}.html").is_file()
    if has_html:
        is_printed = choice is PdfChoice.NEVER or (folder / f"{stem}.pdf").is_file()
        problem = "" if is_printed else missing_printer()
        if is_printed or problem:
            return RenderedReport(b"", PrintedReport(None, None, problem), 0.0, stem)
    sections, _ = added_sections(record)
    files = read_frames(folder, record)
    rendered = render_report(record, files, choice, language, sections, stem)
    facts = {**run_facts(folder), "pdf": rendered.printed.run_facts}
    added = {name: text for name, text in rendered.files.items() if not has_html or "pdf" in name}
    write_into_case(
        folder, {**added, "run.json": f"{json.dumps(facts, indent=2)}\n".encode("ascii")}
    )
    return rendered
