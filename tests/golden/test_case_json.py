"""The stored form of a case is a promise: this one was written by schema 1.0 and stays readable.

``UBEREPORT_UPDATE_GOLDEN=1 pytest tests/golden/test_case_json.py`` writes the fixture again; do so
only together with a new schema version, into a folder of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ubereport.core.case import (
    CaseRecord,
    FieldSummary,
    Flag,
    FlagLevel,
    ModelSummary,
    PartSummary,
    Provenance,
    ReaderUse,
)
from ubereport.core.events import CensorReason, HemostasisEvent, Severity
from ubereport.core.intervals import Interval
from ubereport.core.metrics import MetricValue
from ubereport.core.series import AreaSeries, LossReason
from ubereport.files.records.schema import case_json
from ubereport.files.records.store import read_case
from ubereport.files.records.tables import series_parquet

GOLDEN = Path(__file__).with_name("case_1.0")


def _series() -> AreaSeries:
    reasons = [LossReason.NONE] * 6 + [LossReason.BLURRED, LossReason.NONE]
    area = np.array([0.0, 0.1, 0.3, 0.25, 0.01, 0.0, np.nan, 1 / 3])
    return AreaSeries(
        time_s=np.arange(8) * 0.5,
        duration_s=np.full(8, 0.5),
        part_index=np.zeros(8),
        area_frac=area,
        area_frac_lenient=area,
        area_frac_strict=area * 0.5,
        is_valid=[r is LossReason.NONE for r in reasons],
        reason=tuple(reasons),
    )


def _record() -> CaseRecord:
    return CaseRecord(
        case_id="UBE 2026/014",
        parts=(
            PartSummary(
                sha256="0" * 64,
                size_bytes=1000,
                container="matroska",
                codec="hevc",
                pixel_format="yuv420p10le",
                width_px=1280,
                height_px=720,
                rotation_deg=180,
                is_interlaced=True,
                color_matrix="bt709",
                color_range="tv",
                average_rate_hz=None,
                start_s=0.0,
                duration_s=4.0,
                found_duration_s=3.5,
                declared_duration_s=4.0,
                found_n_frames=105,
                declared_n_frames=None,
                gaps=(Interval(3.0, 3.5),),
                n_samples=8,
                n_undecoded=0,
                n_corrupt=1,
                field_of_view=FieldSummary("circle", 10, 0, 700, 690, 0.875),
            ),
        ),
        pauses=(Interval(4.0, 9.5),),
        series=_series(),
        events=(
            HemostasisEvent(
                onset_s=0.5,
                is_onset_observed=True,
                peak_s=1.0,
                peak_area_frac=0.3,
                end_s=2.0,
                clear_s=2.0,
                censor_reason=CensorReason.NONE,
                mean_area_frac=0.65 / 3,
                area_time_frac_s=0.325,
                is_rebleed=False,
                severity=Severity.MODERATE,
            ),
        ),
        metrics=(
            MetricValue("impaired_share_20", "1", 3 / 7, "", 7, 0.875, 0.1, 3 / 7),
            MetricValue("cleared_60s_share", "1", None, "no event", 0, 0.875),
        ),
        flags=(Flag("damaged", FlagLevel.WARNING, "1 of 8 samples — damaged."),),
        key_frames=(),
        provenance=Provenance(
            ubereport_version="0.1.0",
            library_versions=(("numpy", "2.4.1"), ("av", "18.0.0")),
            model=ModelSummary(
                name="ube-blood",
                version="0.1",
                title="U-Net++",
                sha256="1" * 64,
                architecture="unetplusplus",
                input_height_px=256,
                input_width_px=384,
                thresholds=(0.3, 0.5, 0.7),
                training_population="simulated recordings",
                limits="has seen no UBE recording",
                operating_characteristics=(("sensitivity", 0.93), ("specificity", 0.6)),
                evaluated_on="nothing yet",
            ),
            config_toml="[events]\nonset_frac = 0.05\n",
            config_sha256="2" * 64,
            device="cpu",
            precision="float32",
            sampling="2 pictures a second",
            readers=(ReaderUse(0, "pyav", 0.0, 4.0, "the only one that reads it"),),
            decode_failures=(),
        ),
    )


@pytest.fixture(scope="module", autouse=True)
def _updated() -> None:
    if os.environ.get("UBEREPORT_UPDATE_GOLDEN") == "1":
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / "case.json").write_bytes(case_json(_record()))
        (GOLDEN / "series.parquet").write_bytes(series_parquet(_series()))


def test_the_same_record_gives_the_bytes_it_always_gave():
    assert case_json(_record()) == (GOLDEN / "case.json").read_bytes()


def test_a_case_stored_by_schema_1_0_is_read_exactly():
    stored, expected = read_case(GOLDEN), _record()
    for name in ("case_id", "parts", "pauses", "events", "metrics", "flags", "provenance"):
        assert getattr(stored, name) == getattr(expected, name)
    np.testing.assert_array_equal(stored.series.area_frac, expected.series.area_frac)
    assert stored.series.reason == expected.series.reason
