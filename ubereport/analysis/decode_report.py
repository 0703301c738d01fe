"""What the readers of a case did: who decoded what and why, and what failed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from ubereport.core.case import ReaderUse

TOUCHING_S = 1.0


@dataclass(frozen=True, slots=True)
class DecodeReport:
    """Reader uses in time order and failure sentences in the order in which they happened."""

    uses: tuple[ReaderUse, ...] = ()
    failures: tuple[str, ...] = ()

    @classmethod
    def joined(cls, reports: Iterable[DecodeReport]) -> DecodeReport:
        """Join the reports of consecutive chunks; one reader's neighboring uses become one.

        So that an interrupted case reads like an undisturbed one.
        """
        uses: list[ReaderUse] = []
        failures: list[str] = []
        for report in reports:
            failures.extend(report.failures)
            for use in report.uses:
                at = next((at for at, u in enumerate(uses) if _continues(u, use)), None)
                if at is None:
                    uses.append(use)
                else:
                    uses[at] = dataclasses.replace(uses[at], end_s=use.end_s)
        return cls(tuple(uses), tuple(failures))

    @classmethod
    def layered(cls, reports: Iterable[DecodeReport]) -> DecodeReport:
        """Join the reports of passes over the same time; what an earlier pass covers is not told.

        So that a stretch that one reader read twice is one use.
        """
        uses: list[ReaderUse] = []
        failures: list[str] = []
        for report in reports:
            failures.extend(report.failures)
            uses.extend(use for use in report.uses if not any(_covers(u, use) for u in uses))
        uses.sort(key=lambda use: (use.part_index, use.start_s))
        return cls(tuple(uses), tuple(failures))

    def within(self, start_s: float, end_s: float) -> DecodeReport:
        """Return the uses cut to a stretch of the case clock, with all failures."""
        cut = (
            dataclasses.replace(u, start_s=max(u.start_s, start_s), end_s=min(u.end_s, end_s))
            for u in self.uses
            if u.start_s < end_s and u.end_s >= start_s
        )
        return dataclasses.replace(self, uses=tuple(cut))

    def extended_to(self, end_s: float) -> DecodeReport:
        """Let the last use last until `end_s`: a picture stands until the next one."""
        if not self.uses:
            return self
        last = dataclasses.replace(self.uses[-1], end_s=end_s)
        return dataclasses.replace(self, uses=(*self.uses[:-1], last))


def _covers(one: ReaderUse, other: ReaderUse) -> bool:
    return (
        (one.part_index, one.reader) == (other.part_index, other.reader)
        and one.start_s <= other.start_s
        and one.end_s >= other.end_s
    )


def _continues(before: ReaderUse, after: ReaderUse) -> bool:
    return (
        before.part_index == after.part_index
        and before.reader == after.reader
        and after.start_s <= before.end_s + TOUCHING_S
    )
