"""A whole case whose graphics device decodes, fails midway, or is not here: the same numbers."""

import dataclasses
from functools import partial
from pathlib import Path

import pytest
from tests_support import plain_reports

from ubereport.batch.case import CaseRequest, PublishedCase, run_case
from ubereport.core.choices import DecodeDevice, SamplingMode
from ubereport.core.config import AnalysisConfig, DecodeConfig, SamplingConfig, SegmentationConfig
from ubereport.core.progress import silent
from ubereport.video import pool
from ubereport.video.devices import CaseDevices
from ubereport.video.reader import READERS

pytestmark = pytest.mark.slow
UNIFORM = AnalysisConfig(
    sampling=SamplingConfig(SamplingMode.UNIFORM, rate_hz=5),
    segmentation=SegmentationConfig(model="hsv-red", batch_size=4),
)


@pytest.fixture(autouse=True)
def without_reports(monkeypatch):
    """These tests are about numbers."""
    plain_reports(monkeypatch)


def analyzed(recording: Path, out: Path, device: DecodeDevice) -> PublishedCase:
    config = dataclasses.replace(UNIFORM, decode=DecodeConfig(device=device, n_threads=2))
    return run_case(CaseRequest((recording,), out, "C1", config), silent)


@pytest.fixture(scope="module")
def by_processor(bleeding_recording, tmp_path_factory) -> PublishedCase:
    with pytest.MonkeyPatch.context() as patched:
        plain_reports(patched)
        out = tmp_path_factory.mktemp("processor")
        return analyzed(bleeding_recording, out, DecodeDevice.CPU)


def same_numbers(one: PublishedCase, other: PublishedCase) -> bool:
    assert one.record.events
    assert one.record.events == other.record.events
    assert one.record.metrics == other.record.metrics
    tables = [(case.folder / "series.parquet").read_bytes() for case in (one, other)]
    return tables[0] == tables[1]


@pytest.mark.parametrize(
    ("device", "readers", "words"),
    [
        ("good", ["pyav-cuda"], "which was asked for"),
        ("raises_at_100", ["pyav-cuda", "pyav"], "PyAV on cuda failed: it lost cuda:0"),
        ("first_is_busy", ["pyav-cuda"], "which was asked for"),
        ("one_level_off", ["pyav"], "the pictures of cuda differ from its own"),
    ],
)
def test_a_case_has_the_same_numbers_whatever_its_device_does(
    device, readers, words, by_processor, bleeding_recording, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "video"))
    monkeypatch.setitem(READERS, "pyav-cuda", f"fake_devices:{device}")
    cards = partial(CaseDevices, here=lambda offered: ("cuda:0", "cuda:1"))
    monkeypatch.setattr(pool, "CaseDevices", cards)
    case = analyzed(bleeding_recording, tmp_path, DecodeDevice.CUDA)
    assert same_numbers(case, by_processor)
    uses = case.record.provenance.readers
    assert [use.reader for use in uses] == readers
    assert words in uses[-1].why


def test_a_device_that_is_not_here_costs_nothing_and_is_told(
    by_processor, bleeding_recording, tmp_path
):
    case = analyzed(bleeding_recording, tmp_path, DecodeDevice.D3D11VA)
    assert same_numbers(case, by_processor)
    (use,) = case.record.provenance.readers
    assert use.reader == "pyav"
    assert "d3d11va was asked for and the installed PyAV offers" in use.why


def test_auto_without_a_device_leaves_the_record_as_it_was(
    by_processor, bleeding_recording, tmp_path
):
    case = analyzed(bleeding_recording, tmp_path, DecodeDevice.AUTO)
    assert case.record.provenance.readers == by_processor.record.provenance.readers
