"""One contract for every reader: the pictures asked for, at the times burned into them."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import color_bars as bars
import numpy as np
import pytest
import reader_recordings as made

from ubereport.core.config import DecodeConfig, ReaderChoice
from ubereport.core.frames import FrameBatch, PixelBox
from ubereport.core.recording import PartIndex
from ubereport.video.candidates import plan_uniform
from ubereport.video.decode import DecodeOutcome, DecodeRequest, Decoding, decode
from ubereport.video.index import index_part, index_recording
from ubereport.video.pyav import ColorTag
from ubereport.video.pyav_reader import read_pictures
from ubereport.video.reader import read_request, upright_size, why_not_decord
from ubereport.video.timeline import place_parts

CONFIG = DecodeConfig(stall_timeout_s=60)
HAS_DECORD = importlib.util.find_spec("decord") is not None
BOTH = ["pyav", "decord"]
# What decord reads exactly; everything else it must refuse. The list is the promise made in
# `why_not_decord`, checked in both directions below.
DECORD_READS = {
    "constant_rate_mp4",
    "faststart_mp4",
    "rate_29_97_mp4",
    "variable_rate_mkv",
    "variable_rate_mp4",
    "offset_start_mp4",
    "offset_start_mkv",
    "open_gop_without_b_mp4",
    "full_range_601_mp4",
}


@functools.cache
def _indexed(path: Path) -> PartIndex:
    return index_part(path, CONFIG)


def _need(reader: str) -> None:
    if reader == "decord" and not HAS_DECORD:
        if "decord" in os.environ.get("UBEREPORT_REQUIRE", ""):
            pytest.fail("decord is required here and not installed")
        pytest.skip("decord is not installed")


def _request(part: PartIndex, frames: np.ndarray, crop: PixelBox | None = None) -> DecodeRequest:
    width_px, height_px = upright_size(part.video)
    if crop is not None:
        width_px, height_px = crop.width_px, crop.height_px
    return DecodeRequest(part, 0, frames, frames, part.time_s[frames], crop, height_px, width_px)


def _read(
    part: PartIndex, frames: np.ndarray, reader: str, crop: PixelBox | None = None
) -> tuple[FrameBatch, DecodeOutcome]:
    config = DecodeConfig(reader=ReaderChoice(reader), stall_timeout_s=60)
    with decode(_request(part, frames, crop), config, len(frames)) as decoding:
        (batch,) = list(decoding)
        return batch, decoding.outcome


def _check_codes(batch: FrameBatch, part: PartIndex) -> None:
    half_s = float(np.median(np.diff(part.time_s))) / 2
    for rgb, time_s in zip(batch.rgb, batch.time_s, strict=True):
        assert abs(made.read_code(rgb) - time_s) <= half_s


@pytest.mark.parametrize("name", made.SPECS)
def test_pyav_gives_every_picture_at_its_true_time(
    name: str, recording: Callable[[str], Path]
) -> None:
    part = _indexed(recording(name))
    spec = made.SPECS[name]
    truth_s = [spec.time_s(number) for number in range(spec.n_hidden, len(spec.ticks))]
    np.testing.assert_allclose(part.time_s, truth_s, atol=0.0011)
    batch, outcome = _read(part, np.arange(part.n_frames), "pyav")
    assert batch.is_decoded.all()
    assert not batch.is_corrupt.any()
    assert outcome.failures == ()
    _check_codes(batch, part)


@pytest.mark.parametrize("name", made.SPECS)
def test_pyav_jumps_exactly(name: str, recording: Callable[[str], Path]) -> None:
    part = _indexed(recording(name))
    sparse = np.union1d(np.arange(3, part.n_frames, 13), np.flatnonzero(part.is_key)[1::2])
    width_px, height_px = upright_size(part.video)
    request = read_request(part, sparse, None, (height_px, width_px), 2, 10**8)
    half_s = float(np.median(np.diff(part.time_s))) / 2
    pictures = list(read_pictures(request, lambda: 0, lambda: None))
    assert len(pictures) == len(sparse)
    for picture, time_s in zip(pictures, part.time_s[sparse], strict=True):
        assert picture is not None
        assert abs(made.read_code(picture.rgb) - time_s) <= half_s


@pytest.mark.parametrize("name", sorted(DECORD_READS))
def test_decord_gives_the_true_pictures_where_it_is_used(
    name: str, recording: Callable[[str], Path]
) -> None:
    _need("decord")
    part = _indexed(recording(name))
    for frames in (np.arange(part.n_frames), np.arange(3, part.n_frames, 13)):
        batch, outcome = _read(part, frames, "decord")
        assert [use.reader for use in outcome.uses] == ["decord"]
        assert batch.is_decoded.all()
        _check_codes(batch, part)


def test_decord_is_kept_from_everything_else(recording: Callable[[str], Path]) -> None:
    allowed = {name for name in made.SPECS if why_not_decord(_indexed(recording(name))) is None}
    assert allowed == DECORD_READS


@pytest.mark.parametrize("reader", BOTH)
def test_crop_is_exact(reader: str, recording: Callable[[str], Path]) -> None:
    _need(reader)
    part = _indexed(recording("constant_rate_mp4"))
    frames = np.array([20, 40])
    whole, _ = _read(part, frames, reader)
    crop = PixelBox(31, 17, 118, 96)
    cropped, _ = _read(part, frames, reader, crop)
    np.testing.assert_array_equal(cropped.rgb, whole.rgb[:, 17:96, 31:118])


def test_crop_of_a_rotated_recording_is_in_upright_pixels(
    recording: Callable[[str], Path],
) -> None:
    part = _indexed(recording("rotated_90_mov"))
    code_only = PixelBox(0, 0, made.WIDTH, 2 * made.HEIGHT // 8)
    batch, _ = _read(part, np.array([30]), "pyav", code_only)
    padded = np.zeros((made.HEIGHT, made.WIDTH, 3), dtype=np.uint8)
    padded[: code_only.height_px] = batch.rgb[0]
    assert made.read_code(padded) == pytest.approx(part.time_s[30], abs=0.02)


def _indexed_bars(path: Path, size: tuple[int, int], tag: ColorTag, **options: str) -> PartIndex:
    return index_part(bars.write(path, size, tag, **options), CONFIG)


def _bars_by_pyav(part: PartIndex) -> np.ndarray:
    width_px, height_px = upright_size(part.video)
    request = read_request(part, np.array([1]), None, (height_px, width_px), 1, 10**8)
    (picture,) = read_pictures(request, lambda: 0, lambda: None)
    assert picture is not None
    return picture.rgb


@pytest.mark.parametrize(("size", "tag"), bars.TAGS)
def test_color_bars_keep_their_color(size: tuple[int, int], tag: ColorTag, tmp_path: Path) -> None:
    part = _indexed_bars(tmp_path / "bars.mp4", size, tag)
    by_pyav = _bars_by_pyav(part)
    assert bars.largest_error(by_pyav) <= 3
    is_left_to_pyav = why_not_decord(part) is not None
    assert is_left_to_pyav == (not tag.is_tagged and size == (1280, 720))
    if HAS_DECORD and not is_left_to_pyav:
        batch, outcome = _read(part, np.array([1]), "decord")
        assert [use.reader for use in outcome.uses] == ["decord"]
        np.testing.assert_array_equal(batch.rgb[0], by_pyav)


@pytest.mark.parametrize("pixel_format", ["yuv422p", "yuv444p", "yuv420p10le"])
def test_color_bars_in_other_pixel_formats(pixel_format: str, tmp_path: Path) -> None:
    part = _indexed_bars(
        tmp_path / "bars.mp4", (320, 240), ColorTag("bt709"), pixel_format=pixel_format
    )
    assert bars.largest_error(_bars_by_pyav(part)) <= 3


def test_readers_agree_pixel_by_pixel(recording: Callable[[str], Path]) -> None:
    _need("decord")
    part = _indexed(recording("constant_rate_mp4"))
    frames = np.arange(0, part.n_frames, 5)
    first, _ = _read(part, frames, "pyav")
    second, _ = _read(part, frames, "decord")
    np.testing.assert_array_equal(first.rgb, second.rgb)


def test_batches_are_full_and_in_order(recording: Callable[[str], Path]) -> None:
    part = _indexed(recording("constant_rate_mp4"))
    frames = np.arange(1, part.n_frames, 5)
    with decode(_request(part, frames), CONFIG, 5) as decoding:
        assert isinstance(decoding, Decoding)
        batches = list(decoding)
    assert [len(batch) for batch in batches] == [5, 5, 2]
    seen = np.concatenate([batch.sample_index for batch in batches])
    np.testing.assert_array_equal(seen, frames)
    for batch in batches:
        _check_codes(batch, part)


def test_parts_of_one_case_keep_true_time_on_one_clock(recording: Callable[[str], Path]) -> None:
    """A transport stream that starts late, then a variable rate: container, rate, clock differ."""
    paths = [recording("late_start_ts"), recording("variable_rate_mp4")]
    index = index_recording(paths, CONFIG)
    timeline = place_parts(index, [30.0])
    plan = plan_uniform(index, timeline, 4.0)
    assert set(plan.part_index.tolist()) == {0, 1}
    for placed, part in zip(timeline.parts, index.parts, strict=True):
        rows = np.flatnonzero(plan.part_index == placed.part_index)
        request = DecodeRequest(
            part,
            placed.part_index,
            plan.frame_index[rows],
            rows,
            plan.time_s[rows],
            None,
            made.HEIGHT,
            made.WIDTH,
        )
        with decode(request, CONFIG, 64) as decoding:
            (batch,) = list(decoding)
        half_s = float(np.median(np.diff(part.time_s))) / 2
        for rgb, time_s in zip(batch.rgb, batch.time_s, strict=True):
            assert abs(placed.start_s + made.read_code(rgb) - time_s) <= half_s
    assert timeline.parts[1].start_s == pytest.approx(index.parts[0].duration_s + 30.0)
