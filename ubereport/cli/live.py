"""A live table of the cases of a batch, on a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ubereport.api.batch import BatchPlan, CaseResult
from ubereport.language.speaking import _, told

REFRESH_S = 0.5
MAX_ROWS = 20


@contextmanager
def live_table(plan: BatchPlan) -> Iterator[Callable[[CaseResult], None]]:
    """Show running cases with stage, share and rate, and how many are done, failed, waiting."""
    ended: dict[str, CaseResult] = {}
    is_over = threading.Event()
    started = time.monotonic()
    with Live(console=Console(stderr=True), auto_refresh=False) as live:

        def refresh() -> None:
            # Redrawn by the clock and not as cases end, which may take an hour; of a copy, since
            # one may end while the rows are made.
            while not is_over.wait(REFRESH_S):
                live.update(_table(plan, dict(ended), time.monotonic() - started), refresh=True)

        # A thread starts in English; the copied context brings the language of the command along.
        watcher = threading.Thread(target=copy_context().run, args=(refresh,), daemon=True)
        watcher.start()

        def hook(result: CaseResult) -> None:
            ended[result.case_id] = result

        try:
            yield hook
        finally:
            is_over.set()
            watcher.join()
            live.update(_table(plan, ended, time.monotonic() - started), refresh=True)


def _table(plan: BatchPlan, ended: dict[str, CaseResult], elapsed_s: float) -> Table:
    n_failed = sum(not result.is_done for result in ended.values())
    n_left = len(plan.jobs) - len(ended)
    title = _(
        "{done} done, {failed} failed, {left} to go",
        done=len(ended) - n_failed,
        failed=n_failed,
        left=n_left,
    )
    if ended and n_left:
        # Wall time by ended case, in which the number of cases at a time is contained.
        minutes = elapsed_s / len(ended) * n_left / 60
        title += _(", about {minutes} min left", minutes=f"{minutes:.0f}")
    heads = (_("Case"), _("Stage"), _("Done"), _("× real time"))
    table = Table(*heads, title=title, title_justify="left")
    running = [job.key for job in plan.jobs if job.key not in ended]
    for case_id in running:
        line = _progress(plan, case_id)
        if line is not None and table.row_count < MAX_ROWS:
            stage, share, rate = line
            table.add_row(case_id, told(stage), f"{100 * float(share):.0f} %", rate)
    return table


def _progress(plan: BatchPlan, case_id: str) -> tuple[str, str, str] | None:
    try:
        stage, share, rate = (
            plan.progress_path(case_id).read_text(encoding="utf-8").rstrip("\n").split("\t")
        )
    # Not there yet, or just being written: the case is shown a moment later.
    except (OSError, ValueError):
        return None
    return stage, share, rate
