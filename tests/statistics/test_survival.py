from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from ubereport.core.events import CensorReason, HemostasisEvent, Severity
from ubereport.statistics.survival import kaplan_meier, kaplan_meier_of_durations

# Remission in weeks of 21 children given 6-mercaptopurine, + still in remission when last seen:
# Freireich et al., Blood 1963;21:699, the worked example of many textbooks.
WEEKS = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
ENDED = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
# As printed by Stata's `sts list` for the same data: time, at risk, survivor function, 95 % limits.
PUBLISHED = [
    (6, 21, 0.8571, 0.6197, 0.9516),
    (7, 17, 0.8067, 0.5631, 0.9228),
    (10, 15, 0.7529, 0.5032, 0.8894),
    (13, 12, 0.6902, 0.4316, 0.8491),
    (16, 11, 0.6275, 0.3675, 0.8049),
    (22, 7, 0.5378, 0.2678, 0.7468),
    (23, 6, 0.4482, 0.1881, 0.6801),
]


def _event(onset_s, end_s, *, is_cleared=True, is_onset_observed=True):
    return HemostasisEvent(
        onset_s=onset_s,
        is_onset_observed=is_onset_observed,
        peak_s=onset_s,
        peak_area_frac=0.3,
        end_s=end_s,
        clear_s=end_s if is_cleared else None,
        censor_reason=CensorReason.NONE if is_cleared else CensorReason.VIEW_LOST,
        mean_area_frac=0.2,
        area_time_frac_s=0.2 * (end_s - onset_s),
        is_rebleed=False,
        severity=Severity.MODERATE,
    )


def test_the_published_example_is_met():
    curve = kaplan_meier_of_durations(WEEKS, ENDED)
    assert (curve.n_events, curve.n_censored) == (21, 12)
    assert (curve.time_s[0], curve.survival_frac[0]) == (0, 1)
    assert curve.time_s[1:].tolist() == [row[0] for row in PUBLISHED]
    assert curve.n_at_risk[1:].tolist() == [row[1] for row in PUBLISHED]
    assert curve.n_cleared[1:].tolist() == [3, 1, 1, 1, 1, 1, 1]
    for column, values in ((2, curve.survival_frac), (3, curve.low_frac), (4, curve.high_frac)):
        np.testing.assert_allclose(values[1:], [row[column] for row in PUBLISHED], atol=5e-5)
    assert curve.median_s == 23


def test_a_small_case_by_hand():
    # Cleared after 10, 30 and 50 s; the view was lost 20 s into another event.
    curve = kaplan_meier_of_durations([10, 20, 30, 50], [True, False, True, True])
    np.testing.assert_allclose(curve.survival_frac, [1, 3 / 4, 3 / 8, 0])
    assert curve.n_at_risk.tolist() == [4, 4, 2, 1]
    assert curve.median_s == 30
    assert curve.cleared_share_at(0) == 0
    assert curve.cleared_share_at(29.9) == 1 / 4
    assert curve.cleared_share_at(30) == pytest.approx(5 / 8)
    assert curve.cleared_share_at(1000) == 1
    assert [curve.n_at_risk_at(t) for t in (0, 10, 10.5, 20, 25, 50, 51)] == [4, 4, 3, 3, 2, 1, 0]
    assert math.isnan(curve.low_frac[-1]), "Greenwood has no answer where all are cleared"


def test_without_censoring_quantiles_are_the_ordinary_ones():
    durations = [3.0, 8.0, 1.0, 20.0]
    curve = kaplan_meier_of_durations(durations, [True] * 4)
    assert curve.median_s == np.median(durations) == 5.5
    assert curve.cleared_by_share_s(0.25) == 2.0
    assert curve.cleared_by_share_s(0.3) == 3.0
    assert curve.cleared_by_share_s(1.0) == 20.0
    odd = kaplan_meier_of_durations([3.0, 8.0, 1.0], [True] * 3)
    assert odd.median_s == 3.0


@pytest.mark.parametrize("seed", range(5))
def test_any_curve_is_the_product_of_its_conditional_shares(seed):
    rng = np.random.default_rng(seed)
    durations = rng.integers(1, 15, 40)
    cleared = rng.random(40) < 0.6
    curve = kaplan_meier_of_durations(durations, cleared)
    share = Fraction(1)
    for time_s in sorted({int(d) for d, c in zip(durations, cleared, strict=True) if c}):
        pairs = list(zip(durations.tolist(), cleared.tolist(), strict=True))
        at_risk = sum(d >= time_s for d, _ in pairs)
        share *= 1 - Fraction(sum(d == time_s and c for d, c in pairs), at_risk)
        row = curve.time_s.tolist().index(time_s)
        assert curve.survival_frac[row] == pytest.approx(float(share), abs=1e-12)
        assert curve.n_at_risk[row] == at_risk


def test_a_curve_that_ends_early_claims_nothing_beyond():
    curve = kaplan_meier_of_durations([10, 20, 20], [True, False, False])
    assert curve.median_s is None
    assert curve.cleared_share_at(20) == pytest.approx(1 / 3)
    assert curve.cleared_share_at(20.5) is None


def test_nothing_followed_means_no_numbers():
    curve = kaplan_meier([])
    assert curve.n_events == 0
    assert curve.median_s is None
    assert curve.cleared_share_at(60) is None
    assert curve.n_at_risk_at(0) == 0


def test_events_with_an_unseen_onset_are_left_out_and_counted():
    events = [
        _event(0, 40, is_onset_observed=False),
        _event(100, 110),
        _event(200, 230, is_cleared=False),
    ]
    curve = kaplan_meier(events)
    assert (curve.n_events, curve.n_censored, curve.n_onset_unseen) == (2, 1, 1)
    assert curve.time_s.tolist() == [0, 10]
    assert curve.duration_s.tolist() == [10, 30]


def test_the_curve_cannot_be_written_to():
    curve = kaplan_meier_of_durations([1.0], [True])
    with pytest.raises(ValueError, match="read-only"):
        curve.survival_frac[0] = 0.5


def test_wrong_durations_are_refused():
    with pytest.raises(ValueError, match="2 durations, but 1 entries"):
        kaplan_meier_of_durations([1.0, 2.0], [True])
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="finite and 0 or more"):
            kaplan_meier_of_durations([bad], [True])


def test_impossible_questions_are_refused():
    curve = kaplan_meier_of_durations([1.0], [True])
    with pytest.raises(ValueError, match=r"share of 1\.5"):
        curve.cleared_by_share_s(1.5)
    with pytest.raises(ValueError, match="time of -1"):
        curve.cleared_share_at(-1)


def test_the_curve_and_its_limits_are_those_of_scipy():
    rng = np.random.default_rng(3)
    followed_s, is_cleared = np.round(rng.exponential(40, 60), 1), rng.random(60) < 0.7
    curve = kaplan_meier_of_durations(followed_s, is_cleared)
    sample = stats.CensoredData.right_censored(followed_s, ~is_cleared)
    theirs = stats.ecdf(sample).sf
    with pytest.warns(RuntimeWarning, match="undefined"):  # where all are cleared
        limits = theirs.confidence_interval(method="log-log")
    at = np.searchsorted(theirs.quantiles, curve.time_s[1:])
    assert curve.survival_frac[1:] == pytest.approx(theirs.probabilities[at], abs=1e-12)
    known = ~np.isnan(curve.low_frac[1:])
    assert known.sum() >= 30
    for ours, bound in ((curve.low_frac, limits.low), (curve.high_frac, limits.high)):
        assert ours[1:][known] == pytest.approx(bound.probabilities[at][known], abs=1e-9)
