"""What a batch would do and how long that may take, before anything is done."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ubereport.analysis.opened_case import recorded_s
from ubereport.batch.manifest import Manifest
from ubereport.core.config import AnalysisConfig
from ubereport.core.errors import UbereportError
from ubereport.files.names import folder_name
from ubereport.files.records.store import holds_file

ASSUMED_REAL_TIME_FACTOR = 10.0


@dataclass(frozen=True, slots=True)
class BatchEstimate:
    """Cases, hours of recording and wall minutes that a batch may take.

    `basis` says what the rate rests on; `unreadable` lists (row, reason) of cases that would fail.
    """

    n_cases: int
    n_present: int
    recorded_h: float
    real_time_factor: float
    basis: str
    wall_min: float
    unreadable: tuple[tuple[int, str], ...]

    def lines(self) -> Iterator[str]:
        """Yield the estimate as sentences."""
        yield f"{self.n_cases} cases, {self.n_present} of them already in the library."
        yield f"{self.recorded_h:.2f} h of recordings to measure."
        wall = f"About {self.wall_min:.0f} min" if self.wall_min >= 1 else "Less than a minute"
        yield f"{wall} at {self.real_time_factor:.1f} × real time ({self.basis})."
        for row, reason in self.unreadable:
            yield f"Row {row} would fail: {reason}"


def estimate_batch(
    manifest: Manifest, library: Path, config: AnalysisConfig, n_jobs: int
) -> BatchEstimate:
    """Index every recording that is not in the library yet; decode none.

    The rate is the median of earlier cases of the library, if there are any.
    """
    total_s, n_present = 0.0, 0
    unreadable: list[tuple[int, str]] = []
    for case in manifest.cases:
        try:
            # Counted as done without a look at its settings: that would take the hash of every
            # recording of the library.
            if holds_file(library / folder_name(case.case_id), "case.json"):
                n_present += 1
            else:
                total_s += recorded_s(case.parts, config)
        # A closed folder, a part given twice, a file that is gone: one row never ends the estimate.
        except UbereportError as error:
            unreadable.append((case.row, str(error)))
    rates = list(_earlier_rates(library))
    # The median of earlier cases of this very library: same recorder, same machine, unmoved by one
    # night on which the machine was busy.
    factor = statistics.median(rates) if rates else ASSUMED_REAL_TIME_FACTOR
    basis = {
        0: "assumed; no earlier case",
        1: "that of one earlier case",
    }.get(len(rates), f"median of {len(rates)} earlier cases")
    return BatchEstimate(
        n_cases=len(manifest.cases),
        n_present=n_present,
        recorded_h=total_s / 3600,
        real_time_factor=factor,
        basis=basis,
        wall_min=total_s / factor / 60 / n_jobs,
        unreadable=tuple(unreadable),
    )


def _earlier_rates(library: Path) -> Iterator[float]:
    for path in sorted(library.glob("*/run.json")):
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
            total_s = sum(float(s) for s in run["stage_s"].values())
            length_s = float(run["recorded_s"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if total_s > 0 and length_s > 0:
            yield length_s / total_s
