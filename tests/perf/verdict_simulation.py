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
from ubereport.cohort.device import CaseAreas, draw_errors, seen_error
from ubereport.cohort.lead import LeadInput, lead_of
from ubereport.cohort.scales import LOGIT_OFFSET_FRAC, MetricScale, ScaleKind
from ubereport.core.config import CompareConfig
from ubereport.core.held_out import HeldOutOperation
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
}


def wide_operations() -> tuple[HeldOutOperation, ...]:
    """What the shipped model erred on unseen operations; made up where its bundle does not say.

    Made up: 70 % of the blood found (SD 12 points), 0.8 % of clean view painted (log SD 1).
    """
    path = ROOT / "models" / "ube-blood-4" / "metadata.json"
    stored = json.loads(path.read_text()).get("held_out_operations", [])
    if stored:
        return tuple(HeldOutOperation(**operation) for operation in stored)
    rng = np.random.default_rng(7)
    painted = np.minimum(0.008 * np.exp(rng.normal(0, 1.0, 30)), 0.2)
    found = np.clip(rng.normal(0.70, 0.12, 30), 0.3, 0.98)
    return tuple(
        HeldOutOperation(f"op{i}", 20, 10, 0.08, 0.08, float(p), float(f), 0.0)
        for i, (p, f) in enumerate(zip(painted, found, strict=True))
    )


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
    false_area = s.false_area * group
    at = [np.maximum((x - false_area) / (1 - false_area), 1e-9) for x in LEVELS]
    shares = np.stack([stats.norm.sf((np.log(x) - mean) / SPREAD) for x in at], axis=1)
    return group, surgeon, thinner, shares


def judge(group, surgeon, covariates, shares, operations, names=("a", "b")) -> tuple[Lead, ...]:
    """Return the leads of a cohort, as `compare_cohort` makes them."""
    values = shares[:, 1]
    surgeons = tuple(f"S{i}" for i in surgeon)
    ids = tuple(map(str, range(len(values))))
    model = adjusted_model(
        ModelCases(ids, values, group, names, surgeons, covariates), LOGIT, CONFIG
    )
    labels = [names[code] for code in group]
    given = LeadInput(
        names, CaseAreas("impaired_share_20", values, shares), None, group, len(set(surgeons)),
        draw_errors(names, operations, {}, 1000, 1), seen_error(operations),
        balance_table(covariates, labels, names), (),
    )  # fmt: skip
    return tuple(
        lead_of(names[g], names[r], model, given, LOGIT, CONFIG)
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
        (lead,) = judge(group, surgeon, covariates, shares, operations)
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


def main() -> None:
    n_cohorts = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    for name in sys.argv[2:] or [*SCENARIOS, "example"]:
        started = time.perf_counter()
        row = run_example(n_cohorts) if name == "example" else run(name, n_cohorts)
        told = "; ".join(f"{key} {100 * value:.1f} %" for key, value in row.items())
        print(f"{name} ({n_cohorts}): {told} [{time.perf_counter() - started:.0f} s]", flush=True)


if __name__ == "__main__":
    main()
