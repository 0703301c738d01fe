"""Postoperative reports of how much of the endoscopic view was obscured by blood.

>>> import ubereport
>>> case = ubereport.analyze("case.mp4", out="results")  # doctest: +SKIP
>>> case.metrics["impaired_share_20"].value  # doctest: +SKIP
0.18

Everything is loaded when it is first asked for. Errors are those of `ubereport.core.errors`.
For research and departmental quality review; not a medical device, not for diagnosis.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ubereport.core.version import __version__ as __version__

if TYPE_CHECKING:
    from ubereport.api.batch import Batch, run_batch
    from ubereport.api.case import Case, analyze, read_case
    from ubereport.api.extension import CaseInput, Measurement, Section, metric
    from ubereport.api.library import Library, Report, audit, compare, read_library
    from ubereport.api.model import Model, load_model
    from ubereport.core.errors import UbereportError

__all__ = [
    "Batch",
    "Case",
    "CaseInput",
    "Library",
    "Measurement",
    "Model",
    "Report",
    "Section",
    "UbereportError",
    "analyze",
    "audit",
    "compare",
    "load_model",
    "metric",
    "read_case",
    "read_library",
    "run_batch",
]

_HOMES = {
    "ubereport.api.batch": ("Batch", "run_batch"),
    "ubereport.api.case": ("Case", "analyze", "read_case"),
    "ubereport.api.library": ("Library", "Report", "audit", "compare", "read_library"),
    "ubereport.api.model": ("Model", "load_model"),
    "ubereport.core.errors": ("UbereportError",),
    "ubereport.api.extension": ("CaseInput", "Measurement", "Section", "metric"),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- any of the names above
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'ubereport' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
