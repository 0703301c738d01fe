"""Shipped bundles tell foreign views from operations of the kind that they were trained on."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ubereport.core.series import LossReason
from ubereport.files.resources import models_dir
from ubereport.laboratory.picture_files import read_rgb
from ubereport.laboratory.simulation.config import FieldOutline, SimulationConfig
from ubereport.laboratory.simulation.render import Renderer
from ubereport.laboratory.simulation.scenario import plan_scenario
from ubereport.laboratory.training.labelled_stills import read_manifest
from ubereport.segmentation.bundle import find_bundle, load_bundle
from ubereport.segmentation.distribution import distance

N_STILLS = 60
N_BLOCK = 20
FIRST_SEED = 51_000


def is_flagged(reference, paths):
    rgb = np.stack(
        [cv2.resize(read_rgb(path), (128, 128)) for path in paths[:: len(paths) // N_STILLS + 1]]
    )
    field = rgb.max(axis=-1) > 18
    return distance(reference, rgb, field) > reference.threshold


def by_group(manifest):
    groups = {}
    for still in read_manifest(manifest):
        groups.setdefault(still.group, []).append(still.image_path)
    return groups


def capsule_blocks(folder):
    paths = sorted(folder.glob("img1[3-6]*.*"))
    return [paths[i : i + N_BLOCK] for i in range(0, len(paths) - N_BLOCK, N_BLOCK)]


@pytest.fixture(scope="module")
def biportal_recordings():
    """Stills and fields of simulated biportal recordings of every outline, nothing chosen on."""
    recordings = []
    for seed, field in enumerate([*FieldOutline] * 2, start=FIRST_SEED):
        config = SimulationConfig(width_px=320, height_px=180, field=field)
        renderer = Renderer(plan_scenario(seed, 6.0, config))
        frames = [renderer.frame(time_s) for time_s in np.linspace(10, 350, 6)]
        seen = [f for f in frames if f.reason is LossReason.NONE]
        # As a report crops them: what surrounds the field is gone.
        box = renderer.outline.box
        inside = slice(box.top_px, box.bottom_px), slice(box.left_px, box.right_px)
        stills = np.stack([f.rgb[inside] for f in seen])
        recordings.append((stills, renderer.outline.mask[inside]))
    return recordings


@pytest.mark.parametrize("model", ["ube-blood", "ube-blood-open"])
def test_most_simulated_biportal_recordings_are_flagged(biportal_recordings, model):
    reference = load_bundle(find_bundle(model, models_dir())).metadata.color_reference
    far = [distance(reference, *seen) > reference.threshold for seen in biportal_recordings]
    assert np.mean(far) >= 0.7


@pytest.mark.parametrize("model", ["ube-blood", "ube-blood-open"])
def test_foreign_views_are_flagged_and_unseen_operations_of_the_collection_are_not(
    shared_data, model
):
    metadata = load_bundle(find_bundle(model, models_dir())).metadata
    reference = metadata.color_reference
    labelled = shared_data / "labelled"
    unseen = {operation.operation for operation in metadata.held_out_operations}
    known = by_group(labelled / "handmade" / "MANIFEST.csv")
    assert not any(is_flagged(reference, known[g]) for g in sorted(unseen & set(known)))
    foreign = by_group(labelled / "negatives" / "MANIFEST.csv")
    for kind in ("fetoscopy", "bronchoscopy", "gastrectomy", "endoscapes", "turbinate"):
        members = [paths for group, paths in foreign.items() if group.startswith(kind)]
        assert members
        assert all(is_flagged(reference, paths) for paths in members), kind
    capsule = capsule_blocks(labelled / "wcebleedgen" / "images")
    assert np.mean([is_flagged(reference, paths) for paths in capsule]) >= 0.8
