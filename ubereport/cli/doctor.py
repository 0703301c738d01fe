"""`ubereport doctor`: what is missing on this machine and how to mend it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ubereport.cli.console import JsonOption, print_json, say_rows
from ubereport.cli.guard import guarded
from ubereport.core.errors import DependencyError
from ubereport.language.speaking import _, text_width, told, told_as_typed

if TYPE_CHECKING:
    from ubereport.laboratory.installation import Finding


@guarded
def doctor(
    json: JsonOption = False,
) -> None:
    """Check this machine: libraries, system parts, models, fonts, devices, memory, disk."""
    from ubereport.laboratory.installation import examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if not json:
            _say(finding)
    if json:
        print_json(
            {
                "is_ready": not any(f.is_needed and not f.is_good for f in findings),
                "findings": [asdict(f) for f in findings],
            }
        )
    broken = [f.what for f in findings if f.is_needed and not f.is_good]
    if broken:
        raise DependencyError(f"Not ready: {', '.join(broken)}. Mend what is marked MISSING.")


def _say(finding: Finding) -> None:
    marks = (_("optional"), _("MISSING"))
    width = max(9, *(text_width(mark) + 1 for mark in marks))
    mark = _("ok") if finding.is_good else marks[finding.is_needed]
    say_rows((mark, f"{told(finding.what)}: {told(finding.found)}"), width=width)
    if not finding.is_good:
        say_rows(("", f"→ {told_as_typed(finding.mend)}"), width=width)
