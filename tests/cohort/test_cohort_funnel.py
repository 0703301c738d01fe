from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ubereport.cohort.audit_results import FunnelZone
from ubereport.cohort.funnel import mean_funnel, share_funnel, winsorized_phi
from ubereport.cohort.scales import MetricScale, ScaleKind, scale_of
from ubereport.core.config import AuditConfig
from ubereport.core.metrics import Direction, MetricSpec
from ubereport.metrics.registry import metric_spec
from ubereport.statistics.distributions import exact_limits

CONFIG = AuditConfig()
PLAIN = MetricScale(ScaleKind.IDENTITY)
SPEC = metric_spec("impaired_share_20")
SHARE = MetricSpec("x", "Deaths", "1", "", Direction.LOWER_IS_BETTER, upper_bound=1.0)
# Spiegelhalter, Aylin et al., Bristol inquiry; Spiegelhalter, Qual Saf Health Care 2002;11:390:
# open operations under one year of age 1991–95 in twelve centers, and deaths within 30 days.
CENTERS = ("Bristol", "Leicester", "Leeds", "Oxford", "Guys", "Liverpool", "Southampton",
           "Great Ormond St", "Newcastle", "Harefield", "Birmingham", "Brompton")  # fmt: skip
OPERATIONS = (143, 187, 323, 122, 164, 405, 239, 482, 195, 177, 581, 301)
DEATHS = (41, 25, 24, 23, 25, 42, 24, 53, 26, 25, 58, 31)


def bristol():
    is_death, center = [], []
    for name, n, deaths in zip(CENTERS, OPERATIONS, DEATHS, strict=True):
        is_death += [True] * deaths + [False] * (n - deaths)
        center += [name] * n
    return is_death, center


def test_bristol_lies_outside_the_funnel_and_stays_there():
    funnel = share_funnel(*bristol(), SHARE, CONFIG)
    zones = {point.surgeon: point.zone for point in funnel.points}
    # The published reading: Bristol is the one clear outlier.
    assert zones.pop("Bristol") is FunnelZone.BEYOND_998
    assert FunnelZone.BEYOND_998 not in zones.values()
    assert funnel.target == pytest.approx(397 / 3319)
    assert [p.surgeon for p in funnel.points] == sorted(CENTERS)  # by name, no ranking


def test_winsorizing_keeps_the_outlier_from_widening_its_own_limits():
    target = 397 / 3319
    z = [(d / n - target) / math.sqrt(target * (1 - target) * (1 / n - 1 / 3319))
         for d, n in zip(DEATHS, OPERATIONS, strict=True)]  # fmt: skip
    ordered = sorted(z)
    # A tenth of 12 is one at each end.
    drawn_in = [ordered[1], *ordered[1:-1], ordered[-2]]
    assert winsorized_phi(z) == pytest.approx(sum(v * v for v in drawn_in) / 12)
    assert winsorized_phi(z) < np.mean(np.square(z)) / 2
    assert share_funnel(*bristol(), SHARE, CONFIG).phi == pytest.approx(winsorized_phi(z))


def test_binomial_limits_equal_r(reference):
    tails = (0.001, 0.025, 0.975, 0.999)
    expected = [reference[f"funnel_143_{p}"] for p in tails]
    limits = exact_limits(stats.binom(143, 397 / 3319), 143, tails)
    assert limits[:2] == pytest.approx(expected[:2], abs=1e-12)
    # R has the published expression on both sides; the upper limit here lies a count further out,
    # which makes it the lower one of those who had nothing, mirrored.
    assert limits[2:] == pytest.approx([each + 1 / 143 for each in expected[2:]], abs=1e-12)
    mirrored = exact_limits(stats.binom(143, 1 - 397 / 3319), 143, (0.025, 0.001))
    assert limits[2:] == pytest.approx([1 - each for each in mirrored], abs=1e-12)


@given(st.integers(2, 60), st.floats(0.01, 0.6), st.floats(0.0005, 0.2))
def test_exact_limits_are_left_no_oftener_than_they_say(n, share, tail):
    count = stats.hypergeom(4 * n, max(1, round(4 * n * share)), n)
    low, high = exact_limits(count, n, (tail, 1 - tail))
    shares = np.arange(n + 1) / n
    assert count.pmf(np.arange(n + 1)[shares < low]).sum() <= tail + 1e-12
    assert count.pmf(np.arange(n + 1)[shares > high]).sum() <= tail + 1e-12


@pytest.mark.parametrize(("n_surgeons", "n_cases", "share"), [(4, 10, 0.025), (4, 15, 0.05)])
def test_one_event_among_few_cases_is_no_signal(n_surgeons, n_cases, share):
    rng = np.random.default_rng(0)
    names = [f"S{i}" for i in range(n_surgeons) for _ in range(n_cases)]
    is_case = np.zeros(len(names), dtype=bool)
    is_case[3] = True
    funnel = share_funnel(is_case.tolist(), names, SHARE, CONFIG)
    assert {point.zone for point in funnel.points} == {FunnelZone.INSIDE}
    n_any = 0
    for _ in range(300):
        drawn = share_funnel((rng.random(len(names)) < share).tolist(), names, SHARE, CONFIG)
        n_any += any(p.zone is FunnelZone.BEYOND_998 for p in drawn.points)
    # Four in ten such pages had a surgeon marked while the upper limit lay below its own count.
    assert n_any / 300 <= 0.02


@pytest.mark.parametrize("value", [0.0, 0.95, 1.0])
def test_equal_values_put_nobody_beyond_a_limit(value):
    names = [f"S{i}" for i, n in enumerate((17, 23, 31)) for _ in range(n)]
    spec = metric_spec("coverage_frac")
    funnel = mean_funnel([value] * 71, names, spec, scale_of(spec), CONFIG)
    assert {point.zone for point in funnel.points} == {FunnelZone.INSIDE}
    assert not funnel.is_overdispersed
    assert funnel.phi == 0


@given(st.floats(0.02, 0.98), st.integers(10, 400))
def test_exact_limits_widen_from_inside_out_and_stay_shares(target, n):
    count = stats.hypergeom(3 * n, round(3 * n * target), n)
    limits = exact_limits(count, n, (0.001, 0.025, 0.975, 0.999))
    assert list(limits) == sorted(limits)
    assert limits[0] >= 0
    assert limits[3] <= 1


def test_mean_funnel_by_hand():
    values = {"A": np.arange(12.0), "B": np.arange(12.0) + 6, "C": np.arange(24.0) / 2}
    names = [name for name, v in values.items() for _ in v]
    together = np.concatenate(list(values.values()))
    funnel = mean_funnel(together.tolist(), names, SPEC, PLAIN, CONFIG)
    within = sum(((v - v.mean()) ** 2).sum() for v in values.values())
    sd = math.sqrt(within / (48 - 3))
    assert funnel.target == pytest.approx(together.mean())
    limit = funnel.limits[0]
    error = sd * math.sqrt(1 / limit.n_cases - 1 / 48)
    assert limit.high_95 == pytest.approx(funnel.target + stats.t.ppf(0.975, 45) * error)
    assert limit.low_998 == pytest.approx(funnel.target - stats.t.ppf(0.999, 45) * error)
    for point in funnel.points:
        # Each against the others, written out.
        own = values[point.surgeon]
        others = np.concatenate([v for name, v in values.items() if name != point.surgeon])
        spread = sd * math.sqrt(1 / len(own) + 1 / len(others))
        is_beyond = abs(own.mean() - others.mean()) / spread > stats.t.ppf(0.975, 45)
        assert (point.zone is not FunnelZone.INSIDE) == is_beyond
        assert point.value == pytest.approx(values[point.surgeon].mean())


def test_nobody_under_ten_cases_is_drawn():
    names = ["A"] * 12 + ["B"] * 12 + ["C"] * 9
    funnel = mean_funnel(list(np.linspace(0, 1, 33)), names, SPEC, PLAIN, CONFIG)
    assert [p.surgeon for p in funnel.points] == ["A", "B"]
    assert funnel.n_too_few_cases == 1
    assert "1 with fewer than 10 cases not drawn" in funnel.reading
    assert "no ranking" in funnel.reading


def test_one_surgeon_gives_no_funnel():
    funnel = mean_funnel([0.1] * 30, ["A"] * 30, SPEC, PLAIN, CONFIG)
    assert funnel.points == ()
    assert funnel.reason == "fewer than two surgeons have 10 cases"
    assert share_funnel([True] * 9, ["A"] * 9, SHARE, CONFIG).reason == funnel.reason
    assert "no case" in share_funnel([False] * 30, ["A", "B", "C"] * 10, SHARE, CONFIG).reason


def test_overdispersion_among_many_widens_the_limits_by_the_root_of_phi():
    rng = np.random.default_rng(3)
    levels = rng.normal(0, 1.0, 20)
    names = [f"S{i:02d}" for i in range(20) for _ in range(20)]
    values = np.repeat(levels, 20) + rng.normal(size=400)
    funnel = mean_funnel(values.tolist(), names, SPEC, PLAIN, CONFIG)
    assert funnel.is_overdispersed
    assert "widened for overdispersion" in funnel.reading
    groups = values.reshape(20, 20)
    sd = math.sqrt(((groups - groups.mean(axis=1, keepdims=True)) ** 2).sum() / 380)
    limit = funnel.limits[0]
    error = sd * math.sqrt(1 / limit.n_cases - 1 / 400)
    expected = funnel.target + stats.t.ppf(0.975, 380) * error * math.sqrt(funnel.phi)
    assert limit.high_95 == pytest.approx(expected, abs=1e-5)


def test_few_surgeons_have_overdispersion_stated_and_not_applied():
    names = [f"S{i}" for i in range(4) for _ in range(15)]
    values = np.repeat([0.0, 1, 2, 3], 15) + np.tile(np.linspace(-0.5, 0.5, 15), 4)
    funnel = mean_funnel(values.tolist(), names, SPEC, PLAIN, CONFIG)
    assert funnel.phi > 1
    assert not funnel.is_overdispersed
    assert "stated and not corrected" in funnel.reading


def test_surgeons_of_one_level_leave_the_limits_as_often_as_the_limits_say():
    rng = np.random.default_rng(9)
    n_beyond = n_points = 0
    for _ in range(150):
        names = [f"S{i}" for i in range(8) for _ in range(20)]
        shares = 1 / (1 + np.exp(-rng.normal(-2.5, 0.9, 160)))
        funnel = mean_funnel(shares.tolist(), names, SPEC, scale_of(SPEC), CONFIG)
        n_points += len(funnel.points)
        n_beyond += sum(p.zone is not FunnelZone.INSIDE for p in funnel.points)
    # Three standard errors of 1200 points.
    assert stats.binomtest(n_beyond, n_points, 0.05).pvalue > 0.003


@pytest.mark.parametrize("n_surgeons", [4, 8])
def test_the_funnel_says_how_often_chance_alone_goes_beyond(n_surgeons):
    rng = np.random.default_rng(2)
    n_any = 0
    for _ in range(400):
        names = [f"S{i}" for i in range(n_surgeons) for _ in range(15)]
        funnel = mean_funnel(rng.normal(size=15 * n_surgeons).tolist(), names, SPEC, PLAIN, CONFIG)
        n_any += any(p.zone is not FunnelZone.INSIDE for p in funnel.points)
    told = 1 - 0.95**n_surgeons
    assert f"{100 * told:.0f} % of the time" in funnel.reading
    assert stats.binomtest(n_any, 400, told).pvalue > 0.003


def test_four_surgeons_leave_an_exact_share_funnel_seldom():
    rng = np.random.default_rng(4)
    n_beyond = 0
    for _ in range(300):
        names = [f"S{i}" for i in range(4) for _ in range(20)]
        funnel = share_funnel((rng.random(80) < 0.4).tolist(), names, SHARE, CONFIG)
        n_beyond += sum(p.zone is not FunnelZone.INSIDE for p in funnel.points)
    assert stats.binomtest(n_beyond, 1200, 0.05, alternative="greater").pvalue > 0.003
    assert n_beyond > 0
