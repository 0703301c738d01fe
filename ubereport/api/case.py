"""One case: analyzed, or read from its folder."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from ubereport.api.settings import Options, settings_of
from ubereport.api.tables import Events, Metrics, Series
from ubereport.batch.case import CaseRequest, PublishedCase, run_case
from ubereport.batch.parts import resolve_parts
from ubereport.core.case import CaseRecord, Flag
from ubereport.core.choices import Device, PdfChoice, ReaderChoice, SamplingMode
from ubereport.core.config import AnalysisConfig, config_from_toml
from ubereport.core.disclaimer import DISCLAIMER
from ubereport.core.progress import ProgressHook, silent
from ubereport.metrics.case_input import CaseInput
from ubereport.records import store


class Case:
    """An analyzed case: its numbers, and where its report lies.

    Attributes
    ----------
    folder
        The case folder.
    record
        Everything that is stored of the case.
    series, events, metrics, flags
        Its parts, with `to_pandas()` where they are tables.
    is_reused
        Whether an earlier run with the same recording, bundle and settings had made it.
    pdf_problem
        One sentence where nothing could be printed, else empty.
    pdf_remark
        One sentence where the PDF shows boxes for characters, else empty.
    """

    def __init__(
        self,
        folder: Path,
        record: CaseRecord,
        *,
        is_reused: bool = False,
        pdf_problem: str = "",
        pdf_remark: str = "",
        stem: str = "report",
    ) -> None:
        self.folder = folder
        self.record = record
        self.is_reused = is_reused
        self.pdf_problem = pdf_problem
        self.pdf_remark = pdf_remark
        self._stem = stem
        self.series = Series(record.series)
        self.events = Events(record.events)
        self.metrics = Metrics(record.metrics)

    @property
    def case_id(self) -> str:
        """The pseudonymous id."""
        return self.record.case_id

    def as_input(self) -> CaseInput:
        """Return what a metric sees of this case, to try one of your own on it.

        Examples
        --------
        >>> case = ubereport.read_case("results/case-3f9a2c")  # doctest: +SKIP
        >>> my_metric.measure(case.as_input())  # doctest: +SKIP
        """
        config = config_from_toml(self.record.provenance.config_toml, AnalysisConfig)
        series = self.record.series
        return CaseInput(
            series, self.record.events, config.events, config.metrics, series.coverage_frac
        )

    @property
    def flags(self) -> tuple[Flag, ...]:
        """What a reader of the numbers must know."""
        return self.record.flags

    @property
    def report_html(self) -> Path:
        """The report to open in a browser."""
        return self.folder / f"{self._stem}.html"

    @property
    def report_pdf(self) -> Path | None:
        """The report to print; None where there is none."""
        path = self.folder / f"{self._stem}.pdf"
        return path if path.is_file() else None

    def __repr__(self) -> str:
        """Return one line: id, minutes, share of time obscured, events."""
        share = self.metrics["impaired_share_20"].value
        obscured = "no value" if share is None else f"{100 * share:.1f} %"
        return (
            f"<Case {self.case_id!r}: {self.record.series.recorded_s / 60:.1f} min, view obscured "
            f"≥ 20 % for {obscured} of evaluable time, {len(self.events)} events>"
        )

    def _repr_html_(self) -> str:
        warned = "".join(
            f"<li>{html.escape(f.level)}: {html.escape(f.message)}</li>"
            for f in self.flags
            if f.level != "info"
        )
        return (
            f"<p>{html.escape(repr(self))}</p><ul>{warned}</ul>{self.metrics._repr_html_()}"
            f"<p><small>{html.escape(DISCLAIMER)}</small></p>"
        )


def analyze(
    parts: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    case_id: str | None = None,
    model: str | None = None,
    rate: float | None = None,
    sampling: SamplingMode | str | None = None,
    reader: ReaderChoice | str | None = None,
    device: Device | str | None = None,
    config: AnalysisConfig | str | Path | None = None,
    on_progress: ProgressHook = silent,
) -> Case:
    """Analyze one case and publish its folder; go on where an interrupted run stopped.

    Parameters
    ----------
    parts
        A file, a folder or a glob, or several in order: the parts of one recording.
    out
        Folder that receives the case folder.
    case_id
        Pseudonymous; made from the recording if not given.
    model, rate, sampling, reader, device
        As on the command line; they override `config`.
    config
        A TOML file, or the settings themselves.
    on_progress
        Called with stage, seconds done and rate.

    Raises
    ------
    UsageError
        If a part does not exist or a setting cannot be used.
    UbereportError
        As said in `ubereport.core.errors`; nothing half-written is left under the case's name.

    Examples
    --------
    >>> import ubereport
    >>> case = ubereport.analyze("case.mp4", out="results")  # doctest: +SKIP
    >>> case.metrics["impaired_share_20"].value  # doctest: +SKIP
    0.18
    """
    options = Options(model=model, rate=rate, sampling=sampling, reader=reader, device=device)
    settings = settings_of(config, options)
    return analyze_with(
        resolve_parts([str(p) for p in ([parts] if isinstance(parts, str | Path) else parts)]),
        Path(out),
        case_id,
        settings,
        on_progress=on_progress,
    )


def analyze_with(
    parts: tuple[Path, ...],
    out: Path,
    case_id: str | None,
    settings: AnalysisConfig,
    *,
    is_forced: bool = False,
    pdf: PdfChoice = PdfChoice.AUTO,
    on_progress: ProgressHook = silent,
) -> Case:
    """Analyze resolved parts under whole settings: what `analyze` and the command line call."""
    request = CaseRequest(parts, out, case_id, settings, is_forced=is_forced, pdf=pdf)
    return case_of(run_case(request, on_progress))


def case_of(published: PublishedCase) -> Case:
    """Return a published case as the front door shows it."""
    return Case(
        published.folder,
        published.record,
        is_reused=published.is_reused,
        pdf_problem=published.pdf_problem,
        pdf_remark=published.pdf_remark,
        stem=published.stem,
    )


def read_case(folder: str | Path) -> Case:
    """Read a case folder.

    Raises
    ------
    CaseRecordError
        If it is no case folder, or what it holds cannot be trusted.

    Examples
    --------
    >>> import ubereport
    >>> case = ubereport.read_case("results/case-3f9a2c")  # doctest: +SKIP
    >>> case.events.to_pandas()  # doctest: +SKIP
    """
    return Case(Path(folder), store.read_case(Path(folder)), is_reused=True)
