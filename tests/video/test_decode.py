from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import reader_recordings as made
from tests_support import decoding_children, unreaped_children

from ubereport.core.config import DecodeConfig, ReaderChoice, SamplingMode
from ubereport.core.frames import FrameBatch, PixelBox
from ubereport.core.recording import PartIndex
from ubereport.video.decode import DecodeOutcome, DecodeRequest, decode, decode_stills
from ubereport.video.fallback import MAX_FAILURES


@pytest.fixture(autouse=True)
def fakes_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def _request(part: PartIndex, step: int = 1, size: tuple[int, int] = (8, 10)) -> DecodeRequest:
    frames = np.arange(0, part.n_frames, step)
    return DecodeRequest(part, 0, frames, frames + 100, part.time_s[frames], None, *size)


def _run(
    part: PartIndex, first: str, second: str = "good", **config: float
) -> tuple[FrameBatch, DecodeOutcome]:
    limits: dict[str, object] = {"stall_timeout_s": 20.0, "n_threads": 1, **config}
    readers = {"decord": f"fake_readers:{first}", "pyav": f"fake_readers:{second}"}
    settings = DecodeConfig(reader=ReaderChoice.DECORD, **limits)  # type: ignore[arg-type]
    decoding = decode(_request(part), settings, part.n_frames, readers)
    (batch,) = list(decoding)
    assert _n_children() == 0
    return batch, decoding.outcome


def _n_children() -> int:
    """Processes of this test's that still run or wait to be reaped."""
    return len(_children() - _EARLIER)


def _children() -> set[int]:
    return decoding_children() | unreaped_children()


_EARLIER: set[int] = set()


@pytest.fixture(autouse=True)
def _only_own_children() -> None:
    """Leave out what other tests of this process left to be reaped."""
    _EARLIER.clear()
    _EARLIER.update(_children())


def _frames_seen(batch: FrameBatch) -> list[int]:
    return [int(rgb[0, 0, 0]) for rgb in batch.rgb]


def test_pictures_come_in_order_with_what_was_handed_through(coded_part: PartIndex) -> None:
    batch, outcome = _run(coded_part, "good")
    assert _frames_seen(batch) == list(range(60))
    np.testing.assert_array_equal(batch.sample_index, np.arange(60) + 100)
    np.testing.assert_array_equal(batch.time_s, coded_part.time_s)
    (use,) = outcome.uses
    assert (use.reader, use.start_s, use.end_s) == ("decord", 0.0, coded_part.time_s[-1])
    assert outcome.failures == ()


@pytest.mark.parametrize(
    ("reader", "limits", "words"),
    [
        ("sleeps_at_20", {"stall_timeout_s": 6.0}, "no sign of life for 6 s"),
        ("dies_at_20", {}, "signal 11"),
        ("raises_at_20", {}, "met a wall"),
        ("swells_at_20", {"memory_mib": 256}, "memory"),
        ("chokes_on_20", {}, "code 7"),
        ("stops_early", {}, "before all pictures"),
    ],
)
def test_other_reader_goes_on_from_the_last_good_picture(
    coded_part: PartIndex, reader: str, limits: dict[str, float], words: str
) -> None:
    batch, outcome = _run(coded_part, reader, **limits)  # the sleeper would sleep for an hour
    assert batch.is_decoded.all()
    assert _frames_seen(batch) == list(range(60))
    (failure,) = outcome.failures
    assert words in failure
    n_first = 1 if reader == "stops_early" else 20
    assert [use.reader for use in outcome.uses] == ["decord", "pyav"]
    assert outcome.uses[0].end_s == pytest.approx(coded_part.time_s[n_first - 1])
    assert outcome.uses[1].start_s == pytest.approx(coded_part.time_s[n_first])
    assert words in outcome.uses[1].why


def test_poison_is_skipped_up_to_the_next_keyframe(coded_part: PartIndex) -> None:
    batch, outcome = _run(coded_part, "chokes_on_20", "chokes_on_20")
    lost = list(range(20, 24))  # the next keyframe is 24
    assert np.flatnonzero(~batch.is_decoded).tolist() == lost
    assert not batch.rgb[20:24].any()
    assert outcome.n_undecoded == len(lost)
    assert len(outcome.failures) == 2


def test_failures_are_bounded(coded_part: PartIndex) -> None:
    batch, outcome = _run(coded_part, "chokes_always", "chokes_always")
    assert not batch.is_decoded.any()
    assert outcome.n_undecoded == 60
    assert outcome.uses == ()
    assert len(outcome.failures) <= MAX_FAILURES + 1


def test_failure_never_names_the_file(coded_part: PartIndex) -> None:
    _, outcome = _run(coded_part, "names_the_path")
    assert "cannot read the recording" in outcome.failures[0]
    assert coded_part.path.name not in " ".join(outcome.failures)


@pytest.mark.quiet
def test_slow_reader_that_shows_progress_is_left_alone(coded_part: PartIndex) -> None:
    frames = np.array([3])
    request = DecodeRequest(coded_part, 0, frames, frames, coded_part.time_s[frames], None, 8, 10)
    readers = {"decord": "fake_readers:slow_but_alive", "pyav": "fake_readers:good"}
    config = DecodeConfig(reader=ReaderChoice.DECORD, stall_timeout_s=5.0)
    decoding = decode(request, config, 1, readers)
    assert [int(batch.rgb[0, 0, 0, 0]) for batch in decoding] == [3]
    assert decoding.outcome.failures == ()


def test_library_that_prints_does_not_break_the_messages(coded_part: PartIndex) -> None:
    batch, outcome = _run(coded_part, "prints")
    assert batch.is_decoded.all()
    assert outcome.failures == ()


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_consumer_that_stops_early_leaves_no_process(coded_part: PartIndex, n_threads: int) -> None:
    config = DecodeConfig(n_threads=n_threads)
    with decode(_request(coded_part), config, 4) as decoding:
        next(decoding)
        assert _n_children() == n_threads
    assert _n_children() == 0


def test_exception_in_the_consumer_leaves_no_process(coded_part: PartIndex) -> None:
    def consume() -> None:
        with decode(_request(coded_part), DecodeConfig(), 4) as decoding:
            for _ in decoding:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert _n_children() == 0


def test_forgotten_decoding_leaves_no_process(coded_part: PartIndex) -> None:
    decoding = decode(_request(coded_part), DecodeConfig(), 4)
    next(decoding)
    del decoding
    assert _n_children() == 0


def test_no_shared_memory_or_descriptor_is_left(coded_part: PartIndex) -> None:
    before = (set(os.listdir("/dev/shm")), len(os.listdir("/proc/self/fd")))  # noqa: PTH208
    for _ in range(3):
        with decode(_request(coded_part), DecodeConfig(), 4) as decoding:
            next(decoding)
    after = (set(os.listdir("/dev/shm")), len(os.listdir("/proc/self/fd")))  # noqa: PTH208
    assert after == before


def test_decoder_ends_when_its_parent_is_killed(coded_path: Path, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        f"""
import os, signal, subprocess, sys
from pathlib import Path
import numpy as np
from ubereport.core.config import DecodeConfig
from ubereport.video.decode import DecodeRequest, decode
from ubereport.video.index import index_part
part = index_part(Path({str(coded_path)!r}), DecodeConfig())
frames = np.arange(60)
request = DecodeRequest(part, 0, frames, frames, part.time_s, None, 8, 8)
decoding = decode(request, DecodeConfig(n_threads=2), 2)
next(decoding)
children = Path(f"/proc/{{os.getpid()}}/task/{{os.getpid()}}/children").read_text().split()
print(*children, flush=True)
assert len(children) == 2
os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=60
    )
    children = [Path(f"/proc/{child}") for child in done.stdout.split()]
    assert children
    deadline = time.monotonic() + 10
    while any(child.exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(child.exists() for child in children)


def test_what_a_reader_loads_first_does_not_count_as_memory(coded_part: PartIndex) -> None:
    batch, outcome = _run(coded_part, "loads_much", memory_mib=256)
    assert _frames_seen(batch) == list(range(60))
    assert outcome.failures == ()


def test_child_runs_without_torch(coded_part: PartIndex) -> None:
    code = (
        "import sys, ubereport.video.child, ubereport.video.pyav_reader, ubereport.video.decord;"
        "print([m for m in ('torch', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.quiet
def test_ring_bounds_what_is_decoded_ahead(coded_part: PartIndex) -> None:
    """A consumer that takes nothing more lets the decoder wait, not swell."""
    config = DecodeConfig(ring_batches=2, reader=ReaderChoice.PYAV, n_threads=1)
    with decode(_request(coded_part), config, 4) as decoding:
        next(decoding)
        (child,) = decoding_children()
        time.sleep(1.0)
        first = Path(f"/proc/{child}/stat").read_text().split()[13]
        time.sleep(0.5)
        assert Path(f"/proc/{child}/stat").read_text().split()[13] == first
        assert sum(len(batch) for batch in decoding) == 56


def test_stills_come_in_the_order_asked_for(coded_part: PartIndex) -> None:
    frames = np.array([40, 7, 40, 59])
    stills = decode_stills(
        coded_part, frames, DecodeConfig(), height_px=128, width_px=160, start_s=1000.0
    )
    np.testing.assert_allclose(stills.time_s, 1000.0 + coded_part.time_s[frames])
    codes = [made.read_code(rgb) for rgb in stills.rgb]
    np.testing.assert_allclose(codes, coded_part.time_s[frames], atol=0.02)


def test_stills_of_nothing_are_refused(coded_part: PartIndex) -> None:
    with pytest.raises(ValueError, match="no picture"):
        decode_stills(coded_part, np.array([], dtype=int), DecodeConfig(), height_px=8, width_px=8)


def test_time_of_the_part_changes_nothing_in_scaling(coded_part: PartIndex) -> None:
    large = decode_stills(coded_part, np.array([5]), DecodeConfig(), height_px=128, width_px=160)
    small = decode_stills(coded_part, np.array([5]), DecodeConfig(), height_px=32, width_px=40)
    blocks = large.rgb[0].reshape(32, 4, 40, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(small.rgb[0], blocks, atol=1.0)  # scaling is area averaging


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frame_index": np.array([5, 5])}, "increase"),
        ({"frame_index": np.array([5, 60])}, "60"),
        ({"crop": PixelBox(0, 0, 161, 10)}, "beyond"),
        ({"height_px": 0}, "×"),
        ({"time_s": np.array([0.0])}, "length"),
    ],
)
def test_senseless_request_is_refused(
    coded_part: PartIndex, change: dict[str, object], words: str
) -> None:
    frames = np.array([5, 6])
    values: dict[str, object] = {
        "part": coded_part,
        "part_index": 0,
        "frame_index": frames,
        "sample_index": frames,
        "time_s": coded_part.time_s[frames],
        "crop": None,
        "height_px": 8,
        "width_px": 8,
    }
    with pytest.raises(ValueError, match=words):
        decode(DecodeRequest(**{**values, **change}), DecodeConfig(), 4)  # type: ignore[arg-type]


def test_batch_of_nothing_is_refused(coded_part: PartIndex) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        decode(_request(coded_part), DecodeConfig(), 0)


def test_vanished_recording_gives_no_picture_and_says_so(
    coded_path: Path, coded_part: PartIndex, tmp_path: Path
) -> None:
    copy = tmp_path / "gone.mp4"
    copy.write_bytes(coded_path.read_bytes())
    part = dataclasses.replace(coded_part, path=copy)
    copy.unlink()
    decoding = decode(_request(part, 20), DecodeConfig(), 8)
    (batch,) = list(decoding)
    assert not batch.is_decoded.any()
    assert decoding.outcome.failures
    assert "gone" not in " ".join(decoding.outcome.failures)


def test_keyframe_plan_goes_to_pyav(coded_part: PartIndex) -> None:
    frames = np.flatnonzero(coded_part.is_key)
    request = DecodeRequest(
        coded_part,
        0,
        frames,
        frames,
        coded_part.time_s[frames],
        None,
        128,
        160,
        SamplingMode.KEYFRAMES,
    )
    decoding = decode(request, DecodeConfig(), 8)
    (batch,) = list(decoding)
    codes = [made.read_code(rgb) for rgb in batch.rgb]
    np.testing.assert_allclose(codes, coded_part.time_s[frames], atol=0.02)
    assert [use.reader for use in decoding.outcome.uses] == ["pyav"]
