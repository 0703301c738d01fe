"""Results and tables as JSON, CSV and Parquet: the same bytes for the same cases."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import openpyxl
import pandas as pd

from ubereport.cohort.audit_results import Audit
from ubereport.cohort.comparison_results import Comparison, MetricComparison
from ubereport.cohort.table import CohortTable
from ubereport.core.validation import json_value
from ubereport.files.spreadsheet import csv_bytes
from ubereport.statistics.estimates import Estimate

RESULT_SCHEMA = "1.0"
_EPOCH = dt.datetime(2000, 1, 1)
_MODIFIED = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*(</dcterms:modified>)")
_CONTRAST_HEAD = (
    "metric", "unit", "is_primary", "group", "reference", "n_group", "n_reference",
    "median_group", "median_reference", "shift", "shift_low", "shift_high", "cliff_delta",
    "cliff_low", "cliff_high", "magnitude", "test", "p_value", "p_holm", "family", "reason",
)  # fmt: skip
_POINT_HEAD = (
    "kind", "procedure", "metric", "case_id", "date", "value", "center", "lower", "upper",
    "is_trial", "signals",
)  # fmt: skip


def comparison_files(comparison: Comparison) -> dict[str, bytes]:
    """Return ``comparison.json`` (everything), ``contrasts.csv`` and ``points.csv``."""
    metrics = (comparison.primary, *comparison.secondary)
    contrasts = [row for metric in metrics for row in _contrast_rows(metric)]
    points = [
        (metric.metric_key, group.group, point.case_id, point.value)
        for metric in metrics
        for group in metric.groups
        for point in group.points
    ]
    return {
        "comparison.json": _json("comparison", comparison),
        "contrasts.csv": _csv(_CONTRAST_HEAD, contrasts),
        "points.csv": _csv(("metric", "group", "case_id", "value"), points),
    }


def audit_files(audit: Audit) -> dict[str, bytes]:
    """Return ``audit.json`` (everything), ``charts.csv`` and ``cases.csv``."""
    points = [
        (chart.kind, chart.procedure, chart.metric_key, point.case_id, point.date, point.value,
         chart.center, point.lower, point.upper, chart.is_trial, " ".join(point.signals))
        for chart in audit.charts
        for point in chart.points
    ]  # fmt: skip
    keys = [key for key, _ in audit.cases[0].values] if audit.cases else []
    head = ("case_id", "folder", "date", "procedure", "technique", "surgeon", "coverage_frac",
            *keys, "n_flags", "signals", "is_used")  # fmt: skip
    cases = [
        (case.case_id, case.folder, case.date, case.procedure, case.technique, case.surgeon,
         case.coverage_frac, *(value for _, value in case.values), case.n_flags,
         " ".join(case.signals), case.is_used)
        for case in audit.cases
    ]  # fmt: skip
    return {
        "audit.json": _json("audit", audit),
        "charts.csv": _csv(_POINT_HEAD, points),
        "cases.csv": _csv(head, cases),
    }


def table_files(table: CohortTable) -> dict[str, bytes]:
    """Return the tidy tables: ``cases`` and ``events``, each as CSV and as Parquet."""
    files = {}
    for name, frame in (("cases", table.cases), ("events", table.events)):
        columns = [[_cell(value) for value in frame[column]] for column in frame]
        head = [str(column) for column in frame.columns]
        files[f"{name}.csv"] = _csv(head, zip(*columns, strict=True))
        files[f"{name}.parquet"] = _parquet(frame)
    return files


def workbook_bytes(table: CohortTable) -> bytes:
    """Return the tidy tables as one XLSX workbook of two sheets; text stays text, never a formula.

    The time stamps in the file are fixed, so that the same cases give the same bytes.
    """
    book = openpyxl.Workbook()
    book.properties.created = book.properties.modified = _EPOCH
    for name, frame in (("cases", table.cases), ("events", table.events)):
        sheet = book.create_sheet(name)
        sheet.append([str(column) for column in frame])
        for values in zip(*(frame[column] for column in frame), strict=True):
            sheet.append([_cell(value) for value in values])
        for row in sheet.iter_rows():
            for cell in row:
                if isinstance(cell.value, str):
                    cell.data_type = "s"
    del book["Sheet"]
    return _without_clock(book)


def _without_clock(book: openpyxl.Workbook) -> bytes:
    """Save a workbook with fixed times in its archive."""
    saved, fixed = io.BytesIO(), io.BytesIO()
    book.save(saved)
    with ZipFile(saved) as source, ZipFile(fixed, "w", ZIP_DEFLATED) as target:
        for name in sorted(source.namelist()):
            content = source.read(name)
            if name == "docProps/core.xml":
                content = _MODIFIED.sub(rb"\g<1>2000-01-01T00:00:00Z\g<2>", content)
            target.writestr(ZipInfo(name, _EPOCH.timetuple()[:6]), content)
    return fixed.getvalue()


def _json(kind: str, result: Comparison | Audit) -> bytes:
    content = {"kind": kind, "schema_version": RESULT_SCHEMA}
    content |= json_value(result)
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    return csv_bytes(head, ([_csv_cell(value) for value in row] for row in rows))


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def _cell(value: Any) -> object:  # noqa: ANN401 -- cells of a pandas column
    if value is None or value != value:
        return None
    return value.item() if hasattr(value, "item") else value


def _parquet(frame: pd.DataFrame) -> bytes:
    ready = frame.copy()
    for name in ready.columns[ready.dtypes == "object"]:
        values = [value for value in ready[name] if value is not None]
        if values and all(isinstance(value, bool) for value in values):
            ready[name] = ready[name].astype("boolean")
        else:
            ready[name] = [None if value is None else str(value) for value in ready[name]]
            ready[name] = ready[name].astype("string")
    content = io.BytesIO()
    ready.to_parquet(content, engine="pyarrow", index=False)
    return content.getvalue()


def _contrast_rows(metric: MetricComparison) -> list[tuple[object, ...]]:
    medians = {group.group: group.median for group in metric.groups}
    return [
        (metric.metric_key, metric.unit, metric.is_primary, c.group, c.reference, c.n_group,
         c.n_reference, medians[c.group], medians[c.reference], *_limits(c.shift),
         *_limits(c.cliff_delta), c.magnitude, c.test.name, c.test.p_value, c.test.p_holm,
         c.test.family, c.test.reason or c.shift.reason)
        for c in metric.contrasts
    ]  # fmt: skip


def _limits(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    return estimate.value, estimate.low, estimate.high
