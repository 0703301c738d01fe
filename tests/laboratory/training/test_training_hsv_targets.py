import dataclasses

import cv2
import numpy as np
import pytest
import torch

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.training.config import HsvConfig
from ubereport.laboratory.training.hsv_targets import hsv_label, hsv_pool, list_stills, pretrain
from ubereport.laboratory.training.labelled_stills import BLOOD, CLEAN


@pytest.mark.parametrize(
    ("color", "expected"),
    [
        ((150, 20, 20), BLOOD),  # hue 0, strong
        ((150, 20, 60), BLOOD),  # hue 171 on OpenCV's scale
        ((150, 120, 120), CLEAN),  # pale: saturation 51
        ((30, 4, 4), CLEAN),  # dark: value 30
        ((200, 160, 40), CLEAN),  # yellow
        ((40, 60, 150), CLEAN),  # blue
    ],
)
def test_red_is_what_the_ranges_say(color, expected):
    rgb = np.full((16, 16, 3), color, np.uint8)
    assert np.all(hsv_label(rgb, HsvConfig()) == expected)


def test_the_ranges_can_be_changed():
    rgb = np.full((16, 16, 3), (150, 120, 120), np.uint8)
    assert np.all(hsv_label(rgb, HsvConfig(min_saturation=40)) == BLOOD)


def test_specks_go_and_holes_close():
    rgb = np.full((32, 32, 3), (200, 180, 170), np.uint8)
    rgb[3, 3] = (150, 20, 20)
    rgb[10:30, 10:30] = (150, 20, 20)
    rgb[20, 20] = (200, 180, 170)
    label = hsv_label(rgb, HsvConfig())
    assert label[3, 3] == CLEAN
    assert np.all(label[12:28, 12:28] == BLOOD)


def test_stills_are_found_below_a_folder_and_an_empty_one_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="holds no pictures"):
        list_stills(tmp_path)
    (tmp_path / "a").mkdir()
    for name in ("b.png", "a/c.JPG", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [p.name for p in list_stills(tmp_path)] == ["c.JPG", "b.png"]


def test_pretraining_streams_stills_and_writes_weights(manifest, tmp_path, tiny_config):
    paths = list_stills(manifest.parent / "images")
    pool = hsv_pool(paths, tiny_config)
    rgb, label = pool.read(pool.pick(np.random.default_rng(0))[0])
    assert rgb.shape == (64, 64, 3)
    assert label.shape == (64, 64)
    config = dataclasses.replace(tiny_config, steps=1)
    rows = []
    state = pretrain(config, paths, tmp_path / "run", rows.append)
    assert rows[-1].step == 1
    assert rows[-1].validation is None
    assert all(bool(torch.isfinite(t).all()) for t in state.values())
    assert (tmp_path / "run" / "average.safetensors").is_file()


def test_a_broken_still_stops_pretraining_with_its_name(tmp_path, tiny_config):
    cv2.imwrite(str(tmp_path / "good.png"), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "broken.png").write_text("no picture")
    config = dataclasses.replace(tiny_config, steps=5)
    with pytest.raises(AnnotationError, match=r"broken\.png is no picture"):
        pretrain(config, [tmp_path / "broken.png"], tmp_path / "run")


def test_pretraining_goes_on_after_a_crash_between_two_renames(manifest, tmp_path, tiny_config):
    """The old checkpoint lies aside and the new one has no name yet: nothing begins anew."""
    paths = list_stills(manifest.parent / "images")
    config = dataclasses.replace(tiny_config, steps=2, checkpoint_every=1)
    pretrain(config, paths, tmp_path / "run")
    checkpoint = tmp_path / "run" / "checkpoint"
    checkpoint.rename(checkpoint.with_name(".checkpoint.old-0123456789ab"))
    rows = []
    pretrain(config, paths, tmp_path / "run", rows.append)
    assert checkpoint.is_dir()
    assert rows == []
