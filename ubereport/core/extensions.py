"""What installed packages add to ubereport: objects under entry points, each with its origin."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib.metadata import entry_points


@dataclass(frozen=True, slots=True)
class Extension:
    """One object that a package adds; `problem` says why it cannot be used, else empty."""

    name: str
    origin: str
    value: object
    problem: str = ""

    @property
    def told(self) -> str:
        """Its name and where it comes from."""
        return f"{self.name} ({self.origin})"


@functools.cache
def installed_extensions(group: str) -> tuple[Extension, ...]:
    """Return what is installed under an entry point group, by name; loaded once a process.

    What cannot be loaded is told by the kind of its error alone: an error's text may hold anything.
    """
    # Python lists them in the order in which it finds packages, which differs between machines.
    points = sorted(entry_points(group=group), key=lambda point: (point.name, point.value))
    extensions = []
    for point in points:
        package = point.dist
        origin = "an unknown package" if package is None else f"{package.name} {package.version}"
        try:
            extensions.append(Extension(point.name, origin, point.load()))
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- somebody else's code
            why = f"it cannot be loaded ({type(error).__name__})"
            extensions.append(Extension(point.name, origin, None, why))
    return tuple(extensions)
