"""The file that describes a bundle: what it must hold, told before any work."""

import tomllib
from pathlib import Path

import pytest
from safetensors.torch import save_file

from tests.laboratory.training.conftest import write_set
from ubereport.core.config import config_to_toml
from ubereport.core.errors import AnnotationError, ConfigError
from ubereport.laboratory.training import specification
from ubereport.laboratory.training.calibrate import calibrate
from ubereport.laboratory.training.collections import read_collections
from ubereport.laboratory.training.export import HeldOutMaps
from ubereport.laboratory.training.finetune import finetune, split_indices
from ubereport.laboratory.training.loop import network_spec
from ubereport.laboratory.training.specification import (
    NEEDED,
    export_from_specification,
    look_at_folds,
)
from ubereport.segmentation.bundle import load_bundle
from ubereport.segmentation.network import build_network, portable_state

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "training"


def export(spec: Path, folder: Path) -> None:
    export_from_specification(spec, folder / "none.csv", folder / "runs", folder / "models")


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


SPECIFICATION = """
name = "own"
version = "1"
config = "tiny.toml"
card = "card.md"
weights = ["w.safetensors"]
title = "t"
licence = "{licence}"
training_population = "p"
limits = "l"
intended_use = "i"
evaluated_on = "e"
[[training_data]]
name = "simulated stills"
licence = "ours"
n_stills = 4
"""
SETS = """
[[collections]]
name = "squares"
path = "set/MANIFEST.csv"
use = "{use}"
{licence}
"""


def written(folder, config, *, licence="MIT", use="any", stated='licence = "CC BY 4.0"'):
    """Write what an export needs, of an untrained network; return specification and sets."""
    write_set(folder / "set")
    (folder / "tiny.toml").write_text(config_to_toml(config))
    (folder / "card.md").write_text("# {version}, {licence}\n{sets}\n{figures}\n{operations}\n")
    (folder / "runs").mkdir()
    state = portable_state(build_network(network_spec(config)))
    save_file(state, folder / "runs" / "w.safetensors")
    (folder / "spec.toml").write_text(SPECIFICATION.format(licence=licence))
    (folder / "sets.toml").write_text(SETS.format(use=use, licence=stated))
    return folder / "spec.toml", folder / "sets.toml"


def test_sets_are_named_with_licence_and_counts_beside_what_the_specification_adds(
    tmp_path, exported_config
):
    spec, sets = written(tmp_path, exported_config)
    bundle = export_from_specification(spec, sets, tmp_path / "runs", tmp_path / "models")
    squares, simulated = load_bundle(bundle.folder).metadata.training_data
    assert (squares.name, squares.licence) == ("squares", "CC BY 4.0")
    assert (squares.n_stills, squares.n_positive, squares.n_groups) == (24, 12, 6)
    assert simulated.name == "simulated stills"
    assert bundle.metadata.licence == "MIT"
    card = (bundle.folder / "README.md").read_text()
    assert "# 1, MIT" in card
    assert "| squares | CC BY 4.0 | 24, 12 with blood, 6 groups |" in card


def test_colors_of_another_kind_of_view_are_not_those_of_operations(
    tmp_path, exported_config, monkeypatch
):
    spec, sets = written(tmp_path, exported_config)
    write_set(tmp_path / "others", prefix="other", seed=8)
    entry = '[[collections]]\nname = "others"\npath = "others/MANIFEST.csv"\nlicence = "MIT"\n'
    with sets.open("a") as file:
        file.write(f"{entry}is_foreign = true\n")
    seen = []
    monkeypatch.setattr(
        specification,
        "training_colors",
        lambda cache, index: seen.extend(cache.stills[int(i)].collection.name for i in index),
    )
    export_from_specification(spec, sets, tmp_path / "runs", tmp_path / "models")
    assert set(seen) == {"squares"}


def test_folds_are_looked_at_as_an_export_does(tmp_path, exported_config):
    spec, sets = written(tmp_path, exported_config)
    fold = '[[folds]]\nconfig = "tiny.toml"\nweights = ["w.safetensors"]\n'
    head, _, rest = SPECIFICATION.partition("title")
    text = f"{head}max_clean_area_frac = 0.5\ntitle{rest}{fold}{fold}fold = 1\nsets = ['squares']\n"
    spec.write_text(text.format(licence="MIT"))
    looks, aims = look_at_folds(spec, sets, tmp_path / "runs")
    assert [(look.fold, look.sets) for look in looks] == [(0, ()), (1, ("squares",))]
    first, second = (set(look.held_out.groups) for look in looks)
    assert first
    assert second
    assert not first & second
    pooled = HeldOutMaps.pooled([look.held_out for look in looks])
    found = calibrate(pooled.maps, pooled.labels, pooled.groups, aims)
    bundle = export_from_specification(spec, sets, tmp_path / "runs", tmp_path / "models")
    assert aims.max_clean_area_frac == 0.5
    assert bundle.metadata.thresholds == found.thresholds
    assert bundle.metadata.operating_characteristics == found.figures
    assert {o.operation for o in bundle.metadata.held_out_operations} == first | second


FOLD = """
[[folds]]
config = "tiny.toml"
weights = ["b.safetensors", "tiny/average.safetensors"]
"""


@pytest.fixture
def run_and_given(tmp_path, tiny_config):
    """A run, and given weights beside it; the specification looks with both at a fold."""
    spec, sets = written(tmp_path, tiny_config)
    runs = tmp_path / "runs"
    finetune(tiny_config, read_collections(sets), runs / "tiny")
    (runs / "w.safetensors").rename(runs / "b.safetensors")
    text = SPECIFICATION.replace("w.safetensors", "tiny/average.safetensors")
    spec.write_text(text.format(licence="MIT") + FOLD)
    return spec, sets


def grown(folder, sets):
    """List three operations more in the same set; groups are dealt to folds anew."""
    write_set(folder / "larger", n_groups=9)
    sets.write_text(sets.read_text().replace("set/", "larger/"))


@pytest.mark.parametrize("is_old", [True, False])
def test_what_a_run_learned_from_is_not_held_out_of_an_export(
    run_and_given, tmp_path, tiny_config, is_old
):
    spec, sets = run_and_given
    runs = tmp_path / "runs"
    (look,) = look_at_folds(spec, sets, runs)[0]
    _, out = split_indices(read_collections(sets), tiny_config)
    assert len(look.held_out.maps) == len(out)
    grown(tmp_path, sets)
    if is_old:
        (runs / "tiny" / "split.json").unlink()
    for text in (spec.read_text(), spec.read_text().replace(FOLD, "")):
        spec.write_text(text)
        with pytest.raises(ConfigError, match="which the run 'tiny' did not: it may have been"):
            export_from_specification(spec, sets, runs, tmp_path / "models")
    assert not (tmp_path / "models").exists()
    # Refused before the new stills are decoded.
    assert len(list((runs / "cache").glob("*.rgb.npy"))) == 1


def test_given_weights_of_no_run_are_looked_at_as_before(run_and_given, tmp_path):
    spec, sets = run_and_given
    grown(tmp_path, sets)
    spec.write_text(spec.read_text().replace(', "tiny/average.safetensors"]', "]"))
    (look,) = look_at_folds(spec, sets, tmp_path / "runs")[0]
    assert len(set(look.held_out.groups)) == 3
    (tmp_path / "runs" / "tiny" / "held_out.csv").unlink()
    (tmp_path / "runs" / "tiny" / "split.json").unlink()
    spec.write_text(spec.read_text().replace('"b.safetensors"', '"tiny/average.safetensors"'))
    assert len(look_at_folds(spec, sets, tmp_path / "runs")[0]) == 1


def test_a_set_without_a_licence_is_not_exported(tmp_path, tiny_config):
    spec, sets = written(tmp_path, tiny_config, stated="")
    with pytest.raises(AnnotationError, match="No licence is stated for the set squares"):
        export_from_specification(spec, sets, tmp_path / "runs", tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_weights_of_academic_sets_must_say_so(tmp_path, exported_config):
    spec, sets = written(tmp_path, exported_config, use="academic")
    with pytest.raises(ConfigError, match="squares is for academic use only"):
        export_from_specification(spec, sets, tmp_path / "runs", tmp_path / "models")
    assert not (tmp_path / "models").exists()
    spec.write_text(SPECIFICATION.format(licence="CC BY-NC-SA 4.0"))
    bundle = export_from_specification(spec, sets, tmp_path / "runs", tmp_path / "models")
    assert bundle.metadata.licence == "CC BY-NC-SA 4.0"
