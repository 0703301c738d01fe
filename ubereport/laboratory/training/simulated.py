"""Stills of simulated recordings with exact masks, drawn once and kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ubereport.laboratory.simulation.stills import simulate_stills
from ubereport.laboratory.training.stills import BLOOD, CLEAN, Still, StillCache


def simulated_cache(seed: int, n: int, side_px: int, folder: Path) -> StillCache:
    """Simulate `n` stills of `side_px`, or map them from `folder` where they were drawn before.

    Raises
    ------
    UsageError
        As `simulation.simulate_stills`.
    """
    stem = folder / f"simulated-{seed}-{n}-{side_px}"
    rgb_path, label_path = stem.with_suffix(".rgb.npy"), stem.with_suffix(".label.npy")
    if not label_path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        drawn = list(simulate_stills(seed, n, side_px, side_px))
        np.save(rgb_path, np.stack([rgb for rgb, _, _ in drawn]))
        np.save(label_path, np.stack([np.where(b, BLOOD, CLEAN) for _, b, _ in drawn]).astype("u1"))
    rgb, label = np.load(rgb_path, mmap_mode="r"), np.load(label_path, mmap_mode="r")
    stills = tuple(
        Still(
            f"simulated_{i}",
            Path(f"simulated_{i}"),
            None,
            None,
            f"simulated_{i // 4}",
            "blood" if (label[i] == BLOOD).any() else "zero",
        )
        for i in range(n)
    )
    return StillCache(stills, rgb, label)
