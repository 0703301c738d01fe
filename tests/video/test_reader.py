from __future__ import annotations

import dataclasses
import importlib.util
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ubereport.core.config import ReaderChoice, SamplingMode
from ubereport.core.frames import PixelBox
from ubereport.core.recording import PartIndex, VideoFormat
from ubereport.video.picture_scaling import fit_picture, scale, to_model_size
from ubereport.video.process_messages import MessageReader, pack
from ubereport.video.reader import (
    ReadRequest,
    choose_reader,
    color_rule,
    is_decord_usable,
    read_request,
    upright_size,
    why_not_decord,
)

VIDEO = VideoFormat(
    container="mov,mp4,m4a,3gp,3g2,mj2",
    codec="h264",
    pixel_format="yuv420p",
    width_px=1280,
    height_px=720,
    bit_depth=8,
    rotation_deg=0,
    is_interlaced=False,
    color_matrix="bt709",
    color_range="limited",
    sample_aspect_ratio=Fraction(1),
    average_rate_hz=Fraction(25),
)
PART = PartIndex(
    path=Path("part.mp4"),
    sha256="0" * 64,
    size_bytes=1,
    video=VIDEO,
    time_base_s=Fraction(1, 25),
    pts=np.arange(50),
    time_s=np.arange(50) / 25,
    is_key=np.arange(50) % 10 == 0,
    duration_s=2.0,
    declared_duration_s=2.0,
    declared_n_frames=50,
    gaps=(),
)


def _part(**change: object) -> PartIndex:
    video = {key: value for key, value in change.items() if hasattr(VIDEO, key)}
    rest = {key: value for key, value in change.items() if key not in video}
    changed = dataclasses.replace(VIDEO, **video)  # type: ignore[arg-type]
    return dataclasses.replace(PART, video=changed, **rest)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", list(SamplingMode))
def test_auto_is_pyav_with_the_measured_reason(mode: SamplingMode) -> None:
    if importlib.util.find_spec("decord") is None:
        pytest.skip("decord is not installed")
    name, why = choose_reader(PART, mode, ReaderChoice.AUTO)
    assert name == "pyav"
    assert "processor time" in why


def test_decord_reads_on_request() -> None:
    if importlib.util.find_spec("decord") is None:
        pytest.skip("decord is not installed")
    assert is_decord_usable(PART)
    assert choose_reader(PART, SamplingMode.UNIFORM, ReaderChoice.DECORD) == (
        "decord",
        "decord was asked for.",
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"container": "mpegts"}, "container"),
        ({"codec": "hevc"}, "hevc"),
        ({"bit_depth": 10}, "10-bit"),
        ({"pixel_format": "yuv422p"}, "yuv422p"),
        ({"is_interlaced": True}, "interlaced"),
        ({"rotation_deg": 90}, "rotated"),
        ({"color_matrix": "unspecified"}, "colors"),
        ({"color_range": "unspecified"}, "colors"),
        ({"n_clock_jumps": 1}, "clock"),
        ({"n_dropped_packets": 1}, "clock"),
        ({"declared_duration_s": 3.0}, "incomplete"),
        ({"has_open_gops": True}, "open groups"),
        ({"is_key": np.arange(50) % 10 == 5}, "keyframe"),
        ({"notes": ("The file holds 2 video streams; …",)}, "several video streams"),
    ],
)
@pytest.mark.parametrize("choice", [ReaderChoice.AUTO, ReaderChoice.DECORD])
def test_pyav_reads_what_decord_does_not_read_exactly(
    change: dict[str, object], words: str, choice: ReaderChoice
) -> None:
    part = _part(**change)
    obstacle = why_not_decord(part)
    assert obstacle is not None
    assert words in obstacle
    name, why = choose_reader(part, SamplingMode.UNIFORM, choice)
    assert name == "pyav"
    assert words in why
    assert not is_decord_usable(part)


def test_small_untagged_pictures_suit_decord() -> None:
    """Its default, BT.601 limited, is ours below 720 lines."""
    untagged = {"color_matrix": "unspecified", "color_range": "unspecified"}
    assert why_not_decord(_part(width_px=720, height_px=576, **untagged)) is None


def test_absent_decord_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    name, why = choose_reader(PART, SamplingMode.UNIFORM, ReaderChoice.AUTO)
    assert (name, "not installed" in why) == ("pyav", True)


def test_what_is_asked_for_is_used_and_told() -> None:
    assert choose_reader(PART, SamplingMode.UNIFORM, ReaderChoice.PYAV) == (
        "pyav",
        "PyAV was asked for.",
    )


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({}, ("bt709", "limited")),
        ({"color_matrix": "bt601", "color_range": "full"}, ("bt601", "full")),
        ({"color_matrix": "unspecified", "color_range": "unspecified"}, ("bt709", "limited")),
        ({"color_matrix": "unspecified", "width_px": 720, "height_px": 576}, ("bt601", "limited")),
        ({"color_matrix": "unspecified", "width_px": 1280, "height_px": 640}, ("bt709", "limited")),
        ({"color_matrix": "bt2020"}, ("bt2020", "limited")),
    ],
)
def test_color_rule(change: dict[str, object], rule: tuple[str, str]) -> None:
    assert color_rule(_part(**change).video) == rule


def test_upright_size_turns_with_the_picture() -> None:
    assert upright_size(VIDEO) == (1280, 720)
    assert upright_size(_part(rotation_deg=270).video) == (720, 1280)
    assert upright_size(_part(rotation_deg=180).video) == (1280, 720)


def _request(crop: PixelBox | None, size: tuple[int, int], **change: object) -> ReadRequest:
    return read_request(_part(**change), np.array([1, 5]), crop, size, 2, 10**7)


def test_request_survives_the_wire_in_any_pieces() -> None:
    sent = _request(PixelBox(10, 20, 110, 220), (64, 48))
    message = pack(*sent.to_message())
    reader = MessageReader()
    for byte in message[:-1]:
        reader.feed(bytes([byte]))
        assert reader.next() is None
    reader.feed(message[-1:])
    received = reader.next()
    assert received is not None
    assert reader.next() is None
    back = ReadRequest.from_message(*received)
    for name in ReadRequest.__slots__:
        np.testing.assert_array_equal(getattr(back, name), getattr(sent, name))


def _numbered(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack((rows, columns, np.zeros_like(rows)), axis=-1).astype(np.uint8)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_crop_is_cut_from_the_upright_picture(turns: int) -> None:
    upright = _numbered(80, 120)
    stored = np.rot90(upright, -turns)
    request = _request(
        PixelBox(10, 20, 70, 50),
        (30, 60),
        rotation_deg=90 * turns,
        width_px=stored.shape[1],
        height_px=stored.shape[0],
    )
    np.testing.assert_array_equal(fit_picture(stored, request), upright[20:50, 10:70])


def test_crop_follows_a_picture_of_another_size() -> None:
    request = _request(PixelBox(10, 20, 70, 50), (30, 60), width_px=120, height_px=80)
    doubled = np.kron(_numbered(80, 120), np.ones((2, 2, 1), dtype=np.uint8))
    np.testing.assert_array_equal(fit_picture(doubled, request), _numbered(80, 120)[20:50, 10:70])


@pytest.mark.parametrize(("height", "width"), [(24, 30), (90, 110), (24, 110)])
def test_a_picture_of_any_size_is_fitted_to_a_model_as_a_recording_is(
    height: int, width: int
) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)
    request = _request(PixelBox(0, 0, width, height), (48, 48), width_px=width, height_px=height)
    np.testing.assert_array_equal(to_model_size(rgb[None], 48, 48)[0], fit_picture(rgb, request))


def test_shrinking_averages_and_growing_interpolates() -> None:
    checker = (np.indices((40, 40)).sum(axis=0) % 2 * 200).astype(np.uint8)
    rgb = np.repeat(checker[..., None], 3, axis=2)
    assert np.all(scale(rgb, 10, 10) == 100)
    assert scale(rgb, 10, 80).shape == (10, 80, 3)
    assert np.abs(scale(rgb, 10, 80).astype(int) - 100).max() <= 1
    assert scale(rgb, 80, 80).max() == 200
    np.testing.assert_array_equal(scale(rgb, 40, 40), rgb)
