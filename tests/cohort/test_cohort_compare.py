from __future__ import annotations

import numpy as np
import pytest

from ubereport.cohort.compare import compare_cohort
from ubereport.cohort.groups import derived_covariates, grouped_cases
from ubereport.cohort.table import cohort_table
from ubereport.core.config import CompareConfig
from ubereport.core.errors import UsageError

FAST = CompareConfig(n_bootstrap=100, n_permutations=199)
GROUPS = {"RF coagulation": 24, "bone wax": 18, "gelatin": 15}


@pytest.fixture
def comparison(make_table):
    table = make_table(GROUPS, shift={"gelatin": -1.5}, surgeon_sd=0.3)
    return compare_cohort(table, config=FAST)


def test_groups_medians_and_quartiles(comparison, make_table):
    table = make_table(GROUPS, shift={"gelatin": -1.5}, surgeon_sd=0.3)
    assert comparison.reference == "RF coagulation"
    for group in comparison.primary.groups:
        values = table.cases["impaired_share_20"][table.cases["technique"] == group.group]
        assert group.n_cases == GROUPS[group.group] == len(group.points)
        assert group.n_surgeons == 6
        assert group.median == pytest.approx(values.median())
        assert group.quartile_low == pytest.approx(values.quantile(0.25))
        assert group.quartile_high == pytest.approx(values.quantile(0.75))
        assert (group.minimum, group.maximum) == (values.min(), values.max())


def test_a_planted_effect_is_found_and_its_absence_is_not(comparison):
    by_pair = {(c.group, c.reference): c for c in comparison.primary.contrasts}
    gelatin = by_pair["gelatin", "RF coagulation"]
    assert gelatin.test.p_holm < 0.05
    assert gelatin.shift.high < 0
    assert gelatin.cliff_delta.high < 0
    assert by_pair["bone wax", "RF coagulation"].test.p_holm > 0.05
    assert comparison.primary.omnibus.name == "Kruskal–Wallis test"


def test_holm_runs_over_contrasts_and_over_all_secondary_metrics(comparison):
    assert {c.test.family for c in comparison.primary.contrasts} == {
        "contrasts of the primary metric, 3 tests"
    }
    families = {c.test.family for m in comparison.secondary for c in m.contrasts}
    assert families == {
        f"contrasts of all secondary metrics, {3 * len(comparison.secondary)} tests"
    }
    for metric in (comparison.primary, *comparison.secondary):
        for contrast in metric.contrasts:
            assert contrast.test.p_holm >= contrast.test.p_value


def test_reading_says_result_uncertainty_and_caveats(comparison):
    text = " ".join(comparison.reading)
    assert "gelatin against RF coagulation, nothing held equal" in text.replace(
        "Gelatin", "gelatin"
    )
    assert "clearer view" not in text  # a direction is for the lead alone
    assert "described only" in " ".join(comparison.headline) or "can be called better" in (
        " ".join(comparison.headline)
    )
    assert "percentage points lower (95 % interval −" in text
    assert "held equal" in text
    assert "chance of 80 % to show a difference" in text
    caveats = " ".join(comparison.caveats)
    for words in ("not randomized", "Confounding by indication", "Immortal time", "not blood loss",
                  "not a medical device"):  # fmt: skip
        assert words in caveats


def test_the_declared_metric_is_the_primary_one(make_table):
    config = CompareConfig(primary="area_mean_frac", n_bootstrap=100)
    found = compare_cohort(make_table({"a": 8, "b": 8}), config=config)
    assert found.primary.metric_key == "area_mean_frac"
    assert "impaired_share_20" in [m.metric_key for m in found.secondary]
    assert found.primary.omnibus == found.primary.contrasts[0].test.__class__(
        found.primary.contrasts[0].test.name,
        found.primary.contrasts[0].test.p_value,
        found.primary.contrasts[0].test.statistic,
    )


def test_unknown_names_propose_the_near_one(make_table):
    table = make_table({"a": 6, "b": 6})
    with pytest.raises(UsageError, match=r"tecnique is no column.*Did you mean technique\?"):
        compare_cohort(table, "tecnique", FAST)
    with pytest.raises(UsageError, match=r"Did you mean impaired_share_20\?"):
        compare_cohort(table, config=CompareConfig(primary="impaired_share_2"))
    with pytest.raises(UsageError, match=r"agee is no column"):
        compare_cohort(table, config=FAST, covariates=["agee"])
    with pytest.raises(UsageError, match=r"c is no group of technique here"):
        compare_cohort(table, config=FAST, reference="c")


def test_the_reference_can_be_chosen(make_table):
    found = compare_cohort(make_table(GROUPS), config=FAST, reference="gelatin")
    assert found.reference == "gelatin"
    assert [c.reference for c in found.primary.contrasts[:2]] == ["gelatin", "gelatin"]


def test_a_technique_with_two_cases_is_shown_without_p_value(make_table):
    found = compare_cohort(make_table({"a": 12, "b": 12, "rare": 2}), config=FAST)
    rare = [c for c in found.primary.contrasts if "rare" in (c.group, c.reference)]
    assert len(rare) == 2
    for contrast in rare:
        assert contrast.test.p_value is None
        assert contrast.test.p_holm is None
        assert "fewer than 5 cases" in contrast.test.reason
        assert contrast.shift.value is not None
    assert {c.group for c in found.adjusted.contrasts} == {"b"}
    assert any("No p-value: fewer than 5 cases" in line for line in found.reading)
    assert found.primary.contrasts[0].test.p_value is not None


def test_two_tiny_groups_still_give_a_report(make_table):
    found = compare_cohort(make_table({"a": 2, "b": 3}, n_surgeons=2), config=FAST)
    assert found.primary.omnibus.p_value is None
    assert "fewer than two groups have 5 cases" in found.adjusted.reason
    assert found.power[0].cliff_delta is None
    assert any("could not show even complete separation" in line for line in found.reading)


def test_all_cases_censored(make_row):
    rows = [
        make_row(f"c{i:02d}", {"impaired_share_20": 0.01 * i, "coverage_frac": 0.9},
                 {"technique": "ab"[i % 2], "surgeon": f"S{i % 3}"}, [(40.0 + i, None)])
        for i in range(14)
    ]  # fmt: skip
    found = compare_cohort(cohort_table(rows), config=FAST)
    assert all(curve.n_cleared == 0 for curve in found.time_to_clear.curves)
    assert any("all events are censored" in line for line in found.reading)


def test_one_surgeon_only(make_table):
    found = compare_cohort(make_table({"a": 12, "b": 12}, n_surgeons=1), config=FAST)
    assert found.n_surgeons == 1
    assert "One surgeon only" in found.adjusted.notes[0]
    assert "One surgeon only" in " ".join(found.reading)


def test_a_case_alone_with_events_of_unseen_onset(make_row):
    rows = [
        make_row(f"c{i:02d}", {"impaired_share_20": 0.01 * i}, {"technique": "ab"[i % 2]},
                 [(40.0, 40.0)], is_onset_observed=False)
        for i in range(12)
    ]  # fmt: skip
    found = compare_cohort(cohort_table(rows), config=FAST)
    assert found.time_to_clear.reason == "no event with an observed onset"
    assert [curve.n_onset_unseen for curve in found.time_to_clear.curves] == [6, 6]


def test_mixed_models_are_set_aside_and_said(make_row):
    rows = [
        make_row(f"c{i:02d}", {"impaired_share_20": 0.01 * i}, {"technique": "ab"[i % 2]},
                 model_sha256="m2" if i < 3 else "m1")
        for i in range(20)
    ]  # fmt: skip
    found = compare_cohort(cohort_table(rows), config=FAST)
    assert found.n_cases == 17
    assert [(d.reason, d.case_ids) for d in found.dropped] == [
        ("measured with another model or other settings", ("c00", "c01", "c02"))
    ]
    assert "never mixed" in found.caveats[0]


def test_dropped_cases_are_counted_with_reasons(make_row):
    rows = [
        make_row(f"c{i:02d}", {"impaired_share_20": None if i == 4 else 0.01 * i},
                 {"technique": None if i == 5 else "ab"[i % 2]},
                 reasons={"impaired_share_20": "no evaluable time"} if i == 4 else None)
        for i in range(16)
    ]  # fmt: skip
    found = compare_cohort(cohort_table(rows), config=FAST)
    assert {d.reason: d.n_cases for d in found.dropped} == {
        "technique not stated in the manifest": 1,
        "no value of impaired_share_20: no evaluable time": 1,
    }
    assert found.n_cases == 14


def test_a_secondary_metric_counts_its_own_missing_cases(make_row):
    rows = [
        make_row(f"c{i:02d}", {"impaired_share_20": 0.01 * i,
                               "time_to_clear_median_s": None if i < 2 else 30.0 + i},
                 {"technique": "ab"[i % 2]}, reasons={"time_to_clear_median_s": "no event cleared"})
        for i in range(16)
    ]  # fmt: skip
    (secondary,) = compare_cohort(cohort_table(rows), config=FAST).secondary
    assert [group.n_cases for group in secondary.groups] == [7, 7]
    assert [(d.reason, d.case_ids) for d in secondary.dropped] == [
        ("no event cleared", ("c00", "c01"))
    ]


def test_one_group_or_none_is_refused_with_what_was_found(make_row):
    one = cohort_table([make_row(f"c{i}", {"impaired_share_20": 0.1}, {"technique": "a"})
                        for i in range(6)])  # fmt: skip
    with pytest.raises(UsageError, match="needs cases in two groups; found only a"):
        compare_cohort(one, config=FAST)
    none = cohort_table([make_row("c", {"impaired_share_20": None}, {"technique": "a"})])
    with pytest.raises(
        UsageError, match=r"found none\. 1 left out: no value of impaired_share_20: no data"
    ):
        compare_cohort(none, config=FAST)


def test_a_number_with_many_values_is_no_group(make_table):
    with pytest.raises(UsageError, match=r"age has .* different values; at most 12"):
        compare_cohort(make_table({"a": 30, "b": 30}), "age", FAST)


def test_groups_of_a_flag_are_yes_and_no(make_table):
    found = compare_cohort(make_table({"a": 30, "b": 30}), "antithrombotics", FAST)
    assert {g.group for g in found.primary.groups} == {"yes", "no"}
    assert found.caveats[0] == "Groups are formed by antithrombotics, not by technique."
    assert "antithrombotics" not in found.adjusted.covariates


def test_covariates_can_be_named(make_table):
    found = compare_cohort(make_table(GROUPS), config=FAST, covariates=["age"])
    assert found.adjusted.covariates == ("age",)
    assert {row.column for row in found.balance} == {"age", "surgeon", "coverage_frac"}


def test_what_came_after_the_technique_is_shown_and_not_held_equal(make_row):
    rng = np.random.default_rng(4)
    rows = [
        make_row(f"c{i:02d}", {"impaired_share_20": float(rng.random()),
                               "coverage_frac": float(rng.uniform(0.8, 1))},
                 {"technique": "ab"[i % 2], "surgeon": f"S{int(rng.integers(3))}",
                  "date": str(np.datetime64("2026-01-01") + 3 * i),
                  "pump_pressure_mmhg": float(rng.choice([25, 30, 35]))})
        for i in range(60)
    ]  # fmt: skip
    found = compare_cohort(cohort_table(rows), config=FAST)
    assert found.adjusted.covariates == ("calendar_time", "surgeon_case_order")
    assert {"pump_pressure_mmhg", "coverage_frac"} <= {row.column for row in found.balance}
    # Who names it gets it.
    named = compare_cohort(cohort_table(rows), config=FAST, covariates=["pump_pressure_mmhg"])
    assert named.adjusted.covariates == ("pump_pressure_mmhg",)


def test_calendar_time_and_the_surgeons_own_order_come_from_the_dates(make_row):
    days = [4, 0, 9, 2, 7, 5, 1, 3]
    rows = [
        make_row(f"c{i}", {"impaired_share_20": 0.1 * i}, {"technique": "ab"[i % 2],
                 "surgeon": f"S{i % 2}", "date": str(np.datetime64("2026-01-01") + day)})
        for i, day in enumerate(days)
    ]  # fmt: skip
    time, order = derived_covariates(
        grouped_cases(cohort_table(rows), "technique", "impaired_share_20", None)
    )
    assert time.values == tuple(map(float, days))
    # S0 has days 4, 9, 7, 1 and S1 has 0, 2, 5, 3.
    assert order.values == (2.0, 1.0, 4.0, 2.0, 3.0, 4.0, 1.0, 3.0)


def test_the_case_is_the_unit(make_row):
    def rows(n_copies):
        return [
            make_row(f"c{i:02d}", {"impaired_share_20": (i * 37 % 24) / 24},
                     {"technique": "ab"[i % 2], "surgeon": f"S{i % 3}"},
                     [(9.0 * i + 5,) * 2] * n_copies)
            for i in range(24)
        ]  # fmt: skip

    once = compare_cohort(cohort_table(rows(1)), config=FAST)
    tenfold = compare_cohort(cohort_table(rows(10)), config=FAST)
    assert once.primary == tenfold.primary
    assert once.adjusted == tenfold.adjusted
    for few, many in zip(
        once.time_to_clear.differences, tenfold.time_to_clear.differences, strict=True
    ):
        assert few.cleared_60s_share.low == pytest.approx(many.cleared_60s_share.low)


def test_the_same_cases_give_the_same_result(make_table):
    first, second = (compare_cohort(make_table(GROUPS), config=FAST) for _ in range(2))
    assert first == second


def test_the_order_of_cases_does_not_matter(make_row):
    rng = np.random.default_rng(1)
    rows = [
        make_row(f"c{i:02d}", {"impaired_share_20": float(rng.random())},
                 {"technique": "ab"[i % 2], "surgeon": f"S{i % 4}"}, [(30.0 + i, 30.0 + i)])
        for i in range(24)
    ]  # fmt: skip
    forward = compare_cohort(cohort_table(rows), config=FAST)
    assert forward == compare_cohort(cohort_table(rows[::-1]), config=FAST)
