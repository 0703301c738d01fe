from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ubereport.core.errors import ConfigError, UsageError
from ubereport.core.series import LossReason
from ubereport.laboratory.simulation.camera import lay_out
from ubereport.laboratory.simulation.config import FieldOutline, SimulationConfig


def test_defaults_are_accepted_and_modest_in_size():
    config = SimulationConfig()
    assert (config.width_px, config.height_px) == (640, 360)
    assert Fraction(config.rate_hz) == 25


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"width_px": 161}, "width_px"),
        ({"height_px": 32}, "height_px"),
        ({"height_px": 5000}, "height_px"),
        ({"rate_hz": 0}, "rate_hz"),
        ({"rate_hz": Fraction(1000, 3)}, "rate_hz"),
        ({"crf": 52}, "crf"),
        ({"surround_level": -1}, "surround_level"),
        ({"render_height_px": 10}, "render_height_px"),
        ({"noise_level": -0.1}, "noise_level"),
        ({"bleeds_per_10min": -1}, "bleeds_per_10min"),
        ({"rebleed_share": 1.5}, "rebleed_share"),
        ({"gap_s": -1}, "gap_s"),
        ({"n_parts": 0}, "n_parts"),
        ({"loop_s": 0.5}, "loop_s"),
        ({"loop_s": 10.0, "n_parts": 2}, "loop_s"),
        ({"loop_s": 10.0, "gap_s": 2.0}, "loop_s"),
        ({"loop_s": 10.0, "codec": "libx265"}, "loop_s"),
        ({"field": "triangle"}, "field"),
        ({"losses": (LossReason.CORRUPT,)}, "losses"),
    ],
)
def test_a_bad_option_is_named_with_what_is_allowed(changes: dict, named: str):
    with pytest.raises(
        ConfigError, match=rf"simulation\.{named} = .* allowed: .* Change simulation\.{named}"
    ):
        SimulationConfig(**changes)


def test_bad_options_end_a_command_as_bad_usage():
    assert issubclass(ConfigError, UsageError)
    assert ConfigError.exit_code == 2


def test_a_circle_covers_the_area_of_its_radius():
    outline = lay_out(SimulationConfig(width_px=640, height_px=360))
    assert outline.mask.sum() == pytest.approx(np.pi * (0.485 * 360) ** 2, rel=0.002)
    assert not outline.is_rectangle


def test_a_squashed_circle_is_an_ellipse():
    outline = lay_out(SimulationConfig(field=FieldOutline.SQUASHED))
    expected = np.pi * (0.30 * 360) * (0.48 * 360)
    assert outline.mask.sum() == pytest.approx(expected, rel=0.002)
    assert outline.radius_x_px < outline.radius_y_px


def test_a_cut_circle_loses_its_segments_at_the_top_and_bottom():
    outline = lay_out(SimulationConfig(field=FieldOutline.CUT))
    radius, half = 0.60 * 360, 180.0
    segment = radius**2 * np.arccos(half / radius) - half * np.sqrt(radius**2 - half**2)
    assert outline.mask.sum() == pytest.approx(np.pi * radius**2 - 2 * segment, rel=0.002)


@pytest.mark.parametrize("field", list(FieldOutline))
def test_the_box_is_tight_around_the_field(field: FieldOutline):
    outline = lay_out(SimulationConfig(width_px=200, height_px=120, field=field))
    box = outline.box
    inside = outline.mask[box.top_px : box.bottom_px, box.left_px : box.right_px]
    assert inside.sum() == outline.mask.sum()
    assert inside.any(0).all()
    assert inside.any(1).all()
    assert outline.edge.shape == (box.height_px, box.width_px, 3)


def test_a_full_field_is_the_whole_picture():
    assert lay_out(SimulationConfig(field=FieldOutline.FULL)).mask.all()
