"""What the statistics of a comparison do on cohorts whose truth is known.

Run it with ``nice -n 15 python tests/cohort/simulate_operating_characteristics.py [N]``: N cohorts
a row (default 500), a few minutes. ``test_operating_characteristics.py`` runs a reduced version.

Every row is a share of cohorts (or a bias in units of the true effect), from data drawn here and
analyzed by the functions that `compare_cohort` calls. Truths come from the drawing model.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ubereport.cohort.adjusted import ModelCases, adjusted_model
from ubereport.cohort.design import Covariate
from ubereport.cohort.scales import LOGIT_OFFSET_FRAC, MetricScale, ScaleKind
from ubereport.cohort.survival import ClearEvents, time_to_clear
from ubereport.core.config import CompareConfig
from ubereport.statistics.ranks import (
    cliff_delta,
    hodges_lehmann,
    holm,
    kruskal_wallis,
    mann_whitney,
)

LOGIT = MetricScale(ScaleKind.LOGIT, LOGIT_OFFSET_FRAC)
PLAIN = MetricScale(ScaleKind.IDENTITY)
CONFIG = CompareConfig(n_bootstrap=600, n_permutations=999, min_cases_per_term=5)


@dataclass(frozen=True)
class Row:
    """One line of the table: what was counted, in how many cohorts, and what is wanted."""

    name: str
    value: float
    n: int
    wanted: tuple[float, float]

    @property
    def error(self) -> float:
        """Standard error of a share of `n` cohorts: what chance does to the row itself."""
        return float(np.sqrt(self.value * (1 - self.value) / self.n))

    @property
    def is_met(self) -> bool:
        return self.wanted[0] <= self.value <= self.wanted[1]


def shares(rng: np.random.Generator, n: int, mean: float = -2.5, sd: float = 0.9) -> np.ndarray:
    """Impaired shares: logit-normal, as skewed as the published ones (SD near the mean)."""
    return 1 / (1 + np.exp(-rng.normal(mean, sd, n)))


def primary_rows(n_cohorts: int, seed: int) -> list[Row]:
    """Mann–Whitney, shift, delta on independent cases: null, planted shift, unequal groups."""
    rng = np.random.default_rng(seed)
    null_p, small_p, null_cover, delta_cover, shift_cover, bias = [], [], [], [], [], []
    planted = 1.0
    reference = shares(np.random.default_rng(0), 2000, -2.5)
    moved = shares(np.random.default_rng(1), 2000, -2.5 + 0.7)
    true_delta = float(np.sign(np.subtract.outer(moved, reference)).mean())
    for _ in range(n_cohorts):
        x, y = shares(rng, 25), shares(rng, 20)
        null_p.append(mann_whitney(x, y).p_value)
        small_p.append(mann_whitney(x[:12], y[:9]).p_value)
        null_cover.append(covers(hodges_lehmann(x, y), 0.0))
        skewed_x, skewed_y = rng.gamma(2.0, 1.0, 25) + planted, rng.gamma(2.0, 1.0, 20)
        shift = hodges_lehmann(skewed_x, skewed_y)
        shift_cover.append(covers(shift, planted))
        bias.append(shift.value)
        delta_cover.append(covers(cliff_delta(shares(rng, 25, -1.8), y), true_delta))
    return [
        Row("Mann–Whitney, 25 v 20 cases, no effect: rejected", reject(null_p), n_cohorts, TYPE_1),
        Row("Mann–Whitney, 12 v 9 cases, no effect: rejected", reject(small_p), n_cohorts, TYPE_1),
        Row("shift interval, no effect: covers 0", mean(null_cover), n_cohorts, COVER),
        Row("shift interval, gamma + 1.0: covers 1.0", mean(shift_cover), n_cohorts, COVER),
        Row("shift, gamma + 1.0: bias / effect", mean(bias) - planted, n_cohorts, BIAS),
        Row("Cliff's delta interval, planted: covers", mean(delta_cover), n_cohorts, COVER),
    ]


def family_rows(n_cohorts: int, seed: int) -> list[Row]:
    """Three techniques without effect: Kruskal–Wallis, and Holm over the three contrasts."""
    rng = np.random.default_rng(seed)
    omnibus, any_holm = [], []
    for _ in range(n_cohorts):
        groups = [shares(rng, n) for n in (20, 18, 15)]
        omnibus.append(kruskal_wallis(groups).p_value)
        pairs = [mann_whitney(groups[i], groups[j]).p_value for i, j in ((1, 0), (2, 0), (2, 1))]
        any_holm.append(min(p for p in holm(pairs) if p is not None))
    return [
        Row(
            "Kruskal–Wallis, 3 techniques, no effect: rejected", reject(omnibus), n_cohorts, TYPE_1
        ),
        Row(
            "Holm over 3 contrasts, no effect: any rejected",
            reject(any_holm),
            n_cohorts,
            (0.0, 0.07),
        ),
    ]


def clustered_cases(
    rng: np.random.Generator, n_surgeons: int, n: int, effect: float, preference: float
) -> ModelCases:
    """Cases under surgeons of different levels; with `preference` some use technique 1 more."""
    levels = rng.normal(0, 0.5, n_surgeons)
    surgeon = rng.integers(0, n_surgeons, n)
    wish = 0.5 + preference * np.where(levels > np.median(levels), 1, -1)
    group = (rng.random(n) < wish[surgeon]).astype(np.int64)
    age = rng.normal(65, 10, n)
    thinner = rng.random(n) < 0.3
    logit = -2.5 + effect * group + levels[surgeon] + 0.02 * (age - 65) + 0.5 * thinner
    values = LOGIT.back(logit + rng.normal(0, 0.8, n))
    return ModelCases(
        tuple(map(str, range(n))), values, group, ("a", "b"), tuple(f"S{s}" for s in surgeon),
        (Covariate("age", tuple(age.tolist())), Covariate("thinner", tuple(thinner.tolist()))),
    )  # fmt: skip


def adjusted_rows(n_cohorts: int, seed: int, n_surgeons: int) -> list[Row]:
    """The adjusted estimate: error of the first kind, coverage, bias; surgeons as confounders."""
    rng = np.random.default_rng(seed)
    effect = -0.7
    null_p, confounded_p, naive_p, cover, estimates = [], [], [], [], []
    for _ in range(n_cohorts):
        null_p.append(contrast(clustered_cases(rng, n_surgeons, 70, 0.0, 0.0)).test.p_value)
        cases = clustered_cases(rng, n_surgeons, 70, 0.0, 0.35)
        confounded_p.append(contrast(cases).test.p_value)
        naive_p.append(
            mann_whitney(
                cases.values[cases.group_codes == 1], cases.values[cases.group_codes == 0]
            ).p_value
        )
        found = contrast(clustered_cases(rng, n_surgeons, 70, effect, 0.2)).effect
        cover.append(covers(found, effect))
        estimates.append(found.value)
    kind = "mixed model" if n_surgeons >= CONFIG.min_surgeons_for_mixed else "fixed + permutation"
    name = f"{kind}, {n_surgeons} surgeons"
    return [
        Row(f"{name}, no effect: rejected", reject(null_p), n_cohorts, TYPE_1),
        Row(f"{name}, no effect, preferences: rejected", reject(confounded_p), n_cohorts, TYPE_1),
        Row(
            "  same cohorts, unadjusted Mann–Whitney: rejected (shown, not claimed)",
            reject(naive_p),
            n_cohorts,
            (0.0, 1.0),
        ),
        Row(f"{name}, effect −0.7: interval covers", mean(cover), n_cohorts, COVER),
        Row(f"{name}, effect −0.7: bias / effect", mean(estimates) / effect - 1, n_cohorts, BIAS),
    ]


def contrast(cases: ModelCases):
    found = adjusted_model(cases, LOGIT, CONFIG).comparison
    if found.reason:
        raise RuntimeError(found.reason)
    # Groups may come back in another order only if one vanished; two always stay here.
    return found.contrasts[0]


def clustered_events(
    rng: np.random.Generator, n_surgeons: int, n_cases: int, log_effect: float
) -> tuple[ClearEvents, np.ndarray]:
    """Events with a shared level in each case and surgeon, censored at random."""
    levels = rng.normal(0, 0.25, n_surgeons)
    group = np.arange(n_cases) % 2
    surgeon = (np.arange(n_cases) // 2) % n_surgeons
    case_level = rng.normal(0, 0.6, n_cases)
    per_case = 2 + rng.poisson(6, n_cases)
    index = np.repeat(np.arange(n_cases), per_case)
    scale = 60 * np.exp(levels[surgeon] + case_level + log_effect * group)
    duration = rng.exponential(scale[index])
    censor = rng.exponential(300.0, len(index))
    events = ClearEvents(
        np.minimum(duration, censor), duration <= censor, index, group, surgeon,
        np.zeros(n_cases, dtype=np.int64), ("a", "b"),
    )  # fmt: skip
    return events, levels


def true_share_60(levels: np.ndarray | None, log_effect: float) -> float:
    """P(cleared within 60 s), over cases and, where `levels` is None, over surgeons."""
    rng = np.random.default_rng(99)
    surgeon = rng.normal(0, 0.25, 200_000) if levels is None else np.repeat(levels, 40_000)
    scale = 60 * np.exp(surgeon + rng.normal(0, 0.6, len(surgeon)) + log_effect)
    return float(np.mean(1 - np.exp(-60 / scale)))


def event_rows(n_cohorts: int, seed: int, n_surgeons: int) -> list[Row]:
    """Intervals of the share cleared by 60 s and of differences, against naive ones."""
    rng = np.random.default_rng(seed)
    cover, naive_cover, null_cover, mean_cover = [], [], [], []
    is_drawn = n_surgeons >= CONFIG.min_surgeons_for_mixed
    marginal = true_share_60(None, 0.0)
    for _ in range(n_cohorts):
        events, levels = clustered_events(rng, n_surgeons, 48, 0.0)
        truth = marginal if is_drawn else true_share_60(levels, 0.0)
        result = time_to_clear(events, CONFIG)
        share = result.curves[0].cleared_60s_share
        cover.append(covers(share, truth))
        error = greenwood_60(events, 0)
        naive_cover.append(abs(share.value - truth) <= 1.96 * error)
        null_cover.append(covers(result.differences[0].cleared_60s_share, 0.0))
        mean_cover.append(covers(result.differences[0].mean_to_horizon_s, 0.0))
    name = f"events, {n_surgeons} surgeons, 24 cases a group"
    return [
        Row(f"{name}: 60-s share, cluster interval covers", mean(cover), n_cohorts, COVER_EVENTS),
        Row(
            "  same, naive Greenwood interval covers (shown, not claimed)",
            mean(naive_cover),
            n_cohorts,
            (0.0, 1.0),
        ),
        Row(
            f"{name}: difference of 60-s shares covers 0", mean(null_cover), n_cohorts, COVER_EVENTS
        ),
        Row(
            f"{name}: difference of means to 180 s covers 0",
            mean(mean_cover),
            n_cohorts,
            COVER_EVENTS,
        ),
    ]


def greenwood_60(events: ClearEvents, group: int) -> float:
    """Standard error of the Kaplan–Meier share at 60 s if all events were independent."""
    rows = events.case_group[events.case_index] == group
    duration, cleared = events.duration_s[rows], events.is_cleared[rows]
    times = np.unique(duration[cleared & (duration <= 60)])
    at_risk = np.array([(duration >= t).sum() for t in times])
    deaths = np.array([(cleared & (duration == t)).sum() for t in times])
    survival = np.prod(1 - deaths / at_risk)
    return float(survival * np.sqrt(np.sum(deaths / (at_risk * (at_risk - deaths)))))


def covers(estimate, truth: float) -> bool:
    return estimate.low is not None and estimate.low <= truth <= estimate.high


def reject(p_values: list) -> float:
    return float(np.mean([p < 0.05 for p in p_values]))


def mean(values: list) -> float:
    return float(np.mean(values))


TYPE_1 = (0.03, 0.07)
COVER = (0.93, 0.97)
COVER_EVENTS = (0.93, 0.98)
BIAS = (-0.05, 0.05)

SCENARIOS: dict[str, Callable[[int, int], list[Row]]] = {
    "primary": primary_rows,
    "family": family_rows,
    "mixed_8": lambda n, seed: adjusted_rows(n, seed, 8),
    "fixed_4": lambda n, seed: adjusted_rows(n, seed, 4),
    "events_8": lambda n, seed: event_rows(n, seed, 8),
    "events_4": lambda n, seed: event_rows(n, seed, 4),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("n_cohorts", type=int, nargs="?", default=500)
    parser.add_argument("--only", choices=SCENARIOS)
    options = parser.parse_args()
    started = time.monotonic()
    for seed, (name, rows_of) in enumerate(SCENARIOS.items(), start=20260301):
        if options.only in (None, name):
            for row in rows_of(options.n_cohorts, seed):
                mark = "ok  " if row.is_met else "MISS"
                chance = "" if "bias" in row.name else f" ± {row.error:.3f}"
                print(f"{mark} {row.name:78s} {row.value:7.3f}{chance}  wanted {row.wanted}")  # noqa: T201
    print(f"{options.n_cohorts} cohorts a row, {time.monotonic() - started:.0f} s")  # noqa: T201


if __name__ == "__main__":
    main()
