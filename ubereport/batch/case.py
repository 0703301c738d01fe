"""One case as a person asks for it: measured, rendered and published in one step."""

from __future__ import annotations

import importlib
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ubereport.analysis.checkpoint import Checkpoint
from ubereport.analysis.derived_numbers import rederive
from ubereport.analysis.opened_case import OpenedCase, open_case
from ubereport.analysis.pipeline import AnalyzedCase, analyze_case
from ubereport.analysis.progress import Progress, ProgressHook, Stage
from ubereport.core.case import CaseRecord
from ubereport.core.choices import PdfChoice
from ubereport.core.config import AnalysisConfig, EventConfig, config_from_toml
from ubereport.core.errors import CaseRecordError
from ubereport.files.lock import hold_lock
from ubereport.files.names import default_case_id, folder_name
from ubereport.files.resources import models_dir
from ubereport.records.store import read_case, read_frames, write_case, write_into_case
from ubereport.review.case_review import reviewed_record
from ubereport.review.journal import review_files
from ubereport.segmentation.shared import NetworkAddress
from ubereport.video.pool import DecoderPool

if TYPE_CHECKING:
    from ubereport.report.pdf import PrintedReport


@dataclass(frozen=True, slots=True)
class CaseRequest:
    """What to analyze and where the case folder goes.

    `case_id` is pseudonymous; None makes one from the recording's hash. `models` is the folder
    of bundles; None takes the shipped ones. `manifest_json` is kept with the case where given.
    `n_threads` bounds the cores that the case may use; 0 takes all. `network` is where a network
    that several cases share answers; None loads one for this case. `pdf` is no setting of the
    measurement: it decides on ``report.pdf`` and changes no byte of another file but
    ``run.json``.
    """

    parts: tuple[Path, ...]
    out_dir: Path
    case_id: str | None
    config: AnalysisConfig
    is_forced: bool = False
    models: Path | None = None
    manifest_json: str | None = None
    n_threads: int = 0
    network: NetworkAddress | None = None
    pdf: PdfChoice = PdfChoice.AUTO


@dataclass(frozen=True, slots=True, eq=False)
class PublishedCase:
    """A case folder that is complete; `is_reused` where an earlier run had already made it.

    `pdf_problem` is one sentence where nothing could be printed, else empty.
    """

    folder: Path
    record: CaseRecord
    is_reused: bool
    pdf_problem: str = ""

    @property
    def report_html(self) -> Path:
        """The report to open in a browser."""
        return self.folder / "report.html"

    @property
    def report_pdf(self) -> Path | None:
        """The report to print; None where there is none."""
        path = self.folder / "report.pdf"
        return path if path.is_file() else None


@dataclass(frozen=True, slots=True, eq=False)
class _Rendered:
    html: bytes
    printed: PrintedReport
    elapsed_s: float

    @property
    def files(self) -> dict[str, bytes]:
        pdf = {} if self.printed.pdf is None else {"report.pdf": self.printed.pdf}
        return {"report.html": self.html, **pdf}


def run_case(request: CaseRequest, on_progress: ProgressHook) -> PublishedCase:
    """Analyze one case and publish its folder; go on where an interrupted run stopped.

    Raises
    ------
    UbereportError
        As said in `ubereport.core.errors`; nothing half-written is left under the case's name.
    """
    models = models_dir() if request.models is None else request.models
    with DecoderPool(request.config.decode.stall_timeout_s) as decoders:
        opened = open_case(
            request.parts,
            request.config,
            models,
            on_progress,
            request.n_threads,
            decoders=decoders,
            network=request.network,
            is_loaded_at_once=request.is_forced or not _may_be_finished(request),
        )
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
        done = None if request.is_forced else _finished(folder, opened)
        if done is not None:
            _renew_manifest(folder, request.manifest_json)
            problem = _print_late(folder, done, request.pdf)
            return PublishedCase(folder, done, is_reused=True, pdf_problem=problem)
        opened.loading.begin().add_done_callback(_load_report)
        checkpoint = Checkpoint(work, opened.fingerprint)
        analyzed = analyze_case(opened, case_id, checkpoint, on_progress)
        printed = _publish(request, opened, analyzed, folder, on_progress)
        checkpoint.discard()
    return PublishedCase(folder, analyzed.record, is_reused=False, pdf_problem=printed.problem)


def rerender_case(
    case_folder: Path,
    change: Callable[[EventConfig], EventConfig],
    out_dir: Path | None,
    pdf: PdfChoice = PdfChoice.AUTO,
) -> PublishedCase:
    """Render a stored case again, under event thresholds that `change` may have moved.

    The recording is not needed. With `out_dir` the case is written there and the stored one stays.
    Under the thresholds that it was measured with it stays the case that its run made, so that
    `run_case` goes on using it; others decide where pictures are looked at.

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
    record = reviewed_record(rederive(stored, events), case_folder, events, settings.metrics)
    files = read_frames(case_folder, record)
    manifest = case_folder / "manifest.json"
    if manifest.is_file():
        files["manifest.json"] = manifest.read_bytes()
    if out_dir is not None:
        files |= review_files(case_folder)
    folder = case_folder if out_dir is None else out_dir / folder_name(record.case_id)
    with hold_lock(folder.parent, folder.name):
        rendered = _render(record, files, pdf)
        before = _run_facts(case_folder) if events == settings.events else {}
        stages = {**before.get("stage_s", {}), str(Stage.REPORT): round(rendered.elapsed_s, 3)}
        run = {**before, "stage_s": stages, "pdf": rendered.printed.run_facts}
        write_case(record, folder, {**files, **rendered.files}, run)
    return PublishedCase(folder, record, is_reused=False, pdf_problem=rendered.printed.problem)


def _publish(
    request: CaseRequest,
    opened: OpenedCase,
    analyzed: AnalyzedCase,
    folder: Path,
    on_progress: ProgressHook,
) -> PrintedReport:
    files = dict(analyzed.files)
    if request.manifest_json is not None:
        files["manifest.json"] = request.manifest_json.encode()
    config = opened.config
    record = reviewed_record(analyzed.record, folder, config.events, config.metrics)
    on_progress(Progress(Stage.REPORT, 0.0, 1.0, 0, 0.0))
    rendered = _render(record, files, request.pdf)
    on_progress(Progress(Stage.REPORT, 1.0, 1.0, 0, rendered.elapsed_s))
    stage_s = {**analyzed.stage_s, str(Stage.REPORT): rendered.elapsed_s}
    run = {
        "fingerprint": opened.fingerprint,
        "recorded_s": record.series.recorded_s,
        "stage_s": {stage: round(seconds, 3) for stage, seconds in stage_s.items()},
        "pdf": rendered.printed.run_facts,
    }
    write_case(record, folder, {**files, **rendered.files}, run)
    return rendered.printed


def _print_late(folder: Path, record: CaseRecord, choice: PdfChoice) -> str:
    """Print the report of a case that is reused and has none; return why it has none still."""
    if choice is PdfChoice.NEVER or (folder / "report.pdf").is_file():
        return ""
    from ubereport.report.pdf import missing_printer

    problem = missing_printer()
    if problem:
        return problem
    printed = _render(record, read_frames(folder, record), choice).printed
    run_json = f"{json.dumps({**_run_facts(folder), 'pdf': printed.run_facts}, indent=2)}\n".encode(
        "ascii"
    )
    pdf = {} if printed.pdf is None else {"report.pdf": printed.pdf}
    write_into_case(folder, {**pdf, "run.json": run_json})
    return printed.problem


def _renew_manifest(folder: Path, manifest_json: str | None) -> None:
    """Bring the manifest row of a case that is reused up to date: outcomes are known later."""
    if manifest_json is None:
        return
    path = folder / "manifest.json"
    if not path.is_file() or path.read_text(encoding="utf-8") != manifest_json:
        write_into_case(folder, {path.name: manifest_json.encode()})


def _may_be_finished(request: CaseRequest) -> bool:
    """Whether an earlier run may have made the case, so that nothing needs to be loaded."""
    name = "*" if request.case_id is None else folder_name(request.case_id)
    return any(request.out_dir.glob(f"{name}/case.json"))


def _load_report(_: object) -> None:
    """Load what draws the report, half a second and more, after the network has been loaded."""
    for name in ("html", "pdf", "view_model"):
        importlib.import_module(f"ubereport.report.{name}")
    from ubereport.report.weasyprint import can_load

    can_load()


def _finished(folder: Path, opened: OpenedCase) -> CaseRecord | None:
    """Return the record of an earlier run if it rests on the same recording, bundle, settings."""
    if not (folder / "case.json").is_file():
        return None
    try:
        record = read_case(folder)
    except CaseRecordError:
        return None
    return record if _run_facts(folder).get("fingerprint") == opened.fingerprint else None


def _run_facts(folder: Path) -> dict[str, Any]:
    """Return what ``run.json`` of a case says; empty where there is none or it is damaged."""
    try:
        found = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _render(record: CaseRecord, files: Mapping[str, bytes], choice: PdfChoice) -> _Rendered:
    """Render the reports; the key frames are handed over in a private folder."""
    from ubereport.report.html import render_html
    from ubereport.report.pdf import render_pdf
    from ubereport.report.view_model import build_view_model

    started = time.perf_counter()
    config = config_from_toml(record.provenance.config_toml, AnalysisConfig)
    with tempfile.TemporaryDirectory(prefix="ubereport-") as scratch:
        for name, content in files.items():
            target = Path(scratch) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        view = build_view_model(record, Path(scratch), config.events, config.metrics)
    html, printed = render_html(view).encode(), render_pdf(view, choice=choice)
    return _Rendered(html, printed, time.perf_counter() - started)
