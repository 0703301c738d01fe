from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import odd_recordings as odd
import pytest

from ubereport.core.config import DecodeConfig
from ubereport.core.errors import DependencyError, RecordingFormatError
from ubereport.video.decode import decode_stills
from ubereport.video.dicom import extract_video
from ubereport.video.index import index_part

CONFIG = DecodeConfig()
MPEG4_HP41 = "1.2.840.10008.1.2.4.102"
MPEG2_MAIN = "1.2.840.10008.1.2.4.100"


@pytest.fixture(autouse=True)
def pydicom_there() -> None:
    if importlib.util.find_spec("pydicom") is None:
        if "dicom" in os.environ.get("UBEREPORT_REQUIRE", ""):
            pytest.fail("the extra `dicom` is required here and not installed")
        pytest.skip("the extra `dicom` is not installed")


def _dicom(path: Path, stream: bytes | None, syntax: str) -> Path:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax if stream is not None else ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["test"])
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.PatientName = "SENTINEL^NAME"
    if stream is not None:
        half = len(stream) // 2 // 2 * 2
        dataset.PixelData = encapsulate([stream[:half], stream[half:]], has_bot=True)
        dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    ("suffix", "codec", "syntax"),
    [
        (".mp4", "libx264", MPEG4_HP41),
        (".ts", "libx264", MPEG4_HP41),
        (".h264", "libx264", MPEG4_HP41),
        (".mpg", "mpeg2video", MPEG2_MAIN),
    ],
)
def test_encapsulated_video_is_read_like_any_other(
    suffix: str, codec: str, syntax: str, tmp_path: Path
) -> None:
    stream = odd.plain(tmp_path / f"inner{suffix}", 30, codec).read_bytes()
    part = index_part(_dicom(tmp_path / "video.dcm", stream, syntax), CONFIG)
    assert part.n_frames == 30
    assert part.duration_s == pytest.approx(1.2, abs=0.01)
    batch = decode_stills(part, np.array([4, 25]), CONFIG, height_px=48, width_px=64)
    assert batch.is_decoded.all()
    for rgb, number in zip(batch.rgb, (4, 25), strict=True):
        assert int(np.argmax(rgb[24, :, 2])) == 3 * number % 64


def test_still_image_in_dicom_is_refused(tmp_path: Path) -> None:
    path = _dicom(tmp_path / "still.dcm", None, "")
    with pytest.raises(RecordingFormatError, match="without encapsulated video"):
        index_part(path, CONFIG)


def test_damaged_dicom_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.dcm"
    path.write_bytes(bytes(128) + b"DICM" + b"\xff" * 400)
    with pytest.raises(RecordingFormatError, match="DICOM"):
        index_part(path, CONFIG)


def test_absent_pydicom_is_a_dependency_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _dicom(tmp_path / "video.dcm", b"\0" * 100, MPEG4_HP41)
    (tmp_path / "pydicom.py").write_text("raise ImportError('hidden by a test')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DependencyError, match=r"ubereport\[dicom\]"):
        index_part(path, CONFIG)


def test_extracted_stream_has_no_name(tmp_path: Path) -> None:
    path = _dicom(tmp_path / "video.dcm", b"stream bytes", MPEG4_HP41)
    with extract_video(str(path)) as file:
        assert file.read().rstrip(b"\0") == b"stream bytes"
        assert "(deleted)" in str(Path(f"/proc/self/fd/{file.fileno()}").readlink())
