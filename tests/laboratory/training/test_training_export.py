import dataclasses

import cv2
import numpy as np
import pytest
import torch

from ubereport.core.config import SegmentationConfig
from ubereport.core.errors import BundleError, OutputError
from ubereport.laboratory.training.export import (
    BundleText,
    HeldOutMaps,
    average_states,
    export_bundle,
    held_out_maps,
    look_at_held_out,
    training_colors,
)
from ubereport.laboratory.training.finetune import held_out_stills
from ubereport.laboratory.training.labelled_stills import IGNORE, cache_stills, read_manifest
from ubereport.laboratory.training.loop import network_spec
from ubereport.segmentation.bundle import load_bundle
from ubereport.segmentation.metadata import TrainingSet
from ubereport.segmentation.network import build_network, load_state, portable_state
from ubereport.segmentation.predictor import open_predictor

TEXT = BundleText(
    name="tiny",
    version="1",
    title="A tiny model",
    training_population="Squares on texture.",
    limits="Knows nothing.",
    intended_use="Tests.",
    evaluated_on="Held-out groups.",
    licence="MIT",
)


def state_of(config, seed):
    torch.manual_seed(seed)
    return portable_state(build_network(network_spec(config)))


def test_an_average_is_the_mean_of_every_tensor():
    a, b = {"w": torch.tensor([1.0, 3.0])}, {"w": torch.tensor([3.0, 5.0])}
    assert torch.equal(average_states([a, b])["w"], torch.tensor([2.0, 4.0]))


@pytest.mark.parametrize(
    "states",
    [
        [],
        [{"w": torch.zeros(2)}, {"v": torch.zeros(2)}],
        [{"w": torch.zeros(2)}, {"w": torch.zeros(3)}],
    ],
)
def test_weights_that_cannot_be_averaged_are_refused(states):
    with pytest.raises(BundleError):
        average_states(states)


def test_a_bundle_is_written_with_its_figures_and_predicts(manifest, tmp_path, exported_config):
    stills = read_manifest(manifest)
    cache = cache_stills(stills, 128, tmp_path / "cache")
    inside, out = np.arange(20), np.arange(20, 24)
    assert cache.rgb.shape[1:3] == (128, 128)
    inside_groups = {stills[i].group for i in inside}
    assert len(inside_groups) == 5
    folder = tmp_path / "tiny-1"
    state = state_of(exported_config, 1)
    arguments = (
        folder,
        exported_config,
        state,
        look_at_held_out(exported_config, state, cache, out),
        training_colors(cache, inside),
        TEXT,
        [TrainingSet("squares", "none", 20, 10, 5)],
        "# Card\n\n{figures}\n{operations}\n",
    )
    bundle = export_bundle(*arguments)
    assert load_bundle(folder).sha256 == bundle.sha256
    figures = dict(bundle.metadata.operating_characteristics)
    assert figures["n_positive"] == figures["n_negative"] == 2
    assert bundle.metadata.licence == bundle.summary().licence == "MIT"
    (operation,) = bundle.summary().held_out_operations
    assert (operation.operation, operation.n_stills, operation.n_with_blood) == ("op5", 4, 2)
    assert 0 <= figures["sensitivity_low"] <= figures["sensitivity_high"] <= 1
    card = (folder / "README.md").read_text()
    assert "| sensitivity |" in card
    assert "{figures}" not in card
    assert "| op5 | 4 (2) |" in card
    predictor = open_predictor(bundle, SegmentationConfig(is_low_precision_allowed=False))
    network = build_network(network_spec(exported_config))
    load_state(network, state)
    maps, _ = held_out_maps(network, cache, out, 64, flip=False)
    small = np.stack(
        [cv2.resize(cache.rgb[i], (64, 64), interpolation=cv2.INTER_AREA) for i in out]
    )
    assert np.allclose(predictor.probabilities(small), maps, atol=1e-4)
    with pytest.raises(OutputError, match="exists"):
        export_bundle(*arguments)


def test_flipping_averages_the_mirror_image(manifest, tmp_path, tiny_config):
    cache = cache_stills(read_manifest(manifest), 64, tmp_path / "cache")
    network = build_network(network_spec(tiny_config)).eval()
    index = np.arange(2)
    plain, _ = held_out_maps(network, cache, index, 64, flip=False)
    flipped, _ = held_out_maps(network, cache, index, 64, flip=True)
    with torch.inference_mode():
        rgb = torch.from_numpy(np.asarray(cache.rgb[:2])[:, :, ::-1].copy()).permute(0, 3, 1, 2)
        mirrored = torch.sigmoid(network((rgb.float() - 127) / 128))[:, 0].numpy()[:, :, ::-1]
    assert np.allclose(flipped, (plain + mirrored) / 2, atol=1e-5)


def test_a_still_without_a_decided_pixel_is_not_looked_at(manifest, tmp_path, tiny_config):
    """One that is unlabelled, and one listed as clean of which every pixel is undecided."""
    stills = list(read_manifest(manifest))
    every = tmp_path / "every.png"
    cv2.imwrite(str(every), np.full((64, 64), 255, np.uint8))
    stills[1] = dataclasses.replace(stills[1], ignore_path=every)
    stills[2] = dataclasses.replace(stills[2], kind="unlabelled", mask_path=None)
    cache = cache_stills(stills, 64, tmp_path / "cache")
    look = look_at_held_out(tiny_config, state_of(tiny_config, 1), cache, np.arange(6))
    assert look.groups == tuple(stills[i].group for i in (0, 3, 4, 5))
    assert len(look.maps) == len(look.labels) == 4
    assert all((label != IGNORE).any() for label in look.labels)
    validated = held_out_stills(cache, np.arange(6), 32, 96)
    assert [still.name for still in validated.stills] == [stills[i].name for i in (0, 4, 3, 5)]
    assert held_out_stills(cache, np.arange(1, 3), 32, 96) is None
    nothing = look_at_held_out(tiny_config, state_of(tiny_config, 1), cache, np.arange(1, 3))
    assert (nothing.maps.shape, nothing.groups) == ((0, 32, 32), ())


def test_colors_need_five_groups(manifest, tmp_path):
    cache = cache_stills(read_manifest(manifest), 64, tmp_path / "cache")
    assert len(training_colors(cache, np.arange(24)).centroids) == 6
    assert training_colors(cache, np.arange(8)) is None


def test_folds_are_pooled_still_by_still_and_share_no_group():
    parts = [
        HeldOutMaps(np.full((2, 4, 4), i, np.float32), np.zeros((2, 4, 4), np.uint8), (group,) * 2)
        for i, group in enumerate("ab")
    ]
    pooled = HeldOutMaps.pooled(parts)
    assert pooled.groups == ("a", "a", "b", "b")
    assert pooled.maps.mean(axis=(1, 2)).tolist() == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="two folds"):
        HeldOutMaps.pooled([parts[0], parts[0]])
