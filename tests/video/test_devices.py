"""Graphics devices: who may decode what, and what happens where one fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import fake_devices as fake
import numpy as np
import pytest
import reader_recordings as made

from ubereport.core.choices import DecodeDevice
from ubereport.core.config import DecodeConfig
from ubereport.core.errors import DecodeError
from ubereport.core.intervals import Interval
from ubereport.core.recording import PartIndex
from ubereport.video import device_check, packet_stream
from ubereport.video import pool as pool_module
from ubereport.video.decode import DecodeOutcome, DecodeRequest, decode
from ubereport.video.device_check import check_devices
from ubereport.video.devices import CaseDevices, Trial, devices_here, n_decoded, why_no_device
from ubereport.video.index import index_part
from ubereport.video.pool import DecoderPool
from ubereport.video.pyav import OpenStream, devices_offered
from ubereport.video.pyav_reader import read_on_device, read_pictures
from ubereport.video.reader import READERS, device_reader, read_request, upright_size

CONFIG = DecodeConfig(device=DecodeDevice.CUDA, n_threads=1, stall_timeout_s=20)
# What a device may try; the other recordings of the contract suite are the processor's.
TAKEN = {
    "constant_rate_mp4",
    "faststart_mp4",
    "rate_29_97_mp4",
    "variable_rate_mkv",
    "variable_rate_mp4",
    "offset_start_mp4",
    "offset_start_mkv",
    "edit_list_mp4",
    "open_gop_mp4",
    "open_gop_ts",
    "late_start_ts",
    "open_gop_without_b_mp4",
    "intra_refresh_mp4",
    "hevc_10_bit_mp4",
    "hevc_mp4",
    "rotated_90_mov",
    "rotated_180_mov",
    "rotated_270_mov",
    "full_range_601_mp4",
}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return made.maker(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(autouse=True)
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make cases believe in two graphics cards, and decoding processes find the fakes."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    cards = partial(CaseDevices, here=lambda offered: ("cuda:0", "cuda:1"))
    monkeypatch.setattr(pool_module, "CaseDevices", cards)


def _decoded(
    part: PartIndex,
    device: str,
    config: DecodeConfig = CONFIG,
    pool: DecoderPool | None = None,
) -> tuple[np.ndarray, DecodeOutcome]:
    frames = np.arange(part.n_frames)
    request = DecodeRequest(part, 0, frames, frames, part.time_s, None, 32, 40)
    readers = {**READERS, "pyav-cuda": f"fake_devices:{device}"}
    with decode(request, config, 8, readers, pool) as decoding:
        batches = list(decoding)
    assert all(batch.is_decoded.all() and not batch.is_corrupt.any() for batch in batches)
    return np.concatenate([batch.rgb for batch in batches]), decoding.outcome


@pytest.fixture(scope="module")
def truth(coded_part: PartIndex) -> np.ndarray:
    rgb, outcome = _decoded(coded_part, "good", DecodeConfig(device=DecodeDevice.CPU))
    assert [use.reader for use in outcome.uses] == ["pyav"]
    return rgb


def test_a_device_that_is_asked_for_decodes_and_is_told(
    coded_part: PartIndex, truth: np.ndarray
) -> None:
    rgb, outcome = _decoded(coded_part, "good")
    np.testing.assert_array_equal(rgb, truth)
    (use,) = outcome.uses
    assert (use.reader, use.why) == ("pyav-cuda", "PyAV on cuda, which was asked for.")
    assert outcome.failures == ()


@pytest.mark.parametrize(
    ("device", "limits", "words"),
    [
        ("raises_at_20", {}, "lost cuda:0 (Generic error in an external library)"),
        ("dies_at_20", {}, "was ended by signal 11"),
        ("stalls_at_20", {"stall_timeout_s": 6.0}, "gave no sign of life for 6 s"),
        ("swells_at_20", {"memory_mib": 256}, "needed more memory than decode.memory_mib"),
    ],
)
def test_the_processor_goes_on_from_the_last_good_picture(
    coded_part: PartIndex, truth: np.ndarray, device: str, limits: dict[str, float], words: str
) -> None:
    """What is reserved as a driver does, 64 GiB of addresses, counts as no memory."""
    config = dataclasses.replace(CONFIG, **limits)
    with DecoderPool(config.stall_timeout_s) as pool:
        rgb, outcome = _decoded(coded_part, device, config, pool)
        np.testing.assert_array_equal(rgb, truth)
        assert [use.reader for use in outcome.uses] == ["pyav-cuda", "pyav"]
        assert outcome.uses[1].start_s == pytest.approx(coded_part.time_s[20])
        (failure,) = outcome.failures
        assert failure == (
            f"Part 1, at {coded_part.time_s[20]:.1f} s: PyAV on cuda failed: it {words}; "
            "the processor went on."
        )
        again, outcome = _decoded(coded_part, device, config, pool)
        np.testing.assert_array_equal(again, truth)
        (use,) = outcome.uses
        assert use.reader == "pyav"
        assert use.why == (f"PyAV on the processor, because PyAV on cuda failed: it {words}.")


def test_sessions_without_room_on_the_device_are_the_processors(
    coded_part: PartIndex,
    truth: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Both cards are tried with one session each; then three begin, of which one finds room."""
    monkeypatch.setenv("FAKE_DEVICE_FOLDER", str(tmp_path))
    monkeypatch.setenv("FAKE_DEVICE_ROOM", "3")
    config = dataclasses.replace(CONFIG, n_threads=3)
    rgb, outcome = _decoded(coded_part, "room_for_some", config)
    np.testing.assert_array_equal(rgb, truth)
    assert {use.reader for use in outcome.uses} == {"pyav", "pyav-cuda"}
    assert len(outcome.uses) == 2
    assert len(outcome.failures) == 2
    assert all("cannot open cuda" in failure for failure in outcome.failures)


def test_a_busy_card_is_passed_over(coded_part: PartIndex, truth: np.ndarray) -> None:
    rgb, outcome = _decoded(coded_part, "first_is_busy")
    np.testing.assert_array_equal(rgb, truth)
    assert [use.reader for use in outcome.uses] == ["pyav-cuda"]
    assert outcome.failures == ()


def test_a_device_with_other_pictures_is_not_taken(
    coded_part: PartIndex, truth: np.ndarray
) -> None:
    rgb, outcome = _decoded(coded_part, "one_level_off")
    np.testing.assert_array_equal(rgb, truth)
    (use,) = outcome.uses
    assert use.why == ("PyAV on the processor, because the pictures of cuda differ from its own.")


def test_auto_takes_a_device_for_long_work_only(coded_part: PartIndex) -> None:
    config = dataclasses.replace(CONFIG, device=DecodeDevice.AUTO)
    _, outcome = _decoded(coded_part, "good", config)
    (use,) = outcome.uses
    assert use.reader == "pyav"
    assert "device" not in use.why


def _chosen(
    part: PartIndex,
    asked: DecodeDevice,
    trials: dict[str | None, Trial],
    wanted: np.ndarray | None = None,
) -> tuple[str | None, str]:
    here = tuple(name for name in trials if name is not None)
    devices = CaseDevices(lambda: ("cuda", "qsv"), lambda offered: here)
    frames = np.arange(part.n_frames) if wanted is None else wanted
    choice = devices.choose(part, frames, asked, trials.__getitem__)
    return choice.device, choice.why


PICTURES = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)


def _ran(duration_s: float, **other: object) -> Trial:
    return dataclasses.replace(Trial(PICTURES, True, duration_s), **other)


@pytest.fixture
def long_part(coded_part: PartIndex) -> PartIndex:
    """Four minutes, a keyframe every two seconds."""
    n = 6000
    return dataclasses.replace(
        coded_part,
        pts=np.arange(n) * 512,
        time_s=np.arange(n) / 25,
        is_key=np.arange(n) % 50 == 0,
        duration_s=n / 25,
        declared_duration_s=None,
    )


@pytest.mark.parametrize(
    ("device_s", "device", "words"),
    [(1.0, "cuda:0", "faster here than the processor"), (1.9, None, "no slower here than cuda")],
)
def test_auto_takes_what_measured_faster(
    device_s: float, device: str | None, words: str, long_part: PartIndex
) -> None:
    chosen, why = _chosen(long_part, DecodeDevice.AUTO, {None: _ran(2.0), "cuda:0": _ran(device_s)})
    assert chosen == device
    assert words in why
    asked, why = _chosen(long_part, DecodeDevice.CUDA, {None: _ran(2.0), "cuda:0": _ran(device_s)})
    assert (asked, why) == ("cuda:0", "PyAV on cuda, which was asked for.")


def test_the_faster_of_two_cards_is_taken(long_part: PartIndex) -> None:
    trials = {None: _ran(9.0), "cuda:0": _ran(3.0), "cuda:1": _ran(1.0)}
    assert _chosen(long_part, DecodeDevice.AUTO, trials)[0] == "cuda:1"
    trials["cuda:1"] = _ran(1.0, rgb=PICTURES + 1)
    assert _chosen(long_part, DecodeDevice.AUTO, trials)[0] == "cuda:0"


@pytest.mark.parametrize("asked", [DecodeDevice.CPU, DecodeDevice.AUTO])
def test_without_a_device_nothing_is_tried_or_told(
    asked: DecodeDevice, long_part: PartIndex
) -> None:
    assert _chosen(long_part, asked, {}) == (None, "")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (DecodeDevice.VAAPI, "vaapi was asked for and the installed PyAV offers cuda, qsv"),
        (DecodeDevice.QSV, "qsv was asked for and no driver for it is here"),
    ],
)
def test_what_is_asked_for_and_absent_is_told(
    asked: DecodeDevice, words: str, long_part: PartIndex
) -> None:
    trials = {None: _ran(9.0), "cuda:0": _ran(1.0)}
    assert _chosen(long_part, asked, trials) == (None, f"PyAV on the processor, because {words}.")


def test_keyframes_are_the_processors(long_part: PartIndex) -> None:
    keys = np.flatnonzero(long_part.is_key)
    device, why = _chosen(long_part, DecodeDevice.CUDA, {"cuda:0": _ran(1.0)}, keys)
    assert device is None
    assert "keyframes cost it less" in why


def test_a_recording_whose_first_pictures_are_damaged_is_the_processors(
    long_part: PartIndex,
) -> None:
    trials = {None: _ran(9.0, is_sound=False), "cuda:0": _ran(1.0)}
    device, why = _chosen(long_part, DecodeDevice.CUDA, trials)
    assert device is None
    assert "met damage" in why


def test_a_part_is_tried_once_and_a_failure_ends_the_case(long_part: PartIndex) -> None:
    tried: list[str | None] = []

    def trial(device: str | None) -> Trial:
        tried.append(device)
        return _ran(1.0)

    devices = CaseDevices(lambda: ("cuda",), lambda offered: ("cuda:0",))
    frames = np.arange(long_part.n_frames)
    for _ in range(3):
        choice = devices.choose(long_part, frames, DecodeDevice.CUDA, trial)
        assert choice.device == "cuda:0"
    assert tried == [None, "cuda:0"]
    choice.refuse("PyAV on cuda failed: it lost cuda:0")
    other = dataclasses.replace(long_part, sha256="f" * 64)
    choice = devices.choose(other, frames, DecodeDevice.CUDA, trial)
    assert (choice.device, choice.why) == (
        None,
        "PyAV on the processor, because PyAV on cuda failed: it lost cuda:0.",
    )


def test_damage_that_the_processor_saw_keeps_devices_out(
    recording: Callable[[str], Path], tmp_path: Path
) -> None:
    """As the keyframes of a first pass do, before a device would decode what lies between."""
    data = bytearray(recording("faststart_mp4").read_bytes())
    rng = np.random.default_rng(3)
    for at in rng.integers(len(data) * 2 // 3, len(data), len(data) // 600).tolist():
        data[at] ^= 1 << int(rng.integers(8))
    path = tmp_path / "flipped.mp4"
    path.write_bytes(data)
    part = index_part(path, DecodeConfig())
    frames = np.arange(part.n_frames)
    request = DecodeRequest(part, 0, frames, frames, part.time_s, None, 32, 40)
    readers = {**READERS, "pyav-cuda": "fake_devices:good"}
    with DecoderPool(20.0) as pool:
        on_processor = dataclasses.replace(CONFIG, device=DecodeDevice.CPU)
        with decode(request, on_processor, 8, readers, pool) as decoding:
            assert any(batch.is_corrupt.any() for batch in decoding)
        with decode(request, CONFIG, 8, readers, pool) as decoding:
            list(decoding)
    (use,) = decoding.outcome.uses
    assert use.why == (
        "PyAV on the processor, because it met damage, which a graphics device hides."
    )


def test_recordings_that_a_device_may_try(recording: Callable[[str], Path]) -> None:
    parts = {name: index_part(recording(name), DecodeConfig()) for name in made.SPECS}
    assert {name for name, part in parts.items() if why_no_device(part) is None} == TAKEN


@pytest.mark.parametrize(
    ("video", "changes", "words"),
    [
        ({"pixel_format": "yuv422p"}, {}, "h264 video in yuv422p"),
        ({"pixel_format": "yuv420p10le", "bit_depth": 10}, {}, "h264 video in yuv420p10le"),
        ({"codec": "av1"}, {}, "av1 video"),
        ({"is_interlaced": True}, {}, "interlaced"),
        ({}, {"n_clock_jumps": 1}, "irregular clock"),
        ({}, {"declared_duration_s": 9.0}, "incomplete"),
        ({}, {"gaps": (Interval(1, 2),)}, "incomplete"),
        ({}, {"notes": ("Reading the file met 3 damaged places.",)}, "damaged"),
    ],
)
def test_what_no_device_may_decode(
    video: dict[str, object], changes: dict[str, object], words: str, coded_part: PartIndex
) -> None:
    other = dataclasses.replace(coded_part.video, **video)
    part = dataclasses.replace(coded_part, video=other, **changes)
    assert words in str(why_no_device(part))
    device, why = _chosen(part, DecodeDevice.CUDA, {"cuda:0": _ran(1.0)})
    assert device is None
    assert words in why


@pytest.mark.parametrize("name", sorted(TAKEN))
def test_device_layouts_become_the_same_pictures(
    name: str, recording: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte at full size, all pictures and some."""
    part = index_part(recording(name), DecodeConfig())
    width_px, height_px = upright_size(part.video)
    for wanted in (np.arange(part.n_frames), np.arange(3, part.n_frames, 13)):
        request = read_request(part, wanted, None, (height_px, width_px), 1, 10**8)
        expected = np.stack([p.rgb for p in read_pictures(request, lambda: 0, lambda: None)])
        with monkeypatch.context() as patched:
            patched.setattr(packet_stream, "OpenStream", fake.StubStream)
            on_device = dataclasses.replace(request, device="cuda:0")
            pictures = [p.rgb for p in read_on_device(on_device, lambda: 0, lambda: None)]
        np.testing.assert_array_equal(np.stack(pictures), expected)


@pytest.mark.parametrize("kind", ["refused", "complaint", "hole", "missing"])
def test_any_sign_of_damage_ends_a_device(
    kind: str, recording: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Pictures before it are given, and none after it."""
    sound = recording("faststart_mp4")
    part = index_part(sound, DecodeConfig())
    path = tmp_path / "damaged.mp4"
    data = bytearray(sound.read_bytes())
    if kind == "hole":
        at = len(data) * 2 // 3
        data[at : at + 64] = bytes(64)
    path.write_bytes(data)
    complaints = iter([0] * 40 + [1] * 1000)
    n_fed = 0
    clear_packets = {p.pts: p for p in OpenStream(str(sound), None, 10**8, 1).packets()}

    class Damaged(fake.StubStream):
        def decode(self, packet, is_wanted=True):
            nonlocal n_fed
            n_fed += 1
            if kind == "hole" and packet is not None:  # concealed to perfection, nobody complains
                packet = clear_packets[packet.pts]
            frames, is_damaged = super().decode(packet, is_wanted)
            if kind == "missing" and n_fed > 40:
                frames = []
            return frames, is_damaged or (kind == "refused" and n_fed > 40)

    request = read_request(part, np.arange(part.n_frames), None, (128, 160), 1, 10**8)
    request = dataclasses.replace(request, path=str(path), device="cuda:0")
    take = (lambda: next(complaints)) if kind == "complaint" else (lambda: 0)
    clear = dataclasses.replace(request, path=str(sound), device=None)
    expected = [p.rgb for p in read_pictures(clear, lambda: 0, lambda: None)]
    monkeypatch.setattr(packet_stream, "OpenStream", Damaged)
    given: list[np.ndarray] = []
    with pytest.raises(DecodeError, match="gave no picture" if kind == "missing" else "damage"):
        given.extend(picture.rgb for picture in read_on_device(request, take, lambda: None))
    assert 0 < len(given) < part.n_frames
    np.testing.assert_array_equal(given, expected[: len(given)])


def test_a_device_that_is_not_here_is_refused_by_name(coded_part: PartIndex) -> None:
    if devices_here(devices_offered()):
        pytest.skip("there is a graphics device here")
    request = read_request(coded_part, np.array([0]), None, (8, 8), 1, 10**8)
    for device in ("cuda:0", "qsv"):
        with pytest.raises(DecodeError, match=f"on {device}|open {device}"):
            read_on_device(dataclasses.replace(request, device=device), lambda: 0, lambda: None)


def test_devices_are_found_by_their_drivers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    offered = ("cuda", "vaapi", "qsv")
    assert devices_here(offered, tmp_path) == ()
    for card in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / "proc/driver/nvidia/gpus" / card).mkdir(parents=True)
    assert devices_here(offered, tmp_path) == ("cuda:0", "cuda:1")
    assert devices_here(("qsv",), tmp_path) == ()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert devices_here(offered, tmp_path) == ("cuda:0",)
    (tmp_path / "dev/dri").mkdir(parents=True)
    (tmp_path / "dev/dri/renderD128").touch()
    assert devices_here(("vaapi", "qsv"), tmp_path) == ("qsv", "vaapi")
    for platform, kind in (("darwin", "videotoolbox"), ("win32", "d3d11va")):
        monkeypatch.setattr("sys.platform", platform)
        assert devices_here((kind,), tmp_path) == (kind,)


@pytest.mark.parametrize(
    ("wanted", "n"),
    [([0], 1), ([0, 1, 2], 3), ([11], 12), ([12], 1), ([0, 24, 30, 59], 1 + 7 + 12)],
)
def test_pictures_to_decode_are_counted(wanted: list[int], n: int) -> None:
    is_key = np.arange(60) % 12 == 0
    assert n_decoded(is_key, np.array(wanted)) == n


def test_every_device_has_a_reader() -> None:
    for device in ("cuda:1", "qsv", "vaapi", "videotoolbox", "d3d11va"):
        assert READERS[device_reader(device)].endswith("read_on_device")


@pytest.mark.parametrize(
    ("device", "problem"),
    [
        ("good", None),
        ("one_level_off", "its pictures differ from the processor's"),
        ("raises_at_0", "PyAV on cuda failed: it lost cuda:0 (no such device)"),
    ],
)
def test_devices_are_checked_with_ten_pictures(
    device: str, problem: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(READERS, "pyav-cuda", f"fake_devices:{device}")
    monkeypatch.setattr(device_check, "devices_here", lambda offered: ("cuda:0",))
    offered, (processor, card) = check_devices()
    assert "cuda" in offered
    assert (processor.title, processor.problem) == ("processor", None)
    assert (card.title, card.problem) == ("cuda:0", problem)
    assert 0 < processor.duration_s < 20
