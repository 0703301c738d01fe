import csv

import cv2
import numpy as np
import pytest

from ubereport.core.errors import OutputError, RecordingError
from ubereport.core.series import LossReason
from ubereport.laboratory.training import frames as frames_module
from ubereport.laboratory.training.config import FramesConfig
from ubereport.laboratory.training.frames import ExtractionConfig, extract_stills, is_new_view
from ubereport.video.pyav import EncoderSpec
from ubereport.video.writer import VideoWriter

WIDTH, HEIGHT, RATE = 160, 120, 10


def scene(number):
    """Pink, textured tissue that differs strongly between numbers."""
    rng = np.random.default_rng(number)
    shade = rng.uniform(0.35, 1.0, (12, 16, 1))
    small = (shade * np.array([230, 150, 130])).astype(np.uint8)
    return cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def recording(tmp_path):
    """Six seconds: two scenes of 2 s with a little noise each, then 2 s of black."""
    path = tmp_path / "case.mp4"
    with VideoWriter(path, EncoderSpec(WIDTH, HEIGHT, RATE)) as writer:
        for frame in range(6 * RATE):
            rng = np.random.default_rng(frame)
            if frame >= 4 * RATE:
                writer.write(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
                continue
            picture = scene(frame // (2 * RATE)).astype(int)
            noise = rng.integers(-6, 6, picture.shape)
            writer.write(np.clip(picture + noise, 0, 255).astype(np.uint8))
    return path


def test_stills_are_taken_once_per_view_and_none_of_black(recording, tmp_path):
    config = ExtractionConfig(frames=FramesConfig(rate_hz=2.0, side_px=96))
    seen = []
    found = extract_stills(
        config, [recording], "op_1", tmp_path / "stills", lambda done, n: seen.append((done, n))
    )
    assert found.n_looked_at == 12
    assert found.n_written == 2
    assert dict(found.left_out)[LossReason.BLACK] >= 3
    assert found.n_near_duplicates >= 4
    assert seen[-1] == (12, 12)
    with (tmp_path / "stills" / "op_1" / "stills.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [r["group"] for r in rows] == ["op_1", "op_1"]
    first_s, second_s = (float(r["time_s"]) for r in rows)
    assert first_s < 2 <= second_s
    still = cv2.imread(str(tmp_path / "stills" / "op_1" / rows[0]["image"]))[..., ::-1]
    assert still.shape == (96, 96, 3)
    expected = cv2.resize(scene(0), (96, 96), interpolation=cv2.INTER_AREA)
    assert np.abs(still.astype(int) - expected).mean() < 12
    assert "case" not in (tmp_path / "stills" / "op_1" / "stills.csv").read_text()


def test_an_interrupted_recording_goes_on_to_the_same_stills(recording, tmp_path, monkeypatch):
    monkeypatch.setattr(frames_module, "_BATCH", 3)
    config = ExtractionConfig(
        frames=FramesConfig(rate_hz=4.0, side_px=64, min_difference=0.0, max_stills=17)
    )
    whole = extract_stills(config, [recording], "op", tmp_path / "whole")

    def interrupt(done, _n):
        if done >= 9:
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            extract_stills(config, [recording], "op", tmp_path / "broken", interrupt)
        assert not (tmp_path / "broken" / "op").exists()
    seen = []
    again = extract_stills(
        config, [recording], "op", tmp_path / "broken", lambda done, _: seen.append(done)
    )
    assert seen[0] >= 9
    assert again == whole
    files = sorted(p.name for p in (tmp_path / "whole" / "op").iterdir())
    assert sorted(p.name for p in (tmp_path / "broken" / "op").iterdir()) == files
    for name in files:
        one, other = (tmp_path / which / "op" / name for which in ("whole", "broken"))
        assert one.read_bytes() == other.read_bytes()


def test_work_of_other_settings_is_done_anew(recording, tmp_path, monkeypatch):
    monkeypatch.setattr(frames_module, "_BATCH", 3)

    def interrupt(done, _n):
        if done >= 3:
            raise KeyboardInterrupt

    first = ExtractionConfig(frames=FramesConfig(rate_hz=2.0, side_px=64))
    with pytest.raises(KeyboardInterrupt):
        extract_stills(first, [recording], "op", tmp_path, interrupt)
    other = ExtractionConfig(frames=FramesConfig(rate_hz=2.0, side_px=96))
    assert extract_stills(other, [recording], "op", tmp_path).n_looked_at == 12
    shapes = {cv2.imread(str(p)).shape for p in (tmp_path / "op").glob("*.png")}
    assert shapes == {(96, 96, 3)}


def test_a_limit_is_kept(recording, tmp_path):
    frames = FramesConfig(rate_hz=2.0, side_px=64, min_difference=0.0, max_stills=3)
    found = extract_stills(ExtractionConfig(frames=frames), [recording], "a", tmp_path / "stills")
    assert found.n_written <= 3


@pytest.mark.parametrize("group", ["", "../out", "a b", "a/b"])
def test_a_group_that_is_no_plain_name_is_refused(recording, tmp_path, group):
    with pytest.raises(OutputError, match="cannot name a group"):
        extract_stills(ExtractionConfig(), [recording], group, tmp_path)


def test_stills_are_never_overwritten(recording, tmp_path):
    (tmp_path / "op_1").mkdir()
    with pytest.raises(OutputError, match="exist already"):
        extract_stills(ExtractionConfig(), [recording], "op_1", tmp_path)


def test_a_file_that_is_no_recording_is_refused_and_nothing_is_left(tmp_path):
    (tmp_path / "text.mp4").write_text("no recording")
    with pytest.raises(RecordingError):
        extract_stills(ExtractionConfig(), [tmp_path / "text.mp4"], "op_1", tmp_path / "stills")
    assert not (tmp_path / "stills").exists()


def test_two_views_are_new_from_the_given_difference_on():
    a = np.zeros((16, 16), np.float32)
    assert is_new_view(a + 4, a, 4.0)
    assert not is_new_view(a + 3.9, a, 4.0)
