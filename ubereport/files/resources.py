"""The only place that knows where templates/ and models/ lie, in a checkout or in a wheel."""

from __future__ import annotations

from pathlib import Path

from ubereport.core.errors import DependencyError


def templates_dir() -> Path:
    """Return the folder of report templates, styles and fonts."""
    return _resource_dir("templates")


def models_dir() -> Path:
    """Return the folder of shipped model bundles."""
    return _resource_dir("models")


def _resource_dir(name: str) -> Path:
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "_resources" / name, package.parent / name):
        if candidate.is_dir():
            return candidate
    raise DependencyError(
        f"The folder {name}/ of this installation is missing. Install ubereport again."
    )
