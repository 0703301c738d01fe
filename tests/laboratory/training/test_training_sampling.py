import dataclasses

import numpy as np
import pytest
import torch

from ubereport.laboratory.training.batches import Batches, draw_weights, pool_of, shares_of_batch
from ubereport.laboratory.training.config import DataConfig
from ubereport.laboratory.training.labelled_stills import (
    BLOOD,
    IGNORE,
    Still,
    cache_stills,
    read_manifest,
)


def still(group):
    return Still(f"{group}", None, None, None, group, "blood")


def test_weights_balance_groups_as_asked():
    stills = [still("a")] * 9 + [still("b")]
    assert draw_weights(stills, 1.0) == pytest.approx(np.full(10, 0.1))
    even = draw_weights(stills, 0.0)
    assert even[:9].sum() == pytest.approx(0.5)
    root = draw_weights(stills, 0.5)
    assert root[:9].sum() == pytest.approx(3 / 4)


def test_shares_are_kept_within_every_batch():
    rng = np.random.default_rng(0)
    batches = [shares_of_batch([0.5, 0.3, 0.2], 10, rng) for _ in range(20)]
    for kinds in batches:
        assert abs(kinds.count(0) - 5) <= 1
    counts = np.bincount(np.concatenate(batches), minlength=3)
    assert counts / 200 == pytest.approx([0.5, 0.3, 0.2], abs=0.03)


def labels(config, manifest, tmp_path, n=24):
    stills = read_manifest(manifest)
    cache = cache_stills(stills, 64, tmp_path / "cache")
    pool = pool_of(1.0, cache, np.arange(len(stills)), config, torch.device("cpu"))
    batches = Batches([pool], dataclasses.replace(config, batch_size=n))
    return batches.draw(0, 0).label.numpy()


def test_stills_with_blood_come_in_the_share_asked_for(manifest, tmp_path, tiny_config):
    for share in (0.0, 1.0):
        data = dataclasses.replace(tiny_config.data, positive_share=share)
        config = dataclasses.replace(tiny_config, data=data)
        drawn = labels(config, manifest, tmp_path)
        assert np.mean([(m == BLOOD).any() for m in drawn]) == pytest.approx(share, abs=0.2)


def test_without_zero_masks_every_still_has_blood(manifest, tmp_path, tiny_config):
    config = dataclasses.replace(
        tiny_config, data=DataConfig(cache_side_px=64, n_folds=3, has_zero_masks=False)
    )
    drawn = labels(config, manifest, tmp_path)
    assert np.mean([(m == BLOOD).any() for m in drawn]) > 0.8


def test_without_ignore_every_pixel_is_decided(manifest, tmp_path, tiny_config):
    assert any((m == IGNORE).any() for m in labels(tiny_config, manifest, tmp_path))
    config = dataclasses.replace(
        tiny_config, data=DataConfig(cache_side_px=64, n_folds=3, has_ignore=False)
    )
    assert not any((m == IGNORE).any() for m in labels(config, manifest, tmp_path))
