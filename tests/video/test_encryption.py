from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import odd_recordings as odd
import pytest

from ubereport.core.config import DecodeConfig
from ubereport.core.errors import RecordingFormatError
from ubereport.video.encryption import encryption_schemes
from ubereport.video.index import index_part
from ubereport.video.pyav import EncoderSpec
from ubereport.video.writer import VideoWriter

KEY = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
    "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
}
_QUIET = {
    "libx265": {"x265-params": "log-level=none:pools=none:frame-threads=1"},
    "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
}


def _encrypted(path: Path, codec: str) -> Path:
    options = _QUIET.get(codec, {})
    with VideoWriter(
        path, EncoderSpec(64, 64, 25, codec, options=options, container_options=KEY)
    ) as writer:
        for number in range(30):
            writer.write(odd.picture(number, 64, 64))
    return path


@pytest.fixture(scope="module")
def encrypted_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _encrypted(tmp_path_factory.mktemp("encrypted") / "h264.mp4", "libx264")


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "mpeg4"])
def test_an_encrypted_track_is_refused_in_one_sentence(codec: str, tmp_path: Path) -> None:
    path = _encrypted(tmp_path / "encrypted.mp4", codec)
    with pytest.raises(RecordingFormatError) as refused:
        index_part(path, DecodeConfig(), 1)
    assert str(refused.value) == (
        "Part 2 of the case is encrypted (cenc), and its pictures cannot be read without the key. "
        "Export it from the recorder without encryption."
    )


@pytest.mark.parametrize("scheme", [b"cbcs", b"cbc1", b"itun"])
def test_the_scheme_is_named(scheme: bytes, encrypted_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.mp4"
    path.write_bytes(encrypted_path.read_bytes().replace(b"cenc", scheme))
    with pytest.raises(RecordingFormatError, match=rf"is encrypted \({scheme.decode()}\)"):
        index_part(path, DecodeConfig())


@pytest.mark.parametrize("scheme", [b"\xff\xfe\xfd\xfc", b"<b>&", b"\n\n\n\n"])
def test_a_scheme_that_is_no_word_is_not_repeated(scheme: bytes, encrypted_path: Path) -> None:
    content = encrypted_path.read_bytes().replace(b"cenc", scheme)
    assert encryption_schemes(io.BytesIO(content)) == {1: "unknown scheme"}


def test_clear_recordings_have_no_scheme(tmp_path: Path) -> None:
    for suffix in ("mp4", "mov", "mkv", "ts"):
        path = odd.plain(tmp_path / f"clear.{suffix}")
        assert encryption_schemes(str(path)) == {}
        index_part(path, DecodeConfig())


def _box(kind: bytes, *content: bytes, is_large: bool = False) -> bytes:
    inside = b"".join(content)
    if is_large:
        return struct.pack(">I4sQ", 1, kind, 16 + len(inside)) + inside
    return struct.pack(">I4s", 8 + len(inside), kind) + inside


def _track(number: int, scheme: bytes | None, version: int = 0) -> bytes:
    times = bytes(16 if version else 8)
    header = _box(b"tkhd", bytes([version, 0, 0, 0]), times, struct.pack(">I", number), bytes(60))
    sinf = [] if scheme is None else [_box(b"sinf", _box(b"schm", bytes(4), scheme, bytes(4)))]
    entry = _box(b"avc1" if scheme is None else b"encv", bytes(78), *sinf)
    table = _box(b"stbl", _box(b"stsd", struct.pack(">II", 0, 1), entry))
    return _box(b"trak", header, _box(b"mdia", _box(b"minf", table)))


@pytest.mark.parametrize("is_large", [False, True])
def test_schemes_belong_to_their_tracks(is_large: bool) -> None:
    """Pictures in the clear beside encrypted sound or a second view are read."""
    tracks = [_track(7, None), _track(3, b"cbcs"), _track(900, b"cenc", version=1)]
    moov = _box(b"moov", _box(b"mvhd", bytes(100)), *tracks, is_large=is_large)
    for media in (_box(b"mdat", bytes(1000)), b""):
        file = io.BytesIO(_box(b"ftyp", b"isom") + media + moov)
        assert encryption_schemes(file) == {3: "cbcs", 900: "cenc"}


def test_a_box_that_reaches_to_the_end_is_read() -> None:
    moov = _box(b"moov", _track(1, b"cbcs"))
    content = _box(b"ftyp", b"isom") + bytes(4) + moov[4:]
    assert encryption_schemes(io.BytesIO(content)) == {1: "cbcs"}


def test_cut_and_flipped_files_give_an_answer(encrypted_path: Path) -> None:
    whole = encrypted_path.read_bytes()
    boxes = whole[whole.rindex(b"moov") - 4 :]
    for end in range(len(boxes)):
        told = encryption_schemes(io.BytesIO(boxes[:end]))
        assert set(told.items()) <= {(1, "cenc"), (1, "unknown scheme")}
    rng = np.random.default_rng(5)
    for _ in range(300):
        flipped = bytearray(boxes)
        for at in rng.integers(len(boxes), size=8).tolist():
            flipped[at] ^= 1 << int(rng.integers(8))
        assert len(encryption_schemes(io.BytesIO(flipped))) <= 1
