"""Which estimate leads, and when no direction may be named."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ubereport.cohort.adjusted import ModelCases, adjusted_model
from ubereport.cohort.compare import compare_cohort
from ubereport.cohort.comparison_results import (
    ClearCurve,
    ModelFacts,
    PlanStatus,
    TimeToClear,
    Verdict,
)
from ubereport.cohort.device import (
    CaseAreas,
    GroupError,
    draw_errors,
    read_group_errors,
    seen_error,
)
from ubereport.cohort.lead import e_value
from ubereport.cohort.plan import read_plan, write_plan
from ubereport.cohort.reading import lead_reading, spoken_reading
from ubereport.cohort.scales import MetricScale, ScaleKind
from ubereport.cohort.sources import UNKNOWN_THRESHOLDS, ComparisonSources, hidden_bleeding
from ubereport.cohort.table import cohort_table
from ubereport.core.config import CompareConfig
from ubereport.core.errors import UsageError
from ubereport.core.held_out import HeldOutOperation
from ubereport.statistics.estimates import Estimate

FAST = CompareConfig(n_bootstrap=100, n_permutations=199)
LOGIT = MetricScale(ScaleKind.LOGIT, 0.005)


def operations(painted_sd=0.002, found_sd=0.01, n=20, seed=1):
    """Unseen operations of a model that finds 80 % of the blood and paints 1 % of clean view."""
    rng = np.random.default_rng(seed)
    return tuple(
        HeldOutOperation(
            f"op{i}", 20, 10, 0.1, 0.1,
            float(np.clip(0.01 + painted_sd * rng.normal(), 0, 1)),
            float(np.clip(0.8 + found_sd * rng.normal(), 0.1, 1)), 0.0,
        )
        for i in range(n)
    )  # fmt: skip


def facts(found=None):
    return ModelFacts("t", "p", "l", "e", 0.9, 0.8, operations() if found is None else found)


def shares_of(rng, mean, over=1.0, false_area=0.0):
    """Shares of time at 5, 20, 50 % of a case whose areas are log-normal, as a model sees them."""
    areas = np.clip(np.exp(rng.normal(mean, 1.2, 400)), 0, 1)
    areas = np.clip(over * areas, 0, 1)
    areas = false_area + (1 - false_area) * areas
    return {f"impaired_share_{x}": float(np.mean(areas >= x / 100)) for x in (5, 20, 50)}


def library(make_row, *, n=60, effect=0.0, surgeon_of=None, over=1.0, false_area=0.0, seed=1,
            found=None, covariates=None, use_start="0"):  # fmt: skip
    """Cases of techniques a and b: b has `effect` on the log area and may be measured too large."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        group = "ab"[i % 2]
        surgeon = f"S{rng.integers(3)}" if surgeon_of is None else surgeon_of(i, group)
        is_b = group == "b"
        values = shares_of(rng, -2.5 + rng.normal(0, 0.4) + effect * is_b,
                           over if is_b else 1.0, false_area if is_b else 0.0)  # fmt: skip
        values |= {"recorded_s": 3000.0, "pause_s": 0.0, "coverage_frac": 0.9}
        manifest = {"technique": group, "surgeon": surgeon, "use_start": use_start,
                    "date": str(np.datetime64("2026-01-01") + int(rng.integers(300)))}  # fmt: skip
        manifest |= {} if covariates is None else covariates(i, group)
        row = make_row(f"c{i:03d}", values, manifest, [(30.0, 30.0)])
        rows.append(row)
    for row in rows:
        object.__setattr__(row, "model", facts(found))
        object.__setattr__(
            row, "bands",
            {"impaired_share_20": (0.9 * row.values["impaired_share_20"],
                                   min(1.1 * row.values["impaired_share_20"], 1.0))},
        )  # fmt: skip
    return cohort_table(rows)


def lead_of(found, group="b", reference="a"):
    (lead,) = [x for x in found.leads if (x.group, x.reference) == (group, reference)]
    return lead


def test_a_large_effect_of_one_measured_alike_is_named(make_row):
    found = compare_cohort(library(make_row, effect=-1.0), config=FAST, reference="a")
    lead = lead_of(found)
    assert lead.barriers == ()
    assert lead.verdict is Verdict.LOWER
    assert lead.with_error.high < 0
    assert "b had the clearer view than cases with a" in found.headline[0]
    assert found.headline[0].startswith("Exploratory: ")
    assert {t.threshold for t in lead.at_thresholds} == {"strict", "lenient"}
    assert lead.tipping.group == "a"
    assert lead.tipping.factor > 1.2
    assert any("To undo the difference" in line for line in found.headline)


def test_no_effect_names_nobody(make_row):
    found = compare_cohort(library(make_row), config=FAST, reference="a")
    assert lead_of(found).verdict is Verdict.NOT_SHOWN
    assert lead_of(found).tipping is None


def test_one_surgeon_per_technique_is_described_only(make_row):
    nested = library(make_row, effect=-1.5, surgeon_of=lambda i, group: f"S{group}{i % 4 // 2}")
    found = compare_cohort(nested, config=FAST, reference="a")
    assert lead_of(found).verdict is Verdict.DESCRIPTIVE
    assert "cannot be told apart from surgeons" in " ".join(found.headline)
    assert "clearer view" not in " ".join(found.headline)


def test_six_nested_surgeons_are_described_only(make_row):
    nested = library(make_row, effect=-1.5, surgeon_of=lambda i, group: f"S{group}{i % 6 // 2}")
    found = compare_cohort(nested, config=FAST, reference="a")
    assert lead_of(found).verdict is Verdict.DESCRIPTIVE
    assert "no surgeon used both" in " ".join(lead_of(found).barriers)


def test_surgeons_not_stated_are_a_barrier(make_row):
    nobody = library(make_row, effect=-1.5, surgeon_of=lambda i, group: None)
    found = compare_cohort(nobody, config=FAST, reference="a")
    assert "no surgeon is stated" in " ".join(lead_of(found).barriers)


def test_one_surgeon_for_all_may_be_compared(make_row):
    alone = library(make_row, effect=-1.5, surgeon_of=lambda i, group: "S1")
    found = compare_cohort(alone, config=FAST, reference="a")
    assert lead_of(found).verdict is Verdict.LOWER
    assert "One surgeon only" in " ".join(found.reading)


def test_a_covariate_that_is_none_or_all_is_a_barrier(make_row):
    apart = library(
        make_row, effect=-1.5,
        covariates=lambda i, group: {"procedure": "ULBD" if group == "a" else "discectomy"},
    )  # fmt: skip
    found = compare_cohort(apart, config=FAST, reference="a")
    assert lead_of(found).verdict is Verdict.DESCRIPTIVE
    assert "procedure alone tells the two apart" in " ".join(lead_of(found).barriers)
    assert any("Total imbalance" in line for line in found.reading)


def test_a_barrier_names_a_column_as_people_do(make_row):
    apart = library(
        make_row, effect=-1.5,
        covariates=lambda i, group: {"levels": 1 if group == "a" else 2},
    )  # fmt: skip
    barriers = " ".join(lead_of(compare_cohort(apart, config=FAST, reference="a")).barriers)
    assert "levels operated alone tells the two apart" in barriers


def test_techniques_of_different_years_cannot_be_compared(make_row):
    later = library(
        make_row, effect=-1.5,
        covariates=lambda i, group: {"date": f"{2024 + (group == 'b')}-{1 + i % 12:02d}-01"},
    )  # fmt: skip
    found = compare_cohort(later, config=FAST, reference="a")
    assert "calendar time alone tells the two apart" in " ".join(lead_of(found).barriers)


def test_use_times_not_known_are_immortal_time(make_row):
    found = compare_cohort(library(make_row, effect=-1.5, use_start=None), config=FAST)
    assert lead_of(found, *sorted({"a", "b"} - {found.reference}), found.reference).verdict is (
        Verdict.DESCRIPTIVE
    )
    assert "cannot have changed the minutes before" in found.headline[0]


@pytest.mark.parametrize(("over", "false_area"), [(1.2, 0.0), (1.0, 0.06)])
def test_areas_measured_too_large_in_one_group_are_no_finding(make_row, over, false_area):
    # Of unseen operations some find half of the blood and some paint a tenth of what is clean.
    wild = operations(painted_sd=0.04, found_sd=0.15)
    verdicts = [
        lead_of(
            compare_cohort(
                library(make_row, over=over, false_area=false_area, found=wild, seed=seed),
                config=FAST, reference="a",
            )
        ).verdict
        for seed in range(12)
    ]  # fmt: skip
    assert set(verdicts) == {Verdict.NOT_SHOWN}


def test_labelled_stills_take_a_groups_own_error_out(make_row):
    table = library(make_row, over=1.4, n=120)
    stills = {
        "a": GroupError(0.01, 0.002, 0.60, 0.01, 60, 12),
        "b": GroupError(0.01, 0.002, 0.84, 0.01, 60, 12),
    }
    corrected = compare_cohort(
        table, config=FAST, reference="a", sources=ComparisonSources(local_errors=stills)
    )
    plain = lead_of(corrected).difference
    lead = lead_of(corrected)
    assert plain.low > 0
    assert lead.verdict is Verdict.NOT_SHOWN
    assert abs(lead.with_error.value) < abs(plain.value) / 2


def test_labelled_stills_of_one_group_only_are_refused(make_row):
    stills = {"a": GroupError(0.01, 0.002, 0.6, 0.01, 60, 12)}
    with pytest.raises(UsageError, match=r"no labelled stills of b\. Label stills of every group"):
        compare_cohort(
            library(make_row), config=FAST, sources=ComparisonSources(local_errors=stills)
        )


def test_a_bundle_that_does_not_say_what_it_errs_is_a_barrier(make_row):
    found = compare_cohort(library(make_row, effect=-1.5, found=()), config=FAST, reference="a")
    assert "does not say what it erred" in " ".join(lead_of(found).barriers)
    assert "its bundle does not say" in " ".join(found.headline)


def test_a_declared_margin_finds_likeness(make_row):
    table = library(make_row, n=300)
    config = CompareConfig(n_bootstrap=100, n_permutations=199, margin=0.15)
    found = compare_cohort(table, config=config, reference="a")
    assert lead_of(found).verdict is Verdict.EQUIVALENT
    assert "alike within the declared margin of 15.0 percentage points" in found.headline[0]
    narrow = CompareConfig(n_bootstrap=100, n_permutations=199, margin=0.01)
    assert lead_of(compare_cohort(table, config=narrow, reference="a")).verdict is Verdict.NOT_SHOWN


def test_metrics_that_no_error_can_be_carried_into_are_described(make_row):
    table = library(make_row, effect=-1.0)
    table.cases["longest_run_20_s"] = np.linspace(1, 60, 60)
    object.__setattr__(table, "metric_keys", (*table.metric_keys, "longest_run_20_s"))
    config = CompareConfig(primary="longest_run_20_s", n_bootstrap=100, n_permutations=199)
    found = compare_cohort(table, config=config, reference="a")
    assert "cannot be read under another error" in " ".join(lead_of(found).barriers)


def test_all_zero_and_all_equal_have_no_lead(make_row):
    table = library(make_row)
    table.cases["impaired_share_20"] = 0.0
    found = compare_cohort(table, config=FAST, reference="a")
    assert lead_of(found).verdict is Verdict.DESCRIPTIVE
    assert "the same in all cases" in " ".join(lead_of(found).barriers)


def test_a_plan_that_came_late_names_nobody(make_row, tmp_path):
    table = library(make_row, effect=-1.5)
    (tmp_path / "folder-c000").mkdir()
    (tmp_path / "folder-c000" / "case.json").write_text("{}")
    write_plan(tmp_path, "technique", FAST, "a", None)
    given = ComparisonSources(plan=read_plan(tmp_path))
    found = compare_cohort(table, config=FAST, reference="a", sources=given)
    assert found.plan.status is PlanStatus.LATE
    assert lead_of(found).verdict is Verdict.DESCRIPTIVE
    assert "had been measured before the plan was written" in found.headline[0]


def test_a_plan_that_was_followed_is_told_in_the_sentence(make_row, tmp_path):
    write_plan(tmp_path, "technique", FAST, "a", None)
    given = ComparisonSources(plan=read_plan(tmp_path))
    found = compare_cohort(
        library(make_row, effect=-1.0), config=FAST, reference="a", sources=given
    )
    assert found.headline[0].startswith(f"As planned on {found.plan.written_at[:10]}: ")


def test_all_censored_names_nobody(make_row):
    table = library(make_row, effect=-1.5)
    table.events["is_censored"] = True
    found = compare_cohort(table, config=FAST, reference="a")
    assert lead_of(found).verdict is Verdict.DESCRIPTIVE
    assert "30 of 30 events with a were lost from view" in " ".join(lead_of(found).barriers)
    text = " ".join((*found.headline, *found.reading))
    assert "clearer view" not in text
    assert "all events are censored" in text
    for curve in found.time_to_clear.curves:
        assert curve.bounds_60s == (0.0, 1.0)


def clearing(curves):
    """What a comparison found of events: (group, events, censored, seconds watched) a curve."""
    nothing = Estimate(None, None, None, "none", "made up", 0.95)
    return TimeToClear(
        180.0, "", 0,
        tuple(
            ClearCurve(group, 10, n, n - n_lost, n_lost, 0, (0.0,), (1.0,), (), *(nothing,) * 4,
                       watched_s=watched_s)
            for group, n, n_lost, watched_s in curves
        ),
        (),
    )  # fmt: skip


def test_bleeding_lost_more_readily_in_one_group_stands_against_a_direction():
    (found,) = hidden_bleeding(clearing([("a", 100, 2, 4000.0), ("b", 100, 15, 4000.0)]))
    assert found[0] == {"a", "b"}
    assert found[1].startswith(
        "bleeding was lost from view more often with b (15 of 100 events) than with a (2 of 100)"
    )


@pytest.mark.parametrize(
    "curves",
    [
        # As readily for each open second: b's events are only longer.
        [("a", 100, 5, 2000.0), ("b", 100, 15, 6000.0)],
        # Too few to matter.
        [("a", 100, 0, 4000.0), ("b", 100, 4, 4000.0)],
        [("a", 0, 0, 0.0), ("b", 100, 15, 4000.0)],
    ],
)
def test_losses_that_follow_from_longer_bleeding_or_are_few_do_not(curves):
    assert hidden_bleeding(clearing(curves)) == ()


def test_the_same_cases_name_somebody_until_bleeding_is_lost_in_one_group(make_row):
    table = library(make_row, effect=-1.5)
    found = compare_cohort(table, config=FAST, reference="a")
    assert lead_of(found).verdict is Verdict.LOWER
    rows = table.events["case_id"].isin(table.cases["case_id"][table.cases["technique"] == "b"])
    table.events.loc[table.events.index[rows][::3], "is_censored"] = True
    found = compare_cohort(table, config=FAST, reference="a")
    assert lead_of(found).verdict is Verdict.DESCRIPTIVE
    assert "lost from view more often with b" in " ".join(lead_of(found).barriers)


# The arithmetic of an error of the model.


def test_an_area_map_moves_shares_as_areas_move():
    rng = np.random.default_rng(3)
    areas = np.clip(np.exp(rng.normal(-2.3, 1.0, (30, 5000))), 0, 1)

    def shares(a):
        return np.stack([(a >= x).mean(axis=1) for x in (0.05, 0.2, 0.5)], axis=1)

    for slope, shift in ((1.2, 0.0), (0.8, 0.0), (1.0, 0.04), (1.1, -0.02)):
        measured = CaseAreas("impaired_share_20", shares(areas)[:, 1], shares(areas))
        found = measured.under(np.array([[shift]]), np.array([[slope]]), np.zeros(30, int))[0]
        true = (shift + slope * areas >= 0.2).mean(axis=1)
        # Between 5, 20 and 50 % the share is interpolated: within two points of the areas' own.
        assert np.abs(found - true).max() < 0.02


def test_no_error_changes_nothing():
    shares = np.array([[0.4, 0.2, 0.1], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    for key, values in (("impaired_share_20", shares[:, 1]), ("area_mean_frac", shares[:, 2])):
        areas = CaseAreas(key, values, shares)
        same = areas.under(np.zeros((1, 1)), np.ones((1, 1)), np.zeros(3, int))[0]
        assert same == pytest.approx(values, abs=1e-12)


def test_mean_areas_move_with_the_map():
    areas = CaseAreas("area_mean_frac", np.array([0.1, 0.2]), None)
    found = areas.under(np.array([[0.01, 0.0]]), np.array([[1.5, 1.0]]), np.array([0, 1]))
    assert found[0] == pytest.approx([0.16, 0.2])


def test_draws_turn_measured_areas_into_what_the_usual_operation_would_measure():
    draws = draw_errors(("a", "b"), operations(0.003, 0.1), {}, 4000, 1)
    found = [o.blood_found_share for o in operations(0.003, 0.1)]
    painted = [o.painted_clean_frac for o in operations(0.003, 0.1)]
    # Where nothing is measured but what is painted, and where all is blood: m = p, and m = f.
    # shift + slope p = p0 and shift + slope f = f0 give p0 and f0 back from any draw.
    usual_painted = draws.shift + draws.slope * np.median(painted)
    usual_found = draws.shift + draws.slope * np.median(found)
    assert np.median(usual_painted) == pytest.approx(np.median(painted), abs=0.002)
    assert np.median(usual_found) == pytest.approx(np.median(found), abs=0.02)
    # Groups err each on their own, as far apart as two operations.
    log_ratio = np.log(draws.slope[:, 0] / draws.slope[:, 1])
    normal = 0.6745 * np.sqrt(2) * np.std(np.log(found))
    assert np.median(np.abs(log_ratio)) == pytest.approx(normal, rel=0.2)
    assert abs(np.corrcoef(draws.slope.T)[0, 1]) < 0.3


def test_an_operation_of_one_still_does_not_widen_the_draws():
    steady = operations(0.002, 0.02, n=20)
    one = HeldOutOperation("lonely", 1, 1, 0.1, 0.1, 0.01, 0.0, 0.0)
    spread = [
        np.std(np.log(draw_errors(("a", "b"), given, {}, 4000, 1).slope))
        for given in (steady, (*steady, one), (*steady, replace(one, n_stills=20, n_with_blood=20)))
    ]
    # A share of 0 seen in one still says next to nothing; seen in twenty it says much.
    assert spread[1] < 0.5 * spread[2]
    assert spread[0] < spread[2]


def test_few_operations_say_nothing_of_the_spread():
    assert draw_errors(("a", "b"), operations(n=9), {}, 10, 1) is None
    assert seen_error(operations(n=9)) is None


def test_what_was_seen_is_the_ninetieth_of_a_hundred_pairs():
    many = operations(painted_sd=0.003, found_sd=0.05, n=200)
    found = seen_error(many)
    pairs = np.array([(o.painted_clean_frac, o.blood_found_share) for o in many])
    ratios = [max(x / y, y / x) for i, x in enumerate(pairs[:, 1]) for y in pairs[:i, 1]]
    gaps = [abs(x - y) for i, x in enumerate(pairs[:, 0]) for y in pairs[:i, 0]]
    assert found.n_operations == 200
    assert found.factor == pytest.approx(np.quantile(ratios, 0.9), rel=0.05)
    assert found.false_area_frac == pytest.approx(np.quantile(gaps, 0.9), rel=0.2)


@pytest.mark.parametrize("n_surgeons", [3, 6])
def test_the_weights_give_the_effect_back(n_surgeons):
    rng = np.random.default_rng(2)
    n = 80
    values = LOGIT.back(rng.normal(-2, 0.8, n))
    surgeons = tuple(f"S{i}" for i in rng.integers(n_surgeons, size=n))
    cases = ModelCases(
        tuple(map(str, range(n))), values, rng.integers(3, size=n), ("a", "b", "c"), surgeons, ()
    )
    model = adjusted_model(cases, LOGIT, FAST)
    for fit, contrast in zip(model.fits, model.comparison.contrasts, strict=True):
        assert fit.weights @ LOGIT.forward(values[fit.rows]) == pytest.approx(fit.effect, abs=1e-9)
        assert fit.effect == pytest.approx(contrast.effect.value)


def test_e_value_of_groups_without_spread_is_a_number():
    assert np.isfinite(e_value(1e300))


def test_e_value_equals_the_published_example():
    # VanderWeele and Ding (2017): RR 3.9 gives 7.26.
    assert e_value(np.log(3.9) / 0.91) == pytest.approx(7.26, abs=0.01)
    assert e_value(-np.log(3.9) / 0.91) == pytest.approx(7.26, abs=0.01)
    assert e_value(0.0) == 1.0


def test_a_file_of_errors_comes_back_and_another_is_refused(tmp_path):
    path = tmp_path / "errors_by_group.json"
    error = {"painted_clean_frac": 0.01, "painted_se": 0.002, "blood_found_share": 0.8,
             "found_se": 0.02, "n_stills": 40, "n_recordings": 8}  # fmt: skip
    path.write_text(json.dumps({"groups": {"bone wax": error}}))
    assert read_group_errors(path) == {"bone wax": GroupError(0.01, 0.002, 0.8, 0.02, 40, 8)}
    path.write_text("[]")
    with pytest.raises(UsageError, match=r"Give errors_by_group\.json"):
        read_group_errors(path)


def test_ties_everywhere_name_nobody(make_row):
    # Two values only, alike in both groups: ranks, spread and permutations live with that.
    table = library(make_row)
    table.cases["impaired_share_20"] = np.where(np.arange(60) % 4 < 2, 0.0, 0.2)
    found = compare_cohort(table, config=FAST, reference="a")
    assert lead_of(found).verdict in (Verdict.NOT_SHOWN, Verdict.DESCRIPTIVE)
    assert found.primary.contrasts[0].shift.value == 0.0
    assert found.adjusted.contrasts[0].effect.value == pytest.approx(0.0, abs=0.3)


def test_one_group_is_one_sentence(make_row):
    table = library(make_row)
    table.cases["technique"] = "a"
    with pytest.raises(UsageError, match="technique"):
        compare_cohort(table, config=FAST)


def test_one_surgeon_is_compared_and_told(make_row):
    found = compare_cohort(
        library(make_row, effect=-1.0, surgeon_of=lambda i, group: "S1"), config=FAST, reference="a"
    )
    assert lead_of(found).verdict is Verdict.LOWER
    assert "One surgeon only: nothing is known of how others would fare." in found.adjusted.notes


def test_a_sign_that_turns_at_another_threshold_names_nobody(make_row):
    table = library(make_row, effect=-1.0)
    assert lead_of(compare_cohort(table, config=FAST, reference="a")).verdict is Verdict.LOWER
    band = table.bands["impaired_share_20"]
    is_b = (table.cases["technique"] == "b").to_numpy()
    # At both other thresholds b has the larger areas: their signs are alike, and not the central.
    band[:] = np.where(is_b[:, None], 0.6, 0.1) + 0.01 * np.arange(len(band))[:, None] / len(band)
    lead = lead_of(compare_cohort(table, config=FAST, reference="a"))
    assert all(t.difference.value > 0 for t in lead.at_thresholds)
    assert lead.difference.value < 0
    assert lead.verdict is Verdict.NOT_SHOWN
    # Chance does not explain it: the p-value is small, and the sign alone stands against it.
    said = " ".join(lead_reading(compare_cohort(table, config=FAST, reference="a"), FAST))
    assert lead.test.p_holm < 0.05
    assert "chance can explain it" not in said
    assert "The sign of the difference depends on the threshold of the model" in said
    assert "lower at its own threshold" in said
    assert "higher at the lenient one" in said


@pytest.mark.parametrize(("n_tests", "is_corrected"), [(1, False), (2, True)])
def test_a_single_test_is_not_called_corrected(make_row, n_tests, is_corrected):
    comparison = compare_cohort(library(make_row, effect=-1.0), config=FAST, reference="a")
    lead = lead_of(comparison)
    doubtful = replace(
        lead, verdict=Verdict.NOT_SHOWN, test=replace(lead.test, p_value=0.06, p_holm=0.06)
    )
    contrasts = comparison.adjusted.contrasts[:1] * n_tests
    adjusted = replace(comparison.adjusted, contrasts=contrasts)
    found = replace(comparison, leads=(doubtful,), adjusted=adjusted)
    said = " ".join(lead_reading(found, FAST))
    assert "hance can explain it (p = 0.060)" in said
    assert ("Corrected for the number of comparisons" in said) == is_corrected
    assert "The sign" not in said


def test_a_case_without_other_thresholds_is_a_barrier(make_row):
    table = library(make_row, effect=-1.0)
    table.bands["impaired_share_20"][3] = np.nan
    lead = lead_of(compare_cohort(table, config=FAST, reference="a"))
    assert lead.verdict is Verdict.DESCRIPTIVE
    assert UNKNOWN_THRESHOLDS in lead.barriers


def test_one_event_in_one_case_is_not_in_the_plural(make_row):
    found = compare_cohort(library(make_row, effect=-1.0), config=FAST, reference="a")
    alone = clearing([("a", 1, 0, 30.0)])
    alone = replace(alone, curves=(replace(alone.curves[0], n_cases=1),))
    said = " ".join(spoken_reading(replace(found, time_to_clear=alone), FAST))
    assert "(1 event, 0 censored, in 1 case)" in said
