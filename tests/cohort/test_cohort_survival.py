from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ubereport.cohort.survival import BAND_TIMES_S, ClearEvents, clear_quantities, time_to_clear
from ubereport.core.config import CompareConfig
from ubereport.statistics.cluster_draws import case_weights, find_clusters
from ubereport.statistics.survival import kaplan_meier_of_durations

CONFIG = CompareConfig(n_bootstrap=300)


def events_of(durations, cleared, cases, groups=None, surgeons=None, n_unseen=None):
    case_index = np.asarray(cases, dtype=np.int64)
    n_cases = int(case_index.max()) + 1 if len(case_index) else len(groups)
    case_group = np.zeros(n_cases, dtype=np.int64) if groups is None else np.asarray(groups)
    names = tuple("abc"[: int(case_group.max()) + 1])
    return ClearEvents(
        np.asarray(durations, dtype=np.float64),
        np.asarray(cleared, dtype=np.bool_),
        case_index,
        case_group,
        np.zeros(n_cases, dtype=np.int64) if surgeons is None else np.asarray(surgeons),
        np.zeros(n_cases, dtype=np.int64) if n_unseen is None else np.asarray(n_unseen),
        names,
    )


def random_events(seed=1, n_cases=24, n_surgeons=4, per_case=6, sd=0.5):
    rng = np.random.default_rng(seed)
    index = np.repeat(np.arange(n_cases), per_case)
    duration = rng.exponential(50 * np.exp(rng.normal(0, sd, n_cases))[index])
    censor = rng.exponential(250, len(index))
    group, surgeon = np.arange(n_cases) % 2, np.arange(n_cases) // 2 % n_surgeons
    return events_of(np.minimum(duration, censor), duration <= censor, index, group, surgeon)


def test_curve_equals_r(reference, reference_cases):
    rows = reference_cases["group"] == 0
    duration, cleared = reference_cases["duration_s"][rows], reference_cases["is_cleared"][rows]
    events = events_of(duration, cleared, np.arange(rows.sum()))
    (curve,) = time_to_clear(events, CONFIG).curves
    step = np.searchsorted(curve.time_s, [30, 60, 120], side="right") - 1
    assert [curve.open_frac[i] for i in step] == pytest.approx(
        [reference["km_30"], reference["km_60"], reference["km_120"]], abs=1e-12
    )
    assert curve.cleared_60s_share.value == pytest.approx(1 - reference["km_60"], abs=1e-12)
    assert {a.time_s: a.n_at_risk for a in curve.at_risk}[60.0] == reference["km_at_risk_60"]
    assert curve.mean_to_horizon_s.value == pytest.approx(reference["km_rmst_180"], abs=1e-9)
    assert curve.median_s.value == reference["km_median"]


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.booleans(), st.integers(0, 3)), min_size=1, max_size=30
    )
)
def test_weights_count_like_copies_of_events(rows):
    duration = np.array([float(d) for d, _, _ in rows])
    cleared = np.array([c for _, c, _ in rows])
    weights = np.array([[float(w) for _, _, w in rows]])
    found = clear_quantities(duration, cleared, weights, 180.0)[0]
    copies = np.repeat(np.arange(len(rows)), weights[0].astype(int))
    if len(copies) == 0:
        assert np.isnan(found).all()
        return
    curve = kaplan_meier_of_durations(duration[copies], cleared[copies])

    def cleared_at(time_s):
        return 1 - curve.survival_frac[np.searchsorted(curve.time_s, time_s, side="right") - 1]

    grid = np.arange(0, 180) + 0.5
    mean_s = sum(1 - cleared_at(t) for t in grid)  # durations are whole seconds
    assert found[1:] == pytest.approx([cleared_at(60), cleared_at(180), mean_s], abs=1e-9)
    reached = np.flatnonzero(curve.survival_frac <= 0.5 + 1e-12)
    assert found[0] == (curve.time_s[reached[0]] if len(reached) else np.inf)


def test_reach_is_the_t_quantile_of_the_clusters():
    # 12 cases of 3 surgeons: 9 degrees of freedom; 6 surgeons drawn: 5.
    few = find_clusters(np.zeros(12, int), np.arange(12) % 3, np.ones(12, int), 1, min_surgeons=5)
    assert not few.is_surgeon_drawn
    assert few.reach(0, 0.95) == pytest.approx(stats.t.ppf(0.975, 9) * np.sqrt(12 / 9))
    many = find_clusters(np.zeros(12, int), np.arange(12) % 6, np.ones(12, int), 1, min_surgeons=5)
    assert many.is_surgeon_drawn
    assert many.reach(0, 0.95) == pytest.approx(stats.t.ppf(0.975, 5) * np.sqrt(6 / 5))


def test_surgeons_with_most_of_the_events_count_as_fewer():
    # 9, 1, 1, 1, 1, 1 events: 14² / (81 + 5) = 2.279 surgeons of equal size.
    events = np.array([9, 1, 1, 1, 1, 1])
    uneven = find_clusters(np.zeros(6, int), np.arange(6), events, 1, min_surgeons=5)
    n = 14**2 / 86
    expected = stats.t.ppf(0.975, n - 1) * np.sqrt(n / (n - 1))
    assert uneven.reach(0, 0.95) == pytest.approx(expected)
    none = find_clusters(np.zeros(6, int), np.arange(6), np.zeros(6, int), 1, min_surgeons=5)
    assert np.isfinite(none.reach(0, 0.95))


def test_surgeons_are_drawn_only_where_every_group_has_enough():
    group = np.array([0] * 10 + [1] * 10)
    surgeon = np.concatenate([np.arange(10) % 6, np.arange(10) % 3])
    assert not find_clusters(group, surgeon, np.ones(20, int), 2, 5).is_surgeon_drawn
    assert find_clusters(group, np.arange(20) % 6, np.ones(20, int), 2, 5).is_surgeon_drawn


def test_drawn_surgeons_bring_all_their_cases():
    surgeon = np.arange(24) % 6
    clusters = find_clusters(np.zeros(24, int), surgeon, np.ones(24, int), 1, 5)
    weights = case_weights(np.zeros(24, int), surgeon, clusters, 50, seed=1)
    for name in range(6):
        assert np.all(weights[:, surgeon == name] == weights[:, [name]])
    assert np.all(weights.sum(axis=1) == 24)
    assert weights.std() > 0


def test_fixed_surgeons_keep_their_number_of_cases():
    surgeon = np.array([0, 0, 0, 1, 1, 1, 2, 3])
    clusters = find_clusters(np.zeros(8, int), surgeon, np.ones(8, int), 1, 5)
    weights = case_weights(np.zeros(8, int), surgeon, clusters, 50, seed=1)
    assert np.all(weights[:, :3].sum(axis=1) == 3)
    assert np.all(weights[:, 6:].sum(axis=1) == 2)  # surgeons of one case are drawn together
    assert weights[:, 6].std() > 0


def test_a_lone_single_case_is_drawn_with_others():
    surgeon = np.array([0, 0, 0, 1])
    clusters = find_clusters(np.zeros(4, int), surgeon, np.ones(4, int), 1, 5)
    weights = case_weights(np.zeros(4, int), surgeon, clusters, 50, seed=1)
    assert np.all(weights.sum(axis=1) == 4)
    assert weights[:, 3].std() > 0


def test_many_events_of_few_cases_do_not_pass_for_many():
    # Ten events of a case are one observation when they are all alike.
    rng = np.random.default_rng(2)
    per_case = rng.exponential(60, 12)
    once = events_of(per_case, np.ones(12), np.arange(12))
    tenfold = events_of(np.repeat(per_case, 10), np.ones(120), np.repeat(np.arange(12), 10))
    one = time_to_clear(once, CONFIG).curves[0].cleared_60s_share
    ten = time_to_clear(tenfold, CONFIG).curves[0].cleared_60s_share
    assert (one.value, one.low, one.high) == pytest.approx((ten.value, ten.low, ten.high))


def test_difference_is_that_of_the_curves_and_antisymmetric():
    events = random_events()
    result = time_to_clear(events, CONFIG)
    (difference,) = result.differences
    first, second = result.curves[1], result.curves[0]
    assert (difference.group, difference.reference) == ("b", "a")
    for name in ("cleared_60s_share", "cleared_180s_share", "mean_to_horizon_s"):
        estimate = getattr(difference, name)
        assert estimate.value == getattr(first, name).value - getattr(second, name).value
        assert estimate.low < estimate.value < estimate.high
    assert "these surgeons only" in result.clustering


def test_same_seed_same_interval():
    events = random_events()
    assert time_to_clear(events, CONFIG) == time_to_clear(events, CONFIG)


def test_all_censored_has_curves_and_no_numbers():
    events = events_of([30.0] * 12, [False] * 12, np.arange(12), np.arange(12) % 2)
    result = time_to_clear(events, CONFIG)
    for curve in result.curves:
        assert (curve.n_cleared, curve.n_censored) == (0, 6)
        assert curve.open_frac == (1.0,)
        for estimate in (curve.median_s, curve.cleared_60s_share, curve.mean_to_horizon_s):
            assert estimate.value is None
            assert "all events are censored" in estimate.reason
    assert result.differences[0].cleared_60s_share.value is None


def test_what_nobody_watched_is_not_known():
    events = events_of([10.0, 20, 30, 40, 55, 58], [1, 1, 0, 1, 1, 0], np.arange(6))
    (curve,) = time_to_clear(events, CONFIG).curves
    assert curve.cleared_60s_share.reason == "no event was watched for 60 s"
    assert curve.cleared_180s_share.reason == "no event was watched for 180 s"
    assert curve.mean_to_horizon_s.value is None
    assert curve.median_s.value == 40.0


def test_everything_cleared_at_once_has_no_interval():
    events = events_of([10.0] * 8, [True] * 8, np.arange(8))
    share = time_to_clear(events, CONFIG).curves[0].cleared_60s_share
    assert share.value == 1.0
    assert share.low is None
    assert "do not differ enough" in share.reason


def test_a_group_without_events_is_said():
    groups = np.array([0, 0, 0, 1])
    events = ClearEvents(
        np.array([10.0, 70.0, 30.0]), np.ones(3, bool), np.arange(3), groups,
        np.zeros(4, int), np.zeros(4, int), ("a", "b"),
    )  # fmt: skip
    result = time_to_clear(events, CONFIG)
    assert result.curves[1].median_s.reason == "no event with an observed onset"
    assert result.differences[0].cleared_60s_share.reason == "no event with an observed onset"


def test_no_event_at_all_is_said():
    nothing = events_of([], [], [], np.array([0, 1]), np.array([0, 0]), np.array([2, 0]))
    result = time_to_clear(nothing, CONFIG)
    assert result.reason == "no event with an observed onset"
    assert result.curves[0].n_onset_unseen == 2
    assert result.curves[0].cleared_60s_share.value is None


def test_median_beyond_the_watched_time_has_a_reason():
    events = events_of([200.0] * 5 + [20.0] * 3, [False] * 5 + [True] * 3, np.arange(8))
    (curve,) = time_to_clear(events, CONFIG).curves
    assert curve.median_s.value is None
    assert "more than half" in curve.median_s.reason
    assert curve.cleared_180s_share.value == pytest.approx(3 / 8)


def test_every_case_counts_alike_however_many_events_it_has():
    # One case with 30 slow events, nine with one fast one each.
    durations = [200.0] * 30 + [20.0] * 9
    index = [0] * 30 + list(range(1, 10))
    events = events_of(durations, [True] * 39, index)
    share = time_to_clear(events, CONFIG).curves[0].cleared_60s_share
    assert share.value == pytest.approx(9 / 10)


def test_bounds_hold_the_truth_where_heavy_bleeding_hides_itself():
    # Half of the slow bleeds are lost from view after 20 s: Kaplan–Meier takes them for the others.
    rng = np.random.default_rng(11)
    n = 4000
    is_heavy = rng.random(n) < 0.4
    duration = rng.exponential(np.where(is_heavy, 120.0, 25.0))
    truth = np.mean(duration <= 60)
    is_lost = is_heavy & (rng.random(n) < 0.5) & (duration > 20)
    seen = np.where(is_lost, 20.0, duration)
    curve = time_to_clear(events_of(seen, ~is_lost, np.arange(n)), CompareConfig(n_bootstrap=100))
    (found,) = curve.curves
    assert found.cleared_60s_share.value > truth + 0.03
    low, high = found.bounds_60s
    assert low <= truth <= high
    assert low == pytest.approx(np.mean((seen <= 60) & ~is_lost))
    assert high == pytest.approx(low + is_lost.mean())
    # With chance: 1.96 standard errors of a share of 4,000 on either side.
    for bound, limit, sign in ((low, found.limits_60s[0], -1), (high, found.limits_60s[1], 1)):
        error = np.sqrt(bound * (1 - bound) / n)
        assert sign * (limit - bound) == pytest.approx(1.96 * error, rel=0.25)
    assert found.watched_s == pytest.approx(seen.sum())


def test_without_censoring_bounds_and_curve_agree():
    events = random_events()
    whole = events_of(events.duration_s, np.ones(len(events.duration_s)), events.case_index)
    (curve,) = time_to_clear(whole, CONFIG).curves
    assert curve.bounds_60s == pytest.approx((curve.cleared_60s_share.value,) * 2)


@pytest.mark.parametrize("n_few", [3, 4])
def test_below_five_cases_a_difference_has_no_interval(n_few):
    rng = np.random.default_rng(3)
    group = np.array([0] * 20 + [1] * n_few)
    index = np.repeat(np.arange(len(group)), 4)
    events = events_of(rng.exponential(50, len(index)), np.ones(len(index)), index, group)
    result = time_to_clear(events, CONFIG)
    difference = result.differences[0].cleared_60s_share
    assert difference.value is not None
    assert (difference.low, difference.high) == (None, None)
    assert "fewer than 5 cases with events" in difference.reason
    # The group's own share keeps its interval.
    assert result.curves[1].cleared_60s_share.low is not None


def test_a_small_group_does_not_borrow_degrees_of_freedom():
    clusters = find_clusters(
        np.array([0] * 30 + [1] * 5), np.zeros(35, int), np.ones(35, int), 2, min_surgeons=5
    )
    # All the variance in the group of five: its own four degrees of freedom.
    reach = clusters.reach_of_difference((1, 0), (0.01, 0.0), 0.95)
    assert reach == pytest.approx(stats.t.ppf(0.975, 4) * np.sqrt(0.01 * 5 / 4))
    v1, v0 = 0.01 * 5 / 4, 0.002 * 30 / 29
    degrees = (v1 + v0) ** 2 / (v1**2 / 4 + v0**2 / 29)
    both = clusters.reach_of_difference((1, 0), (0.01, 0.002), 0.95)
    assert both == pytest.approx(stats.t.ppf(0.975, degrees) * np.sqrt(v1 + v0))


def test_the_band_lies_around_the_curve():
    for curve in time_to_clear(random_events(), CONFIG).curves:
        at = np.searchsorted(curve.time_s, BAND_TIMES_S, side="right") - 1
        center = np.array(curve.open_frac)[at]
        assert np.all(np.array(curve.band_low_frac) <= center + 1e-9)
        assert np.all(np.array(curve.band_high_frac) >= center - 1e-9)
        place = int(np.searchsorted(BAND_TIMES_S, 60.0))
        assert 1 - curve.band_low_frac[place] == pytest.approx(curve.cleared_60s_share.high)


def log_normal_events(seed, ratio, n_cases=40, n_surgeons=4, per_case=8):
    """Events of two groups inside surgeons of unlike speed; b takes `ratio` times as long."""
    rng = np.random.default_rng(seed)
    index = np.repeat(np.arange(n_cases), per_case)
    group, surgeon = np.arange(n_cases) % 2, np.arange(n_cases) // 2 % n_surgeons
    log_s = 3.4 + 0.4 * surgeon + np.log(ratio) * group + rng.normal(0, 0.4, n_cases)
    duration = np.exp(log_s[index] + rng.normal(0, 0.8, len(index)))
    censor = rng.exponential(250, len(index))
    return events_of(np.minimum(duration, censor), duration <= censor, index, group, surgeon)


def test_the_ratio_of_times_is_found_and_its_interval_holds_it():
    found = [
        time_to_clear(log_normal_events(seed, 0.5), CompareConfig(n_bootstrap=100))
        .differences[0]
        .time_ratio
        for seed in range(100)
    ]
    held = [estimate.low <= 0.5 <= estimate.high for estimate in found]
    assert np.median([estimate.value for estimate in found]) == pytest.approx(0.5, rel=0.05)
    # 95 % of 100, three standard errors to either side.
    assert 0.88 <= np.mean(held) <= 1.0


def test_the_ratio_is_held_equal_in_surgeons():
    # The slow surgeon uses b nine times of ten: without surgeons b would seem to take longer.
    rng = np.random.default_rng(2)
    surgeon = np.repeat([0, 1], 30)
    group = (np.arange(60) % 10 < np.where(surgeon == 1, 9, 1)).astype(np.int64)
    index = np.repeat(np.arange(60), 10)
    duration = np.exp(3.0 + 1.2 * surgeon[index] + rng.normal(0, 0.6, 600))
    events = events_of(duration, np.ones(600, bool), index, group, surgeon)
    ratio = time_to_clear(events, CONFIG).differences[0].time_ratio
    assert ratio.low < 1 < ratio.high
    assert abs(np.log(ratio.value)) < 0.2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("few", "fewer than 5 cases with events in a group"),
        ("nested", "groups cannot be told apart from surgeons"),
        ("censored", "no clearing was seen in one of the groups"),
        ("ties", "the likelihood has no top"),
    ],
)
def test_no_ratio_says_why(change, said):
    n = 8 if change == "few" else 20
    group = np.arange(n) % 2
    surgeon = group if change == "nested" else np.zeros(n, dtype=np.int64)
    index = np.repeat(np.arange(n), 3)
    duration = np.exp(np.random.default_rng(1).normal(3, 0.5, 3 * n))
    duration = np.full(3 * n, 20.0) if change == "ties" else duration
    cleared = np.ones(3 * n, bool) if change != "censored" else group[index] == 0
    found = time_to_clear(events_of(duration, cleared, index, group, surgeon), CONFIG)
    assert found.differences[0].time_ratio.reason == said
