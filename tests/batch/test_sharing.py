"""A batch whose cases share one network: when they do, and that the bytes stay the same."""

import hashlib
from dataclasses import replace

import pytest
from tests_support import plain_reports

from ubereport.batch.case import CaseRequest, run_case
from ubereport.core.config import AnalysisConfig, Device, SamplingConfig, SegmentationConfig
from ubereport.core.progress import silent
from ubereport.segmentation.shared_network import shared_network

pytestmark = pytest.mark.slow
CONFIG = AnalysisConfig(
    sampling=SamplingConfig(rate_hz=1.0),
    segmentation=SegmentationConfig(model="hsv-red", batch_size=4),
)


def digests(folder):
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "run.json"
    }


def test_a_case_has_the_same_bytes_with_a_shared_network(bleeding_recording, tmp_path, monkeypatch):
    plain_reports(monkeypatch)
    request = CaseRequest((bleeding_recording,), tmp_path / "own", "C1", CONFIG)
    own = run_case(request, silent)
    with shared_network(CONFIG.segmentation, 2, is_asked_for=True) as network:
        assert network is not None
        request = replace(request, out_dir=tmp_path / "shared", network=network)
        shared = run_case(request, silent)
    assert digests(shared.folder) == digests(own.folder)


@pytest.mark.parametrize(
    ("n_jobs", "device", "model", "is_asked_for"),
    [
        (1, Device.AUTO, "ube-blood", None),
        (2, Device.CPU, "ube-blood", None),
        (2, Device.AUTO, "hsv-red", None),
        (2, Device.AUTO, "ube-blood", False),
    ],
)
def test_nothing_is_started_where_sharing_does_not_help(n_jobs, device, model, is_asked_for):
    config = SegmentationConfig(model=model, device=device)
    with shared_network(config, n_jobs, is_asked_for) as network:
        assert network is None
