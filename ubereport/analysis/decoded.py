"""What the readers of a case did: who decoded what and why, and what failed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass

from ubereport.core.case import ReaderUse

__all__ = ["DecodeReport"]

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
                if uses and _continues(uses[-1], use):
                    uses[-1] = dataclasses.replace(uses[-1], end_s=use.end_s)
                else:
                    uses.append(use)
        return cls(tuple(uses), tuple(failures))

    def within(self, start_s: float, end_s: float) -> DecodeReport:
        """Return the uses cut to a stretch of the case clock, with all failures."""
        cut = (
            dataclasses.replace(u, start_s=max(u.start_s, start_s), end_s=min(u.end_s, end_s))
            for u in self.uses
            if u.start_s < end_s and u.end_s > start_s
        )
        return dataclasses.replace(self, uses=tuple(cut))

    def to_json(self) -> str:
        """Return the report as text, for a checkpoint."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> DecodeReport:
        """Return the report that `to_json` wrote; raise ValueError if it is none."""
        try:
            plain = json.loads(text)
            uses = tuple(ReaderUse(**use) for use in plain["uses"])
            return cls(uses, tuple(str(f) for f in plain["failures"]))
        except (TypeError, KeyError) as error:
            raise ValueError(f"no decode report: {error}") from None


def _continues(before: ReaderUse, after: ReaderUse) -> bool:
    return (
        before.part_index == after.part_index
        and before.reader == after.reader
        and after.start_s <= before.end_s + TOUCHING_S
    )
