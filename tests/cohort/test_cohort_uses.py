"""When a technique was used, and cases measured from there on."""

from __future__ import annotations

import numpy as np
import pytest

from ubereport.batch.manifest_cells import parse_cell
from ubereport.cohort.compare import compare_cohort
from ubereport.cohort.comparison_results import Verdict
from ubereport.cohort.sources import ComparisonSources
from ubereport.cohort.table import cohort_table
from ubereport.cohort.uses import from_first_use, use_effects, use_times_of
from ubereport.core.clock_times import parse_times
from ubereport.core.config import CompareConfig
from ubereport.core.covariates import known_column
from ubereport.core.errors import ManifestError
from ubereport.core.series import AreaSeries, LossReason

FAST = CompareConfig(n_bootstrap=100, n_permutations=199)


def series_of_areas(pieces):
    """Pieces of (area or None, seconds), sampled every second."""
    areas = np.concatenate([np.full(s, np.nan if a is None else a) for a, s in pieces])
    is_valid = ~np.isnan(areas)
    n = len(areas)
    return AreaSeries(
        time_s=np.arange(n, dtype=float), duration_s=np.ones(n), part_index=np.zeros(n, int),
        area_frac=areas, area_frac_lenient=np.minimum(1.2 * areas, 1), is_valid=is_valid,
        area_frac_strict=0.8 * areas,
        reason=tuple(LossReason.NONE if v else LossReason.BLACK for v in is_valid),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "times"),
    [("750", (750.0,)), ("12:30", (750.0,)), ("0:12:30; 1:00:00", (750.0, 3600.0)), ("0", (0.0,)),
     ("", ()), ("12,5", (12.5,))],
)  # fmt: skip
def test_times_are_read_as_people_write_them(text, times):
    assert parse_times(text) == times


@pytest.mark.parametrize(
    "text", ["noon", "-5", "1:75", "1:2:3:4", "60; 60", "90;30", "inf", "-0:30"]
)
def test_what_is_no_time_is_refused_in_a_manifest(text):
    with pytest.raises(ManifestError, match="write times on the case clock in order"):
        parse_cell(text, known_column("use_start"))


def test_a_manifest_keeps_seconds():
    assert parse_cell("0:12:30; 40:00", known_column("use_start")) == "750;2400"


def row_of(make_row, number, group, use_start, *, share=0.3, recorded_s=600.0, use_end=None,
           events=()):  # fmt: skip
    values = {"impaired_share_5": share, "impaired_share_20": share, "impaired_share_50": 0.0,
              "area_mean_frac": share / 2, "recorded_s": recorded_s, "pause_s": 0.0,
              "coverage_frac": 1.0}  # fmt: skip
    covariates = {"technique": group, "surgeon": f"S{number % 2}", "use_start": use_start,
                  "use_end": use_end}  # fmt: skip
    return make_row(f"c{number:02d}", values, covariates, events)


@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [
        ("700", None, "outside the case"),
        ("100", "650", "outside the case"),
        ("100;200", "250;260", "overlap"),
        ("100", "50", "overlap or end before"),
        ("100;200", "150", "not as many use ends"),
        ("soon", None, "cannot be read"),
        ("100;200", "150;260", ""),
    ],
)
def test_use_times_are_checked_against_the_case(make_row, start, end, problem):
    (use,) = use_times_of(cohort_table([row_of(make_row, 1, "wax", start, use_end=end)]))
    assert problem in use.problem
    assert (use.first_s is None) == bool(problem)


def test_a_case_is_measured_from_its_first_use_on(make_row):
    # Bleeding for 100 s before the use at 200 s, and for 40 of the 200 s after it.
    series = series_of_areas([(0.3, 100), (0.0, 100), (0.3, 40), (None, 100), (0.01, 160)])
    row = row_of(make_row, 1, "wax", "200;300", events=[(100.0, 100.0)])
    object.__setattr__(row, "bands", {"impaired_share_20": (0.1, 0.5)})
    table = cohort_table([row])
    found = from_first_use(table, use_times_of(table), lambda folder: series).table
    values = found.cases.iloc[0]
    assert values["impaired_share_20"] == pytest.approx(40 / 200)
    assert values["impaired_share_50"] == 0.0
    assert values["area_mean_frac"] == pytest.approx((0.3 * 40 + 0.01 * 160) / 200)
    assert found.bands["impaired_share_20"][0] == pytest.approx([0.2, 0.2])
    assert len(found.events) == 0  # the one event began before the use
    assert "recorded_s" not in found.metric_keys
    assert values["recorded_s"] == 600  # no outcome, and what pairs of like cases are found by
    assert values["coverage_frac"] == pytest.approx(200 / 300)


def test_too_little_after_the_use_has_no_value_and_a_reason(make_row):
    table = cohort_table([row_of(make_row, 1, "wax", "570")])
    series = series_of_areas([(0.3, 600)])
    found = from_first_use(table, use_times_of(table), lambda folder: series).table
    assert np.isnan(found.cases["impaired_share_20"].iloc[0])
    assert found.reasons["c01", "impaired_share_20"] == "less than a minute after use"


@pytest.mark.parametrize(("use_s", "is_known"), [(410, True), (430, False)])
def test_a_closing_field_before_the_use_is_not_judged_by_it(make_row, use_s, is_known):
    row = row_of(make_row, 1, "wax", str(use_s))
    row.values["closing_area_mean_frac"] = 0.2
    table = cohort_table([row])
    found = from_first_use(
        table, use_times_of(table), lambda folder: series_of_areas([(0.3, 600)])
    ).table
    assert (found.cases["closing_area_mean_frac"].iloc[0] == 0.2) == is_known
    assert found.cases["impaired_share_20"].iloc[0] == 1.0
    told = found.reasons.get(("c01", "closing_area_mean_frac"))
    assert told == (None if is_known else "used within the closing minutes")


def test_a_case_that_bleeds_from_the_use_on_has_no_time_at_risk(make_row):
    row = row_of(make_row, 1, "wax", "200", events=[(600.0, 600.0)])
    row.values["event_rate_per_10min"] = 1.0
    table = cohort_table([row])
    found = from_first_use(
        table, use_times_of(table), lambda folder: series_of_areas([(0.3, 600)])
    ).table
    assert np.isnan(found.cases["event_rate_per_10min"].iloc[0])
    told = found.reasons["c01", "event_rate_per_10min"]
    assert told == "no time at risk: all evaluable time lies inside events"


def test_before_and_after_are_compared_within_cases(make_row):
    rows = [row_of(make_row, i, "wax", str(100 + 10 * i)) for i in range(8)]
    table = cohort_table(rows)
    series = {
        f"folder-c{i:02d}": series_of_areas([(0.3, 100 + 10 * i), (0.0, 60 + i), (0.3, 340)])
        for i in range(8)
    }
    labels = {f"c{i:02d}": "wax" for i in range(8)}
    read = []

    def series_of(folder):
        read.append(folder)
        return series[folder]

    found = from_first_use(table, use_times_of(table), series_of)
    (effect,) = use_effects(found.around, labels, 0.95)
    assert sorted(read) == sorted(series)  # each series once
    after = [340 / (400 + i) for i in range(8)]
    assert (effect.group, effect.n_cases) == ("wax", 8)
    assert effect.before_median == 1.0
    assert effect.after_median == pytest.approx(np.median(after))
    differences = np.array(after) - 1
    walsh = [(x + y) / 2 for i, x in enumerate(differences) for y in differences[i:]]
    assert effect.difference.value == pytest.approx(np.median(walsh))
    assert effect.difference.high < 0


def cohort_of(make_row, use_of):
    rng = np.random.default_rng(3)
    return cohort_table(
        [
            row_of(make_row, i, "ab"[i % 2], use_of(i), share=float(rng.uniform(0.1, 0.5)))
            for i in range(24)
        ]
    )


def read_constant(folder):
    return series_of_areas([(0.3, 200), (0.0, 400)])


@pytest.mark.parametrize(
    ("use_of", "told"),
    [
        (lambda i: None, "does not say when in each case its technique was used"),
        (lambda i: None if i == 3 else "0", "not known in 1 case of 24"),
        (lambda i: "900" if i == 3 else "60", "a use time lies outside the case"),
    ],
)
def test_without_use_times_a_comparison_of_techniques_is_a_description(make_row, use_of, told):
    given = ComparisonSources(series_of=read_constant)
    found = compare_cohort(cohort_of(make_row, use_of), config=FAST, sources=given)
    assert found.leads[0].verdict is Verdict.DESCRIPTIVE
    assert told in found.headline[0]


def test_from_the_start_needs_no_other_measure(make_row):
    found = compare_cohort(cohort_of(make_row, lambda i: "0"), config=FAST)
    assert found.time_zero == "every technique was in use from the start of the case"


def test_cases_are_compared_from_the_first_use_on(make_row):
    found = compare_cohort(
        cohort_of(make_row, lambda i: "100" if i % 2 else "0"), config=FAST,
        sources=ComparisonSources(series_of=read_constant),
    )  # fmt: skip
    assert "from the first use" in found.time_zero
    (b,) = [g for g in found.primary.groups if g.group == "b"]
    assert {point.value for point in b.points} == {100 / 500}
    assert found.use_effects[0].n_cases == 12


def test_groups_that_are_no_techniques_need_no_use_times(make_row):
    table = cohort_of(make_row, lambda i: None)
    found = compare_cohort(table, "surgeon", FAST)
    assert found.time_zero == "cases are measured from their start"
