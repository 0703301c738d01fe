"""Thresholds of view and validity out of range are refused by name."""

from __future__ import annotations

import pytest

from ubereport.core.config import (
    AnalysisConfig,
    ValidityConfig,
    ViewConfig,
    config_from_toml,
    config_to_toml,
)
from ubereport.core.errors import ConfigError

BAD = [
    (ViewConfig, "n_probe_frames", 0),
    (ViewConfig, "dark_level", 200),
    (ViewConfig, "min_area_frac", 1.0),
    (ViewConfig, "max_surround_level", 0),
    (ValidityConfig, "black_mean_level", -1.0),
    (ValidityConfig, "white_level", 256),
    (ValidityConfig, "white_out_frac", 0.0),
    (ValidityConfig, "slate_flat_frac", 1.1),
    (ValidityConfig, "slate_mode_frac", 0.0),
    (ValidityConfig, "foreign_color_frac", float("nan")),
    (ValidityConfig, "colorless_frac", 2.0),
    (ValidityConfig, "red_view_frac", 0.0),
    (ValidityConfig, "blur_score", 1.0),
    (ValidityConfig, "frozen_moved_frac", -0.1),
    (ValidityConfig, "frozen_min_s", -1.0),
    (ValidityConfig, "plain_red_ratio", 0.5),
    (ValidityConfig, "plain_contrast", 300.0),
    (ValidityConfig, "min_detail_level", -1.0),
    (ValidityConfig, "veil_level", 256.0),
    (ValidityConfig, "veil_max_gradient", -0.5),
]


@pytest.mark.parametrize(("kind", "key", "value"), BAD)
def test_a_value_out_of_range_is_refused_by_name(kind, key, value):
    with pytest.raises(ConfigError, match=key):
        kind(**{key: value})


def test_new_keys_survive_toml():
    config = AnalysisConfig(
        view=ViewConfig(max_surround_level=40), validity=ValidityConfig(plain_contrast=7.5)
    )
    assert config_from_toml(config_to_toml(config), AnalysisConfig) == config
