"""A tiny set of labelled stills: red squares of blood on gray texture, six groups."""

import csv
import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from stored_graphs import graphs_translated_once

from ubereport.laboratory.training.config import (
    AugmentConfig,
    DataConfig,
    OptimizerConfig,
    TrainConfig,
)
from ubereport.segmentation.metadata import NetworkSpec

SIDE = 64


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny networks lose more to waiting threads than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture(rng, has_blood):
    """Gray-pink texture; where there is blood, a dark red square and its mask."""
    rgb = np.clip(rng.normal((170, 140, 130), 12, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    if has_blood:
        x, y = rng.integers(4, SIDE // 2, 2)
        mask[y : y + 24, x : x + 24] = 255
        rgb[mask > 0] = (120, 10, 12)
    return rgb, mask


def write_set(folder: Path, n_groups=6, per_group=4, prefix="", seed=7):
    """Write a manifest with masks/ and ignore/; half of each group shows blood."""
    for name in ("images", "masks", "ignore"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(seed)
    rows = []
    for group in range(n_groups):
        for i in range(per_group):
            name = f"{prefix}s{group}_{i}"
            rgb, mask = picture(rng, i % 2 == 0)
            ignore = np.zeros_like(mask)
            ignore[:4] = 255 if i == 0 else 0
            mask[:4] = 0
            cv2.imwrite(str(folder / "images" / f"{name}.png"), rgb[..., ::-1])
            cv2.imwrite(str(folder / "masks" / f"{name}.png"), mask)
            cv2.imwrite(str(folder / "ignore" / f"{name}.png"), ignore)
            kind = "blood" if i % 2 == 0 else "zero"
            rows.append((name, f"images/{name}.png", f"{prefix}op{group}", kind))
    with (folder / "MANIFEST.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["name", "image", "group", "kind"])
        writer.writerows(rows)
    return folder / "MANIFEST.csv"


@pytest.fixture
def manifest(tmp_path):
    return write_set(tmp_path / "set")


@pytest.fixture(scope="session")
def tiny_config():
    """Three steps on 32-pixel crops with a tiny encoder: the whole loop in a second."""
    return TrainConfig(
        name="tiny",
        steps=3,
        batch_size=2,
        side_px=32,
        input_px=32,
        initial="random",
        decoder_channels=(16, 12, 8, 8, 4),
        validate_every=3,
        checkpoint_every=1,
        validation_stills=4,
        device="cpu",
        encoder="tu-test_efficientnet",
        data=DataConfig(cache_side_px=64, n_folds=3, fold=0),
        augment=AugmentConfig(surround_share=0.0),
        optimizer=OptimizerConfig(warmup_steps=1, n_frozen_stages=0),
    )


@pytest.fixture
def exported_config(tiny_config, graphs_folder):
    """Of networks like the tiny bundles of `tests/segmentation`: their graphs are made once."""
    with graphs_translated_once(graphs_folder):
        yield dataclasses.replace(
            tiny_config,
            side_px=64,
            input_px=64,
            encoder=NetworkSpec().encoder,
            decoder_channels=(16, 8, 8, 4, 4),
        )
