"""The head that doubts views as a whole: what it is fitted to."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.laboratory.training.conftest import write_set
from tests.laboratory.training.test_training_specification import SPECIFICATION, written
from ubereport.core.config import SegmentationConfig
from ubereport.core.errors import ConfigError
from ubereport.laboratory.training import specification
from ubereport.laboratory.training.export import average_states, look_at_held_out
from ubereport.laboratory.training.labelled_stills import cache_stills, read_manifest
from ubereport.laboratory.training.loop import check_start, network_spec
from ubereport.laboratory.training.presence import fit_logistic, with_presence_head
from ubereport.laboratory.training.specification import export_from_specification
from ubereport.segmentation.network import (
    build_network,
    load_network,
    portable_state,
    without_view_parts,
)
from ubereport.segmentation.predictor import open_predictor

ALL_PARTS = tuple(
    f"{part} = true"
    for part in (
        "presence_head",
        "exposure_gain",
        "haze_removal",
        "shade_doubt",
        "flood_gain",
        "flood_color",
    )
)


def test_the_fit_is_the_minimum_of_its_loss():
    rng = np.random.default_rng(3)
    is_shown = rng.random(200) < 0.2
    features = torch.from_numpy(rng.normal(5, (1.0, 10.0, 1e-9), (200, 3)))
    features[:, 1] += 15 * torch.from_numpy(is_shown)
    weights = rng.uniform(0.5, 2, 200)
    linear = fit_logistic(features, torch.from_numpy(is_shown), torch.from_numpy(weights))

    def loss(slope, offset):
        mean, scale = features.mean(0), features.std(0).clamp(min=1e-6)
        margin = (features - mean) / scale @ slope + offset
        signed = torch.where(torch.from_numpy(is_shown), -margin, margin)
        each = torch.nn.functional.softplus(signed) * torch.from_numpy(weights)
        halves = [each[k].sum() / weights[k].sum() / 2 for k in (is_shown, ~is_shown)]
        return float(sum(halves) + 0.2 * (slope**2).sum())

    scale = features.std(0).clamp(min=1e-6)
    weight, bias = (value.detach().double() for value in (linear.weight[0], linear.bias[0]))
    slope, offset = weight * scale, bias + weight @ features.mean(0)
    best = loss(slope, float(offset))
    assert float(slope[1]) > 0.1
    for step in (-0.02, 0.02):
        for i in range(3):
            other = slope.clone()
            other[i] += step
            assert loss(other, float(offset)) > best
        assert loss(slope, float(offset) + step) > best


def test_both_kinds_count_alike():
    features = torch.zeros(100, 1)
    is_shown = torch.arange(100) < 10
    linear = fit_logistic(features, is_shown, torch.ones(100))
    assert linear.bias.item() == pytest.approx(0, abs=1e-6)


@pytest.fixture
def cache(manifest, tmp_path):
    return cache_stills(read_manifest(manifest), 64, tmp_path / "cache")


def _asking(*lines):
    """Return the specification with more lines at its top."""
    return "\n".join([*lines, SPECIFICATION.format(licence="MIT")])


def _state(config):
    torch.manual_seed(4)
    return portable_state(build_network(network_spec(config)))


def test_a_head_lowers_views_without_blood_more_than_others(cache, tiny_config):
    state, index = _state(tiny_config), np.arange(16)
    told = with_presence_head(tiny_config, state, cache, index)
    assert set(told) - set(state) == {"presence.linear.weight", "presence.linear.bias"}
    held_out = np.arange(16, 24)
    plain = look_at_held_out(tiny_config, state, cache, held_out)
    shifted = look_at_held_out(tiny_config, told, cache, held_out)
    logit = [np.log(m / (1 - m)).mean((1, 2)) for m in (plain.maps, shifted.maps)]
    shift = logit[1] - logit[0]
    has_blood = np.array([(label == 1).any() for label in plain.labels])
    assert shift[has_blood].mean() > shift[~has_blood].mean() + 0.05


def test_stills_of_which_nothing_is_decided_teach_nothing(cache, tiny_config):
    state = _state(tiny_config)
    expected = with_presence_head(tiny_config, state, cache, np.arange(1, 16))
    label = np.array(cache.label)
    label[0] = 255
    undecided = dataclasses.replace(cache, label=label)
    told = with_presence_head(tiny_config, state, undecided, np.arange(16))
    assert all(torch.equal(told[key], expected[key]) for key in expected)


@pytest.fixture
def fits(monkeypatch):
    """What heads were fitted to, and what came of it."""
    kept = []

    def fitted(*given):
        kept.append((given, with_presence_head(*given)))
        return kept[-1][1]

    monkeypatch.setattr(specification, "with_presence_head", fitted)
    return kept


def test_an_export_has_the_parts_that_its_specification_asks_for(tmp_path, exported_config, fits):
    spec, sets = written(tmp_path, exported_config)
    spec.write_text(_asking(*ALL_PARTS))
    bundle = export_from_specification(spec, sets, tmp_path / "runs", tmp_path / "models")
    described = bundle.metadata.network
    assert described.has_presence_head
    assert described.has_exposure_gain
    assert described.has_haze_removal
    assert described.has_shade_doubt
    assert described.has_flood_gain
    assert described.has_flood_color
    network = load_network(bundle)
    # The head is fitted to stills as they are.
    ((_config, state, _cache, _index, _margin), told) = fits.pop()
    assert without_view_parts(state).keys() == state.keys()
    assert torch.equal(network.presence.linear.weight, told["presence.linear.weight"])
    assert network.presence.linear.weight.abs().max() > 0
    levels = torch.tensor([0.0, 255.0])
    expected = (levels - bundle.metadata.input_mean[0]) / bundle.metadata.input_scale[0]
    for part in (network.exposure, network.haze, network.shade, network.flood_color):
        assert torch.equal(torch.cat([part.black, part.white]), expected)
    predictor = open_predictor(bundle, SegmentationConfig())
    assert predictor.probabilities(np.zeros((1, 64, 64, 3), np.uint8)).shape == (1, 64, 64)


def test_a_run_goes_on_from_weights_with_a_head_and_without_it(cache, tiny_config, tmp_path):
    told = with_presence_head(tiny_config, _state(tiny_config), cache, np.arange(16))
    save_file(told, tmp_path / "told.safetensors")
    onward = dataclasses.replace(tiny_config, initial="told.safetensors")
    check_start(onward, tmp_path / "run")
    assert average_states([told, told]).keys() == told.keys()


@pytest.mark.parametrize(("weights", "n_fits"), [("w", 1), ("other", 2)])
def test_a_fold_of_the_same_weights_takes_the_head_that_was_fitted(
    tmp_path, exported_config, fits, weights, n_fits
):
    spec, sets = written(tmp_path, exported_config)
    save_file(_state(exported_config), tmp_path / "runs" / "other.safetensors")
    fold = f'[[folds]]\nconfig = "tiny.toml"\nweights = ["{weights}.safetensors"]\n'
    spec.write_text(_asking(*ALL_PARTS) + fold)
    export_from_specification(spec, sets, tmp_path / "runs", tmp_path / "models")
    assert len(fits) == n_fits


def test_a_view_must_speak_for_blood_by_the_margin_that_is_asked_for(
    tmp_path, exported_config, fits, monkeypatch
):
    spec, sets = written(tmp_path, exported_config)
    for name, line in (("a", ""), ("b", "presence_margin = 0.5")):
        spec.write_text(_asking(*ALL_PARTS, line))
        export_from_specification(spec, sets, tmp_path / "runs", tmp_path / name)
    (_, usual), (_, asked) = fits
    assert torch.equal(asked["presence.linear.weight"], usual["presence.linear.weight"])
    raised = asked["presence.linear.bias"] - usual["presence.linear.bias"]
    assert raised.item() == pytest.approx(1.0, abs=1e-5)
    # Told before any still is decoded.
    monkeypatch.setattr(specification, "cache_stills", None)
    for margin in ("-1", "nan", "true", '"much"'):
        spec.write_text(_asking(*ALL_PARTS, f"presence_margin = {margin}"))
        with pytest.raises(ConfigError, match=r"presence_margin .* 0 to 10"):
            export_from_specification(spec, sets, tmp_path / "runs", tmp_path / "c")


def test_the_color_of_floods_is_nothing_without_what_believes_them(
    tmp_path, exported_config, monkeypatch
):
    spec, sets = written(tmp_path, exported_config)
    monkeypatch.setattr(specification, "cache_stills", None)
    spec.write_text(_asking("flood_color = true"))
    with pytest.raises(ConfigError, match=r"flood_color .* true where flood_gain is true"):
        export_from_specification(spec, sets, tmp_path / "runs", tmp_path / "models")


def test_a_head_is_fitted_to_the_sets_that_are_named(tmp_path, exported_config, fits, monkeypatch):
    spec, sets = written(tmp_path, exported_config)
    write_set(tmp_path / "others", prefix="other", seed=8)
    entry = '[[collections]]\nname = "others"\npath = "others/MANIFEST.csv"\nlicence = "MIT"\n'
    sets.write_text(sets.read_text() + entry)
    asked = _asking(*ALL_PARTS, 'presence_head_sets = ["squares"]')
    spec.write_text(asked)
    export_from_specification(spec, sets, tmp_path / "runs", tmp_path / "models")
    ((_config, _state_before, cache, index, _margin), _told) = fits.pop()
    assert {cache.stills[int(i)].collection.name for i in index} == {"squares"}
    monkeypatch.setattr(specification, "cache_stills", None)
    spec.write_text(asked.replace('["squares"]', '["circles"]'))
    with pytest.raises(ConfigError, match="names the set circles, which is not listed"):
        export_from_specification(spec, sets, tmp_path / "runs", tmp_path / "other")
