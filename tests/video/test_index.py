from __future__ import annotations

import dataclasses
import hashlib
import os
import socket
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import odd_recordings as odd
import pytest

from ubereport.core.config import DecodeConfig
from ubereport.core.errors import DecodeError, RecordingFormatError, UsageError
from ubereport.core.recording import PartIndex, RecordingIndex
from ubereport.video import index as index_module
from ubereport.video.decode import decode_stills
from ubereport.video.index import index_part, index_recording
from ubereport.video.pyav import EncoderSpec
from ubereport.video.pyav_reader import read_pictures
from ubereport.video.reader import read_request
from ubereport.video.timeline import lost_stretches, place_parts
from ubereport.video.writer import VideoWriter

CONFIG = DecodeConfig()
MS = Fraction(1, 1000)


@pytest.fixture(scope="module")
def plain_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return odd.plain(tmp_path_factory.mktemp("plain") / "plain.mp4")


@pytest.fixture(scope="module")
def plain_ts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return odd.plain(tmp_path_factory.mktemp("plain") / "plain.ts", 60)


def test_facts_of_a_plain_recording(plain_path: Path) -> None:
    part = index_part(plain_path, CONFIG)
    video = part.video
    assert (video.codec, video.width_px, video.height_px) == ("h264", 64, 48)
    assert (video.bit_depth, video.pixel_format) == (8, "yuv420p")
    assert (video.color_matrix, video.color_range) == ("bt709", "limited")
    assert (video.is_interlaced, video.rotation_deg) == (False, 0)
    assert video.average_rate_hz == 25
    assert part.sha256 == hashlib.sha256(plain_path.read_bytes()).hexdigest()
    assert part.size_bytes == plain_path.stat().st_size
    np.testing.assert_allclose(part.time_s, np.arange(30) / 25)
    assert part.is_key[0]
    assert np.all(np.diff(np.flatnonzero(part.is_key)) <= 10)
    assert part.duration_s == pytest.approx(1.2)
    assert (part.declared_duration_s, part.declared_n_frames) == (part.duration_s, 30)
    assert part.missing_tail_s == 0
    assert (part.gaps, part.notes, part.n_dropped_packets) == ((), (), 0)


def _zero(folder: Path) -> Path:
    path = folder / "zero.mp4"
    path.touch()
    return path


def _bytes(content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "patient_jane_doe.mp4"
        path.write_bytes(content)
        return path

    return make


def _png(folder: Path) -> Path:
    path = folder / "x_ray.mp4"
    path.write_bytes(cv2.imencode(".png", odd.picture(0))[1].tobytes())
    return path


def _playlist(folder: Path) -> Path:
    path = folder / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.ts\n#EXT-X-ENDLIST\n")
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_zero, "empty"),
        (_bytes(b"Operation report\n" * 50), "no recording"),
        (_bytes(np.random.default_rng(0).bytes(5000)), "no recording"),
        (_bytes(b"\xff\xd8\xff\xe0" + bytes(100)), "still image"),
        (_png, "still image"),
        (_playlist, "no recording"),
        (lambda folder: odd.audio_only(folder / "sound.m4a"), "only audio"),
        (lambda folder: odd.plain(folder / "one.mp4", 1), "holds 1 picture"),
        (lambda folder: odd.bomb(folder / "bomb.h264"), "16384 × 16384"),
        (
            lambda folder: odd.with_ticks(
                folder / "centuries.mkv", range(0, 400_000_000, 3_500_000), MS
            ),
            "hours long",
        ),
    ],
)
def test_what_is_no_recording_is_refused_in_one_sentence_without_its_name(
    make: Callable[[Path], Path], words: str, tmp_path: Path
) -> None:
    path = make(tmp_path)
    with pytest.raises(RecordingFormatError, match=words) as caught:
        index_part(path, CONFIG, part_index=2)
    message = str(caught.value)
    assert message.startswith("Part 3 of the case")
    assert "\n" not in message
    assert path.stem not in message
    assert str(tmp_path) not in message


def _fifo(folder: Path) -> Path:
    path = folder / "pipe.mp4"
    os.mkfifo(path)
    return path


def _socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(folder / "s"))
    return folder / "s"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder, "folder"),
        (_fifo, "pipe"),
        (_socket, "socket"),
        (lambda _: Path("/dev/zero"), "device"),
        (lambda folder: folder / "absent.mp4", "cannot be opened"),
        (lambda _: Path("nul\0byte.mp4"), "impossible"),
    ],
)
def test_what_is_no_file_is_a_usage_error(
    make: Callable[[Path], Path], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words):
        index_part(make(tmp_path), CONFIG)


def test_larger_picture_than_allowed_is_refused(plain_path: Path) -> None:
    with pytest.raises(RecordingFormatError, match="64 × 48"):
        index_part(plain_path, dataclasses.replace(CONFIG, max_width_px=32))


def test_silent_demuxer_is_a_decode_error(
    plain_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(index_module.GuardedChild):
        def _fill(self, deadline: float) -> None:
            super()._fill(deadline - 1e9)

    monkeypatch.setattr(index_module, "GuardedChild", Silent)
    with pytest.raises(DecodeError, match="no sign of life"):
        index_part(plain_path, CONFIG)


def test_disk_error_is_a_decode_error(
    plain_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading process meets a disk that breaks while the file is hashed."""
    broken = """
import hashlib
def broken(*content):
    raise OSError(5, "Input/output error", "the path")
hashlib.sha256 = broken
"""
    (tmp_path / "sitecustomize.py").write_text(broken)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DecodeError, match=r"failed \(Input/output error\)") as caught:
        index_part(plain_path, CONFIG)
    assert plain_path.name not in str(caught.value)


def test_gap_is_found_and_not_covered(tmp_path: Path) -> None:
    ticks = [*range(0, 1000, 40), *range(6000, 7000, 40)]
    part = index_part(odd.with_ticks(tmp_path / "gap.mkv", ticks, MS), CONFIG)
    (gap,) = part.gaps
    assert (gap.start_s, gap.end_s) == pytest.approx((1.0, 6.0))
    assert part.duration_s == pytest.approx(7.0)
    assert part.n_clock_jumps == 0


def test_jump_of_the_clock_is_taken_out(tmp_path: Path) -> None:
    ticks = [*range(0, 1000, 40), *range(10**12, 10**12 + 1000, 40)]
    part = index_part(odd.with_ticks(tmp_path / "jump.mkv", ticks, MS), CONFIG)
    assert part.n_clock_jumps == 1
    assert part.gaps == ()
    np.testing.assert_allclose(part.time_s, np.arange(50) * 0.04)
    assert part.declared_duration_s is None  # the header counts the jump


TS_HOUR = 3600 * 90000


@pytest.mark.parametrize(
    ("moved", "n_jumps"),
    [
        ({}, 0),
        (dict.fromkeys(range(20, 60), 2 * TS_HOUR), 1),
        (dict.fromkeys(range(20), 2 * TS_HOUR), 1),
        ({15: 2 * TS_HOUR}, 2),
    ],
)
def test_clock_moved_inside_a_transport_stream_leaves_its_length(
    moved: dict[int, int], n_jumps: int, plain_ts: Path, tmp_path: Path
) -> None:
    part = index_part(odd.shift_ts(plain_ts, tmp_path / "moved.ts", moved), CONFIG)
    assert part.n_clock_jumps == n_jumps
    assert part.duration_s == pytest.approx(2.4, abs=0.05)
    assert part.n_frames >= 59


def test_chaotic_clock_stays_bounded(plain_ts: Path, tmp_path: Path) -> None:
    moved = {n: (n * 7919 % 13) * 1000 * 90000 for n in range(60)}
    part = index_part(odd.shift_ts(plain_ts, tmp_path / "chaos.ts", moved), CONFIG)
    lost_s = sum(gap.duration_s for gap in part.gaps)
    assert part.duration_s - lost_s <= 60 * part.n_frames  # no picture stands longer than a minute


def test_two_recordings_in_one_transport_stream_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "both.ts"
    halves = [odd.plain(tmp_path / f"{n}.ts", n).read_bytes() for n in (60, 30)]
    path.write_bytes(halves[0] + halves[1])
    part = index_part(path, CONFIG)
    assert (part.n_frames, part.n_clock_resets) == (90, 1)
    np.testing.assert_allclose(part.time_s, np.arange(90) / 25, atol=1e-6)


def test_start_without_a_keyframe_is_dropped_and_counted(tmp_path: Path) -> None:
    path = odd.plain(tmp_path / "whole.ts", 60)
    data = path.read_bytes()
    cut = tmp_path / "cut.ts"
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    keys = [
        n
        for n, packet in enumerate(packets)
        if packet[1] & 0x40 and packet[3] & 0x20 and packet[5] & 0x40
    ]
    cut.write_bytes(b"".join(packets[:2] + packets[keys[0] + 5 :]))
    part = index_part(cut, CONFIG)
    assert part.is_key[0]
    assert part.n_dropped_packets > 0
    assert part.n_frames + part.n_dropped_packets <= 60
    still = decode_stills(part, np.array([0]), CONFIG, height_px=48, width_px=64)
    assert still.is_decoded.all()


def test_cover_picture_is_passed_over(tmp_path: Path) -> None:
    part = index_part(odd.two_streams(tmp_path / "cover.mp4", is_first_attached=True), CONFIG)
    assert (part.video.width_px, part.n_frames, part.notes) == (64, 20, ())


def test_best_of_several_streams_is_taken_and_named(tmp_path: Path) -> None:
    part = index_part(odd.two_streams(tmp_path / "two.mkv", is_first_attached=False), CONFIG)
    assert (part.video.width_px, part.stream_index) == (64, 1)
    assert "2 video streams; the one of 64 × 48 px" in part.notes[0]
    still = decode_stills(part, np.array([10]), CONFIG, height_px=48, width_px=64)
    np.testing.assert_allclose(still.rgb[0][5, 5], (150, 40, 30), atol=6)


def test_size_that_changes_midway_is_rescaled(tmp_path: Path) -> None:
    part = index_part(odd.size_change(tmp_path / "change.ts"), CONFIG)
    assert part.n_frames == 40
    frames = np.array([2, 35])
    batch = decode_stills(part, frames, CONFIG, height_px=48, width_px=64)
    assert batch.is_decoded.all()
    for rgb, number in zip(batch.rgb, (2, 15), strict=True):
        bar = 3 * number * (1 if number == 2 else 0.5)  # twice as wide: half as far
        assert int(np.argmax(rgb[24, :, 2])) == pytest.approx(bar, abs=1)


def test_smallest_picture_is_read(tmp_path: Path) -> None:
    part = index_part(odd.plain(tmp_path / "tiny.mp4", 10, size=(2, 2)), CONFIG)
    batch = decode_stills(part, np.arange(10), CONFIG, height_px=16, width_px=16)
    assert batch.is_decoded.all()


def test_elementary_stream_is_counted(tmp_path: Path) -> None:
    part = index_part(odd.plain(tmp_path / "raw.h264", 50), CONFIG)
    np.testing.assert_allclose(part.time_s, np.arange(50) / 25)
    batch = decode_stills(part, np.array([3, 27]), CONFIG, height_px=48, width_px=64)
    for rgb, number in zip(batch.rgb, (3, 27), strict=True):
        column = 3 * number % 64
        assert rgb[24, column, 2] > 180


@pytest.mark.parametrize("name", ["concat:a|b.mp4", "-i %d.mp4", "'; rm <b>.mp4", "é\udce9.mp4"])
def test_hostile_file_name_does_no_harm(name: str, plain_path: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(plain_path.read_bytes())
    still = decode_stills(index_part(path, CONFIG), np.array([12]), CONFIG, height_px=8, width_px=8)
    assert still.is_decoded.all()


def test_parts_of_a_case_keep_their_order(plain_path: Path, tmp_path: Path) -> None:
    second = odd.plain(tmp_path / "b.ts", 20, size=(96, 64))
    index = index_recording([plain_path, second], CONFIG)
    assert [part.n_frames for part in index.parts] == [30, 20]


def test_missing_part_is_named_by_number(plain_path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Part 2 of the case cannot be opened"):
        index_recording([plain_path, tmp_path / "absent.mp4"], CONFIG)


def test_same_recording_twice_is_refused(plain_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(plain_path.read_bytes())
    with pytest.raises(UsageError, match="Parts 1 and 2"):
        index_recording([plain_path, copy], CONFIG)


def test_case_without_parts_is_refused() -> None:
    with pytest.raises(UsageError, match="no part"):
        index_recording([], CONFIG)


def test_parts_too_long_together_are_refused(plain_path: Path, tmp_path: Path) -> None:
    second = odd.plain(tmp_path / "b.mp4", 31)
    with pytest.raises(RecordingFormatError, match="The case is"):
        index_recording([plain_path, second], dataclasses.replace(CONFIG, max_recorded_s=2.0))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    "kind", ["faststart.mp4", "plain.ts", "plain.mkv", "plain.avi", "last.mp4"]
)
def test_truncated_recording_is_read_as_far_as_it_goes(
    kind: str, share: float, tmp_path: Path
) -> None:
    whole = tmp_path / f"whole_{kind}"
    codec = "mpeg4" if kind.endswith("avi") else "libx264"
    options = {"movflags": "faststart"} if kind.startswith("fast") else {}
    with _writer(whole, codec, options) as writer:
        for number in range(100):
            writer.write(odd.picture(number))
    cut = tmp_path / kind
    data = whole.read_bytes()
    cut.write_bytes(data[: int(len(data) * share)])
    if kind == "last.mp4":  # the table of contents comes last and is gone
        with pytest.raises(RecordingFormatError, match=r"no recording that can be read|0 pictures"):
            index_part(cut, CONFIG)
        return
    try:
        part = index_part(cut, CONFIG)
    except RecordingFormatError:
        assert share == 0.1  # nothing but a header may be left
        return
    _check_truncated(part, kind)


def _writer(path: Path, codec: str, options: dict[str, str]) -> VideoWriter:
    return VideoWriter(
        path, EncoderSpec(64, 48, 25, codec, options={"g": "10"}, container_options=options)
    )


def _check_truncated(part: PartIndex, kind: str) -> None:
    assert part.n_frames <= 100
    if kind != "plain.ts":  # a transport stream declares nothing
        assert part.declared_duration_s == pytest.approx(4.0, abs=0.05)
        timeline = place_parts(_recording(part))
        assert timeline.end_s == pytest.approx(4.0, abs=0.15)
        lost_s = sum(
            stretch.duration_s for stretch, _, _ in lost_stretches(_recording(part), timeline)
        )
        assert lost_s == pytest.approx(timeline.end_s - part.duration_s, abs=1e-6)
    request = read_request(part, np.arange(part.n_frames), None, (48, 64), 2, 10**6)
    pictures = list(read_pictures(request, lambda: 0, lambda: None))
    sound = [n for n, picture in enumerate(pictures) if picture is not None]
    assert len(sound) >= part.n_frames - 4  # the picture that was cut, and what decodes beside it
    for number in sound[:-1]:
        picture = pictures[number]
        assert picture is not None
        bar = 3 * round(part.time_s[number] * 25) % 64
        assert picture.is_corrupt or picture.rgb[24, bar, 2] > 150


def _recording(part: PartIndex) -> RecordingIndex:
    return RecordingIndex((part,))
