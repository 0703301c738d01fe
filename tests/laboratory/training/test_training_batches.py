"""Batches from stills in a device's memory; the processor stands in for the device."""

import dataclasses

import numpy as np
import pytest
import torch

from ubereport.core.errors import AnnotationError, ConfigError
from ubereport.laboratory.training import batches as batches_module
from ubereport.laboratory.training import loop, made_stills
from ubereport.laboratory.training.batches import Batches
from ubereport.laboratory.training.finetune import mixed_pools
from ubereport.laboratory.training.labelled_stills import (
    BLOOD,
    CLEAN,
    IGNORE,
    cache_stills,
    read_manifest,
)
from ubereport.laboratory.training.loop import train
from ubereport.laboratory.training.made_stills import composites
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
