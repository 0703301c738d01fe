"""How often a comparison names a direction where there is none, and where there is one.

    python tests/perf/verdict_simulation.py [N] [SCENARIO...]

N cohorts a scenario (default 500). Cases are drawn from log-normal areas, so that the shares of
time at 5, 20 and 50 % are exact; the functions that lead a comparison judge them: adjusted model,
balance, surgeons, and the model's own error. ``example`` draws the example cohort's own series
instead. A quick version runs in ``tests/cohort/test_verdict_simulation.py``; the table is kept in
``tests/perf/README.md``.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from ubereport.cohort.adjusted import ModelCases, adjusted_model
from ubereport.cohort.balance import balance_table
from ubereport.cohort.comparison_results import Lead, Verdict
from ubereport.cohort.design import Covariate
from ubereport.cohort.device import CaseAreas, GroupError, draw_errors, seen_error
from ubereport.cohort.lead import LeadTerms, lead_of
from ubereport.cohort.scales import LOGIT_OFFSET_FRAC, MetricScale, ScaleKind
from ubereport.cohort.sources import hidden_bleeding
from ubereport.cohort.survival import ClearEvents, time_to_clear
from ubereport.core.config import CompareConfig
from ubereport.core.held_out import HeldOutOperation
from ubereport.statistics.random_effects import UnitSpread
from ubereport.statistics.ranks import mann_whitney

ROOT = Path(__file__).resolve().parents[2]
LOGIT = MetricScale(ScaleKind.LOGIT, LOGIT_OFFSET_FRAC)
CONFIG = CompareConfig(n_permutations=999)
LEVELS = (0.05, 0.2, 0.5)
SPREAD = 1.2


@dataclass(frozen=True)
class Scenario:
    """How cohorts are drawn; areas are on the log."""

    n_cases: int = 80
    n_surgeons: int = 4
    is_nested: bool = False
    surgeon_sd: float = 0.4
    case_sd: float = 0.5
    preference: float = 0.0
    thinner: float = 0.0
    effect: float = 0.0
    over: float = 1.0
    false_area: float = 0.0
    is_error_wide: bool = True
    is_error_own: bool = False
    is_labelled: bool = False


SCENARIOS = {
    "nested, 2 surgeons": Scenario(n_surgeons=2, is_nested=True),
    "nested, 4 surgeons": Scenario(n_surgeons=4, is_nested=True),
    "nested, 6 surgeons": Scenario(n_surgeons=6, is_nested=True),
    "2 surgeons of different taste": Scenario(n_surgeons=2, preference=0.3),
    "confounding by indication": Scenario(thinner=0.35, preference=0.1),
    "confounding, 6 surgeons": Scenario(n_surgeons=6, thinner=0.35, preference=0.2),
    "areas 1.2 times in one group": Scenario(over=1.2),
    "6 % false area in one group": Scenario(false_area=0.06),
    "no effect, model errs alike": Scenario(is_error_wide=False),
    "effect x 0.5, model errs alike": Scenario(effect=float(np.log(0.5)), is_error_wide=False),
    "effect x 0.5, model errs widely": Scenario(effect=float(np.log(0.5))),
    "effect x 0.5, stills labelled": Scenario(effect=float(np.log(0.5)), is_labelled=True),
    "effect x 0.3, model errs widely": Scenario(effect=float(np.log(0.3))),
    "each group errs as an operation": Scenario(is_error_own=True),
}


def wide_operations() -> tuple[HeldOutOperation, ...]:
    """What the shipped model erred on operations that it had not seen."""
    path = ROOT / "models" / "ube-blood-13" / "metadata.json"
    stored = json.loads(path.read_text())["held_out_operations"]
    return tuple(HeldOutOperation(**operation) for operation in stored)


# Of operations on arcsin(sqrt(share)): usual share, spread between operations and of one still.
FOUND, PAINTED = UnitSpread(0.95, 0.12, 0.37, 0), UnitSpread(0.06, 0.02, 0.02, 0)


def made_up_table(rng: np.random.Generator, n_operations: int = 20) -> tuple[HeldOutOperation, ...]:
    """Operations that differ as `FOUND` and `PAINTED` say, each seen in 1 to 60 stills."""
    n_stills = np.ceil(np.exp(rng.uniform(0, np.log(60), n_operations))).astype(int)

    def seen(spread: UnitSpread) -> list[float]:
        of_stills = rng.normal(0, spread.within_sd, n_operations) / np.sqrt(n_stills)
        own = rng.normal(0, spread.between_sd, n_operations)
        angle = np.clip(spread.center + own + of_stills, 0, np.pi / 2)
        return [float(share) for share in np.sin(angle) ** 2]

    rows = zip(n_stills.tolist(), seen(PAINTED), seen(FOUND), strict=True)
    return tuple(
        HeldOutOperation(f"op{i}", n, n, 0.08, 0.08, painted, found, 0.0)
        for i, (n, painted, found) in enumerate(rows)
    )


def labelled(names) -> dict[str, GroupError]:
    """Forty labelled stills a group, in which the model errs alike in all."""
    return {name: GroupError(0.005, 0.001, 0.62, 0.03, 40, 10) for name in names}


def steady_operations() -> tuple[HeldOutOperation, ...]:
    """A model that errs nearly alike everywhere, as the example's."""
    return example().made_up_operations()


def example():
    spec = importlib.util.spec_from_file_location(
        "make_cohort", ROOT / "examples" / "cohort" / "make_cohort.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def draw(rng: np.random.Generator, s: Scenario):
    """Group codes, surgeons, thinner and shares (n, 3) of a cohort, as the model measures them."""
    surgeon = rng.integers(s.n_surgeons, size=s.n_cases)
    level = rng.normal(0, s.surgeon_sd, s.n_surgeons)
    thinner = rng.random(s.n_cases) < 0.35
    wish = 0.5 + s.preference * np.where(np.arange(s.n_surgeons) % 2, 1, -1)[surgeon]
    if s.thinner:
        wish = np.clip(wish + np.where(thinner, 0.2, -0.15), 0.05, 0.95)
    group = (rng.random(s.n_cases) < wish).astype(np.int64)
    if s.is_nested:
        group = (surgeon % 2).astype(np.int64)
    mean = -2.6 + level[surgeon] + s.thinner * thinner + rng.normal(0, s.case_sd, s.n_cases)
    mean = mean + group * (s.effect + np.log(s.over))
    painted, slope = s.false_area * group, 1 - s.false_area * group
    if s.is_error_own:
        # Areas as a usual operation would measure them, read as these two groups are.
        of_group = [spread.draw(rng.standard_normal(2)) for spread in (PAINTED, FOUND)]
        painted = of_group[0][group]
        slope = (of_group[1] - of_group[0])[group] / (FOUND.usual - PAINTED.usual)
        painted = painted - slope * PAINTED.usual
    at = [np.maximum((x - painted) / slope, 1e-9) for x in LEVELS]
    shares = np.stack([stats.norm.sf((np.log(x) - mean) / SPREAD) for x in at], axis=1)
    return group, surgeon, thinner, shares


def judge(
    group, surgeon, covariates, shares, operations, names=("a", "b"), local=None, against=()
) -> tuple[Lead, ...]:
    """Return the leads of a cohort, as `compare_cohort` makes them."""
    values = shares[:, 1]
    surgeons = tuple(f"S{i}" for i in surgeon)
    ids = tuple(map(str, range(len(values))))
    model = adjusted_model(
        ModelCases(ids, values, group, names, surgeons, covariates), LOGIT, CONFIG
    )
    labels = [names[code] for code in group]
    terms = LeadTerms(
        groups=names,
        areas=CaseAreas("impaired_share_20", values, shares),
        at_thresholds=None,
        codes=group,
        n_surgeons=len(set(surgeons)),
        draws=draw_errors(names, operations, local or {}, 1000, 1),
        seen=seen_error(operations),
        balance=balance_table(covariates, labels, names),
        barriers=(),
        scale=LOGIT,
        config=CONFIG,
        hidden=against,
    )
    return tuple(
        lead_of(names[g], names[r], model, terms)
        for r in range(len(names)) for g in range(r + 1, len(names))
    )  # fmt: skip


def run(name: str, n_cohorts: int, seed: int = 1) -> dict[str, float]:
    s = SCENARIOS[name]
    rng = np.random.default_rng([seed, *name.encode()])
    operations = wide_operations() if s.is_error_wide else steady_operations()
    directed, described, chance, whole, plain = [], [], [], [], []
    for _ in range(n_cohorts):
        group, surgeon, thinner, shares = draw(rng, s)
        covariates = (Covariate("antithrombotics", tuple(bool(t) for t in thinner)),)
        known = made_up_table(rng) if s.is_error_own else operations
        local = labelled(("a", "b")) if s.is_labelled else None
        (lead,) = judge(group, surgeon, covariates, shares, known, local=local)
        directed.append(lead.verdict in (Verdict.LOWER, Verdict.HIGHER))
        described.append(lead.verdict is Verdict.DESCRIPTIVE)
        for kept, estimate in ((chance, lead.difference), (whole, lead.with_error)):
            if estimate.low is not None:
                kept.append(estimate.low <= 0 <= estimate.high)
        x, y = (shares[group == code, 1] for code in (1, 0))
        p_value = mann_whitney(x, y).p_value
        plain.append(p_value is not None and p_value < 0.05)
    return {
        "directed": float(np.mean(directed)),
        "described": float(np.mean(described)),
        "chance interval holds 0": float(np.mean(chance)) if chance else float("nan"),
        "whole interval holds 0": float(np.mean(whole)) if whole else float("nan"),
        "unadjusted p < 0.05": float(np.mean(plain)),
    }


def run_example(n_cohorts: int, seed: int = 1) -> dict[str, float]:
    """The example cohort's own series from other seeds: is gelatin found, and wax left alone?"""
    script = example()
    names = script.TECHNIQUES
    found, wax, cover = [], [], []
    for number in range(n_cohorts):
        rng = np.random.default_rng([seed, number])
        rows = []
        for case in script.plan_cases(rng, script.N_CASES):
            if case.covariates["technique"] is None or case.covariates["surgeon"] is None:
                continue
            series = script.draw_series(np.random.default_rng([seed, number, case.number]), case)
            kept = series.is_valid & (series.time_s >= case.first_use_s)
            if kept.any():
                area = series.area_frac[kept]
                rows.append((case, [float(np.mean(area >= x)) for x in LEVELS]))
        cases = [case for case, _ in rows]
        group = np.array([names.index(case.covariates["technique"]) for case in cases])
        surgeon = [case.covariates["surgeon"] for case in cases]
        days = [float(case.number) for case in cases]
        order = [sum(s == own for s in surgeon[: i + 1]) for i, own in enumerate(surgeon)]
        covariates = (
            *(Covariate(n, tuple(c.covariates[n] for c in cases)) for n in ("procedure", "levels")),
            Covariate("calendar_time", tuple(days)),
            Covariate("surgeon_case_order", tuple(map(float, order))),
            Covariate("antithrombotics", tuple(c.covariates["antithrombotics"] for c in cases)),
        )
        leads = judge(
            group, surgeon, covariates, np.array([s for _, s in rows]),
            script.made_up_operations(), names,
        )  # fmt: skip
        by_pair = {(lead.group, lead.reference): lead for lead in leads}
        gelatin, other = by_pair[names[2], names[0]], by_pair[names[1], names[0]]
        found.append(gelatin.verdict is Verdict.LOWER)
        wax.append(other.verdict in (Verdict.LOWER, Verdict.HIGHER))
        cover.append(other.with_error.low <= 0 <= other.with_error.high)
    return {
        "gelatin found": float(np.mean(found)),
        "wax directed": float(np.mean(wax)),
        "wax interval holds 0": float(np.mean(cover)),
    }


@dataclass(frozen=True)
class Losses:
    """Bleeds of 80 cases without any effect; of long ones a share is lost from view, by group."""

    lost_share: tuple[float, float]
    n_cases: int = 80
    n_surgeons: int = 4
    quiet_s: float = 1500.0
    n_events: float = 12.0
    heavy_from_s: float = 60.0


LOSSES = {
    "half of heavy bleeds lost in one group": Losses((0.0, 0.5)),
    "half of heavy bleeds lost in both": Losses((0.5, 0.5)),
}


def draw_bleeds(rng: np.random.Generator, s: Losses):
    """Group, surgeon and the surgeon's true share cleared by 60 s of each case; and its bleeds.

    Bleeds: case, true and seen seconds, area, lost.
    """
    surgeon = rng.integers(s.n_surgeons, size=s.n_cases)
    group = rng.integers(2, size=s.n_cases)
    of_surgeon = rng.normal(0, 0.3, s.n_surgeons)[surgeon]
    in_time = stats.norm.cdf((np.log(60 / 30) - of_surgeon) / np.sqrt(0.3**2 + 0.7**2 + 0.5**2))
    level = of_surgeon + rng.normal(0, 0.3, s.n_cases)
    case = np.repeat(np.arange(s.n_cases), rng.poisson(s.n_events, s.n_cases))
    size = rng.normal(0, 1, len(case))
    true_s = 30 * np.exp(level[case] + 0.7 * size + rng.normal(0, 0.5, len(case)))
    area = np.exp(-1.8 + 0.5 * size + 0.3 * level[case])
    is_lost = (true_s > s.heavy_from_s) & (
        rng.random(len(case)) < np.array(s.lost_share)[group[case]]
    )
    seen_s = np.where(is_lost, true_s * rng.random(len(case)), true_s)
    return group, surgeon, in_time, case, true_s, seen_s, area, is_lost


def run_losses(name: str, n_cohorts: int, seed: int = 1) -> dict[str, float]:
    """What is lost from view is the worst: do bounds hold the truth, is a winner named?"""
    s = LOSSES[name]
    rng = np.random.default_rng([seed, *name.encode()])
    config = CompareConfig(n_permutations=999, n_bootstrap=200)
    directed, described, own, all_cases, plain = [], [], [], [], []
    for _ in range(n_cohorts):
        group, surgeon, in_time, case, true_s, seen_s, area, is_lost = draw_bleeds(rng, s)
        evaluable_s = s.quiet_s + np.bincount(case, seen_s, s.n_cases)
        shares = np.column_stack([
            np.bincount(case, seen_s * (area >= x), s.n_cases) for x in LEVELS
        ]) / evaluable_s[:, None]  # fmt: skip
        clear = time_to_clear(
            ClearEvents(seen_s, ~is_lost, case, group, surgeon, np.zeros(s.n_cases, np.int64),
                        ("a", "b")),
            config,
        )  # fmt: skip
        (lead,) = judge(
            group, surgeon, (), shares, steady_operations(), against=hidden_bleeding(clear)
        )
        directed.append(lead.verdict in (Verdict.LOWER, Verdict.HIGHER))
        described.append(lead.verdict is Verdict.DESCRIPTIVE)
        for code, curve in enumerate(clear.curves):
            rows = np.flatnonzero(group[case] == code)
            weights = 1 / np.bincount(case)[case[rows]]
            of_cohort = float(np.average(true_s[rows] <= 60, weights=weights))
            own.append(curve.bounds_60s[0] - 1e-9 <= of_cohort <= curve.bounds_60s[1] + 1e-9)
            truth = float(np.mean(in_time[np.unique(case[rows])]))
            if s.lost_share[code]:
                shown = curve.cleared_60s_share
                plain.append(shown.low <= truth <= shown.high)
                all_cases.append(curve.limits_60s[0] <= truth <= curve.limits_60s[1])
    return {
        "directed": float(np.mean(directed)),
        "described": float(np.mean(described)),
        "bounds hold the cohort's own share": float(np.mean(own)),
        "bounds with chance hold the surgeons' share": float(np.mean(all_cases)),
        "Kaplan-Meier interval holds it": float(np.mean(plain)),
    }


def row_of(name: str, n_cohorts: int) -> dict[str, float]:
    if name == "example":
        return run_example(n_cohorts)
    return run_losses(name, n_cohorts) if name in LOSSES else run(name, n_cohorts)


def main() -> None:
    n_cohorts = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    for name in sys.argv[2:] or [*SCENARIOS, *LOSSES, "example"]:
        started = time.perf_counter()
        row = row_of(name, n_cohorts)
        told = "; ".join(f"{key} {100 * value:.1f} %" for key, value in row.items())
        print(f"{name} ({n_cohorts}): {told} [{time.perf_counter() - started:.0f} s]", flush=True)


if __name__ == "__main__":
    main()
