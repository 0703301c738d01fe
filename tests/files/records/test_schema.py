from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path

import pytest

from ubereport.core.case import (
    SCHEMA_VERSION,
    CaseRecord,
    CutEvidence,
    EndPictures,
    Flag,
    FlagLevel,
    PartJoin,
)
from ubereport.core.errors import CaseRecordError
from ubereport.core.metrics import MetricValue
from ubereport.files.records import schema
from ubereport.files.records.schema import (
    MIGRATIONS,
    CaseContent,
    case_json,
    case_schema,
    migrate,
    parse_case_json,
    record_of,
)


@pytest.fixture(scope="module")
def tree(record):
    return json.loads(case_json(record))


def _bytes(tree) -> bytes:
    return json.dumps(tree).encode()


def _at(tree, path, value):
    """Return a copy of `tree` with the entry at `path` set."""
    changed = copy.deepcopy(tree)
    *parents, last = path
    entry = changed
    for key in parents:
        entry = entry[key]
    entry[last] = value
    return changed


def test_the_published_schema_is_that_of_the_types_and_names_this_version():
    published = Path(schema.__file__).with_name("case.schema.json").read_text(encoding="utf-8")
    assert json.loads(published) == case_schema(), "run: make docs"
    assert case_schema()["properties"]["schema_version"]["const"] == SCHEMA_VERSION
    assert case_schema()["$id"].endswith(f":{SCHEMA_VERSION}")


def test_the_schema_tells_bounds_choices_and_what_is_derived():
    defined = case_schema()["$defs"]
    share = defined["HemostasisEvent"]["properties"]["peak_area_frac"]
    assert (share["minimum"], share["maximum"]) == (0, 1)
    assert {"is_censored", "time_to_clear_s"} <= set(defined["HemostasisEvent"]["properties"])
    assert defined["FlagLevel"]["enum"] == ["info", "caution", "warning"]
    figures = defined["ModelSummary"]["properties"]["operating_characteristics"]
    assert figures["additionalProperties"] == {"type": "number"}
    assert "review" not in case_schema()["required"]


def test_the_record_of_the_tests_uses_every_field(tree):
    def check(value, expected, where):
        if "anyOf" in expected:
            expected = next(each for each in expected["anyOf"] if each != {"type": "null"})
        if "$ref" in expected:
            expected = case_schema()["$defs"][expected["$ref"].rpartition("/")[2]]
        if isinstance(value, dict) and "properties" in expected:
            assert set(value) == set(expected["properties"]), where
            for key, item in value.items():
                check(item, expected["properties"][key], f"{where}.{key}")
        if isinstance(value, list) and "items" in expected:
            assert value, f"{where} is empty here and checks nothing"
            for item in value:
                check(item, expected["items"], f"{where}[]")

    check(tree, case_schema(), "$")


def test_promised_keys_are_there(tree):
    assert set(tree) >= {
        "schema_version",
        "case_id",
        "recording",
        "metrics",
        "events",
        "flags",
        "provenance",
    }
    for metric in tree["metrics"]:
        assert set(metric) >= {"key", "value", "unit", "reason", "coverage_frac"}
    assert tree["events"][1]["is_censored"] is True
    assert tree["events"][0]["time_to_clear_s"] == 5.75
    assert tree["metrics"][1]["value"] is None, "missing is not zero"


def test_floats_keep_their_bits(tree, record):
    assert tree["metrics"][0]["value"] == 0.1 + 0.2
    assert repr(tree["events"][0]["peak_area_frac"]) == repr(1 / 3)
    assert b"0.30000000000000004" in case_json(record)


@pytest.mark.parametrize("number", [float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_never_written(make_record, number):
    bad = make_record(metrics=(MetricValue("a", "1", number, "", 1, 1.0),))
    with pytest.raises(ValueError, match="not JSON compliant"):
        case_json(bad)


def test_a_record_that_its_readers_could_not_read_is_never_written(make_record):
    bad = make_record(flags=(Flag("Not A Key", FlagLevel.INFO, "x"),))
    with pytest.raises(ValueError, match=r"flags\[0\]\.key = 'Not A Key' cannot be used"):
        case_json(bad)


def test_numpy_numbers_become_plain_ones(make_record):
    import numpy as np

    metric = MetricValue("a", "1", np.float64(0.5), "", np.int64(3), np.float64(1.0))  # type: ignore[arg-type]
    read = json.loads(case_json(make_record(metrics=(metric,))))["metrics"][0]
    assert (read["value"], read["n"]) == (0.5, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"schema_version": "1.0", "x": NaN}', "NaN is no number"),
        (b'{"schema_version": "1.0", "x": -Infinity}', "-Infinity is no number"),
        (b"[]", "no schema_version"),
        (b"{}", "no schema_version"),
        (b'{"schema_version": 1.0}', "no schema_version"),
        (b'{"schema_version": "one"}', "need a number like 1.0"),
        (b'{"schema_version": "1.0"}', "case_id is missing"),
        (b'{"schema_version": "1.1"}', "Install a newer ubereport"),
        (b'{"schema_version": "2.0"}', "Install a newer ubereport"),
        (b'{"schema_version": "10.0"}', "Install a newer ubereport"),
        (b'{"schema_version": "0.9"}', "cannot bring to"),
    ],
)
def test_what_cannot_be_a_case_is_refused_with_its_reason(content, reason):
    with pytest.raises(CaseRecordError, match=reason):
        parse_case_json(content)


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        (("metrics", 0, "coverage_frac"), 97.5, "coverage_frac"),
        (("metrics", 0, "value"), "0.3", "value"),
        (("events", 0, "severity"), "grade 3", "severity"),
        (("events", 0, "onset_s"), None, "onset_s"),
        (("flags", 0, "level"), "panic", "level"),
        (("recording", "parts"), [], "parts"),
        (("recording", "parts", 0, "sha256"), "abc", "sha256"),
        (("provenance", "model", "thresholds"), [0.5], "thresholds"),
        (("series", "file"), "/etc/passwd", "file"),
        (("key_frames", 0, "kind"), "best", "kind"),
    ],
)
def test_a_value_that_does_not_fit_is_named(tree, path, value, where):
    with pytest.raises(CaseRecordError, match=where):
        parse_case_json(_bytes(_at(tree, path, value)))


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("recording", "parts", 0, "rotation_deg"), 45, "a multiple of 90"),
        (("events", 0, "onset_s"), 9.0, "onset ≤ peak ≤ end"),
        (("events", 0, "clear_s"), None, "censored"),
        (("metrics", 0, "reason"), "why", "reason exactly where it has no value"),
        (("recording", "pauses", 0, "end_s"), 1.0, "ends before it starts"),
        (("case_id",), "a\u202eb", "invisible"),
        (("key_frames", 0, "raw_path"), "../../etc/passwd", "no plain relative path"),
        (("key_frames", 0, "overlay_path"), "/etc/passwd", "no plain relative path"),
    ],
)
def test_values_that_contradict_each_other_are_refused(tree, record, path, value, reason):
    with pytest.raises(CaseRecordError, match=reason):
        record_of(parse_case_json(_bytes(_at(tree, path, value))), record.series)


def test_another_series_is_refused(tree, record):
    other = dataclasses.replace(record.series, time_s=record.series.time_s + 1)
    with pytest.raises(CaseRecordError, match="not the series"):
        record_of(parse_case_json(_bytes(tree)), other)


def test_fields_that_others_add_are_left_aside(tree, record):
    added = _at(tree | {"mine": 1}, ("events", 0, "mine"), 1)
    changed = parse_case_json(_bytes(_at(added, ("provenance", "model", "mine"), [1])))
    assert case_json(record_of(changed, record.series)) == case_json(record)


def test_migrations_run_one_after_the_other():
    steps = {
        "0.8": lambda raw: raw | {"schema_version": "0.9", "trail": [*raw["trail"], "a"]},
        "0.9": lambda raw: raw | {"schema_version": "0.10", "trail": [*raw["trail"], "b"]},
    }
    assert migrate({"schema_version": "0.8", "trail": []}, steps, "0.10")["trail"] == ["a", "b"]
    assert migrate({"schema_version": "0.10", "trail": []}, steps, "0.10")["trail"] == []
    with pytest.raises(CaseRecordError, match=r"0\.11"):
        migrate({"schema_version": "0.11"}, steps, "0.10")


def test_a_migration_that_goes_nowhere_is_a_bug():
    with pytest.raises(ValueError, match="does not lead to a later version"):
        migrate({"schema_version": "0.9"}, {"0.9": lambda raw: raw}, "1.0")


def test_every_shipped_migration_leads_on():
    for version in MIGRATIONS:
        assert tuple(map(int, version.split("."))) < tuple(map(int, SCHEMA_VERSION.split(".")))


def test_all_of_the_record_is_stored(tree):
    names = {field.name for field in dataclasses.fields(CaseRecord)}
    stored = set(tree) | set(tree["recording"])
    assert set(tree) == {field.name for field in dataclasses.fields(CaseContent)}
    assert names <= stored


def test_joins_of_parts_come_back_and_the_series_knows_them(make_record):
    joins = (
        PartJoin(0, CutEvidence.EQUAL_LENGTHS, EndPictures.JOIN, 2.5, 3.0),
        PartJoin(1, CutEvidence.EQUAL_LENGTHS, EndPictures.UNTOLD, None, None),
    )
    record = make_record(joins=joins)
    back = record_of(parse_case_json(case_json(record)), record.series)
    assert back.joins == joins
    assert back.series.joined_parts == (0,)


def test_a_record_from_before_joins_were_looked_for_opens_with_none(record, tree):
    older = copy.deepcopy(tree)
    del older["recording"]["joins"]
    back = record_of(parse_case_json(_bytes(older)), record.series)
    assert (back.joins, back.series.joined_parts) == ((), ())
