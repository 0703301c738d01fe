"""`ubereport doctor`: what is missing on this machine and how to mend it."""

from __future__ import annotations

from dataclasses import asdict

from ubereport.cli.console import JsonOption, print_json, say
from ubereport.cli.guard import guarded
from ubereport.core.errors import DependencyError


@guarded
def doctor(
    json: JsonOption = False,
) -> None:
    """Check this machine: libraries, system parts, models, fonts, devices, memory, disk."""
    from ubereport.cli.installation import examine

    findings = examine()
    if json:
        print_json(
            {
                "is_ready": not any(f.is_needed and not f.is_good for f in findings),
                "findings": [asdict(f) for f in findings],
            }
        )
    else:
        for finding in findings:
            mark = (
                "ok      " if finding.is_good else "MISSING " if finding.is_needed else "optional"
            )
            say(f"{mark} {finding.what}: {finding.found}")
            if not finding.is_good:
                say(f"         → {finding.mend}")
    broken = [f.what for f in findings if f.is_needed and not f.is_good]
    if broken:
        raise DependencyError(f"Not ready: {', '.join(broken)}. Mend what is marked MISSING.")
