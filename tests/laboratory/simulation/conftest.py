"""Small scenarios that the tests of this room share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from ubereport.laboratory.simulation.config import SimulationConfig
from ubereport.laboratory.simulation.scenario import Bleed, BleedKind, Scenario, Visit
from ubereport.laboratory.simulation.site import Site

MakeScenario = Callable[..., Scenario]

BLEED = Bleed(
    kind=BleedKind.POOL,
    start_s=1.0,
    rise_s=2.0,
    plateau_s=4.0,
    wash_s=2.0,
    peak_frac=0.4,
    source_x=0.0,
    source_y=0.0,
    flow_rad=0.5,
    clot_frac=0.0,
    seed=3,
)


@pytest.fixture
def bleed() -> Bleed:
    return BLEED


@pytest.fixture
def make_scenario() -> MakeScenario:
    """Build a scenario of one site; keywords change its parts, `config_…` its configuration."""

    def make(site: Site = Site.LAMINA, duration_s: float = 20.0, **changes: object) -> Scenario:
        options = {
            name.removeprefix("config_"): changes.pop(name)
            for name in list(changes)
            if name.startswith("config_")
        }
        config = SimulationConfig(**{"width_px": 160, "height_px": 120, **options})
        scenario = Scenario(
            seed=1,
            duration_s=duration_s,
            config=config,
            visits=(Visit(0.0, duration_s, site, seed=2),),
        )
        return dataclasses.replace(scenario, **changes)

    return make
