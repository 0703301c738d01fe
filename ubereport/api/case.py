"""One case: analyzed, or read from its folder."""

from __future__ import annotations

import dataclasses
import functools
import html
from collections.abc import Sequence
from pathlib import Path

from ubereport.api.bundles import check_bundle
from ubereport.api.settings import Options, pdf_choice, settings_of
from ubereport.api.tables import Events, Metrics, Series
from ubereport.batch.case import CaseRequest, run_case, stored_case
from ubereport.batch.case import PublishedCase as PublishedCase
from ubereport.batch.case import rerender_case as rerender_case
from ubereport.batch.parts import doubts_about_parts as doubts_about_parts
from ubereport.batch.parts import resolve_parts as resolve_parts
from ubereport.core.case import Flag
from ubereport.core.choices import DecodeDevice, Device, PdfChoice, ReaderChoice, SamplingMode
from ubereport.core.config import AnalysisConfig, config_from_toml
from ubereport.core.disclaimer import DISCLAIMER
from ubereport.core.progress import ProgressHook, silent
from ubereport.files.records.store import require_case as require_case
from ubereport.metrics.case_input import CaseInput


class Case(PublishedCase):
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

    Examples
    --------
    >>> import ubereport
    >>> case = ubereport.read_case("results/C001")  # doctest: +SKIP
    >>> case.metrics["impaired_share_20"].value  # doctest: +SKIP
    0.18
    """

    @functools.cached_property
    def series(self) -> Series:
        """The area over time."""
        return Series(self.record.series)

    @functools.cached_property
    def events(self) -> Events:
        """The hemostasis events."""
        return Events(self.record.events)

    @functools.cached_property
    def metrics(self) -> Metrics:
        """The metrics by their keys."""
        return Metrics(self.record.metrics)

    @property
    def case_id(self) -> str:
        """The pseudonymous id."""
        return self.record.case_id

    def as_input(self) -> CaseInput:
        """Return what a metric sees of this case, to try one of your own on it.

        Examples
        --------
        >>> case = ubereport.read_case("results/C001")  # doctest: +SKIP
        >>> look_count.measure(case.as_input())  # doctest: +SKIP
        """
        # The settings that the case was measured with: under today's its events would not fit them.
        config = config_from_toml(self.record.provenance.config_toml, AnalysisConfig)
        series = self.record.series
        return CaseInput(
            series, self.record.events, config.events, config.metrics, series.coverage_frac
        )

    @property
    def flags(self) -> tuple[Flag, ...]:
        """What a reader of the numbers must know."""
        return self.record.flags

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


def analyze(  # noqa: PLR0913 -- its options are those of the command
    parts: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    case_id: str | None = None,
    model: str | None = None,
    rate: float | None = None,
    sampling: SamplingMode | str | None = None,
    reader: ReaderChoice | str | None = None,
    device: Device | str | None = None,
    decode: DecodeDevice | str | None = None,
    continuous: bool | None = None,
    pdf: PdfChoice | str = PdfChoice.AUTO,
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
    model, rate, sampling, reader, device, decode
        As on the command line; they override `config`.
    continuous
        Whether the parts follow each other without a pause, so that events cross them; None finds
        it out: a recorder that cuts its files ends them at equal lengths, and pictures join.
    pdf
        "always", "auto" or "never".
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
    >>> case = ubereport.analyze("case.mp4", out="results", pdf="never")  # doctest: +SKIP
    >>> case.metrics["impaired_share_20"].value  # doctest: +SKIP
    0.18
    """
    options = Options(model, rate, sampling, reader, device, decode, continuous)
    settings = settings_of(config, options)
    return analyze_with(
        resolve_parts([str(p) for p in ([parts] if isinstance(parts, str | Path) else parts)]),
        Path(out),
        case_id,
        settings,
        pdf=pdf_choice(pdf),
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
    check_bundle(settings.segmentation)
    request = CaseRequest(parts, out, case_id, settings, is_forced=is_forced, pdf=pdf)
    return case_of(run_case(request, on_progress))


def case_of(published: PublishedCase) -> Case:
    """Return a published case as the front door shows it."""
    # Field by field from the type itself, so that a field more needs no line here.
    return Case(*(getattr(published, field.name) for field in dataclasses.fields(published)))


def read_case(folder: str | Path) -> Case:
    """Read a case folder.

    Raises
    ------
    CaseRecordError
        If it is no case folder, or what it holds cannot be trusted.

    Examples
    --------
    >>> import ubereport
    >>> case = ubereport.read_case("results/C001")  # doctest: +SKIP
    >>> case.events.to_pandas()  # doctest: +SKIP
    """
    return case_of(stored_case(Path(folder)))
