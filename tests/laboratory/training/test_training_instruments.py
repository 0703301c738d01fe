import dataclasses
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.laboratory.training.conftest import SIDE, write_set
from ubereport.core.errors import AnnotationError, ConfigError
from ubereport.laboratory.training.collections import read_collections
from ubereport.laboratory.training.instrument_bundle import bundle_with_instruments
from ubereport.laboratory.training.instrument_figures import branch_figures
from ubereport.laboratory.training.instruments import (
    BranchTraining,
    read_stills,
    train_branch,
    with_instruments,
)
from ubereport.laboratory.training.labelled_stills import fold_of_groups
from ubereport.segmentation.bundle import load_bundle, verify_bundle
from ubereport.segmentation.export import write_bundle
from ubereport.segmentation.metadata import BundleMetadata, NetworkSpec
from ubereport.segmentation.network import build_network

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "training"
QUICK = BranchTraining(steps=40, batch_size=4, lr=0.03, n_views=1, still_px=SIDE)
SPECIFICATION = """
bundle = "tiny-1"
sets = "sets.toml"
n_folds = 3
fold = 0
split_seed = 1
channels = [8, 8, 8, 8]
n_blocks = [0, 0, 1, 1]
threshold = 0.5
evaluated_on = "Two operations."
card = "It marks squares of steel."
training = {}
"""
SETS = """
[[collections]]
name = "squares"
path = "set/MANIFEST.csv"
instruments = "steel"
licence = "ours"
"""


@pytest.fixture
def labelled(tmp_path):
    """Stills on which three of four show a square of bright blue steel, and where it is."""
    write_set(tmp_path / "set")
    (tmp_path / "steel").mkdir()
    rng = np.random.default_rng(3)
    for path in sorted((tmp_path / "set" / "images").glob("*.png")):
        bgr = cv2.imread(str(path))
        mask = np.zeros((SIDE, SIDE), np.uint8)
        if not path.stem.endswith("_3"):
            x, y = rng.integers(0, SIDE // 2, 2)
            mask[y : y + 30, x : x + 30] = 255
        bgr[mask > 0] = (250, 240, 60)
        cv2.imwrite(str(path), bgr)
        cv2.imwrite(str(tmp_path / "steel" / path.name), mask)
    (tmp_path / "sets.toml").write_text(SETS)
    (tmp_path / "spec.toml").write_text(SPECIFICATION)
    return tmp_path


@pytest.fixture
def bundle(tmp_path):
    spec = NetworkSpec(decoder_channels=(16, 8, 8, 4, 4))
    torch.manual_seed(2)
    metadata = BundleMetadata(
        name="tiny", version="1", title="Tiny", kind="network", input_height_px=SIDE,
        input_width_px=SIDE, thresholds=(0.3, 0.5, 0.7), training_population="None.",
        limits="None.", intended_use="Tests.", evaluated_on="Nothing.", network=spec,
        weights_sha256="0" * 64, licence="ours",
    )  # fmt: skip
    folder = tmp_path / "models" / "tiny-1"
    return write_bundle(folder, build_network(spec), metadata, "# Tiny\n\n## Limits\nNone.\n")


def _made(labelled, out="out", training=QUICK, **hooks):
    return bundle_with_instruments(
        labelled / "spec.toml", labelled, labelled / "models", labelled / out, training, **hooks
    )


def test_a_bundle_gets_a_second_output_and_keeps_its_weights(labelled, bundle):
    losses = []
    made = _made(labelled, on_step=lambda step, loss: losses.append((step, loss)))
    assert made.sha256 == bundle.sha256
    assert made.weights_path.read_bytes() == bundle.weights_path.read_bytes()
    assert verify_bundle(made.folder) == ()
    assert [step for step, _ in losses] == list(range(1, 41))
    first, last = (
        np.mean([loss for _, loss in losses[piece]]) for piece in (slice(5), slice(-5, None))
    )
    assert last < 0.9 * first, "it learns"
    spec = made.metadata.instruments
    figures = dict(spec.figures)
    assert (figures["n_with_instruments"], figures["n_without"], figures["n_operations"]) == (
        6,
        2,
        2,
    )
    (trained,) = spec.training_data
    assert (trained.name, trained.licence, trained.n_stills, trained.n_groups) == (
        "squares", "ours", 16, 4,
    )  # fmt: skip
    card = (made.folder / "README.md").read_text()
    assert card.startswith(
        "# Tiny\n\n## Limits\nNone.\n\n## Instruments\nIt marks squares of steel."
    )
    assert f"| iou_median | {figures['iou_median']:g} |" in card


def test_the_same_stills_and_seed_give_the_same_bytes_and_one_section(labelled, bundle):
    made, again = _made(labelled), _made(labelled, out="again")
    assert made.instruments_path.read_bytes() == again.instruments_path.read_bytes()
    (labelled / "models" / "tiny-1").rename(labelled / "old")
    made.folder.rename(labelled / "models" / "tiny-1")
    third = _made(labelled, out="third")
    assert (third.folder / "README.md").read_text() == (again.folder / "README.md").read_text()
    assert third.metadata == again.metadata


def test_what_is_held_out_is_never_learned_from(labelled, bundle, monkeypatch):
    seen = []

    def watched(network, metadata, spec, cache, training, on_step):
        seen.extend(still.group for still in cache.stills)
        return train_branch(network, metadata, spec, cache, training, on_step)

    monkeypatch.setattr("ubereport.laboratory.training.instrument_bundle.train_branch", watched)
    _made(labelled, training=dataclasses.replace(QUICK, steps=1))
    stills = read_collections(labelled / "sets.toml", labelled)
    folds = fold_of_groups(stills, 3, 1)
    assert set(seen) == {group for group, fold in folds.items() if fold != 0}


def test_figures_are_those_of_counting(labelled, bundle):
    """Blood and steel marked by rule; drawn masks of the same rule leave no error."""
    stills = with_instruments(read_collections(labelled / "sets.toml", labelled))
    cache = read_stills(stills, SIDE)

    class ByRule(torch.nn.Module):
        def forward(self, planes):
            levels = planes * 128 + 127
            blood = (levels[:, :1] < 150) & (levels[:, 1:2] < 60)
            return blood * 20.0 - 10, (levels[:, 2:] > 220) * 20.0 - 10

    figures = dict(branch_figures(ByRule(), bundle.metadata, 0.5, cache))
    assert figures["iou_median"] == figures["dice_mean"] == 1
    assert figures["painted_clean_frac"] == figures["tissue_area_mae_frac"] == 0
    assert figures["n_with_instruments"] == 18

    class Nothing(ByRule):
        def forward(self, planes):
            blood, steel = super().forward(planes)
            return blood, torch.full_like(steel, -10)

    missed = dict(branch_figures(Nothing(), bundle.metadata, 0.5, cache))
    share = np.mean([label.mean() for label in cache.label])
    assert missed["iou_median"] == 0
    assert missed["share_bias_frac"] == pytest.approx(-share, rel=1e-3)
    assert missed["tissue_area_bias_frac"] < 0, "blood over more of the view is a smaller share"


def test_a_specification_that_cannot_be_used_is_told(labelled, bundle):
    path = labelled / "spec.toml"
    text = path.read_text()
    path.write_text(text.replace("fold = 0\n", ""))
    with pytest.raises(ConfigError, match="lacks fold"):
        _made(labelled)
    path.write_text("fould = 0\n" + text)
    with pytest.raises(ConfigError, match=r"spec\.toml does not know: fould"):
        _made(labelled)
    path.write_text("fold = ]")
    with pytest.raises(ConfigError, match="specification cannot be read"):
        _made(labelled)


def test_stills_without_instruments_are_refused(labelled, bundle):
    (labelled / "sets.toml").write_text(SETS.replace('instruments = "steel"\n', ""))
    with pytest.raises(AnnotationError, match="No still has a mask of instruments"):
        _made(labelled)


@pytest.mark.parametrize("name", ["instruments-13", "instruments-open-7"])
def test_committed_specifications_fit_their_bundles(name):
    table = tomllib.loads((EXAMPLES / f"{name}.toml").read_text())
    BranchTraining(**table["training"])
    assert (
        load_bundle(EXAMPLES.parents[1] / "models" / table["bundle"]).metadata.network is not None
    )
    assert (EXAMPLES / table["sets"]).is_file()
