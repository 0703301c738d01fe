"""One tidy table of cases and one of events, read from a library of case folders.

What cannot be read is reported beside the tables and ends nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ubereport.cohort.casefile import (
    CASE_NAME,
    EVENT_COLUMNS,
    FIXED_COLUMNS,
    CaseRow,
    looks_like_case,
    read_case_row,
)
from ubereport.cohort.comparison_results import ModelFacts, ModelUse, UnreadCase
from ubereport.core.arrays import FloatArray
from ubereport.core.errors import CaseRecordError, UsageError
from ubereport.files.records.listing import library_folders
from ubereport.files.records.store import holds_file


@dataclass(frozen=True, slots=True, eq=False)
class CohortTable:
    """All cases of a library.

    Parameters
    ----------
    cases
        One row a case in the order of case ids: `case_id`, `folder`, the model and settings that
        measured it, whether its `numbers` are "reviewed" or "measured", every manifest column,
        every metric by its key (NaN where the case has no value for it).
    events
        One row an event, columns `EVENT_COLUMNS`; times in seconds on the case clock.
    metric_keys, covariates
        Which columns of `cases` are metrics and which come from the manifest.
    reasons
        Why a case has no value for a metric, by (case id, metric key).
    models
        The ways of measuring found, the most used first; it alone has `is_used`.
    unread
        Folders that look like cases and could not be read.
    bands
        (n, 2) a metric at the two neighboring thresholds of the bundle, smaller value first; NaN
        where a case has none.
    n_reviewed
        How many cases come with the numbers that stand after a person's review.
    """

    cases: pd.DataFrame
    events: pd.DataFrame
    metric_keys: tuple[str, ...]
    covariates: tuple[str, ...]
    reasons: Mapping[tuple[str, str], str]
    models: tuple[ModelUse, ...]
    unread: tuple[UnreadCase, ...]
    bands: Mapping[str, FloatArray] = field(default_factory=dict)
    n_reviewed: int = 0

    @property
    def names(self) -> frozenset[str]:
        """What people called cases, techniques, surgeons, …: words of no language."""
        typed = self.cases[["case_id", "folder", *self.covariates]].to_numpy().flat
        return frozenset(value for value in typed if isinstance(value, str))

    @property
    def n_cases(self) -> int:
        """Cases that could be read."""
        return len(self.cases)

    @property
    def n_set_aside(self) -> int:
        """Cases that were measured in another way than those that results rest on."""
        return sum(model.n_cases for model in self.models if not model.is_used)

    def is_used(self) -> pd.Series[bool]:
        """(n,) whether each case was measured in the way that results rest on."""
        used = next(model for model in self.models if model.is_used)
        is_used: pd.Series[bool] = (self.cases["model_sha256"] == used.sha256) & (
            self.cases["settings_sha256"] == used.settings_sha256
        )
        return is_used

    def column(self, name: str) -> list[Any]:
        """Return a column of `cases` as a list, None where missing or where there is no such."""
        if name not in self.cases:
            return [None] * len(self.cases)
        return [None if value is None or value != value else value for value in self.cases[name]]


def read_cohort(library: Path, *, is_measured: bool = False) -> CohortTable:
    """Read every case folder of `library`.

    Cases that were reviewed whole come with their reviewed numbers, unless `is_measured`.

    Raises
    ------
    UsageError
        If the folder does not exist, cannot be read or holds no readable case.
    """
    if not library.is_dir():
        raise UsageError(
            "The library is no folder. Name the folder that holds the case folders "
            "(the DIR of ubereport batch --library DIR)."
        )
    rows: list[CaseRow] = []
    unread: list[UnreadCase] = []
    for folder in sorted(library_folders(library)):
        try:
            # `holds_file` first: it tells a folder that nobody may look into from an empty one.
            if holds_file(folder, CASE_NAME) or looks_like_case(folder):
                rows.append(read_case_row(folder, is_measured=is_measured))
        except CaseRecordError as error:
            unread.append(UnreadCase(folder.name, str(error)))
    return cohort_table(rows, unread)


def cohort_table(rows: Iterable[CaseRow], unread: Iterable[UnreadCase] = ()) -> CohortTable:
    """Put cases into one table; of cases with the same id the first folder counts.

    Raises
    ------
    UsageError
        If there is no case.
    """
    readable, unread = _without_repeats(rows, list(unread))
    if not readable:
        count = f" {len(unread)} folders could not be read." if unread else ""
        raise UsageError(
            f"The library holds no readable case.{count} Fill it with ubereport analyze or "
            "ubereport batch, or name another folder."
        )
    metric_keys = tuple(dict.fromkeys(key for row in readable for key in row.values))
    covariates = tuple(dict.fromkeys(key for row in readable for key in row.covariates))
    cases = pd.DataFrame(
        [row.identity | row.covariates | row.values for row in readable],
        columns=[*FIXED_COLUMNS, *covariates, *metric_keys],
    )
    # A metric that no case has a value for is a column of NaN and not of objects.
    cases = cases.astype(dict.fromkeys(metric_keys, "float64"))
    cases = cases.assign(**{name: _typed(cases[name]) for name in covariates})
    reasons = {(row.case_id, key): why for row in readable for key, why in row.reasons.items()}
    facts = {row.identity["model_sha256"]: row.model for row in readable}
    return CohortTable(
        cases,
        _events(readable),
        metric_keys,
        covariates,
        reasons,
        _models(cases, facts),
        tuple(unread),
        _bands(readable),
        sum(row.is_reviewed for row in readable),
    )


def _bands(rows: list[CaseRow]) -> dict[str, FloatArray]:
    keys = dict.fromkeys(key for row in rows for key in row.bands)
    nothing = (math.nan, math.nan)
    return {key: np.array([row.bands.get(key, nothing) for row in rows]) for key in keys}


def _without_repeats(
    rows: Iterable[CaseRow], unread: list[UnreadCase]
) -> tuple[list[CaseRow], list[UnreadCase]]:
    kept: dict[str, CaseRow] = {}
    # By folder among equal ids, so that which of two copies counts does not depend on the disk.
    for row in sorted(rows, key=lambda row: (row.case_id, row.identity["folder"])):
        if row.case_id in kept:
            reason = "Another folder holds the same case id. Remove one of them."
            unread.append(UnreadCase(row.identity["folder"], reason))
        else:
            kept[row.case_id] = row
    return list(kept.values()), unread


def _events(rows: list[CaseRow]) -> pd.DataFrame:
    events = pd.DataFrame(
        [event for row in rows for event in row.events], columns=list(EVENT_COLUMNS)
    )
    return events.astype({"clear_s": "float64", "time_to_clear_s": "float64"})


def _typed(column: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers become float64 with NaN for missing; everything else stays as it was given."""
    present = [value for value in column if value is not None and value == value]
    # A flag is an int to Python; as 0.0 and 1.0 it would be a measure and no longer two groups.
    is_number = [isinstance(v, int | float) and not isinstance(v, bool) for v in present]
    if present and all(is_number):
        return column.astype("float64")
    # One sign for missing: pandas keeps None and NaN side by side in such a column.
    return column.astype("object").where(column.notna(), None)


def _models(cases: pd.DataFrame, facts: Mapping[str, ModelFacts]) -> tuple[ModelUse, ...]:
    uses: list[ModelUse] = []
    keys = ["model_name", "model_version", "model_sha256", "settings_sha256"]
    dated = cases.assign(_date=cases.get("date", None))
    for _, rows in dated.groupby(keys, sort=True):
        dates = sorted(str(date) for date in rows["_date"] if isinstance(date, str))
        first, last = (dates[0], dates[-1]) if dates else ("", "")
        name, version, sha256, settings = (str(rows[key].iloc[0]) for key in keys)
        uses.append(
            ModelUse(name, version, sha256, settings, len(rows), first, last, False, facts[sha256])
        )
    # The way that measured most cases is used; of two equal ones the later.
    uses.sort(key=lambda use: (use.n_cases, use.last_date), reverse=True)
    return tuple(dataclasses.replace(use, is_used=rank == 0) for rank, use in enumerate(uses))


def group_labels(values: Iterable[object]) -> list[str | None]:
    """Return each value as the label of a group; None where it is missing.

    >>> group_labels(["bone wax", 2.0, True, None, float("nan")])
    ['bone wax', '2', 'yes', None, None]
    """
    return [_label(value) for value in values]


def _label(value: object) -> str | None:
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
