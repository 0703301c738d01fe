"""Small things that tests of several rooms use."""

from pathlib import Path


def copy_bytes(source: Path, target: Path, share: float = 1.0) -> Path:
    """Copy the first `share` of a file."""
    content = source.read_bytes()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content[: round(len(content) * share)])
    return target
