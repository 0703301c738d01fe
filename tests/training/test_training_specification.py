"""The file that describes a bundle: what it must hold, told before any work."""

import tomllib
from pathlib import Path

import pytest

from ubereport.core.errors import ConfigError
from ubereport.training.specification import NEEDED, export_from_specification

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "training"


def export(specification: Path, folder: Path) -> None:
    export_from_specification(
        specification, folder / "none.csv", folder / "runs", folder / "models"
    )


@pytest.mark.parametrize("content", [None, b"version = ", b"\xff\xfe"])
def test_what_is_no_specification_is_refused(tmp_path, content):
    path = tmp_path / "spec.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        export(path, tmp_path)
    assert not (tmp_path / "models").exists()


def test_keys_that_lack_are_named(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text('version = "1"\nweights = []\n')
    with pytest.raises(ConfigError, match=r"lacks config, title, .*card"):
        export(path, tmp_path)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("ube-blood-*.toml")), ids=lambda p: p.stem)
def test_the_committed_specification_is_whole(path):
    spec = tomllib.loads(path.read_text(encoding="utf-8"))
    assert [key for key in NEEDED if key not in spec] == []
    assert (EXAMPLES / spec["config"]).is_file()
    assert (EXAMPLES / spec["card"]).is_file()
