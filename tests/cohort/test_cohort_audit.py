from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ubereport.cohort.audit import ALL_PROCEDURES, audit_cohort
from ubereport.cohort.audit_results import FunnelZone, Signal
from ubereport.cohort.table import cohort_table
from ubereport.core.config import AuditConfig
from ubereport.core.errors import UsageError

FAST = AuditConfig(n_permutations=199)


def rows_of(make_row, n=40, *, special=(), model_of=lambda i: "m1", seed=3):
    """Cases five days apart; `special` ones have most of their time impaired."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        share = float(1 / (1 + np.exp(-rng.normal(-2.5, 0.4))))
        share = 0.85 if i in special else share
        at_risk_s = float(rng.uniform(2000, 2800))
        values = {
            "impaired_share_20": share,
            "area_mean_frac": share / 3,
            "closing_area_mean_frac": share / 4,
            "coverage_frac": float(rng.uniform(0.85, 0.99)),
            "evaluable_s": 3000.0,
            "event_count": 10.0,
            "event_rate_per_10min": float(rng.poisson(10)) * 600 / at_risk_s,
            "at_risk_s": at_risk_s,
            "major_event_count": float(rng.random() < 0.3),
        }
        covariates = {
            "date": str(np.datetime64("2026-01-03") + 5 * i),
            "procedure": "ULBD" if i % 3 else "discectomy",
            "technique": "bone wax",
            "surgeon": f"S{i % 2 + 1}",
            "clarity_rating": int(np.digitize(share, (0.05, 0.2, 0.5))),
            "hb_drop_g_dl": round(1 + 3 * share + 0.2 * rng.random(), 2),
            "hematoma": bool(rng.random() < 0.3),
        }
        rows.append(make_row(f"c{i:02d}", values, covariates, model_sha256=model_of(i)))
    return rows


@pytest.fixture
def audit(make_row):
    return audit_cohort(cohort_table(rows_of(make_row, special=(20,))), FAST)


def chart_of(audit, procedure, kind, key):
    (chart,) = [c for c in audit.charts if (c.procedure, c.kind, c.metric_key)
                == (procedure, kind, key)]  # fmt: skip
    return chart


def test_every_procedure_has_its_charts_in_order_of_date(audit):
    assert [(c.procedure, c.kind, c.metric_key) for c in audit.charts] == [
        ("ULBD", "xmr", "impaired_share_20"),
        ("ULBD", "u", "event_rate_per_10min"),
        ("discectomy", "xmr", "impaired_share_20"),
        ("discectomy", "u", "event_rate_per_10min"),
        (ALL_PROCEDURES, "xmr", "coverage_frac"),
    ]
    for chart in audit.charts:
        dates = [point.date for point in chart.points]
        assert dates == sorted(dates)
    assert sum(len(c.points) for c in audit.charts if c.metric_key == "impaired_share_20") == 40


def test_a_planted_special_cause_is_named(audit):
    chart = chart_of(audit, "ULBD", "xmr", "impaired_share_20")
    outside = [p.case_id for p in chart.points if Signal.OUTSIDE in p.signals]
    assert outside == ["c20"]
    (case,) = [case for case in audit.cases if case.case_id == "c20"]
    assert Signal.OUTSIDE in case.signals
    assert any("1 case outside the limits" in line for line in audit.reading)


def test_u_chart_has_time_at_risk_as_exposure(audit, make_row):
    chart = chart_of(audit, "ULBD", "u", "event_rate_per_10min")
    rows = [r for r in rows_of(make_row, special=(20,)) if r.covariates["procedure"] == "ULBD"]
    rates = np.array([row.values["event_rate_per_10min"] for row in rows])
    at_risk = np.array([row.values["at_risk_s"] / 600 for row in rows])
    assert [p.value for p in chart.points] == pytest.approx(rates)
    assert chart.center == pytest.approx(np.sum(rates * at_risk) / at_risk.sum())


def test_case_table_links_folders_and_says_values(audit):
    first = audit.cases[0]
    assert (first.case_id, first.folder) == ("c00", "folder-c00")
    assert (first.date, first.procedure, first.surgeon) == ("2026-01-03", "discectomy", "S1")
    assert dict(first.values).keys() >= {"impaired_share_20", "area_mean_frac", "event_count"}
    assert [case.date for case in audit.cases] == sorted(case.date for case in audit.cases)


def test_funnels_curves_agreement_and_outcomes(audit):
    assert [f.metric_key for f in audit.funnels] == [
        "impaired_share_20",
        "major_event_case_share",
    ] * 2
    assert [p.zone for p in audit.funnels[0].points] == [FunnelZone.INSIDE] * 2
    assert [c.surgeon for c in audit.learning_curves] == ["S1", "S2"]
    assert {a.metric_key for a in audit.agreements} == {"impaired_share_20", "area_mean_frac"}
    agreement = audit.agreements[0]
    assert agreement.weighted_kappa.value == pytest.approx(1.0)
    assert {(o.column, o.metric_key) for o in audit.outcomes} == {
        (column, key)
        for column in ("hb_drop_g_dl", "hematoma")
        for key in ("impaired_share_20", "closing_area_mean_frac")
    }
    drop = next(o for o in audit.outcomes if o.column == "hb_drop_g_dl")
    assert drop.estimate.low > 0.5
    assert drop.test.p_holm < 0.001


def test_months_say_how_many_and_how_well_seen(audit):
    assert [m.month for m in audit.months] == [f"2026-{m:02d}" for m in range(1, 8)]
    assert sum(m.n_cases for m in audit.months) == 40
    assert all(0.85 <= m.coverage_median_frac <= 0.99 for m in audit.months)


def test_mixed_models_stay_off_the_charts_and_are_flagged(make_row):
    rows = rows_of(make_row, model_of=lambda i: "m2" if i < 6 else "m1")
    audit = audit_cohort(cohort_table(rows), FAST)
    assert audit.n_cases == 34
    assert [model.n_cases for model in audit.models] == [34, 6]
    assert audit.dropped[0].n_cases == 6
    assert "mixes 2 ways of measuring" in audit.caveats[0]
    drawn = {p.case_id for chart in audit.charts for p in chart.points}
    assert drawn.isdisjoint({f"c{i:02d}" for i in range(6)})
    assert [case.is_used for case in audit.cases].count(False) == 6


def test_cases_without_date_procedure_or_value(make_row):
    rows = rows_of(make_row, n=20)
    rows[3].covariates["date"] = None
    rows[4].covariates["procedure"] = None
    rows[5].values["impaired_share_20"] = None
    rows[5].reasons["impaired_share_20"] = "no evaluable time"
    audit = audit_cohort(cohort_table(rows), FAST)
    assert [(d.reason, d.case_ids) for d in audit.dropped] == [
        ("no date in the manifest: not on a chart", ("c03",))
    ]
    assert "procedure not stated" in {chart.procedure for chart in audit.charts}
    (chart,) = [c for c in audit.charts if c.dropped]
    assert chart.dropped[0].reason == "no evaluable time"


def test_a_library_without_manifest_still_gives_a_case_table(make_row):
    rows = [make_row(f"c{i}", {"impaired_share_20": 0.1 * i}) for i in range(5)]
    audit = audit_cohort(cohort_table(rows), FAST)
    assert audit.charts == ()
    assert audit.agreements == ()
    assert audit.outcomes == ()
    assert audit.months == ()
    assert len(audit.cases) == 5
    assert audit.funnels[0].reason == "fewer than two surgeons have 10 cases"


def test_an_unknown_metric_proposes_the_near_one(make_row):
    table = cohort_table(rows_of(make_row, n=5))
    with pytest.raises(UsageError, match=r"Did you mean impaired_share_20\?"):
        audit_cohort(table, AuditConfig(metric="impaired_share20"))


def test_surgeons_under_ten_cases_have_no_curve(make_row):
    audit = audit_cohort(cohort_table(rows_of(make_row, n=18)), FAST)
    assert audit.learning_curves == ()
    assert audit.funnels[0].n_too_few_cases == 2


def test_the_order_of_cases_does_not_matter(make_row):
    rows = rows_of(make_row)
    assert audit_cohort(cohort_table(rows), FAST) == audit_cohort(cohort_table(rows[::-1]), FAST)


def test_caveats_forbid_ranking_and_blood_loss(audit):
    text = " ".join(audit.caveats)
    for words in ("not ranked", "not blood loss", "not a medical device", "pump pressure"):
        assert words in text
    # Learning curves are adjusted for case mix: only charts and funnels are not.
    assert "nothing here is adjusted" not in text
    assert "control charts and funnel plots are not adjusted" in text


def test_curves_say_what_was_taken_off_them(audit, make_row):
    assert {curve.held_equal for curve in audit.learning_curves} == {("procedure",)}
    few = audit_cohort(cohort_table(rows_of(make_row, n=9)), replace(FAST, min_cases_per_surgeon=4))
    assert {curve.held_equal for curve in few.learning_curves} == {()}


def test_a_funnel_knows_whether_its_values_are_shares(audit, make_row):
    assert all(funnel.is_share for funnel in audit.funnels)
    counts = audit_cohort(cohort_table(rows_of(make_row)), replace(FAST, metric="event_count"))
    assert [funnel.is_share for funnel in counts.funnels] == [False, True] * 2


@pytest.mark.parametrize("metric", ["event_rate_per_10min", "coverage_frac"])
def test_a_metric_that_is_charted_anyway_has_one_chart(make_row, metric):
    found = audit_cohort(cohort_table(rows_of(make_row)), replace(FAST, metric=metric))
    charts = [(c.procedure, c.metric_key) for c in found.charts]
    assert len(charts) == len(set(charts))
    assert ("ULBD", metric) in charts
    assert ((ALL_PROCEDURES, "coverage_frac") in charts) == (metric != "coverage_frac")


def test_ratings_that_are_words_are_refused_in_words(make_row):
    with pytest.raises(UsageError, match="'technique' of the manifest holds words"):
        audit_cohort(cohort_table(rows_of(make_row)), replace(FAST, rating_column="technique"))
