"""What the review page holds in memory: processes end where nobody looks any more."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from review.desk.conftest import RECORDING
from tests_support import decoding_children

from ubereport.core.config import SegmentationConfig
from ubereport.core.errors import NetworkLostError
from ubereport.files.resources import models_dir
from ubereport.review.desk import mask_network
from ubereport.review.desk.case_desk import CaseDesk
from ubereport.review.desk.case_pictures import CasePictures
from ubereport.review.desk.mask_network import MaskNetwork
from ubereport.segmentation.bundle import Bundle, find_bundle, load_bundle
from ubereport.segmentation.predictor import open_predictor

WAIT_S = 20.0


@pytest.fixture
def bundle():
    return load_bundle(find_bundle("hsv-red", models_dir()))


@pytest.fixture
def rgb(bundle):
    size = (1, bundle.metadata.input_height_px, bundle.metadata.input_width_px, 3)
    return np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8)


def test_the_process_ends_when_nobody_draws_and_the_next_mask_is_the_same(bundle, rgb):
    with MaskNetwork(idle_s=0.2) as network:
        first = network.masks(bundle, rgb)
        assert len(multiprocessing.active_children()) == 1
        _await(lambda: not multiprocessing.active_children())
        assert np.array_equal(network.masks(bundle, rgb), first)
    assert not multiprocessing.active_children()
    assert np.array_equal(first, open_predictor(bundle, SegmentationConfig()).masks(rgb))


def test_probabilities_are_those_that_the_mask_is_cut_from(bundle, rgb):
    with MaskNetwork() as network:
        probabilities = network.probabilities(bundle, rgb)
        assert np.array_equal(
            probabilities >= bundle.metadata.thresholds[1], network.masks(bundle, rgb)
        )


def test_a_mask_in_hand_is_not_cut_short_by_rest(bundle, rgb):
    with MaskNetwork(idle_s=0.0) as network:
        masks = [network.masks(bundle, rgb) for _ in range(3)]
    assert all(np.array_equal(mask, masks[0]) for mask in masks)


def test_another_bundle_takes_the_place_of_the_one_at_hand(bundle, rgb, tmp_path):
    shutil.copytree(bundle.folder, tmp_path / "hsv-bright")
    path = tmp_path / "hsv-bright" / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["hsv"]["value_floors"] = [250, 250, 250]
    metadata["name"] = "hsv-bright"
    path.write_text(json.dumps(metadata))
    other = load_bundle(tmp_path / "hsv-bright")
    with MaskNetwork() as network:
        red = network.masks(bundle, rgb)
        bright = network.masks(other, rgb)
        assert len(multiprocessing.active_children()) == 1
    assert bright.sum() < red.sum()


def test_a_lost_network_is_told_and_the_next_mask_starts_another(bundle, rgb, monkeypatch):
    class Lost:
        def __init__(self, *_: object) -> None: ...

        def masks(self, _: object) -> None:
            raise NetworkLostError("was lost 3 times; run without --share-network")

    with MaskNetwork() as network:
        with monkeypatch.context() as patch:
            patch.setattr(mask_network, "SharedPredictor", Lost)
            with pytest.raises(NetworkLostError, match="ask for the mask again") as lost:
                network.masks(bundle, rgb)
            assert "--" not in str(lost.value)  # no option of another command
        assert not multiprocessing.active_children()
        assert network.masks(bundle, rgb).shape == rgb.shape[:3]


def test_only_the_cases_looked_at_last_keep_their_decoding_processes(shelf_of, case_folder):
    for name in ("second", "third"):
        shutil.copytree(case_folder, case_folder.parent / name)
    before = decoding_children()
    shelf = shelf_of(case_folder.parent, RECORDING)
    for number in (0, 1, 2, 0):
        shown = shelf.pictures(number).picture(5.0, is_exact=False, width_px=320)
        assert shown.jpeg
    assert len(decoding_children() - before) == 2


@pytest.mark.slow
def test_what_draws_masks_loads_no_torch_and_little_memory(required):
    """A reviewer's machine runs other things, too; 360 MiB were measured, 950 with torch."""
    required("openvino", importlib.util.find_spec("openvino") is not None)
    script = """
import multiprocessing
import sys
from pathlib import Path
import numpy as np
import ubereport.review.desk.serve, ubereport.batch.case
from ubereport.files.resources import models_dir
from ubereport.review.desk.mask_network import MaskNetwork
from ubereport.segmentation.bundle import find_bundle, load_bundle
def peak_mib(process):
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024
if __name__ == "__main__":
    bundle = load_bundle(find_bundle("ube-blood", models_dir()))
    size = (1, bundle.metadata.input_height_px, bundle.metadata.input_width_px, 3)
    with MaskNetwork() as network:
        assert network.masks(bundle, np.zeros(size, np.uint8)).shape == size[:3]
        (child,) = multiprocessing.active_children()
        print(peak_mib("self") + peak_mib(child.pid))
    assert not {"torch", "openvino"} & set(sys.modules)
"""
    command = [sys.executable, "-c", script]
    told = subprocess.run(command, check=True, timeout=120, stdout=subprocess.PIPE, text=True)
    assert 100 < int(told.stdout) < 500


def _await(is_so) -> None:
    end_s = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.02)


class Asked:
    """Notes the bundle that masks are asked of."""

    def __init__(self) -> None:
        self.bundles: list[Bundle] = []

    def masks(self, bundle, rgb):
        self.bundles.append(bundle)
        return np.zeros(rgb.shape[:3], bool)


def test_masks_are_those_that_the_case_was_counted_from(measured_case):
    """A later version may ship the same weights with other thresholds, or another rule."""
    desk = CaseDesk(measured_case, (RECORDING,))
    model = replace(desk.record.provenance.model, thresholds=(0.2, 0.4, 0.6))
    provenance = replace(desk.record.provenance, model=model)
    desk.record = replace(desk.record, provenance=provenance)
    asked = Asked()
    pictures = CasePictures(desk, models_dir(), asked)
    try:
        pictures.mask(30.0)
    finally:
        pictures.rest()
    assert [bundle.metadata.thresholds for bundle in asked.bundles] == [(0.2, 0.4, 0.6)]
