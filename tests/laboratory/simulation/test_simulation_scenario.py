from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ubereport.core.errors import UsageError
from ubereport.core.intervals import Interval
from ubereport.core.series import LossReason
from ubereport.laboratory.simulation.camera import CameraPath
from ubereport.laboratory.simulation.config import SIMULATED_LOSSES, SimulationConfig
from ubereport.laboratory.simulation.scenario import (
    Loss,
    Scenario,
    Tool,
    ToolKind,
    Visit,
    plan_scenario,
)
from ubereport.laboratory.simulation.site import SITE_REACH, Site

SMALL = SimulationConfig(width_px=160, height_px=120)


def test_blood_comes_stays_and_goes(bleed):
    assert bleed.washed_s == 9.0
    assert bleed.target_frac(bleed.start_s) == 0
    assert bleed.target_frac(bleed.washed_s) == 0
    plateau = [bleed.target_frac(t) for t in np.linspace(3.0, 7.0, 50)]
    assert max(plateau) <= bleed.peak_frac
    assert min(plateau) >= 0.85 * bleed.peak_frac
    assert 0 < bleed.target_frac(2.0) < min(plateau)
    assert 0 < bleed.target_frac(8.0) < min(plateau)


def test_clot_stays_after_washing_and_fades_within_a_minute(bleed):
    clotted = dataclasses.replace(bleed, clot_frac=0.02)
    assert clotted.clot_target_frac(clotted.start_s) == 0
    assert clotted.clot_target_frac(clotted.washed_s + 5) == pytest.approx(0.02)
    assert clotted.clot_target_frac(clotted.washed_s + 60) == 0


@pytest.mark.parametrize("changes", [{"peak_frac": 0.0}, {"peak_frac": 1.2}, {"rise_s": 0.0}])
def test_a_bleed_that_cannot_be_is_refused(bleed, changes: dict):
    with pytest.raises(ValueError, match=r"peak_frac|rise_s"):
        dataclasses.replace(bleed, **changes)


def test_visits_with_a_break_are_refused(make_scenario):
    visits = (Visit(0.0, 5.0, Site.LAMINA, 1), Visit(6.0, 20.0, Site.CANAL, 1))
    with pytest.raises(UsageError, match="Close the breaks"):
        make_scenario(visits=visits)


@pytest.mark.parametrize(
    "spans", [((2.0, 6.0), (5.0, 8.0)), ((15.0, 25.0),), ((-1.0, 3.0),), ((4.0, 4.0),)]
)
def test_losses_that_overlap_or_leave_the_recording_are_refused(make_scenario, spans):
    losses = tuple(Loss(start, end, LossReason.BLACK, 1) for start, end in spans)
    with pytest.raises(UsageError, match="Move them"):
        make_scenario(losses=losses)


def test_losses_are_found_by_time(make_scenario):
    losses = (Loss(2.0, 4.0, LossReason.BLACK, 1), Loss(6.0, 7.0, LossReason.BLURRED, 1))
    scenario = make_scenario(losses=losses)
    assert scenario.loss_at(1.99) is None
    assert scenario.loss_at(2.0) == losses[0]
    assert scenario.loss_at(4.0) is None


def test_a_tool_works_only_while_active():
    tool = Tool(ToolKind.SHAVER, 0.0, 10.0, (Interval(2.0, 4.0), Interval(6.0, 7.0)), 0, 0, 0)
    assert [tool.is_active(t) for t in (1.0, 2.0, 4.0, 6.5)] == [False, True, False, True]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    minutes=st.floats(0.02, 20),
    bleeds=st.sampled_from([0.0, 4.0, 10.0, 30.0]),
    is_bleeding_at_end=st.booleans(),
)
def test_every_plan_is_a_possible_case(seed, minutes, bleeds, is_bleeding_at_end):
    config = dataclasses.replace(
        SMALL, bleeds_per_10min=bleeds, is_bleeding_at_end=is_bleeding_at_end
    )
    scenario = plan_scenario(seed, minutes, config)
    assert isinstance(scenario, Scenario)  # its own checks passed: visits tile, losses are apart
    assert scenario.duration_s == pytest.approx(minutes * 60)
    assert scenario == plan_scenario(seed, minutes, config)
    starts_s = [bleed.start_s for bleed in scenario.bleeds]
    assert starts_s == sorted(starts_s)
    if bleeds == 0 and not is_bleeding_at_end:
        assert not scenario.bleeds
    if not is_bleeding_at_end:
        assert all(bleed.washed_s < scenario.duration_s for bleed in scenario.bleeds)


def test_a_long_plan_holds_everything_that_a_case_may_hold():
    scenario = plan_scenario(4, 60, SMALL)
    assert {loss.reason for loss in scenario.losses} == set(SIMULATED_LOSSES)
    assert {visit.site for visit in scenario.visits} == set(Site)
    assert {tool.kind for tool in scenario.tools} == set(ToolKind)
    assert max(bleed.peak_frac for bleed in scenario.bleeds) >= 0.5
    repeats = [
        later.start_s - earlier.washed_s
        for earlier, later in zip(scenario.bleeds, scenario.bleeds[1:], strict=False)
        if earlier.seed == later.seed
    ]
    assert repeats
    assert all(0 < pause_s < 60 for pause_s in repeats)
    assert 30 <= len(scenario.bleeds) <= 75  # 10 in 10 minutes asked for


@pytest.mark.parametrize("minutes", [0.35, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(6))
def test_short_recordings_hold_a_bleed_too(seed: int, minutes: float):
    assert plan_scenario(seed, minutes, SMALL).bleeds


def test_different_seeds_give_different_cases():
    assert plan_scenario(1, 3, SMALL) != plan_scenario(2, 3, SMALL)


def test_the_last_bleed_can_outlast_the_recording():
    config = dataclasses.replace(SMALL, is_bleeding_at_end=True)
    scenario = plan_scenario(5, 3, config)
    assert scenario.bleeds[-1].start_s < scenario.duration_s < scenario.bleeds[-1].washed_s


def test_only_the_losses_asked_for_are_planned():
    config = dataclasses.replace(SMALL, losses=(LossReason.BLACK,))
    assert {loss.reason for loss in plan_scenario(1, 30, config).losses} == {LossReason.BLACK}
    config = dataclasses.replace(SMALL, losses=())
    assert plan_scenario(1, 30, config).losses == ()


@pytest.mark.parametrize(
    ("seed", "minutes", "named"),
    [(-1, 1.0, "seed"), (1, 0.0, "minutes"), (1, float("nan"), "minutes"), (1, 2000.0, "minutes")],
)
def test_a_seed_or_length_that_cannot_be_used_is_named(seed, minutes, named):
    with pytest.raises(UsageError, match=f"{named} = .* allowed"):
        plan_scenario(seed, minutes, SMALL)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), reach=st.floats(1.0, 1.3), time_s=st.floats(0, 120))
def test_the_camera_never_looks_beyond_the_painted_site(seed, reach, time_s):
    pose = CameraPath(Visit(0.0, 120.0, Site.CANAL, seed), reach).pose(time_s)
    farthest = np.hypot(pose.x, 0) + reach / pose.zoom, np.hypot(pose.y, 0) + reach / pose.zoom
    assert max(farthest) <= SITE_REACH


def test_the_camera_moves_smoothly_and_breathes():
    path = CameraPath(Visit(0.0, 60.0, Site.CANAL, 3), 1.0)
    poses = [path.pose(t) for t in np.arange(0, 60, 0.04)]
    steps = np.abs(np.diff([(p.x, p.y) for p in poses], axis=0))
    assert steps.max() < 0.02  # field radii from one picture to the next
    assert steps.max(axis=0).min() > 0.0005


def test_a_point_of_the_site_is_found_again_in_the_view():
    pose = CameraPath(Visit(0.0, 60.0, Site.CANAL, 3), 1.0).pose(17.0)
    radius, center, canvas_px = np.array([80.0, 60.0]), np.array([100.0, 70.0]), 340
    x, y = pose.to_view(0.31, -0.22)
    pixel = center - 0.5 + radius * (x, y)
    matrix = pose.canvas_from_box(radius, center, canvas_px)
    on_canvas = matrix[:, :2] @ pixel + matrix[:, 2]
    expected = (np.array([0.31, -0.22]) + SITE_REACH) / (2 * SITE_REACH) * canvas_px - 0.5
    assert on_canvas == pytest.approx(expected, abs=1e-6)
