"""A library of cases: as tables, compared, audited."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ubereport.api.case import Case, read_case
from ubereport.cohort.audit_results import Audit
from ubereport.cohort.caveats import spoken_caveats as spoken_caveats
from ubereport.cohort.comparison_results import Comparison
from ubereport.cohort.comparison_results import Lead as Lead
from ubereport.cohort.library import Export as Export
from ubereport.cohort.library import export_cases as export_cases
from ubereport.cohort.library import find_case as find_case
from ubereport.cohort.plan import is_new_library as is_new_library
from ubereport.cohort.plan import write_plan as write_plan
from ubereport.cohort.reading import spoken_reading as spoken_reading
from ubereport.cohort.table import CohortTable, read_cohort
from ubereport.core.config import AuditConfig, CompareConfig
from ubereport.documents.case.case_text import format_band as format_band
from ubereport.documents.case.case_text import format_metric as format_metric
from ubereport.documents.cohort.reports import AuditRequest as AuditRequest
from ubereport.documents.cohort.reports import CompareRequest as CompareRequest
from ubereport.documents.cohort.reports import Written as Written
from ubereport.documents.cohort.reports import run_audit as run_audit
from ubereport.documents.cohort.reports import run_comparison as _run_comparison
from ubereport.files.records.store import read_series
from ubereport.metrics.registry import metric_spec as metric_spec
from ubereport.review.case_review import standing_series

if TYPE_CHECKING:
    import pandas as pd


@dataclass(eq=False, repr=False)
class Library:
    """The cases of a folder.

    Attributes
    ----------
    folder
        Where the case folders lie.
    table
        Cases and events as data frames, and what could not be read.

    Examples
    --------
    >>> import ubereport
    >>> library = ubereport.read_library("department")  # doctest: +SKIP
    >>> len(library), library.events_to_pandas()  # doctest: +SKIP
    """

    folder: Path
    table: CohortTable

    def __len__(self) -> int:
        return self.table.n_cases

    def __iter__(self) -> Iterator[Case]:
        # One after the other and not kept: a library may hold thousands.
        return (read_case(self.folder / str(name)) for name in self.table.cases["folder"])

    def __getitem__(self, case_id: str) -> Case:
        """Return the case of that id; raise UsageError where there is none."""
        return read_case(find_case(self.folder, case_id)[0])

    def __repr__(self) -> str:
        """Return one line: how many cases, and how many could not be read."""
        return f"<Library: {len(self)} cases, {len(self.table.unread)} not readable>"

    def _repr_html_(self) -> str:
        frame: str = self.to_pandas().to_html(max_rows=10, max_cols=12)
        return f"<p>{html.escape(repr(self))}</p>{frame}"

    def to_pandas(self) -> pd.DataFrame:
        """Return one row a case: how it was measured, its manifest columns, its metrics by key.

        Examples
        --------
        >>> library = ubereport.read_library("department")  # doctest: +SKIP
        >>> library.to_pandas()["impaired_share_20"].median()  # doctest: +SKIP
        """
        return self.table.cases

    def events_to_pandas(self) -> pd.DataFrame:
        """Return one row an event of any case.

        Examples
        --------
        >>> library = ubereport.read_library("department")  # doctest: +SKIP
        >>> library.events_to_pandas().groupby("case_id").size()  # doctest: +SKIP
        """
        return self.table.events


@dataclass(eq=False, repr=False)
class Report:
    """A comparison or an audit: its result, and the files that say it.

    Attributes
    ----------
    result
        The numbers, as frozen types.
    reading
        What they say, in sentences.
    written
        The files: html, pdf, json and their folder.

    Examples
    --------
    >>> import ubereport
    >>> report = ubereport.audit("department", out="audited")  # doctest: +SKIP
    >>> report.reading  # doctest: +SKIP
    """

    result: Comparison | Audit
    written: Written

    @property
    def reading(self) -> tuple[str, ...]:
        """What the numbers say, in sentences."""
        return tuple(self.result.reading)

    def __repr__(self) -> str:
        """Return one line: what it is and over how many cases."""
        return f"<{type(self.result).__name__} of {self.result.n_cases} cases>"

    def _repr_html_(self) -> str:
        lines = "".join(f"<p>{html.escape(line)}</p>" for line in self.reading)
        return f"<p>{html.escape(repr(self))}</p>{lines}"


def read_library(library: str | Path) -> Library:
    """Read every case folder of a library.

    Raises
    ------
    UsageError
        If the folder does not exist or holds no readable case.

    Examples
    --------
    >>> import ubereport
    >>> library = ubereport.read_library("department")  # doctest: +SKIP
    >>> library.to_pandas().groupby("technique")["impaired_share_20"].median()  # doctest: +SKIP
    """
    return Library(Path(library), read_cohort(Path(library)))


def compare(
    library: str | Path,
    by: str,
    out: str | Path,
    *,
    primary: str | None = None,
    reference: str | None = None,
    covariates: Sequence[str] | None = None,
    config: CompareConfig | None = None,
) -> Report:
    """Compare groups of cases, such as hemostatic techniques; the case is the unit.

    Parameters
    ----------
    library, by, out
        The cases, the column of their manifest, and the folder that receives the report.
    primary
        The one metric declared before looking.
    reference
        Group to compare with; None takes the largest.
    covariates
        Columns held equal; None takes those that the program knows.
    config
        Everything else that decides.

    Raises
    ------
    UsageError
        If the library has no readable case, or a column, metric or group does not exist.
    OutputError
        If `out` cannot be written.

    Examples
    --------
    >>> import ubereport
    >>> report = ubereport.compare("department", by="technique", out="compared")  # doctest: +SKIP
    >>> print(*report.reading, sep="; ")  # doctest: +SKIP
    """
    settings = CompareConfig() if config is None else config
    if primary is not None:
        settings = replace(settings, primary=primary)
    named = None if covariates is None else tuple(covariates)
    request = CompareRequest(Path(library), Path(out), by, settings, named, reference)
    return Report(*run_comparison(request))


def run_comparison(request: CompareRequest) -> tuple[Comparison, Written]:
    """Compare and write; what is measured from a first use on rests on the numbers that stand."""
    series_of = read_series if request.is_measured else standing_series
    return _run_comparison(request, series_of)


def audit(
    library: str | Path,
    out: str | Path,
    *,
    metric: str | None = None,
    config: AuditConfig | None = None,
) -> Report:
    """Audit a department's cases: control charts, funnel, learning curves, quality over time.

    Raises
    ------
    UsageError
        If the library has no readable case, or the metric does not exist.
    OutputError
        If `out` cannot be written.

    Examples
    --------
    >>> import ubereport
    >>> report = ubereport.audit("department", out="audited")  # doctest: +SKIP
    >>> print(*report.reading, sep="; ")  # doctest: +SKIP
    """
    settings = AuditConfig() if config is None else config
    if metric is not None:
        settings = replace(settings, metric=metric)
    return Report(*run_audit(AuditRequest(Path(library), Path(out), settings)))
