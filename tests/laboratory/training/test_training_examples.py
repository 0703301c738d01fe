import tomllib
from pathlib import Path

import pytest

from ubereport.core.config import config_from_toml
from ubereport.laboratory.training.config import TrainConfig
from ubereport.laboratory.training.specification import NEEDED

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "training"
CONFIGS = sorted(
    p
    for p in FOLDER.glob("*.toml")
    if not p.name.startswith(("ube-blood", "instruments-"))
    and not p.name.endswith(("-sets.toml", "-folds.toml", "choices.toml"))
)

STAGES = ("pretrain", "finetune")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_committed_configuration_can_be_read_and_is_named_as_its_file(path):
    assert config_from_toml(path, TrainConfig).name == path.stem


@pytest.mark.parametrize(("name", "n_looks"), [("six-folds", 6), ("gpu-folds", 10)])
def test_folds_that_are_scored_together_have_configurations_and_share_no_stills(name, n_looks):
    spec = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    held_out = []
    for fold in spec["folds"]:
        config = config_from_toml(FOLDER / fold["config"], TrainConfig)
        held_out += [(fold.get("fold", config.data.fold), name) for name in fold["sets"]]
    assert len(held_out) == len(set(held_out)) == n_looks


def test_the_rows_of_an_ablation_differ_in_one_thing_alone():
    rows = [p for p in CONFIGS if p.stem.startswith("ablation-")]
    assert len(rows) == 10
    configs = [config_from_toml(p, TrainConfig) for p in rows]
    budgets = {(c.steps, c.batch_size, c.side_px, c.data.fold, c.optimizer) for c in configs}
    assert len(budgets) == 1


def test_the_rows_that_are_compared_name_sets_that_are_listed():
    rows = tomllib.loads((FOLDER / "choices.toml").read_text())["rows"]
    listed = tomllib.loads((FOLDER / "all-sets.toml").read_text())["collections"]
    known = {
        "name",
        "px",
        "encoder",
        "seed",
        "fold",
        "without",
        "composite_share",
        "simulated_share",
    }
    assert len({row["name"] for row in rows}) == len(rows) > 10
    assert all(set(row) <= known for row in rows)
    assert {n for row in rows for n in row.get("without", ())} == {s["name"] for s in listed}


def test_the_department_s_files_fit_together():
    folder = FOLDER.parent / "department"
    stages = {name: config_from_toml(folder / f"{name}.toml", TrainConfig) for name in STAGES}
    assert [config.name for config in stages.values()] == list(STAGES)
    assert stages["finetune"].initial == "pretrain/average.safetensors"
    spec = tomllib.loads((folder / "bundle.toml").read_text())
    assert set(NEEDED) <= set(spec)
    assert spec["config"] == "finetune.toml"
    assert spec["weights"] == ["finetune/average.safetensors"]
    assert "{figures}" in (folder / spec["card"]).read_text()
