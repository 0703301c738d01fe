"""What a manifest says about a case: the contract of ``<case folder>/manifest.json``.

The batch room stores the manifest row of each case as one flat JSON object, column → value::

    {"date": "2026-03-14", "surgeon": "S2", "procedure": "ULBD", "technique": "bone wax",
     "levels": 1, "age": 67, "sex": "f", "antithrombotics": true, "pump_pressure_mmhg": 30.0,
     "hb_drop_g_dl": null}

- A value is a string, a number, true, false or null. Null means "not known", never zero or no.
- `date` is ISO (YYYY-MM-DD); a `FLAG` is true or false; a `NUMBER` is finite and in the stated
  unit; a `RATING` is a whole number, larger meaning a worse view.
- `surgeon` holds a pseudonym. No name, path, file name or patient number may be in the object.
- Columns that are not listed in `KNOWN_COLUMNS` are kept: numbers as numbers, the rest as text.
"""

from __future__ import annotations

import datetime as dt
import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, ValidationError

from ubereport.core.errors import CaseRecordError, UsageError
from ubereport.core.validation import adapter_of

MANIFEST_NAME = "manifest.json"
CovariateValue = str | int | float | bool | None


class ColumnKind(StrEnum):
    """Which values a column takes."""

    DATE = "date"
    CATEGORY = "category"
    NUMBER = "number"
    FLAG = "flag"
    RATING = "rating"
    TIMES = "times"


class ColumnRole(StrEnum):
    """What a column is used for.

    `REACHED` is known only once the technique is at work (the pressure that the pump came to):
    holding it equal would take away part of what the technique does, so it is shown and never
    adjusted for unless somebody names it.
    """

    ORDER = "order"
    CLUSTER = "cluster"
    GROUP = "group"
    COVARIATE = "covariate"
    REACHED = "reached"
    USE = "use"
    RECORDING = "recording"
    OUTCOME = "outcome"
    RATING = "rating"


@dataclass(frozen=True, slots=True)
class CovariateColumn:
    """A manifest column that the program knows; `unit` is UCUM, empty for text.

    `lowest` and `highest` are asked of what is typed, not of cases that are stored: a library
    stays readable whatever it holds.
    """

    name: str
    title: str
    kind: ColumnKind
    role: ColumnRole
    unit: str = ""
    lowest: float | None = None
    highest: float | None = None


_CAT, _NUM, _FLAG = ColumnKind.CATEGORY, ColumnKind.NUMBER, ColumnKind.FLAG
_COV, _OUT = ColumnRole.COVARIATE, ColumnRole.OUTCOME

# Covariates stand in the order in which a model takes them while its cases last.
KNOWN_COLUMNS: tuple[CovariateColumn, ...] = (
    CovariateColumn("date", "Date of operation", ColumnKind.DATE, ColumnRole.ORDER),
    CovariateColumn("surgeon", "Surgeon (pseudonym)", _CAT, ColumnRole.CLUSTER),
    CovariateColumn("technique", "Hemostatic technique", _CAT, ColumnRole.GROUP),
    CovariateColumn("continuous", "Parts without a pause", _FLAG, ColumnRole.RECORDING),
    CovariateColumn("use_start", "Times of use", ColumnKind.TIMES, ColumnRole.USE, "s"),
    CovariateColumn("use_end", "Ends of use", ColumnKind.TIMES, ColumnRole.USE, "s"),
    CovariateColumn("procedure", "Procedure", _CAT, _COV),
    CovariateColumn("levels", "Levels operated", _NUM, _COV, "1", 0),
    CovariateColumn("antithrombotics", "Antithrombotic medication", _FLAG, _COV),
    CovariateColumn("map_mmhg", "Mean arterial pressure", _NUM, _COV, "mm[Hg]", 0),
    CovariateColumn(
        "pump_pressure_mmhg", "Irrigation pump pressure", _NUM, ColumnRole.REACHED, "mm[Hg]", 0
    ),
    CovariateColumn("age", "Age", _NUM, _COV, "a", 0, 120),
    CovariateColumn("sex", "Sex", _CAT, _COV),
    CovariateColumn("txa_route", "Tranexamic acid route", _CAT, _COV),
    CovariateColumn("txa_timing", "Tranexamic acid timing", _CAT, _COV),
    CovariateColumn("bmi", "Body mass index", _NUM, _COV, "kg/m2", 0),
    CovariateColumn("hypertension", "Hypertension", _FLAG, _COV),
    # Without bounds: after a transfusion hemoglobin may have risen, which is a drop below 0.
    CovariateColumn("hb_drop_g_dl", "Hemoglobin drop", _NUM, _OUT, "g/dL"),
    CovariateColumn("drain_ml", "Drain volume", _NUM, _OUT, "mL", 0),
    CovariateColumn("hematoma", "Hematoma", _FLAG, _OUT),
    CovariateColumn("operating_time_min", "Operating time", _NUM, _OUT, "min", 0),
    CovariateColumn(
        "clarity_rating",
        "View rated by surgeon (0 clear to 3 bad)",
        ColumnKind.RATING,
        ColumnRole.RATING,
        "1",
        0,
        3,
    ),
)

# Read from the cases themselves, beside what the manifest says.
CALENDAR_TIME, CASE_ORDER, COVERAGE = "calendar_time", "surgeon_case_order", "coverage_frac"
_DERIVED_TITLES = {
    CALENDAR_TIME: "calendar time",
    CASE_ORDER: "place in the surgeon’s series of cases",
    COVERAGE: "coverage",
}

_Number = int | FiniteFloat
# What a value may be in JSON, by the kind of its column; None: a column of one's own.
_ACCEPTED: Mapping[ColumnKind | None, tuple[Any, str]] = MappingProxyType(
    {
        ColumnKind.DATE: (dt.date, "an ISO date (YYYY-MM-DD)"),
        ColumnKind.NUMBER: (_Number, "a finite number"),
        ColumnKind.FLAG: (bool | Literal[0, 1], "true or false"),
        ColumnKind.RATING: (int | Annotated[FiniteFloat, Field(multiple_of=1)], "a whole number"),
        ColumnKind.TIMES: (str | _Number, "times on the case clock"),
        ColumnKind.CATEGORY: (str | int | bool, "text"),
        None: (str | bool | _Number, "text, a finite number, true or false"),
    }
)
_FORBIDDEN = frozenset({"files", "file", "path", "patient", "patient_id", "name"})


def known_column(name: str) -> CovariateColumn | None:
    """Return what is known of the column `name`, or None."""
    return next((column for column in KNOWN_COLUMNS if column.name == name), None)


def column_title(name: str) -> str:
    """Return how a column, of the manifest or "coverage_frac", is called in a sentence.

    >>> column_title("map_mmhg"), column_title("bmi"), column_title("my_column")
    ('mean arterial pressure', 'body mass index', 'my_column')
    """
    column = known_column(name)
    if name in _DERIVED_TITLES:
        return _DERIVED_TITLES[name]
    return name if column is None else column.title[0].lower() + column.title[1:]


def require_column(name: str, available: Iterable[str], what: str) -> str:
    """Return `name` if it is among `available`.

    Raises
    ------
    UsageError
        If it is not; the message proposes the nearest name. `what` says what it is, e.g.
        "column of the manifest".
    """
    columns = sorted(available)
    if name in columns:
        return name
    near = difflib.get_close_matches(name, columns, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise UsageError(f"{name} is no {what} here. {hint}Allowed: {', '.join(columns)}.")


def covariates_json(row: Mapping[str, CovariateValue]) -> str:
    """Return the text of a case's ``manifest.json``; keys sorted, one line each.

    Raises
    ------
    CaseRecordError
        If a value is not of the kind that its column takes, or a column may hold a name or path.
    """
    checked = {key: _checked(key, value) for key, value in row.items()}
    return json.dumps(checked, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def read_covariates(case_folder: Path) -> dict[str, CovariateValue]:
    """Read the manifest row of a case; empty if the case came without a manifest.

    Raises
    ------
    CaseRecordError
        If the file is no flat JSON object or a value is not of the kind that its column takes.
    """
    path = case_folder / MANIFEST_NAME
    try:
        row = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CaseRecordError(
            f"{MANIFEST_NAME} of {case_folder.name} cannot be read ({type(error).__name__}). "
            "Run the batch again to write it anew."
        ) from None
    if not isinstance(row, dict):
        raise CaseRecordError(
            f"{MANIFEST_NAME} of {case_folder.name} holds a {type(row).__name__}; it takes one "
            "flat object, column → value. Run the batch again to write it anew."
        )
    return {key: _checked(key, value) for key, value in row.items()}


def _checked(key: str, value: Any) -> CovariateValue:  # noqa: ANN401 -- cells of a manifest
    if key in _FORBIDDEN:
        raise CaseRecordError(
            f"The column {key} may identify a person or a place; it does not belong into "
            f"{MANIFEST_NAME}. Leave it out."
        )
    if value is None or (isinstance(value, str) and value == ""):
        return None
    column = known_column(key)
    accepted, allowed = _ACCEPTED[column.kind if column else None]
    try:
        # As JSON, where a date is text. Strictly, since true would else pass for the number 1.
        adapter_of(accepted).validate_json(json.dumps(value), strict=True)
    except ValidationError:
        raise CaseRecordError(
            f"{key} = {value!r} cannot be used; it takes {allowed} or null."
        ) from None
    result: CovariateValue = value
    return bool(value) if column is not None and column.kind is ColumnKind.FLAG else result
