"""The published schema of a manifest (Table Schema), from the columns that the program knows."""

from __future__ import annotations

import json
from typing import Any

from ubereport.batch.manifest import NEEDED, TECHNIQUES
from ubereport.core.covariates import KNOWN_COLUMNS, ColumnKind, CovariateColumn

SCHEMA_NAME = "manifest.schema.json"
_TYPES = {
    ColumnKind.DATE: "date",
    ColumnKind.CATEGORY: "string",
    ColumnKind.NUMBER: "number",
    ColumnKind.FLAG: "boolean",
    ColumnKind.RATING: "integer",
    ColumnKind.TIMES: "string",
}
_ABOUT = {
    "case_id": "Pseudonymous and unique; names the case everywhere.",
    "files": "Parts of the recording in order, separated by ';'; each a file, folder or glob, "
    "relative to the manifest.",
    "date": "Year-month-day; other ways of writing are read where they are not ambiguous.",
    "surgeon": "Replaced by a pseudonym; who is who is kept in a key file beside the library.",
    "technique": f"One of: {'; '.join(TECHNIQUES)}; or a name of your own, always spelled alike.",
    "continuous": "yes where the parts follow each other without a pause (a recorder that cuts its "
    "files): events cross from one part into the next; no where it was paused. Left empty, lengths "
    "and pictures decide.",
    "use_start": "When the technique was used, on the case clock (750 or 12:30), several with ';' "
    "in order; 0: from the start. Techniques are compared from the first use on.",
    "use_end": "When each use ended, as many as starts; may be left out.",
    "clarity_rating": "0 view clear to 3 view bad.",
}


def manifest_schema_json() -> str:
    """Return the text of ``manifest.schema.json``.

    Source: Frictionless Table Schema (https://datapackage.org/standard/table-schema/).
    """
    needed = [
        {"name": name, "type": "string", "description": _ABOUT[name],
         "constraints": {"required": True, "unique": name == "case_id"}}
        for name in NEEDED
    ]  # fmt: skip
    schema = {
        "title": "Manifest of ubereport batch: one row a case",
        "description": "Columns beside those needed may be left out; any other column is kept "
        "and can be compared by. An empty cell means: not known.",
        "fields": [*needed, *(_field(column) for column in KNOWN_COLUMNS)],
        "missingValues": ["", "NA", "n/a", "nan", "-", "?", "unknown"],
        "primaryKey": ["case_id"],
    }
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _field(column: CovariateColumn) -> dict[str, Any]:
    field: dict[str, Any] = {
        "name": column.name,
        "title": column.title,
        "type": _TYPES[column.kind],
        "role": column.role.value,
    }
    if column.kind is ColumnKind.FLAG:
        field |= {"trueValues": ["yes", "true", "1"], "falseValues": ["no", "false", "0"]}
    if column.unit:
        field["unit"] = column.unit
    if column.name in _ABOUT:
        field["description"] = _ABOUT[column.name]
    return field
