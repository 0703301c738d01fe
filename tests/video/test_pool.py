"""Decoding processes that serve several requests."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests_support import decoding_children

from ubereport.core.config import DecodeConfig, ReaderChoice
from ubereport.core.frames import FrameBatch, PixelBox
from ubereport.core.recording import PartIndex
from ubereport.video.decode import DecodeRequest, Decoding, decode
from ubereport.video.pool import DecoderPool

ONE = DecodeConfig(n_threads=1, reader=ReaderChoice.PYAV)


@pytest.fixture(autouse=True)
def fakes_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    with DecoderPool(20.0) as decoders:
        yield decoders
    assert decoding_children() == set()


def _request(
    part: PartIndex, crop: PixelBox | None = None, size: tuple[int, int] = (8, 10)
) -> DecodeRequest:
    frames = np.arange(part.n_frames)
    return DecodeRequest(part, 0, frames, frames, part.time_s, crop, *size)


def _all(decoding: Decoding) -> FrameBatch:
    with decoding:
        (batch,) = list(decoding)
    return batch


def _one_batch(
    part: PartIndex, pool: DecoderPool | None, request: DecodeRequest, reader: str = "good"
) -> tuple[FrameBatch, tuple[str, ...]]:
    readers = {"pyav": f"fake_readers:{reader}", "decord": "fake_readers:good"}
    decoding = decode(request, ONE, part.n_frames, readers, pool)
    return _all(decoding), decoding.outcome.failures


def test_one_process_serves_requests_of_other_sizes_and_crops(
    coded_part: PartIndex, pool: DecoderPool
) -> None:
    """What it gives is what a process of its own gives, though the ring is used again."""
    box = PixelBox(16, 8, 80, 72)
    seen: set[int] = set()
    for crop, size in ((None, (8, 10)), (box, (32, 24)), (None, (64, 80)), (box, (4, 4))):
        request = _request(coded_part, crop, size)
        kept = _all(decode(request, ONE, coded_part.n_frames, pool=pool))
        seen |= decoding_children()
        alone = _all(decode(request, ONE, coded_part.n_frames))
        np.testing.assert_array_equal(kept.rgb, alone.rgb)
        assert kept.is_decoded.all()
        assert not kept.is_corrupt.any()
    assert len(seen) == 1


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs Linux's /proc")
def test_a_kept_process_lets_go_of_the_recording(coded_part: PartIndex, pool: DecoderPool) -> None:
    """One that forgot to held each file's index and decoder, 28 MiB a request of half an hour."""
    _all(decode(_request(coded_part), ONE, coded_part.n_frames, pool=pool))
    (child,) = decoding_children()
    opened = {str(file.readlink()) for file in Path(f"/proc/{child}/fd").iterdir()}
    assert opened
    assert str(Path(coded_part.path).resolve()) not in opened


def test_a_failed_process_is_not_kept_and_the_pool_goes_on(
    coded_part: PartIndex, pool: DecoderPool
) -> None:
    _, failures = _one_batch(coded_part, pool, _request(coded_part), "raises_at_20")
    assert len(failures) == 1
    assert decoding_children() == set()  # the reader that went on is not one that is kept
    batch, failures = _one_batch(coded_part, pool, _request(coded_part))
    assert failures == ()
    assert batch.is_decoded.all()


def test_a_process_that_died_while_idle_is_replaced(
    coded_part: PartIndex, pool: DecoderPool
) -> None:
    _one_batch(coded_part, pool, _request(coded_part))
    (first,) = decoding_children()
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    batch, failures = _one_batch(coded_part, pool, _request(coded_part))
    assert failures == ()
    assert batch.is_decoded.all()
    (second,) = decoding_children()
    assert second != first


def test_a_consumer_that_stops_early_leaves_no_process_at_work(
    coded_part: PartIndex, pool: DecoderPool
) -> None:
    with decode(_request(coded_part), ONE, 4, pool=pool) as decoding:
        next(decoding)
    assert decoding_children() == set()


def test_two_decodings_at_once_do_not_share_a_process(
    coded_part: PartIndex, pool: DecoderPool
) -> None:
    requests = [_request(coded_part), _request(coded_part, PixelBox(0, 0, 16, 16), (4, 4))]
    decodings = [decode(request, ONE, 16, pool=pool) for request in requests]
    for decoding in decodings:
        decoding.start()
    deadline = time.monotonic() + 10  # a process that has just begun has no command line yet
    while len(decoding_children()) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    for decoding, request in zip(decodings, requests, strict=True):
        taken = np.concatenate([batch.rgb for batch in decoding])
        alone = _all(decode(request, ONE, coded_part.n_frames))
        np.testing.assert_array_equal(taken, alone.rgb)
    assert len(decoding_children()) == 2


def test_memory_is_bounded_anew_for_each_request(coded_part: PartIndex, pool: DecoderPool) -> None:
    """What a request before has taken for good does not count for the next."""
    config = DecodeConfig(n_threads=1, reader=ReaderChoice.PYAV, memory_mib=256)
    readers = {"pyav": "fake_readers:keeps_200_mib", "decord": "fake_readers:good"}
    for _ in range(3):
        decoding = decode(_request(coded_part), config, coded_part.n_frames, readers, pool)
        _all(decoding)
        assert decoding.outcome.failures == ()
    assert len(decoding_children()) == 1
