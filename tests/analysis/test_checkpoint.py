import os
import stat

import numpy as np
import pytest

from ubereport.analysis.checkpoint import Checkpoint, Chunk, ChunkPlace
from ubereport.analysis.decode_report import DecodeReport
from ubereport.analysis.measurement import Measurement
from ubereport.core.case import ReaderUse
from ubereport.core.errors import OutputError
from ubereport.core.series import LossReason
from ubereport.files.kept_files import KeptFiles


@pytest.fixture
def chunk():
    measured = Measurement(
        np.array([[0.3, 0.2, 0.1, 0.25], [np.nan] * 4]),
        (LossReason.NONE, LossReason.BLURRED),
        np.array([False, True]),
        np.array([True, False]),
        np.array([np.nan, 0.25]),
        np.array([np.nan, 1.5]),
    )
    report = DecodeReport((ReaderUse(0, "pyav", 0.0, 1.0, "because"),), ("it failed once",))
    return Chunk(measured, {"last_gray": np.arange(6, dtype=np.uint8).reshape(2, 3)}, report)


def assert_same(one, other):
    np.testing.assert_array_equal(one.measurement.area_frac, other.measurement.area_frac)
    np.testing.assert_array_equal(one.measurement.is_undecoded, other.measurement.is_undecoded)
    np.testing.assert_array_equal(one.measurement.is_corrupt, other.measurement.is_corrupt)
    np.testing.assert_array_equal(one.measurement.moved_frac, other.measurement.moved_frac)
    np.testing.assert_array_equal(one.measurement.moved_from_s, other.measurement.moved_from_s)
    assert one.measurement.reason == other.measurement.reason
    assert one.decoded == other.decoded
    assert one.memory.keys() == other.memory.keys()
    for name in one.memory:
        np.testing.assert_array_equal(one.memory[name], other.memory[name])


def test_a_chunk_comes_back_as_it_was_kept(tmp_path, chunk):
    Checkpoint(KeptFiles(tmp_path / "work", "f" * 64)).save(ChunkPlace(0, 0, 32), chunk)
    again = Checkpoint(KeptFiles(tmp_path / "work", "f" * 64))
    assert_same(again.load(ChunkPlace(0, 0, 32)), chunk)
    assert again.load(ChunkPlace(0, 0, 0)) is None
    assert again.load(ChunkPlace(0, 1, 32)) is None
    assert again.load(ChunkPlace(1, 0, 32)) is None


def test_chunks_of_another_fingerprint_are_thrown_away(tmp_path, chunk):
    Checkpoint(KeptFiles(tmp_path / "work", "a" * 64)).save(ChunkPlace(0, 0, 0), chunk)
    assert Checkpoint(KeptFiles(tmp_path / "work", "b" * 64)).load(ChunkPlace(0, 0, 0)) is None


def test_a_chunk_held_open_is_never_one_of_another_fingerprint(tmp_path, chunk, monkeypatch):
    """Windows removes no file that another program has open, and `rmtree` passes over it."""
    place = ChunkPlace(0, 0, 0)
    Checkpoint(KeptFiles(tmp_path / "work", "a" * 64)).save(place, chunk)
    monkeypatch.setattr("ubereport.files.kept_files.shutil.rmtree", lambda *_, **__: None)
    other = Checkpoint(KeptFiles(tmp_path / "work", "b" * 64))
    assert other.load(place) is None
    other.save(place, chunk)
    assert other.load(place) is not None


@pytest.mark.parametrize("keep", [0, 10, 200, -1])
def test_a_damaged_chunk_counts_as_missing(tmp_path, chunk, keep):
    checkpoint = Checkpoint(KeptFiles(tmp_path / "work", "f" * 64))
    checkpoint.save(ChunkPlace(0, 0, 0), chunk)
    (path,) = (tmp_path / "work").glob("*.npz")
    path.write_bytes(path.read_bytes()[:keep])
    assert checkpoint.load(ChunkPlace(0, 0, 0)) is None


def test_no_pickle_is_loaded_from_a_chunk(tmp_path, chunk):
    checkpoint = Checkpoint(KeptFiles(tmp_path / "work", "f" * 64))
    checkpoint.save(ChunkPlace(0, 0, 0), chunk)
    (path,) = (tmp_path / "work").glob("*.npz")
    np.savez(path, area_frac=np.array([object()], dtype=object))
    assert checkpoint.load(ChunkPlace(0, 0, 0)) is None


def test_discard_removes_everything(tmp_path, chunk):
    files = KeptFiles(tmp_path / "work", "f" * 64)
    Checkpoint(files).save(ChunkPlace(0, 0, 0), chunk)
    files.discard()
    assert not (tmp_path / "work").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file where a folder is needed"):
        KeptFiles(tmp_path / "file" / "work", "f" * 64)


def test_a_full_disk_is_told_and_leaves_no_half_chunk(tmp_path, chunk, monkeypatch):
    checkpoint = Checkpoint(KeptFiles(tmp_path / "work", "f" * 64))

    def full(*args, **kwargs):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("ubereport.files.atomic.os.fsync", full)
    with pytest.raises(OutputError, match="does not fit"):
        checkpoint.save(ChunkPlace(0, 0, 0), chunk)
    assert checkpoint.load(ChunkPlace(0, 0, 0)) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_told(tmp_path, chunk):
    checkpoint = Checkpoint(KeptFiles(tmp_path / "work", "f" * 64))
    (tmp_path / "work").chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError, match="cannot be written"):
        checkpoint.save(ChunkPlace(0, 0, 0), chunk)


def test_an_interrupted_reader_reads_like_an_undisturbed_one():
    first = DecodeReport((ReaderUse(0, "pyav", 0.0, 8.0, "why"),))
    second = DecodeReport((ReaderUse(0, "pyav", 8.0, 16.0, "why"),), ("failed",))
    third = DecodeReport((ReaderUse(0, "decord", 16.0, 20.0, "other"),))
    other_part = DecodeReport((ReaderUse(1, "decord", 20.0, 30.0, "other"),))
    joined = DecodeReport.joined([first, second, third, other_part])
    assert [(u.part_index, u.reader, u.start_s, u.end_s) for u in joined.uses] == [
        (0, "pyav", 0.0, 16.0),
        (0, "decord", 16.0, 20.0),
        (1, "decord", 20.0, 30.0),
    ]
    assert joined.failures == ("failed",)


def test_uses_are_cut_to_a_stretch():
    report = DecodeReport((ReaderUse(0, "pyav", 0.0, 8.0, "w"), ReaderUse(0, "decord", 8, 9, "w")))
    assert [(u.start_s, u.end_s) for u in report.within(2.0, 8.0).uses] == [(2.0, 8.0)]


def test_a_chunk_without_a_report_of_its_readers_counts_as_missing(tmp_path, chunk):
    checkpoint = Checkpoint(KeptFiles(tmp_path / "work", "f" * 64))
    checkpoint.save(ChunkPlace(0, 0, 0), chunk)
    (path,) = (tmp_path / "work").glob("*.npz")
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **arrays)
    assert checkpoint.load(ChunkPlace(0, 0, 0)) is not None
    np.savez(path, **{**arrays, "decoded": '{"uses": [{"reader": 3}], "failures": []}'})
    assert checkpoint.load(ChunkPlace(0, 0, 0)) is None


def test_a_later_pass_tells_only_what_an_earlier_one_does_not_cover():
    first = DecodeReport((ReaderUse(0, "pyav", 0.0, 60.0, "why"),), ("one",))
    again = DecodeReport((ReaderUse(0, "pyav", 10.0, 12.0, "why"),))
    other = DecodeReport((ReaderUse(0, "decord", 20.0, 22.0, "failed"),), ("two",))
    layered = DecodeReport.layered([first, again, other])
    assert [(u.reader, u.start_s, u.end_s) for u in layered.uses] == [
        ("pyav", 0.0, 60.0),
        ("decord", 20.0, 22.0),
    ]
    assert layered.failures == ("one", "two")


def test_the_last_reader_lasts_until_the_chunk_ends():
    report = DecodeReport((ReaderUse(0, "pyav", 0.0, 1.5, "why"),))
    assert report.extended_to(2.0).uses[0].end_s == 2.0
    assert DecodeReport().extended_to(2.0).uses == ()
