"""The contract of the readers for torchcodec: the same pictures, colors and times as PyAV.

One process reads everything, because loading torch takes longer than all recordings here.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import color_bars as bars
import numpy as np
import pytest
import reader_recordings as made

from ubereport.config import DecodeConfig, ReaderChoice
from ubereport.core.frames import PixelBox
from ubereport.core.recording import PartIndex
from ubereport.video.decode import DecodeRequest, decode
from ubereport.video.index import index_part
from ubereport.video.pyav_reader import read_pictures
from ubereport.video.reader import ReadRequest, read_request, upright_size, why_not_torchcodec
from ubereport.video.torchcodec import calls

TRIAL = Path(__file__).with_name("torchcodec_trial.py")
CONFIG = DecodeConfig(stall_timeout_s=60)
# What torchcodec reads exactly; everything else it must refuse. The list is the promise made in
# `why_not_torchcodec`, checked in both directions below.
TORCHCODEC_READS = {
    "constant_rate_mp4",
    "faststart_mp4",
    "rate_29_97_mp4",
    "variable_rate_mkv",
    "variable_rate_mp4",
    "offset_start_mp4",
    "offset_start_mkv",
    "edit_list_mp4",
    "open_gop_without_b_mp4",
    "hevc_mp4",
    "av1_mp4",
    "rotated_90_mov",
    "rotated_180_mov",
    "rotated_270_mov",
    "full_range_601_mp4",
}
# The index cannot tell it from closed groups; the times of the pictures can.
REFRESH = made.Spec(
    ".mp4", options={"preset": "veryfast", "bf": "0", "x264-params": "intra-refresh=1:keyint=20"}
)
N_FLIPPED = 6
CROP = PixelBox(31, 17, 118, 96)
Trial = dict[str, tuple[np.ndarray, str | None]]


@functools.cache
def _indexed(path: Path) -> PartIndex:
    return index_part(path, CONFIG)


def _whole(part: PartIndex, frames: np.ndarray, crop: PixelBox | None = None) -> ReadRequest:
    width_px, height_px = upright_size(part.video)
    if crop is not None:
        width_px, height_px = crop.width_px, crop.height_px
    return read_request(part, frames, crop, (height_px, width_px), 2, 10**8)


def _every(part: PartIndex) -> np.ndarray:
    return np.arange(part.n_frames)


def _some(part: PartIndex) -> np.ndarray:
    """Jumps, to keyframes and between them."""
    return np.union1d(np.arange(3, part.n_frames, 13), np.flatnonzero(part.is_key)[1::2])


def _by_pyav(request: ReadRequest) -> np.ndarray:
    pictures = list(read_pictures(request, lambda: 0, lambda: None))
    return np.stack([picture.rgb for picture in pictures if picture is not None])


def _holed(sound: Path, path: Path) -> Path:
    """Replace a tenth of the file's bytes, in the middle of the pictures, by zeros."""
    data = sound.read_bytes()
    a, b = int(0.5 * len(data)), int(0.6 * len(data))
    path.write_bytes(data[:a] + bytes(b - a) + data[b:])
    return path


def _flipped(sound: Path, path: Path, seed: int) -> Path:
    """Flip a bit of every 200 bytes or so of the last third of the file."""
    data = bytearray(sound.read_bytes())
    rng = np.random.default_rng(seed)
    for at in rng.integers(len(data) * 2 // 3, len(data), len(data) // 600).tolist():
        data[at] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def torchcodec_here() -> None:
    """Need torchcodec, which is required where `UBEREPORT_REQUIRE` says so, and FFmpeg."""
    if importlib.util.find_spec("torchcodec") is None:
        if "torchcodec" in os.environ.get("UBEREPORT_REQUIRE", "").split(","):
            pytest.fail("torchcodec is required here (UBEREPORT_REQUIRE) and not installed")
        pytest.skip("torchcodec is not installed")


@pytest.fixture(scope="module")
def requests(
    recording: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[str, ReadRequest]]:
    """Name → reader and request, for the trial."""
    folder = tmp_path_factory.mktemp("torchcodec")
    wanted: dict[str, ReadRequest] = {}
    for name in sorted(TORCHCODEC_READS):
        part = _indexed(recording(name))
        wanted[f"{name}, every"] = _whole(part, _every(part))
        wanted[f"{name}, some"] = _whole(part, _some(part))
    plain = _indexed(recording("constant_rate_mp4"))
    wanted["crop"] = _whole(plain, np.array([20, 40]), CROP)
    for number, (size, tag) in enumerate(bars.TAGS):
        part = _indexed(bars.write(folder / f"bars_{number}.mp4", size, tag))
        wanted[f"bars {number}"] = _whole(part, np.array([1]))
    sound = recording("faststart_mp4")
    damaged = {"holed": _holed(sound, folder / "holed.mp4")}
    for seed in range(N_FLIPPED):
        damaged[f"flipped {seed}"] = _flipped(sound, folder / f"flipped_{seed}.mp4", seed)
    for name, path in damaged.items():
        wanted[name] = _whole(_indexed(path), _every(_indexed(path)))
    refresh = _indexed(made.make(REFRESH, folder / "refresh.mp4"))
    wanted["refresh"] = _whole(refresh, np.array([16, 20, 40]))
    part = _indexed(recording("late_start_ts"))
    wanted["transport stream"] = _whole(part, _every(part))
    on_cpu = {name: ("torchcodec", request) for name, request in wanted.items()}
    on_cuda = {f"cuda, {name}": ("torchcodec-cuda", request) for name, request in wanted.items()}
    return {**on_cpu, **on_cuda}


@pytest.fixture(scope="module")
def trial(
    torchcodec_here: None,
    requests: dict[str, tuple[str, ReadRequest]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Trial:
    """What torchcodec made of every request."""
    folder = tmp_path_factory.mktemp("trial")
    (folder / "in").write_bytes(pickle.dumps(requests))
    done = subprocess.run(
        [sys.executable, str(TRIAL), str(folder / "in"), str(folder / "out")],
        capture_output=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0
    found: Trial = pickle.loads((folder / "out").read_bytes())
    error = found["constant_rate_mp4, every"][1]
    if error is not None and "shared libraries of FFmpeg" in error:
        pytest.skip("torchcodec is installed and finds no shared libraries of FFmpeg")
    return found


def _check_codes(rgb: np.ndarray, part: PartIndex, frames: np.ndarray) -> None:
    half_s = float(np.median(np.diff(part.time_s))) / 2
    for picture, time_s in zip(rgb, part.time_s[frames], strict=True):
        assert abs(made.read_code(picture) - time_s) <= half_s


@pytest.mark.parametrize("how", ["every", "some"])
@pytest.mark.parametrize("name", sorted(TORCHCODEC_READS))
def test_torchcodec_gives_the_true_pictures_where_it_is_used(
    name: str,
    how: str,
    recording: Callable[[str], Path],
    requests: dict[str, tuple[str, ReadRequest]],
    trial: Trial,
) -> None:
    rgb, error = trial[f"{name}, {how}"]
    assert error is None
    _, request = requests[f"{name}, {how}"]
    _check_codes(rgb, _indexed(recording(name)), request.wanted)
    np.testing.assert_array_equal(rgb, _by_pyav(request))


def test_torchcodec_is_kept_from_everything_else(recording: Callable[[str], Path]) -> None:
    allowed = {name for name in made.SPECS if why_not_torchcodec(_indexed(recording(name))) is None}
    assert allowed == TORCHCODEC_READS


def test_crop_is_exact(requests: dict[str, tuple[str, ReadRequest]], trial: Trial) -> None:
    cropped, error = trial["crop"]
    assert error is None
    _, whole = requests["constant_rate_mp4, every"]
    frames = np.array([20, 40])
    expected = _by_pyav(dataclasses.replace(whole, wanted=frames))[:, 17:96, 31:118]
    np.testing.assert_array_equal(cropped, expected)


@pytest.mark.parametrize("number", range(len(bars.TAGS)))
def test_color_bars_keep_their_color(
    number: int, requests: dict[str, tuple[str, ReadRequest]], trial: Trial
) -> None:
    size, tag = bars.TAGS[number]
    _, request = requests[f"bars {number}"]
    is_left_to_pyav = why_not_torchcodec(_indexed(Path(request.path))) is not None
    assert is_left_to_pyav == (not tag.is_tagged and size == (1280, 720))
    rgb, error = trial[f"bars {number}"]
    assert error is None
    if is_left_to_pyav:
        assert bars.largest_error(rgb[0]) > 3, "it takes BT.601 here; were that mended, allow it"
    else:
        assert bars.largest_error(rgb[0]) <= 3
        np.testing.assert_array_equal(rgb, _by_pyav(request))


def test_damage_ends_the_reading_before_a_damaged_picture(
    requests: dict[str, tuple[str, ReadRequest]], trial: Trial
) -> None:
    """FFmpeg is heard, although torchcodec silences it unless told otherwise."""
    sound = _by_pyav(requests["faststart_mp4, every"][1])
    ends = []
    for name in ["holed", *(f"flipped {seed}" for seed in range(N_FLIPPED))]:
        rgb, error = trial[name]
        ends.append(error)
        assert 0 < len(rgb) < len(sound)
        np.testing.assert_array_equal(rgb, sound[: len(rgb)])
    assert "DecodeError: met damage" in ends
    assert None not in ends


@pytest.mark.parametrize("name", ["refresh", "transport stream"])
def test_a_picture_of_another_time_is_never_given(name: str, trial: Trial) -> None:
    """Periodic intra refresh has keyframes at which decoding cannot start."""
    rgb, error = trial[name]
    assert len(rgb) == 0
    assert error is not None
    assert "off the one asked for" in error or "no more frames" in error


def _has_no_gpu(trial: Trial) -> bool:
    return "finds no CUDA device" in str(trial["cuda, crop"][1])


def test_without_a_gpu_cuda_is_refused_in_one_sentence(trial: Trial) -> None:
    if not _has_no_gpu(trial):
        pytest.skip("there is a CUDA device here")
    assert {error for name, (_, error) in trial.items() if name.startswith("cuda, ")} == {
        "DependencyError: cannot decode with torchcodec-cuda, since torch finds no CUDA device; "
        "use --reader torchcodec or pyav"
    }


def test_cuda_keeps_the_contract(
    recording: Callable[[str], Path], requests: dict[str, tuple[str, ReadRequest]], trial: Trial
) -> None:
    """The tolerances are a guess: written where no GPU was."""
    if _has_no_gpu(trial):
        pytest.skip("torch finds no CUDA device here")
    for name in sorted(TORCHCODEC_READS):
        for how in ("every", "some"):
            rgb, error = trial[f"cuda, {name}, {how}"]
            assert error is None
            _, request = requests[f"{name}, {how}"]
            _check_codes(rgb, _indexed(recording(name)), request.wanted)
            assert np.abs(rgb.astype(int) - _by_pyav(request)).mean() < 2
    for number in range(len(bars.TAGS)):
        rgb, error = trial[f"cuda, bars {number}"]
        assert error is None
        if why_not_torchcodec(_indexed(Path(requests[f"bars {number}"][1].path))) is None:
            assert bars.largest_error(rgb[0]) <= 3


@pytest.mark.parametrize("choice", [ReaderChoice.TORCHCODEC, ReaderChoice.TORCHCODEC_CUDA])
def test_the_decoding_process_reads_with_torchcodec(
    choice: ReaderChoice, recording: Callable[[str], Path], trial: Trial
) -> None:
    """In its process, under its memory limit; where there is no GPU, PyAV goes on and says why."""
    part = _indexed(recording("constant_rate_mp4"))
    frames = _some(part)
    request = DecodeRequest(
        part, 0, frames, frames, part.time_s[frames], None, made.HEIGHT, made.WIDTH
    )
    config = DecodeConfig(reader=choice, n_threads=1, memory_mib=256)
    with decode(request, config, len(frames)) as decoding:
        (batch,) = list(decoding)
    _check_codes(batch.rgb, part, frames)
    (use,) = decoding.outcome.uses
    if choice is ReaderChoice.TORCHCODEC_CUDA and _has_no_gpu(trial):
        assert use.reader == "pyav"
        assert "torchcodec-cuda failed: it cannot decode with torchcodec-cuda" in use.why
    else:
        assert (use.reader, decoding.outcome.failures) == (choice.value, ())


def _sized(part: PartIndex, wanted: np.ndarray, width_px: int, height_px: int) -> ReadRequest:
    request = read_request(part, wanted, None, (8, 8), 1, 10**8)
    return dataclasses.replace(request, source_width_px=width_px, source_height_px=height_px)


@pytest.mark.parametrize(
    ("size", "wanted", "lengths"),
    [
        ((1920, 1080), np.arange(40), [16, 16, 8]),  # 16 pictures of 5.9 MiB
        ((8192, 8192), np.arange(3), [1, 1, 1]),  # 192 MiB each
        ((3840, 2160), np.arange(25), [10, 10, 5]),  # 23.7 MiB each: 10 are below 256 MiB
        ((640, 480), np.arange(99, 1000, 100), [2, 2, 2, 2, 2]),  # 100 are decoded for each
        ((640, 480), np.array([900, 901, 902]), [1, 2]),  # the first takes 901
    ],
)
def test_calls_are_bounded(
    size: tuple[int, int], wanted: np.ndarray, lengths: list[int], recording: Callable[[str], Path]
) -> None:
    part = _indexed(recording("constant_rate_mp4"))
    is_key = np.arange(1000) == 0
    if size == (8192, 8192):
        is_key[:] = True
    long = dataclasses.replace(
        part,
        pts=np.arange(1000),
        time_s=np.arange(1000) / 25,
        is_key=is_key,
        duration_s=40.0,
        declared_duration_s=None,
    )
    cut = list(calls(_sized(long, wanted, *size)))
    assert [len(frames) for frames in cut] == lengths
    np.testing.assert_array_equal(np.concatenate(cut), wanted)


def test_nothing_wanted_is_no_call(recording: Callable[[str], Path]) -> None:
    part = _indexed(recording("constant_rate_mp4"))
    assert list(calls(_sized(part, np.array([], dtype=np.int64), 160, 128))) == []
