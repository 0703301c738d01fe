"""What a batch would do: one bad row never ends the estimate, nor a held file a finished case."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from ubereport.batch import estimate, run
from ubereport.batch.engine.job import failure_of
from ubereport.batch.estimate import estimate_batch
from ubereport.batch.manifest import read_manifest
from ubereport.core.config import AnalysisConfig
from ubereport.core.errors import (
    DependencyError,
    OutputError,
    RecordingFormatError,
    UbereportError,
    UsageError,
)


def test_every_case_that_would_fail_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: dict[str, UbereportError] = {
        "a.mp4": UsageError("Parts 1 and 2 are the same."),
        "b.mp4": DependencyError("DICOM needs pydicom."),
        "c.mp4": RecordingFormatError("Part 1 is no recording."),
    }

    def recorded_s(parts: Sequence[Path], _: AnalysisConfig) -> float:
        if parts[0].name in failures:
            raise failures[parts[0].name]
        return 3600.0

    rows = ["case_id,files,date,surgeon,technique"]
    for name in (*failures, "d.mp4"):
        (tmp_path / name).write_bytes(name.encode())
        rows.append(f"{name[0]},{name},2026-03-14,Dr. Ito,bone wax")
    (tmp_path / "cases.csv").write_text("\n".join(rows))
    monkeypatch.setattr(estimate, "recorded_s", recorded_s)
    manifest = read_manifest(tmp_path / "cases.csv")
    found = estimate_batch(manifest, tmp_path / "library", AnalysisConfig(), 1)
    assert found.recorded_h == 1
    assert found.unreadable == tuple(
        (case.row, str(failures[case.parts[0].name])) for case in manifest.cases[:3]
    )


def test_a_case_is_done_though_its_progress_file_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses to remove what the table just reads."""

    def held(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def refused(*_: object) -> None:
        raise OutputError("in use")

    request = SimpleNamespace(case=None, progress_path=tmp_path / "progress")
    monkeypatch.setattr(Path, "unlink", held)
    monkeypatch.setattr(run, "run_case", refused)
    with pytest.raises(OutputError, match="in use"):
        run.run_one(request)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_a_disk_that_takes_no_more_is_no_bug(number: int) -> None:
    failure = failure_of(OSError(number, os.strerror(number), "/patients/SECRET"))
    assert failure.exit_code == 4
    assert failure.kind == "OutputError"
    assert f"cannot be written ({os.strerror(number)})" in failure.message
    assert "SECRET" not in failure.message
    assert "bug" in failure_of(OSError(errno.EIO, "SECRET")).message
