"""A plan of a comparison, written into the library before its cases are measured.

The plan holds what will be compared and by which metric, which cases had been measured when it was
written, the time, and a seal: the SHA-256 of all of it. A seal shows that a file was changed, not
that nobody wrote a new one; its first digits belong into the protocol or the ethics application.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ubereport.cohort.casefile import CASE_NAME
from ubereport.cohort.comparison_results import PlanStatus, PlanUse
from ubereport.cohort.table import read_cohort
from ubereport.core.config import CompareConfig
from ubereport.core.covariates import column_title, require_column
from ubereport.core.errors import CaseRecordError, UsageError
from ubereport.files.atomic import write_file
from ubereport.files.records.listing import library_folders
from ubereport.files.records.store import holds_file
from ubereport.metrics.registry import is_known_metric

PLAN_NAME = "plan.json"
_FORMAT = "ubereport-plan/1"


@dataclass(frozen=True, slots=True)
class ComparePlan:
    """What will be compared.

    Parameters
    ----------
    by, primary, reference
        Column of the manifest, metric key, and the group that others are compared with (None: the
        largest).
    covariates
        Columns held equal; None: those that the program knows.
    margin
        Of equivalence, in the unit of the metric; None for none.
    written_at
        UTC, ISO.
    measured
        Case folders of the library that held a record then.
    replaces
        Seal of the plan that this one takes the place of; empty for the first.
    """

    by: str
    primary: str
    reference: str | None
    covariates: tuple[str, ...] | None
    margin: float | None
    written_at: str
    measured: tuple[str, ...]
    replaces: str = ""

    @property
    def sha256(self) -> str:
        """The seal."""
        # Sorted keys and ASCII: the seal must not depend on the order in which fields are written
        # or on an encoding.
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


def is_new_library(library: Path) -> bool:
    """Whether there is nothing of that name yet, so that a plan makes the folder."""
    try:
        library.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def measured_folders(library: Path) -> tuple[str, ...]:
    """Names of the case folders that hold a record, or that nobody may look into."""
    if not library.is_dir():
        return ()
    return tuple(folder.name for folder in sorted(library_folders(library)) if _is_measured(folder))


def _is_measured(folder: Path) -> bool:
    try:
        return holds_file(folder, CASE_NAME)
    except CaseRecordError:
        # Once it is opened again, a case that was there before must not pass for a later one.
        return True


def write_plan(
    library: Path,
    by: str,
    config: CompareConfig,
    reference: str | None,
    covariates: Sequence[str] | None,
    *,
    is_amended: bool = False,
    now: dt.datetime | None = None,
) -> ComparePlan:
    """Write ``plan.json`` into `library`, which may still be empty, or not be there yet.

    Raises
    ------
    UsageError
        If the metric is unknown, `library` is a file, no case that it holds has one of the columns,
        or there is a plan already and it is not to be amended.
    OutputError
        If the library cannot be written.
    """
    if not is_known_metric(config.primary):
        raise UsageError(
            f"{config.primary} is no metric. Name one of those in case.json, such as "
            "impaired_share_20."
        )
    old = read_plan(library)
    if old is not None and not is_amended:
        raise UsageError(
            f"The library has a plan of {old[0].written_at}. A plan is written once: follow it, or "
            "replace it with --amend, and every comparison will say so."
        )
    measured = _checked_library(library, (by, *(covariates or ())))
    moment = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC).replace(microsecond=0)
    plan = ComparePlan(
        by,
        config.primary,
        reference,
        None if covariates is None else tuple(covariates),
        config.margin,
        moment.isoformat().replace("+00:00", "Z"),
        measured,
        "" if old is None else old[1],
    )
    content = {"format": _FORMAT, **asdict(plan), "sha256": plan.sha256}
    write_file(library / PLAN_NAME, (json.dumps(content, indent=1) + "\n").encode())
    return plan


def _checked_library(library: Path, columns: Sequence[str]) -> tuple[str, ...]:
    """Return what was measured; refuse columns that no case has, where there are cases."""
    if not is_new_library(library) and not library.is_dir():
        raise UsageError(
            "The library is no folder. Name the folder that holds the case folders "
            "(the DIR of ubereport batch --library DIR)."
        )
    measured = measured_folders(library)
    available = _columns(library) if measured else None
    if available is not None:
        for name in columns:
            require_column(name, available, "column of the manifest")
    return measured


def _columns(library: Path) -> tuple[str, ...] | None:
    """Return the manifest columns of the cases; None where no case can be read."""
    try:
        return read_cohort(library).covariates
    except UsageError:
        return None


def read_plan(library: Path) -> tuple[ComparePlan, str] | None:
    """Return the plan of `library` and the seal in its file; None where there is none.

    Raises
    ------
    UsageError
        If there is a file that is no plan.
    """
    path = library / PLAN_NAME
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError):
        raise UsageError(_UNREADABLE) from None
    try:
        if content["format"] != _FORMAT:
            raise ValueError(content["format"])
        covariates = content["covariates"]
        plan = ComparePlan(
            str(content["by"]),
            str(content["primary"]),
            content["reference"],
            None if covariates is None else tuple(map(str, covariates)),
            None if content["margin"] is None else float(content["margin"]),
            str(content["written_at"]),
            tuple(map(str, content["measured"])),
            str(content["replaces"]),
        )
        return plan, str(content["sha256"])
    except (KeyError, TypeError, ValueError):
        raise UsageError(_UNREADABLE) from None


_UNREADABLE = (
    f"{PLAN_NAME} of the library cannot be read. Bring it back from a backup, or remove it; "
    "without a plan the comparison is exploratory."
)


def plan_use(
    stored: tuple[ComparePlan, str] | None,
    by: str,
    config: CompareConfig,
    reference: str | None,
    covariates: Sequence[str] | None,
    folders: Sequence[str],
) -> PlanUse:
    """Say whether a comparison of the cases in `folders` follows the stored plan."""
    if stored is None:
        return PlanUse(PlanStatus.NONE)
    plan, seal = stored
    # Before all else: what a plan says that somebody changed is not worth comparing with.
    if plan.sha256 != seal:
        detail = "the plan was changed after it was written: its seal does not fit its content"
        return PlanUse(PlanStatus.CHANGED, plan.written_at, seal, detail)
    # Only of the cases compared: others that had been measured before decide nothing here.
    n_seen = len(set(plan.measured) & set(folders))
    if n_seen:
        detail = (
            f"{n_seen} of the {len(folders)} cases compared had been measured before the plan was "
            "written"
        )
        return PlanUse(PlanStatus.LATE, plan.written_at, seal, detail)
    departures = _departures(plan, by, config, reference, covariates)
    amended = "it replaced an earlier plan" if plan.replaces else ""
    if departures:
        return PlanUse(PlanStatus.DEPARTED, plan.written_at, seal, "; ".join(departures))
    return PlanUse(PlanStatus.FOLLOWED, plan.written_at, seal, amended)


def _departures(
    plan: ComparePlan,
    by: str,
    config: CompareConfig,
    reference: str | None,
    covariates: Sequence[str] | None,
) -> list[str]:
    named = None if covariates is None else tuple(covariates)
    pairs = [
        ("groups", plan.by, by),
        ("primary metric", plan.primary, config.primary),
        ("reference", plan.reference, reference),
        ("covariates", _names(plan.covariates), _names(named)),
        ("margin", plan.margin, config.margin),
    ]
    return [
        f"{what}: planned {_word(planned)}, used {_word(used)}"
        for what, planned, used in pairs
        if planned != used
    ]


def _names(columns: Sequence[str] | None) -> str | None:
    return None if columns is None else ", ".join(column_title(name) for name in columns)


def _word(value: object) -> str:
    return "the default" if value is None else str(value)
