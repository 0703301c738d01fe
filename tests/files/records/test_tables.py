from __future__ import annotations

import csv
import dataclasses
import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ubereport.core.errors import CaseRecordError, ManifestError
from ubereport.core.series import AreaSeries, LossReason
from ubereport.files.records import tables
from ubereport.files.records.tables import (
    events_csv,
    read_parquet_rows,
    series_from_parquet,
    series_parquet,
    series_sha256,
)

PROMISED_EVENT_COLUMNS = (
    "onset_s,peak_s,clear_s,is_censored,censor_reason,peak_area_frac,mean_area_frac,"
    "area_time_frac_s,time_to_clear_s,is_rebleed"
)


def _same_series(first, second):
    assert first.columns == second.columns
    for name in first.columns:
        a, b = getattr(first, name), getattr(second, name)
        if name == "reason":
            assert a == b
        else:
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def test_the_series_comes_back_bit_for_bit(record):
    _same_series(series_from_parquet(series_parquet(record.series)), record.series)


def _over_tissue(series: AreaSeries) -> AreaSeries:
    """Half the area, not measured in the first row."""
    area = series.area_frac / 2
    area[0] = np.nan
    return dataclasses.replace(series, area_frac_of_tissue=area)


def test_areas_over_tissue_come_back_where_they_were_measured(record):
    series = _over_tissue(record.series)
    content = series_parquet(series)
    _same_series(series_from_parquet(content), series)
    table = pd.read_parquet(io.BytesIO(content))
    assert table["area_frac_of_tissue"].isna().sum() == table["area_frac"].isna().sum() + 1
    stored = pq.read_table(io.BytesIO(content))
    assert stored.column("area_frac_of_tissue").null_count == 3, "missing is null, not zero"


def test_a_series_from_before_tissue_was_measured_has_no_such_column(record):
    content = series_parquet(record.series)
    assert "area_frac_of_tissue" not in pq.read_table(io.BytesIO(content)).column_names
    assert series_from_parquet(content).area_frac_of_tissue is None


def test_the_digest_covers_areas_over_tissue(record):
    series = _over_tissue(record.series)
    other = dataclasses.replace(series, area_frac_of_tissue=series.area_frac / 3)
    digests = {series_sha256(one) for one in (record.series, series, other)}
    assert len(digests) == 3


def test_an_empty_series_comes_back():
    empty = AreaSeries([], [], [], [], [], [], [], ())
    assert len(series_from_parquet(series_parquet(empty))) == 0


def test_odd_floats_come_back_bit_for_bit():
    area = np.array([0.1 + 0.2, 5e-324, np.nextafter(1.0, 0.0), 0.0])
    series = AreaSeries(
        np.arange(4) / 3, np.full(4, 1 / 3), np.zeros(4), area, area, area, [True] * 4,
        (LossReason.NONE,) * 4,
    )  # fmt: skip
    _same_series(series_from_parquet(series_parquet(series)), series)


def test_the_same_series_gives_the_same_bytes(record):
    series = dataclasses.replace(record.series)
    assert series_parquet(series) == series_parquet(record.series)


def test_other_programs_read_lost_areas_as_missing(record):
    table = pd.read_parquet(io.BytesIO(series_parquet(record.series)))
    promised = ["time_s", "duration_s", "part_index", "area_frac", "is_valid", "reason"]
    assert set(promised) <= set(table.columns)
    assert table["area_frac"].isna().tolist() == (~table["is_valid"]).tolist()
    assert table.loc[20, "reason"] == "pause"
    stored = pq.read_table(io.BytesIO(series_parquet(record.series)))
    assert stored.column("area_frac").null_count == 2, "missing is null, not a NaN to average"
    assert pq.ParquetFile(io.BytesIO(series_parquet(record.series))).metadata.num_row_groups == 1


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _changed(record, change) -> bytes:
    table = pq.read_table(io.BytesIO(series_parquet(record.series)))
    return _parquet(change(table))


def test_columns_added_by_others_are_left_aside(record):
    content = _changed(record, lambda t: t.append_column("mine", pa.array([1] * len(t))))
    _same_series(series_from_parquet(content), record.series)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.drop_columns(["reason"]),
        lambda t: t.set_column(0, "time_s", pa.array(["x"] * len(t))),
        lambda t: t.set_column(0, "time_s", pa.array([0.0] * len(t))),
        lambda t: t.set_column(0, "time_s", pa.nulls(len(t), pa.float64())),
        lambda t: t.set_column(7, "reason", pa.array(["smoke"] * len(t))),
        lambda t: t.set_column(3, "area_frac", pa.array([2.0] * len(t))),
    ],
)
def test_a_table_that_is_no_series_is_refused(record, change):
    with pytest.raises(CaseRecordError, match=r"series\.parquet cannot be read"):
        series_from_parquet(_changed(record, change))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all" * 10])
def test_what_is_no_parquet_is_refused(content):
    with pytest.raises(CaseRecordError, match=r"series\.parquet cannot be read"):
        series_from_parquet(content)


def test_every_damaged_byte_is_refused_or_changes_the_digest(record):
    content = series_parquet(record.series)
    digest = series_sha256(record.series)
    n_refused = 0
    for at in range(0, len(content), 7):
        damaged = content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]
        try:
            series = series_from_parquet(damaged)
        except CaseRecordError:
            n_refused += 1
            continue
        if series_sha256(series) == digest:
            _same_series(series, record.series)
    assert n_refused > 0


def test_a_bomb_of_rows_is_refused_before_it_is_read(record, monkeypatch):
    monkeypatch.setattr(tables, "_MAX_ROWS", 10)
    with pytest.raises(CaseRecordError, match="has 41 rows; allowed: 10"):
        series_from_parquet(series_parquet(record.series))


@pytest.mark.parametrize("name", ["time_s", "area_frac", "area_frac_strict", "part_index"])
def test_the_digest_sees_every_column(record, name):
    column = getattr(record.series, name).copy()
    column[3] += 1 if name == "part_index" else 1e-9
    other = dataclasses.replace(record.series, **{name: column})
    assert series_sha256(other) != series_sha256(record.series)


def test_the_digest_knows_one_nan_only(record):
    area = record.series.area_frac.copy()
    area[20] = -np.nan
    assert series_sha256(dataclasses.replace(record.series, area_frac=area)) == series_sha256(
        record.series
    )


def test_events_are_a_plain_table_with_the_promised_columns(record):
    text = events_csv(record.events).decode("ascii")
    assert text.splitlines() == [
        PROMISED_EVENT_COLUMNS,
        "1.500,2.000,7.250,false,,0.333333,0.200000,1.150000,5.750,false",
        "40.000,58.500,,true,recording_ended,0.600000,0.500000,9.750000,,true",
    ]
    assert text.endswith("\n")
    assert "\r" not in text


def test_programs_read_the_events_with_their_types(record):
    table = pd.read_csv(io.BytesIO(events_csv(record.events)))
    assert table["is_rebleed"].tolist() == [False, True]
    assert table["clear_s"].isna().tolist() == [False, True]
    rows = list(csv.DictReader(io.StringIO(events_csv(record.events).decode())))
    assert float(rows[0]["time_to_clear_s"]) == record.events[0].time_to_clear_s


def test_a_case_without_events_has_a_header():
    assert events_csv(()).decode() == PROMISED_EVENT_COLUMNS + "\n"


def test_a_manifest_comes_as_columns_and_rows(tmp_path):
    path = tmp_path / "manifest.parquet"
    path.write_bytes(_parquet(pa.table({"case_id": ["a", None], "levels": [1, 2]})))
    assert read_parquet_rows(path) == (("case_id", "levels"), [["a", 1], [None, 2]])


def test_a_manifest_that_is_no_parquet_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "manifest.parquet"
    path.write_bytes(b"case_id,levels\n")
    with pytest.raises(ManifestError, match="cannot be read as Parquet"):
        read_parquet_rows(path)
    with pytest.raises(ManifestError, match="cannot be read as Parquet"):
        read_parquet_rows(tmp_path / "absent.parquet")
    path.write_bytes(_parquet(pa.table({"a": [1, 2, 3]})))
    monkeypatch.setattr(tables, "_MAX_MANIFEST_ROWS", 2)
    with pytest.raises(ManifestError, match="has 3 rows; allowed: 2"):
        read_parquet_rows(path)
