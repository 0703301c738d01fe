from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import cv2
import numpy as np
import pytest

from ubereport.core.intervals import Interval
from ubereport.core.series import LossReason
from ubereport.laboratory.simulation.config import FieldOutline
from ubereport.laboratory.simulation.render import Renderer, render
from ubereport.laboratory.simulation.scenario import BleedKind, Loss, Tool, ToolKind
from ubereport.laboratory.simulation.site import Site

PROBE = Tool(ToolKind.RF_PROBE, 0.0, 20.0, (Interval(2.0, 18.0),), 0.0, 0.0, 0.3)


def _is_red(rgb: np.ndarray) -> np.ndarray:
    """The published redness rule: hue within 10 of red, some saturation and light."""
    hue, saturation, value = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV))
    return ((hue <= 10) | (hue >= 170)) & (saturation >= 60) & (value >= 40)


@pytest.mark.parametrize("field", list(FieldOutline))
def test_shapes_and_the_dark_around_the_field(make_scenario, bleed, field: FieldOutline):
    scenario = make_scenario(bleeds=(bleed,), config_field=field)
    rgb, blood, inside = render(scenario, 5.0)
    assert rgb.shape == (120, 160, 3)
    assert rgb.dtype == np.uint8
    assert blood.shape == inside.shape == (120, 160)
    assert blood.dtype == inside.dtype == np.bool_
    assert not rgb[~inside].astype(int).max(initial=0) > 140  # only the soft rim
    assert np.median(rgb[~inside]) == 0 if (~inside).any() else inside.all()
    assert blood.any()
    assert not (blood & ~inside).any()
    assert np.median(rgb[inside]) > 40


def test_the_surround_can_be_gray(make_scenario):
    rgb, _, inside = render(make_scenario(config_surround_level=24), 1.0)
    assert rgb[~inside].min() == 24
    assert np.median(rgb[~inside]) == 24


def test_area_is_the_share_of_the_field(make_scenario, bleed):
    frame = Renderer(make_scenario(bleeds=(bleed,))).frame(5.0)
    assert frame.area_frac == frame.blood_mask.sum() / frame.field_mask.sum()


def test_the_same_moment_gives_the_same_picture_in_any_order(make_scenario, bleed):
    scenario = make_scenario(bleeds=(bleed,), tools=(PROBE,))
    renderer = Renderer(scenario)
    forward = [renderer.frame(t).rgb for t in (1.0, 4.0, 7.0)]
    backward = [renderer.frame(t).rgb for t in (7.0, 4.0, 1.0)][::-1]
    fresh = [render(scenario, t)[0] for t in (1.0, 4.0, 7.0)]
    for one, two, three in zip(forward, backward, fresh, strict=True):
        assert np.array_equal(one, two)
        assert np.array_equal(one, three)


def test_the_truth_hardly_depends_on_the_size(make_scenario, bleed):
    small = Renderer(make_scenario(bleeds=(bleed,))).frame(5.0)
    large = Renderer(
        make_scenario(bleeds=(bleed,), config_width_px=320, config_height_px=240)
    ).frame(5.0)
    assert small.area_frac == pytest.approx(large.area_frac, abs=0.03)


def test_enlarged_drawings_keep_their_truth(make_scenario, bleed):
    size = {"config_width_px": 320, "config_height_px": 240}
    full = Renderer(make_scenario(bleeds=(bleed,), **size)).frame(5.0)
    enlarged = Renderer(make_scenario(bleeds=(bleed,), config_render_height_px=120, **size)).frame(
        5.0
    )
    assert enlarged.rgb.shape == (240, 320, 3)
    assert enlarged.area_frac == pytest.approx(full.area_frac, abs=0.03)


def test_on_pale_bone_the_mask_is_what_a_redness_rule_sees(make_scenario, bleed):
    pool = dataclasses.replace(bleed, kind=BleedKind.OOZE, peak_frac=0.3)
    scenario = make_scenario(Site.DRILLING, bleeds=(pool,), config_noise_level=0.0)
    before, during = (Renderer(scenario).frame(t) for t in (0.5, 5.0))
    newly_red = _is_red(during.rgb) & ~_is_red(before.rgb) & during.field_mask
    assert not before.blood_mask.any()
    assert _is_red(during.rgb)[during.blood_mask].mean() > 0.97
    overlap = (newly_red & during.blood_mask).sum() / during.blood_mask.sum()
    assert overlap > 0.85


@pytest.mark.parametrize("site", list(Site))
def test_tissue_alone_has_no_blood(make_scenario, site: Site):
    frame = Renderer(make_scenario(site)).frame(6.0)
    assert frame.area_frac == 0.0
    assert frame.rgb[frame.field_mask].std() > 15  # it is a picture, not a slate


@pytest.mark.parametrize("site", [Site.MUSCLE, Site.INFLAMED])
def test_red_tissue_fools_a_redness_rule_and_is_no_blood(make_scenario, site: Site):
    frame = Renderer(make_scenario(site)).frame(6.0)
    assert _is_red(frame.rgb)[frame.field_mask].mean() > 0.4
    assert not frame.blood_mask.any()


def test_the_glow_of_a_probe_fools_a_redness_rule_and_is_no_blood(make_scenario):
    scenario = make_scenario(Site.LAMINA, tools=(PROBE,))
    dark = make_scenario(Site.LAMINA, tools=(dataclasses.replace(PROBE, active=()),))
    glowing, cold = Renderer(scenario).frame(6.0), Renderer(dark).frame(6.0)
    assert not glowing.blood_mask.any()
    assert not cold.blood_mask.any()
    added = glowing.rgb.astype(int).sum(axis=(0, 1)) - cold.rgb.astype(int).sum(axis=(0, 1))
    assert added[0] > added[1] > added[2] > 0  # orange light


def test_a_shaver_is_no_blood_and_turns(make_scenario):
    shaver = dataclasses.replace(PROBE, kind=ToolKind.SHAVER)
    renderer = Renderer(make_scenario(Site.INFLAMED, tools=(shaver,)))
    assert not renderer.frame(6.0).blood_mask.any()
    assert not np.array_equal(renderer.frame(6.0).rgb, renderer.frame(6.1).rgb)


def test_an_instrument_over_blood_is_not_blood(make_scenario, bleed):
    still = dataclasses.replace(bleed, kind=BleedKind.POOL, peak_frac=0.6)
    shaver = dataclasses.replace(PROBE, kind=ToolKind.SHAVER, active=())
    free = Renderer(make_scenario(bleeds=(still,))).frame(5.0)
    covered = Renderer(make_scenario(bleeds=(still,), tools=(shaver,))).frame(5.0)
    assert covered.blood_mask.sum() < 0.97 * free.blood_mask.sum()
    lost = free.blood_mask & ~covered.blood_mask
    bare, with_tool = (
        Renderer(make_scenario(tools=tools, config_noise_level=0.0)).frame(5.0).rgb.astype(int)
        for tools in ((), (shaver,))
    )
    assert (np.abs(with_tool - bare).max(2) > 5)[lost].mean() > 0.97


@pytest.mark.parametrize("seed", [1, 2, 3])  # gauze, room, drape
def test_outside_the_body_nothing_counts(make_scenario, bleed, seed: int):
    losses = (Loss(2.0, 8.0, LossReason.OUT_OF_BODY, seed),)
    frame = Renderer(make_scenario(bleeds=(bleed,), losses=losses)).frame(5.0)
    assert frame.reason is LossReason.OUT_OF_BODY
    assert not frame.blood_mask.any()
    assert math.isnan(frame.area_frac)
    inside = _is_red(frame.rgb)[frame.field_mask].mean()
    assert inside < 0.3


def _lost_frame(make_scenario, bleed, reason: LossReason, seed: int = 1):
    losses = (Loss(3.0, 8.0, reason, seed),)
    scenario = make_scenario(bleeds=(bleed,), losses=losses, config_noise_level=1.0)
    frame = Renderer(scenario).frame(5.0)
    assert frame.reason is reason
    assert not frame.blood_mask.any()
    return frame, Renderer(scenario)


def test_black_is_black(make_scenario, bleed):
    frame, _ = _lost_frame(make_scenario, bleed, LossReason.BLACK)
    assert frame.rgb.mean() < 6


def test_white_out_fills_the_field_with_white(make_scenario, bleed):
    frame, _ = _lost_frame(make_scenario, bleed, LossReason.WHITE_OUT)
    assert (frame.rgb[frame.field_mask].min(1) >= 235).mean() > 0.8


def test_blur_takes_the_fine_structure(make_scenario, bleed):
    frame, _ = _lost_frame(make_scenario, bleed, LossReason.BLURRED)
    sharp = Renderer(make_scenario(bleeds=(bleed,), config_noise_level=1.0)).frame(5.0)
    middle = (slice(30, 90), slice(50, 110))

    def fineness(rgb: np.ndarray) -> float:
        gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[middle]
        return float(cv2.Laplacian(cv2.GaussianBlur(gray, (0, 0), 1), cv2.CV_32F).var())

    assert fineness(frame.rgb) < 0.15 * fineness(sharp.rgb)
    difference = frame.rgb[middle].mean((0, 1)) - sharp.rgb[middle].mean((0, 1))
    assert np.abs(difference).max() < 30  # same light, same color


def test_a_frozen_view_repeats_the_last_picture_bit_by_bit(make_scenario, bleed):
    frame, renderer = _lost_frame(make_scenario, bleed, LossReason.FROZEN)
    assert np.array_equal(frame.rgb, renderer.frame(7.9).rgb)
    assert np.array_equal(frame.rgb, renderer.frame(3.0 - 1 / 25).rgb)
    assert not np.array_equal(frame.rgb, renderer.frame(8.0).rgb)


def test_a_recording_may_start_frozen(make_scenario):
    renderer = Renderer(make_scenario(losses=(Loss(0.0, 4.0, LossReason.FROZEN, 1),)))
    assert np.array_equal(renderer.frame(0.0).rgb, renderer.frame(3.0).rgb)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_slate_fills_the_whole_picture_and_stands_still(make_scenario, bleed, seed: int):
    frame, renderer = _lost_frame(make_scenario, bleed, LossReason.NO_SIGNAL, seed)
    assert np.array_equal(frame.rgb, renderer.frame(7.0).rgb)
    colors = np.unique(frame.rgb.reshape(-1, 3), axis=0)
    assert len(colors) < 300


def test_blood_returns_after_a_loss(make_scenario, bleed):
    losses = (Loss(3.0, 4.0, LossReason.BLACK, 1),)
    renderer = Renderer(make_scenario(bleeds=(bleed,), losses=losses))
    assert renderer.frame(4.0).area_frac > 0.1


def test_bubbles_and_debris_move_in_calm_water(make_scenario):
    renderer = Renderer(make_scenario(Site.CANAL, duration_s=200.0))
    frames = [renderer.frame(t).rgb.astype(int) for t in np.linspace(0, 199, 12)]
    assert min(np.abs(a - b).max() for a, b in pairwise(frames)) > 40
