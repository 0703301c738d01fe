"""What became of the cases of a batch: the rows of its summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaseDone:
    """What a worker sends back of a published case: its folder's name and what a table shows."""

    folder_name: str
    is_reused: bool
    recorded_s: float
    coverage_frac: float | None
    impaired_share_20: float | None
    event_count: float | None
    n_warnings: int
    pdf_problem: str = ""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One row of the batch: done, or failed and why."""

    row: int
    case_id: str
    done: CaseDone | None
    kind: str
    reason: str
    n_attempts: int

    @property
    def is_done(self) -> bool:
        """Whether the case is complete."""
        return self.done is not None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Every case of a batch, in the order of the manifest."""

    cases: tuple[CaseResult, ...]

    @property
    def n_done(self) -> int:
        """Cases that are complete."""
        return sum(case.is_done for case in self.cases)

    @property
    def pdf_problem(self) -> str:
        """Why cases have no PDF, as one of them says it; empty where all have one."""
        done = (case.done for case in self.cases if case.done is not None)
        return next((case.pdf_problem for case in done if case.pdf_problem), "")

    @property
    def n_failed(self) -> int:
        """Cases that are not."""
        return len(self.cases) - self.n_done


def result_table(cases: Sequence[CaseResult]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return header and rows of ``batch.csv``; numbers as fractions, empty where not known."""
    header = (
        *("row", "case_id", "state", "folder", "recorded_s", "coverage_frac", "impaired_share_20"),
        *("event_count", "n_warnings", "kind", "reason"),
    )
    return header, [_cells(case) for case in cases]


def _cells(case: CaseResult) -> tuple[str, ...]:
    done = case.done
    middle: tuple[str, ...] = ("failed", *[""] * 6)
    if done is not None:
        numbers = (done.recorded_s, done.coverage_frac, done.impaired_share_20, done.event_count)
        middle = ("done", done.folder_name, *map(_number, numbers), str(done.n_warnings))
    return (str(case.row), case.case_id, *middle, case.kind, case.reason)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
