"""One case as a person asks for it: measured, rendered and published in one step."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ubereport.analysis.checkpoint import Checkpoint
from ubereport.analysis.derived_numbers import rederive
from ubereport.analysis.opened_case import OpenedCase, open_case
from ubereport.analysis.pipeline import AnalyzedCase, analyze_case
from ubereport.core.case import CaseRecord
from ubereport.core.choices import PdfChoice
from ubereport.core.config import AnalysisConfig, EventConfig, config_from_toml
from ubereport.core.errors import CaseRecordError
from ubereport.core.progress import Progress, ProgressHook, Stage
from ubereport.documents.case.reports import (
    REPORT_STEM,
    RenderedReport,
    case_language,
    other_languages,
    render_late,
    render_report,
    report_stem,
    run_facts,
    spoken_tag,
    with_added_sections,
)
from ubereport.files.atomic import check_can_be_folder
from ubereport.files.kept_files import KeptFiles
from ubereport.files.lock import hold_lock
from ubereport.files.names import default_case_id, folder_name
from ubereport.files.records.store import (
    holds_file,
    read_case,
    read_frames,
    write_case,
    write_into_case,
)
from ubereport.review.case_review import reviewed_record
from ubereport.review.journal import review_files
from ubereport.segmentation.shared_network import NetworkAddress


@dataclass(frozen=True, slots=True)
class CaseRequest:
    """What to analyze and where the case folder goes.

    `case_id` is pseudonymous; None makes one from the recording's hash. `manifest_json` is kept
    with the case where given.
    `n_threads` bounds the cores that the case may use; 0 takes all. `network` is where a network
    that several cases share answers; None loads one for this case. `pdf` is no setting of the
    measurement: it decides on ``report.pdf`` and changes no byte of another file but
    ``run.json``. Neither is `language`, a tag such as ``de``: it is that of the reports alone.
    """

    parts: tuple[Path, ...]
    out_dir: Path
    case_id: str | None
    config: AnalysisConfig
    is_forced: bool = False
    manifest_json: str | None = None
    n_threads: int = 0
    network: NetworkAddress | None = None
    pdf: PdfChoice = PdfChoice.AUTO
    language: str = field(default_factory=spoken_tag)


@dataclass(frozen=True, slots=True, eq=False)
class PublishedCase:
    """A case folder that is complete; `is_reused` where an earlier run had already made it.

    `pdf_problem` is one sentence where nothing could be printed, else empty; `pdf_remark` one
    where the PDF shows boxes. `stem` names the report in the language that was asked for.
    """

    folder: Path
    record: CaseRecord
    is_reused: bool
    pdf_problem: str = ""
    pdf_remark: str = ""
    stem: str = REPORT_STEM

    @property
    def report_html(self) -> Path:
        """The report to open in a browser."""
        return self.folder / f"{self.stem}.html"

    @property
    def report_pdf(self) -> Path | None:
        """The report to print; None where there is none."""
        path = self.folder / f"{self.stem}.pdf"
        return path if path.is_file() else None


def stored_case(folder: Path) -> PublishedCase:
    """Return the case that an earlier run published; raises as `read_case`."""
    return PublishedCase(folder, read_case(folder), is_reused=True)


def run_case(request: CaseRequest, on_progress: ProgressHook) -> PublishedCase:
    """Analyze one case and publish its folder; go on where an interrupted run stopped.

    Raises
    ------
    UbereportError
        As said in `ubereport.core.errors`; nothing half-written is left under the case's name.
    """
    # Before the recording is read: a long one takes minutes.
    check_can_be_folder(request.out_dir)
    with open_case(
        request.parts,
        request.config,
        on_progress,
        request.n_threads,
        network=request.network,
        is_loaded_at_once=request.is_forced or not _may_be_finished(request),
    ) as opened:
        return _run_opened(request, opened, on_progress)


def _run_opened(
    request: CaseRequest, opened: OpenedCase, on_progress: ProgressHook
) -> PublishedCase:
    case_id = request.case_id
    if case_id is None:
        case_id = default_case_id([part.sha256 for part in opened.index.parts])
    folder = request.out_dir / folder_name(case_id)
    work = request.out_dir / f".{folder.name}.work"
    with hold_lock(folder.parent, folder.name):
        # Looked at under the lock: another run may just have finished this very case.
        done = None if request.is_forced else _finished(folder, opened)
        if done is not None:
            _renew_manifest(folder, request.manifest_json)
            late = render_late(folder, done, request.pdf, request.language)
            return _published(folder, done, late, is_reused=True)
        # Loading WeasyPrint and matplotlib waits for the network: both at once would delay the
        # first picture.
        opened.loading.begin().add_done_callback(_load_report)
        chunks = KeptFiles(work, opened.fingerprint)
        analyzed = analyze_case(opened, case_id, Checkpoint(chunks), on_progress)
        record, rendered = _publish(request, opened, analyzed, folder, on_progress)
        # Only now: until the case folder is whole on the disk its chunks are all there is of it.
        chunks.discard()
    return _published(folder, record, rendered)


def _published(
    folder: Path, record: CaseRecord, rendered: RenderedReport, *, is_reused: bool = False
) -> PublishedCase:
    printed = rendered.printed
    return PublishedCase(
        folder, record, is_reused, printed.problem, printed.remark, stem=rendered.stem
    )


def rerender_case(
    case_folder: Path,
    change: Callable[[EventConfig], EventConfig],
    out_dir: Path | None,
    pdf: PdfChoice = PdfChoice.AUTO,
    language: str | None = None,
) -> PublishedCase:
    """Render a stored case again, under event thresholds that `change` may have moved.

    The recording is not needed. With `out_dir` the case is written there and the stored one stays.
    Under the thresholds that it was measured with it stays the case that its run made, so that
    `run_case` goes on using it; others decide where pictures are looked at.
    A case keeps ``report.html`` in its own language; a report in another lies beside it as
    ``report.de.html``, and all that it holds are rendered together, so that none tells old numbers.
    `language` None is the case's own.

    Raises
    ------
    CaseRecordError
        If the folder holds no readable case.
    ConfigError
        If the changed thresholds are out of range.
    """
    stored = read_case(case_folder)
    settings = config_from_toml(stored.provenance.config_toml, AnalysisConfig)
    events = change(settings.events)
    reviewed = reviewed_record(rederive(stored, events), case_folder, events, settings.metrics)
    record, sections = with_added_sections(reviewed)
    files = read_frames(case_folder, record)
    manifest = case_folder / "manifest.json"
    if manifest.is_file():
        # Publishing replaces the folder, and what the department said of the case must not be lost
        # with it.
        files["manifest.json"] = manifest.read_bytes()
    # A person's review goes along to the new place; where the folder itself is replaced it is kept
    # as any file that is not a report's own.
    if out_dir is not None:
        files |= review_files(case_folder)
    folder = case_folder if out_dir is None else out_dir / folder_name(record.case_id)
    with hold_lock(folder.parent, folder.name):
        # All reports that the folder holds are rendered again, whichever was asked for: an old one
        # would tell other numbers.
        own = case_language(case_folder)
        wanted = own if language is None else language
        held = [] if out_dir is not None else [own, *other_languages(case_folder)]
        tags = list(dict.fromkeys([*held, wanted]))
        reports = {
            tag: render_report(record, files, pdf, tag, sections, report_stem(tag, tags[0]))
            for tag in tags
        }
        rendered = reports[wanted]
        elapsed_s = round(sum(report.elapsed_s for report in reports.values()), 3)
        # Under other thresholds it is no longer the case that its run measured: without the
        # fingerprint the next run measures anew.
        before = run_facts(case_folder) if events == settings.events else {}
        run = {
            **before,
            "stage_s": {**before.get("stage_s", {}), str(Stage.REPORT): elapsed_s},
            "pdf": rendered.printed.run_facts,
            "language": tags[0],
        }
        for report in reports.values():
            files |= report.files
        write_case(record, folder, files, run)
    return _published(folder, record, rendered)


def _publish(
    request: CaseRequest,
    opened: OpenedCase,
    analyzed: AnalyzedCase,
    folder: Path,
    on_progress: ProgressHook,
) -> tuple[CaseRecord, RenderedReport]:
    files = dict(analyzed.files)
    if request.manifest_json is not None:
        files["manifest.json"] = request.manifest_json.encode()
    config = opened.config
    # An earlier run of the case may have been reviewed: what people said is asked of its folder
    # before the new one takes that place.
    reviewed = reviewed_record(analyzed.record, folder, config.events, config.metrics)
    record, sections = with_added_sections(reviewed)
    on_progress(Progress(Stage.REPORT, 0.0, 1.0, 0, 0.0))
    rendered = render_report(record, files, request.pdf, request.language, sections)
    on_progress(Progress(Stage.REPORT, 1.0, 1.0, 0, rendered.elapsed_s))
    stage_s = {**analyzed.stage_s, str(Stage.REPORT): rendered.elapsed_s}
    run = {
        "fingerprint": opened.fingerprint,
        "recorded_s": record.series.recorded_s,
        "stage_s": {stage: round(seconds, 3) for stage, seconds in stage_s.items()},
        "pdf": rendered.printed.run_facts,
        "language": request.language,
    }
    write_case(record, folder, {**files, **rendered.files}, run)
    return record, rendered


def _renew_manifest(folder: Path, manifest_json: str | None) -> None:
    """Bring the manifest row of a case that is reused up to date: outcomes are known later."""
    if manifest_json is None:
        return
    path = folder / "manifest.json"
    if not path.is_file() or path.read_text(encoding="utf-8") != manifest_json:
        write_into_case(folder, {path.name: manifest_json.encode()})


def _may_be_finished(request: CaseRequest) -> bool:
    """Whether an earlier run may have made the case, so that nothing needs to be loaded."""
    # Without an id the name follows from the recording's hash, which is not known before it was
    # read.
    name = "*" if request.case_id is None else folder_name(request.case_id)
    return any(request.out_dir.glob(f"{name}/case.json"))


def _load_report(_: object) -> None:
    """Load what draws the report, half a second and more, after the network has been loaded."""
    for name in ("rendering", "view_model"):
        importlib.import_module(f"ubereport.documents.case.{name}")
    from ubereport.documents.page.weasyprint import can_load

    can_load()


def _finished(folder: Path, opened: OpenedCase) -> CaseRecord | None:
    """Return the record of an earlier run if it rests on the same recording, bundle, settings."""
    # Outside of `try`: a folder that nobody may look into cannot be written anew either.
    if not holds_file(folder, "case.json"):
        return None
    try:
        record = read_case(folder)
    except CaseRecordError:
        return None
    return record if run_facts(folder).get("fingerprint") == opened.fingerprint else None
