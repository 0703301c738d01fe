"""Batches from stills in a device's memory; the processor stands in for the device."""

import dataclasses

import numpy as np
import pytest
import torch

from ubereport.core.errors import AnnotationError, ConfigError
from ubereport.laboratory.training import batches as batches_module
from ubereport.laboratory.training import finetune as finetune_module
from ubereport.laboratory.training import loop, made_stills
from ubereport.laboratory.training.batches import Batches
from ubereport.laboratory.training.finetune import mixed_pools
from ubereport.laboratory.training.labelled_stills import (
    BLOOD,
    CLEAN,
    IGNORE,
    Collection,
    cache_stills,
    read_manifest,
)
from ubereport.laboratory.training.loop import train
from ubereport.laboratory.training.made_stills import composites
from ubereport.laboratory.training.training_device import gains_from_bf16
from ubereport.laboratory.training.weights import read_checkpoint


@pytest.fixture
def config(tiny_config):
    data = dataclasses.replace(
        tiny_config.data, composite_share=0.25, simulated_share=0.25, n_simulated=2, n_composites=6
    )
    return dataclasses.replace(tiny_config, data=data, batch_size=4)


@pytest.fixture
def cache(manifest, tmp_path):
    return cache_stills(read_manifest(manifest), 64, tmp_path / "cache")


@pytest.fixture
def batches(config, cache, tmp_path):
    return Batches(mixed_pools(config, cache, np.arange(24), (), tmp_path / "cache"), config)


def test_a_batch_follows_from_seed_and_step_alone(batches):
    first, again, other = batches.draw(3, 1), batches.draw(3, 1), batches.draw(4, 1)
    assert first.planes.shape == (4, 3, 32, 32)
    assert torch.equal(first.planes, again.planes)
    assert torch.equal(first.label, again.label)
    assert not torch.equal(first.planes, other.planes)


def test_labels_keep_their_values_and_pictures_their_levels(batches):
    labels, planes = [], []
    for step in range(12):
        batch = batches.draw(step, 1)
        labels.append(batch.label)
        planes.append(batch.planes)
    assert set(torch.cat(labels).unique().tolist()) <= {CLEAN, BLOOD, IGNORE}
    levels = torch.cat(planes)
    assert torch.equal(levels, levels.round())
    assert 0 <= levels.min() <= levels.max() <= 255
    assert (torch.cat(labels) == BLOOD).any()


def test_shares_are_those_of_the_configuration(config, cache, tmp_path):
    pools = mixed_pools(config, cache, np.arange(24), (), tmp_path / "cache")
    assert [pool.share for pool in pools] == pytest.approx([0.5, 0.25, 0.25])


def test_training_from_a_device_goes_on_bit_for_bit(config, batches, tmp_path):
    whole = train(config, batches, None, tmp_path / "whole")
    stopped = tmp_path / "stopped"

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, batches, None, stopped, stop)
    assert read_checkpoint(stopped / "checkpoint").step == 2
    resumed = train(config, batches, None, stopped)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "too little memory for batches of 4 crops"),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), "was lost"),
    ],
)
def test_a_device_that_fails_is_told_and_the_run_goes_on_elsewhere(
    config, batches, tmp_path, monkeypatch, error, words
):
    step, calls = loop._train_step, []

    def failing(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise error
        return step(*arguments)

    monkeypatch.setattr(loop, "_train_step", failing)
    with pytest.raises(ConfigError, match=words):
        train(config, batches, None, tmp_path / "run")
    monkeypatch.undo()
    elsewhere = dataclasses.replace(config, device="cpu", n_threads=1)
    automatic = dataclasses.replace(config, device="auto")
    assert elsewhere != automatic
    state = train(elsewhere, batches, None, tmp_path / "run")
    whole = train(automatic, batches, None, tmp_path / "whole")
    assert all(torch.equal(state[key], whole[key]) for key in whole)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "too little memory for batches of 4 crops"),
        (torch.AcceleratorError("CUDA error: unspecified launch failure"), "was lost"),
    ],
)
@pytest.mark.parametrize(
    "where", ["batches.augment_batch", "loop.validate", "loop._follow", "loop._state"]
)
def test_a_device_that_fails_elsewhere_than_in_a_step_is_told(
    config, cache, batches, tmp_path, monkeypatch, where, error, words
):
    def failing(*arguments):
        raise error

    monkeypatch.setattr(f"ubereport.laboratory.training.{where}", failing)
    held_out = cache.resized(np.arange(4), config.input_px)
    with pytest.raises(ConfigError, match=f"{words}.*with a smaller batch_size"):
        train(config, batches, held_out, tmp_path / "run")


def test_a_device_too_small_for_the_stills_is_told(config, cache, tmp_path, monkeypatch):
    def failing(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(finetune_module, "pools_of", failing)
    words = r"too little memory for the stills that are learned from.*smaller data\.cache_side_px"
    with pytest.raises(ConfigError, match=words):
        mixed_pools(config, cache, np.arange(24), (), tmp_path / "cache")


def test_stills_go_to_a_device_once_for_all_sets(tiny_config, cache, tmp_path, monkeypatch):
    sets = [Collection("one"), Collection("two"), Collection("three")]
    stills = [dataclasses.replace(s, collection=sets[i % 3]) for i, s in enumerate(cache.stills)]
    cache = dataclasses.replace(cache, stills=tuple(stills))
    to, moved = torch.Tensor.to, []

    def counted(tensor, *arguments):
        moved.append(tensor.shape)
        return to(tensor, *arguments)

    monkeypatch.setattr(torch.Tensor, "to", counted)
    pools = mixed_pools(tiny_config, cache, np.arange(24), (), tmp_path / "cache")
    assert len(pools) == 3
    assert moved == [(24, 64, 64, 3), (24, 64, 64)]


def test_a_card_without_bf16_of_its_own_counts_in_fp32(monkeypatch):
    asked = []

    def supported(including_emulation=True):
        asked.append(including_emulation)
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert not gains_from_bf16(torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert gains_from_bf16(torch.device("cuda"))
    assert not gains_from_bf16(torch.device("mps"))
    assert asked == [False]


@pytest.mark.parametrize("is_allowed", [True, False])
def test_whether_a_run_counts_in_bf16_is_decided_once(
    config, batches, tmp_path, monkeypatch, is_allowed
):
    asked, used = [], []
    logit = loop._logit

    def seen(network, planes, is_low):
        used.append(is_low)
        return logit(network, planes, False)

    monkeypatch.setattr(loop, "gains_from_bf16", lambda device: asked.append(device.type) or True)
    monkeypatch.setattr(loop, "_logit", seen)
    allowed = dataclasses.replace(config, is_low_precision_allowed=is_allowed)
    train(allowed, batches, None, tmp_path / "run")
    assert used == [is_allowed] * config.steps
    assert asked == ["cpu"] * is_allowed


def test_composites_do_not_depend_on_how_many_processes_make_them(config, cache, tmp_path):
    zero = np.array([i for i, s in enumerate(cache.stills) if s.kind == "zero"])
    one = composites(cache, zero, config, tmp_path / "one", 1)
    two = composites(cache, zero, config, tmp_path / "two", 2)
    assert np.array_equal(one.rgb, two.rgb)
    assert np.array_equal(one.label, two.label)
    assert {s.kind for s in one.stills} <= {"blood", "zero"}
    assert any((label == BLOOD).any() for label in one.label)
    assert len({picture.tobytes() for picture in one.rgb}) == 6


def test_composites_are_made_once(config, cache, tmp_path, monkeypatch):
    zero = np.array([i for i, s in enumerate(cache.stills) if s.kind == "zero"])
    first = composites(cache, zero, config, tmp_path / "one", 1)
    monkeypatch.setattr(made_stills, "_all_of", None)
    again = composites(cache, zero, config, tmp_path / "one", 1)
    assert np.array_equal(first.rgb, again.rgb)


def test_composites_of_a_process_that_ends_early_are_not_used(config, cache, tmp_path, monkeypatch):
    zero = np.array([i for i, s in enumerate(cache.stills) if s.kind == "zero"])

    def broken(made, k):
        raise MemoryError

    monkeypatch.setattr(made_stills._Composites, "__getitem__", broken)
    with pytest.raises(AnnotationError, match="ended early"):
        composites(cache, zero, config, tmp_path / "one", 2)
    monkeypatch.undo()
    assert len(composites(cache, zero, config, tmp_path / "one", 2).stills) == 6


def test_a_batch_is_drawn_on_one_thread(batches, monkeypatch):
    augment, n_threads = batches_module.augment_batch, []

    def counted(*args):
        n_threads.append(torch.get_num_threads())
        return augment(*args)

    monkeypatch.setattr(batches_module, "augment_batch", counted)
    torch.set_num_threads(2)
    batches.draw(1, 1)
    assert (n_threads, torch.get_num_threads()) == ([1], 2)
