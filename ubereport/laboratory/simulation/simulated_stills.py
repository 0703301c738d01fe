"""Simulated stills with exact masks, for training and for checks of a model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.errors import UsageError
from ubereport.core.intervals import Interval
from ubereport.laboratory.simulation.config import FieldOutline, SimulationConfig
from ubereport.laboratory.simulation.render import Renderer
from ubereport.laboratory.simulation.scenario import (
    Bleed,
    BleedKind,
    Scenario,
    Tool,
    ToolKind,
    Visit,
)
from ubereport.laboratory.simulation.site import Site

_STILLS_A_SITE = 4
_BLOODY_SHARE = 0.6
_VISIT_S = 200.0
_RED = (Site.MUSCLE, Site.INFLAMED)


def simulate_stills(
    seed: int, n: int, height_px: int, width_px: int
) -> Iterator[tuple[RgbArray, BoolArray, BoolArray]]:
    """Draw stills of many sites, outlines, bleeds and distractors.

    About four in ten hold no blood; most of these are hard: red muscle, inflamed tissue, an RF
    probe glowing, the water turbid.

    Parameters
    ----------
    seed
        Decides all of them; from 0.
    n
        How many.
    height_px, width_px
        Size of each, even numbers from 64 to 4096.

    Yields
    ------
    rgb, blood_mask, field_mask
        (height, width, 3) uint8, (height, width) bool and (height, width) bool.

    Raises
    ------
    UsageError
        If `seed` or `n` is negative or the size out of range.
    """
    if seed < 0 or n < 0:
        raise UsageError(
            f"seed = {seed} and n = {n} cannot be used; allowed: whole numbers from 0. Change them."
        )
    SimulationConfig(width_px=width_px, height_px=height_px)
    return _stills(seed, n, height_px, width_px)


def _stills(
    seed: int, n: int, height_px: int, width_px: int
) -> Iterator[tuple[RgbArray, BoolArray, BoolArray]]:
    rng = np.random.default_rng([seed, 37])
    n_drawn = 0
    while n_drawn < n:
        outlines = list(FieldOutline)
        config = SimulationConfig(
            width_px=width_px,
            height_px=height_px,
            field=outlines[int(rng.choice(len(outlines), p=[0.5, 0.1, 0.15, 0.1, 0.15]))],
            noise_level=float(rng.uniform(0, 5)),
        )
        scenario, times_s = _site_scenario(rng, config)
        renderer = Renderer(scenario)
        for time_s in times_s[: n - n_drawn]:
            frame = renderer.frame(float(time_s))
            yield frame.rgb, frame.blood_mask, frame.field_mask
            n_drawn += 1


def _site_scenario(
    rng: np.random.Generator, config: SimulationConfig
) -> tuple[Scenario, np.ndarray]:
    """One site with a bleed for most of its stills, and the times to draw."""
    is_bloody = rng.random() < _BLOODY_SHARE
    sites = list(Site) if is_bloody or rng.random() < 0.4 else list(_RED)
    site = sites[int(rng.integers(len(sites)))]
    bleeds = tuple(_bleed(rng) for _ in range(int(rng.integers(1, 3)))) if is_bloody else ()
    tools: tuple[Tool, ...] = ()
    if rng.random() < 0.5:
        kind = ToolKind.RF_PROBE if rng.random() < 0.7 else ToolKind.SHAVER
        x, y = (float(v) for v in rng.uniform(-0.4, 0.4, 2))
        active = (Interval(0.0, _VISIT_S),) if rng.random() < 0.7 else ()
        entry_rad = float(rng.uniform(0, 6.28))
        tools = (Tool(kind, -2.0, _VISIT_S + 2, active, x, y, entry_rad),)
    visit = Visit(0.0, _VISIT_S, site, int(rng.integers(0, 2**31)))
    scenario = Scenario(int(rng.integers(0, 2**31)), _VISIT_S, config, (visit,), bleeds, (), tools)
    return scenario, rng.uniform(3, 59, _STILLS_A_SITE)


def _bleed(rng: np.random.Generator) -> Bleed:
    kinds = list(BleedKind)
    kind = kinds[int(rng.integers(len(kinds)))]
    highest = 1.0 if kind is BleedKind.RED_OUT else 0.6
    return Bleed(
        kind=kind,
        start_s=float(rng.uniform(0, 5)),
        rise_s=float(rng.uniform(10, 30)),
        plateau_s=float(rng.uniform(5, 20)),
        wash_s=float(rng.uniform(10, 25)),
        peak_frac=float(0.02 + (highest - 0.02) * rng.beta(1.1, 2.2)),
        source_x=float(rng.uniform(-0.6, 0.6)),
        source_y=float(rng.uniform(-0.6, 0.6)),
        flow_rad=float(rng.uniform(0, 6.28)),
        clot_frac=float(rng.uniform(0, 0.03)),
        seed=int(rng.integers(0, 2**31)),
    )
