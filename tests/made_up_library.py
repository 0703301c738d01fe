"""A library of case folders with known numbers, for commands that read whole libraries."""

import json
from pathlib import Path

import numpy as np

MODEL_1, MODEL_2 = "a" * 64, "b" * 64
CONFIG_TOML = "[sampling]\nrate_hz = 2.0\n\n[events]\nonset_frac = 0.05\n"

# What the made-up model erred on unseen operations: much alike.
OPERATIONS = [
    {"operation": f"op{i}", "n_stills": 20, "n_with_blood": 10, "true_area_frac": 0.1,
     "measured_area_frac": 0.09, "painted_clean_frac": 0.005 + 0.0005 * (i % 3),
     "blood_found_share": 0.86 + 0.01 * (i % 4), "area_bias_frac": -0.01}
    for i in range(12)
]  # fmt: skip


def band(key, value):
    """What the model's other thresholds give: a tenth less and more of areas and their shares."""
    if not key.startswith(("impaired_share", "area_mean")):
        return {"band_low": None, "band_high": None}
    return {"band_low": 0.9 * value, "band_high": min(1.0, 1.1 * value)}


def case_json(case_id, share, clear_s=(), model_sha256=MODEL_1, coverage=0.95):
    """What a cohort reads of a case; `clear_s` holds seconds to clear, negative where censored."""
    events = [
        {
            "onset_s": 500.0 * i, "is_onset_observed": True, "peak_s": 500.0 * i + 1,
            "peak_area_frac": 0.3, "end_s": 500.0 * i + abs(s), "clear_s": 500.0 * i + s if s > 0
            else None, "censor_reason": "" if s > 0 else "view_lost", "mean_area_frac": 0.2,
            "area_time_frac_s": 6.0, "is_rebleed": False, "severity": "moderate",
        }
        for i, s in enumerate(clear_s)
    ]  # fmt: skip
    values = {
        "impaired_share_20": share,
        "area_mean_frac": share / 3,
        "impaired_share_5": min(1.0, 2 * share),
        "impaired_share_50": share / 4,
        "coverage_frac": coverage,
        "evaluable_s": 3600.0,
        "event_count": float(len(clear_s)),
        "event_rate_per_10min": len(clear_s) / 5,
        "at_risk_s": 3000.0,
    }
    metrics = [
        {"key": key, "unit": "1", "value": value, "reason": "", "n": 10, "coverage_frac": 0.9,
         **band(key, value)}
        for key, value in values.items()
    ]  # fmt: skip
    model = {"name": "ube-blood", "version": "1.0" if model_sha256 == MODEL_1 else "2.0",
             "sha256": model_sha256, "thresholds": [0.4, 0.5, 0.6],
             "training_population": "no patients", "limits": "Made up.",
             "held_out_operations": OPERATIONS,
             "operating_characteristics": {"sensitivity": 0.9, "specificity": 0.8}}  # fmt: skip
    return {
        "schema_version": "1.0", "case_id": case_id, "recording": {"parts": [], "pauses": []},
        "metrics": metrics, "events": events, "flags": [], "key_frames": [],
        "provenance": {"ubereport_version": "0.1.0", "model": model, "config_toml": CONFIG_TOML,
                       "config_sha256": "c" * 64},
    }  # fmt: skip


def add_case(library: Path, number, share, manifest, clear_s=(30.0, 90.0), **options) -> Path:
    """Write one case; even numbers get a report."""
    folder = library / f"case-{number:03d}"
    folder.mkdir(parents=True)
    content = case_json(f"C-{number:03d}", share, clear_s, **options)
    (folder / "case.json").write_text(json.dumps(content))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    if number % 2 == 0:
        (folder / "report.html").write_text("<p>report</p>")
    return folder


def make_library(library: Path, groups, n_surgeons=3, **options) -> list[float]:
    """Write groups (name → shares) of cases; returns all shares in order of the case numbers."""
    rng = np.random.default_rng(4)
    # Groups take turns in time, as techniques of one department do.
    shares = [
        (name, share, len(groups) * index + place if len(groups) > 1 else index)
        for place, (name, values) in enumerate(groups.items())
        for index, share in enumerate(values)
    ]
    for number, (name, share, day) in enumerate(shares):
        manifest = {
            "date": f"2026-{1 + day // 28:02d}-{1 + day % 28:02d}",
            "use_start": "0",
            "surgeon": f"S{number % n_surgeons + 1}",
            "procedure": "ULBD",
            "technique": name,
            "age": float(rng.integers(40, 80)),
            "drain_ml": 50.0 + 100 * share,
            "clarity_rating": int(share > 0.05) + int(share > 0.2),
        }
        add_case(library, number, share, manifest, **options)
    return [share for _, share, _ in shares]
