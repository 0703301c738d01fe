"""How often an audit of a department in which nothing changes sees a signal.

    python tests/perf/audit_simulation.py [N] [SEED]

N audits (default 500) of 80 cases each, made anew for each audit by the example's own generator
without its special causes: no learner, no pump failure, no bad month, no dark recording. (Audits
drawn from one pool share its few strange cases: 150 from 400 cases gave 23 %, 250 from 1600 13 %.)
Signals are points of control charts, surgeons beyond the outer limits of a funnel, and
named turning points. The table is kept in ``tests/perf/README.md``.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from ubereport.analysis.derived_numbers import derive
from ubereport.cohort.audit import audit_cohort
from ubereport.cohort.audit_results import Audit, FunnelZone
from ubereport.cohort.casefile import CaseRow
from ubereport.cohort.table import cohort_table
from ubereport.core.config import AnalysisConfig, AuditConfig

ROOT = Path(__file__).resolve().parents[2]
KEYS = ("impaired_share_20", "coverage_frac", "event_rate_per_10min", "at_risk_s",
        "major_event_count", "event_count", "area_mean_frac", "closing_area_mean_frac")  # fmt: skip
N_CASES = 80


def steady_example():
    spec = importlib.util.spec_from_file_location(
        "make_cohort", ROOT / "examples" / "cohort" / "make_cohort.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    nobody = (0,)
    module.TRUTH = replace(
        module.TRUTH, learner="", pump_failure_case=0, bad_month_cases=nobody, dark_case=0,
        no_view_case=0, technique_missing=nobody, surgeon_missing=nobody,
        surgeon_level=dict.fromkeys(module.SURGEONS, 0.0),
    )  # fmt: skip
    return module


def steady_cases(script, seed: tuple[int, int]):
    """Metrics and covariates of a department's cases in which nothing is special."""
    config = AnalysisConfig()
    found = []
    for case in script.plan_cases(np.random.default_rng(seed), N_CASES):
        series = script.draw_series(np.random.default_rng([*seed, case.number]), case)
        metrics = derive(series, config.events, config.metrics).metrics
        values = {m.key: m.value for m in metrics if m.key in KEYS}
        found.append((values, dict(case.covariates)))
    return found


def audit_of(cases) -> Audit:
    rows = []
    for number, (values, covariates) in enumerate(cases):
        day = np.datetime64("2025-03-03") + 5 * number
        identity = {"case_id": f"c{number:03d}", "folder": f"c{number:03d}", "model_name": "m",
                    "model_version": "1", "model_sha256": "m", "settings_sha256": "s",
                    "schema_version": "1.0", "ubereport_version": "0", "n_flags": 0}  # fmt: skip
        rows.append(CaseRow(identity, {**covariates, "date": str(day)}, dict(values), {}, []))
    return audit_cohort(cohort_table(rows), AuditConfig(n_permutations=999))


def signals(audit: Audit) -> tuple[bool, bool, bool]:
    """Whether charts, funnels and curves have a signal."""
    return (
        any(point.signals for chart in audit.charts for point in chart.points),
        any(p.zone is FunnelZone.BEYOND_998 for f in audit.funnels for p in f.points),
        any(curve.is_turning for curve in audit.learning_curves),
    )


def main() -> None:
    n_audits = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    started = time.perf_counter()
    script = steady_example()
    found, told = [], []
    for number in range(n_audits):
        audit = audit_of(steady_cases(script, (seed, number)))
        found.append(signals(audit))
        told.append(audit.false_alarm.probability)
    charts, funnels, curves = np.mean(found, axis=0)
    print(
        f"{n_audits} steady audits of {N_CASES} cases: any signal "
        f"{100 * np.mean(np.any(found, axis=1)):.1f} % (charts {100 * charts:.1f} %, funnels "
        f"{100 * funnels:.1f} %, curves {100 * curves:.1f} %); the page says "
        f"{100 * np.mean(told):.1f} % [{time.perf_counter() - started:.0f} s]"
    )


if __name__ == "__main__":
    main()
