"""Single pictures of transport streams, where a seek lands between keyframes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import reader_recordings
from reader_recordings import HEIGHT, WIDTH, Spec, read_code

from ubereport.core.config import DecodeConfig
from ubereport.video.moment_child import _PartStream
from ubereport.video.moment_part import MomentPart
from ubereport.video.moments import Moment, MomentReader
from ubereport.video.pyav import OpenStream

RATE_HZ, GROUP_S, N_GROUPS = 10, 2, 4
END_S = GROUP_S * N_GROUPS
PICTURE_S = 1 / RATE_HZ
OPTIONS = {
    "libx264": {"g": "20", "bf": "2", "preset": "veryfast", "sc_threshold": "0"},
    "mpeg2video": {"g": "20", "bf": "2", "b": "900k", "sc_threshold": "1000000000"},
}
SPECS = {
    "h264_ts": Spec(".ts", options=OPTIONS["libx264"]),
    "open_groups_ts": Spec(
        ".ts", options={**OPTIONS["libx264"], "x264-params": "open-gop=1:scenecut=0"}
    ),
    "mpeg2_ts": Spec(".ts", "mpeg2video", options=OPTIONS["mpeg2video"]),
    "h264_mp4": Spec(".mp4", options=OPTIONS["libx264"]),
}


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from a name to a recording with a keyframe every two seconds, made once."""
    folder = tmp_path_factory.mktemp("streams")

    def recording(name: str) -> Path:
        spec = SPECS[name]
        path = folder / f"{name}{spec.suffix}"
        if not path.exists():
            rate_hz = 25 if spec.codec == "mpeg2video" else RATE_HZ  # it knows no ten pictures
            step = Fraction(rate_hz, RATE_HZ)
            ticks = tuple(int(n * step) for n in range(END_S * RATE_HZ))
            made = Spec(
                spec.suffix,
                spec.codec,
                ticks=ticks,
                time_base_s=Fraction(1, rate_hz),
                rate_hz=Fraction(rate_hz),
                options=spec.options,
            )
            reader_recordings.make(made, path)
        return path

    return recording


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from a name in `reader_recordings.SPECS` to a recording, made once."""
    return reader_recordings.maker(tmp_path_factory.mktemp("recordings"))


def _part(path: Path) -> MomentPart:
    return MomentPart(
        str(path), "bt709", "limited", 0, (WIDTH, HEIGHT), (0, 0, WIDTH, HEIGHT), 10**7
    )


def _shown_s(moment: Moment) -> float:
    """Time burned into a picture."""
    bgr = cv2.imdecode(np.frombuffer(moment.jpeg, np.uint8), cv2.IMREAD_COLOR)
    return read_code(bgr[..., ::-1])


@pytest.mark.parametrize("name", SPECS)
def test_any_moment_of_a_stream_is_found(streamed: Callable[[str], Path], name: str) -> None:
    moments_s = np.random.default_rng(3).permutation(np.arange(0, END_S, 0.7))
    with MomentReader([_part(streamed(name))], DecodeConfig()) as reader:
        for time_s in (1.0, END_S - 0.5, *moments_s):
            moment = reader.moment(0, float(time_s), is_exact=True, width_px=WIDTH)
            assert moment.time_s == pytest.approx(_shown_s(moment), abs=0.002)
            assert -1e-6 <= time_s - moment.time_s <= 1.5 * PICTURE_S, time_s


@pytest.mark.parametrize("name", SPECS)
def test_the_keyframe_is_the_last_before_the_moment(
    streamed: Callable[[str], Path], name: str
) -> None:
    with MomentReader([_part(streamed(name))], DecodeConfig()) as reader:
        for time_s in (1.0, END_S - 0.5, 3.9, 2.05, 5.0, 0.0):
            moment = reader.moment(0, time_s, is_exact=False, width_px=WIDTH)
            assert moment.time_s == pytest.approx(_shown_s(moment), abs=0.002)
            assert -1e-6 <= time_s - moment.time_s <= GROUP_S + 3 * PICTURE_S, time_s


@pytest.mark.parametrize("name", sorted(set(reader_recordings.SPECS) - {"h264_b_frames_avi"}))
def test_every_kind_of_recording_shows_the_moment_asked_for(
    made: Callable[[str], Path], name: str
) -> None:
    """Left out is the one whose pictures FFmpeg times wrongly, so that an index counts them."""
    spec = reader_recordings.SPECS[name]
    part = replace(
        _part(made(name)), color_matrix=spec.color.matrix, rotation_deg=spec.rotation_deg
    )
    stream = _PartStream(part, lambda: False)
    half_s = float(0.5 / spec.rate_hz)
    for number in np.random.default_rng(1).permutation(range(spec.n_hidden, len(spec.ticks))):
        time_s = spec.time_s(number)
        for look in (stream.exact, stream.near):
            frame, _ = look(time_s + 1e-4)
            shown_s = read_code(part.fitted(stream.rgb(frame), WIDTH))
            assert shown_s <= time_s + half_s, (look, time_s)
            assert look == stream.near or shown_s >= time_s - half_s, time_s


def test_without_any_seek_a_stream_is_read_from_its_start(
    streamed: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenStream, "seek", lambda *_: False)
    stream = _PartStream(_part(streamed("h264_ts")), lambda: False)
    assert stream.near(5.0)[1] == pytest.approx(4.0)
    assert stream.exact(1.0)[1] == pytest.approx(1.0)
    assert stream.exact(7.9)[1] == pytest.approx(7.9)


def test_a_keyframe_that_is_damaged_gives_way_to_the_one_before(
    streamed: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = _PartStream(_part(streamed("h264_mp4")), lambda: False)
    decode = stream._opened.decode
    damaged = 4 / stream._opened.time_base_s

    def strict(packet: object, is_wanted: bool = True) -> object:
        if getattr(packet, "is_keyframe", False) and packet.pts - stream._first_pts == damaged:  # type: ignore[attr-defined]
            return [], True
        return decode(packet, is_wanted)  # type: ignore[arg-type]

    monkeypatch.setattr(stream._opened, "decode", strict)
    assert stream.near(5.0)[1] == pytest.approx(2.0)
