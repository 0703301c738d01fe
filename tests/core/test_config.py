"""Settings: what TOML may say, and that every default is allowed and comes back."""

from dataclasses import fields

import pytest

from ubereport.core.config import (
    AnalysisConfig,
    AuditConfig,
    CompareConfig,
    config_from_toml,
    config_sha256,
    config_to_toml,
)
from ubereport.core.errors import ConfigError


@pytest.mark.parametrize("kind", [AnalysisConfig, CompareConfig, AuditConfig])
def test_defaults_come_back(kind):
    assert config_from_toml(config_to_toml(kind()), kind) == kind()


def test_what_is_left_out_has_its_default():
    config = config_from_toml("[events]\nonset_frac = 0.1\n", AnalysisConfig)
    assert config.events.onset_frac == 0.1
    assert config.events.offset_frac == AnalysisConfig().events.offset_frac
    assert config_from_toml("", AnalysisConfig) == AnalysisConfig()


def test_whole_numbers_are_taken_where_a_fraction_may_stand():
    config = config_from_toml("[sampling]\nrate_hz = 1\n", AnalysisConfig)
    assert isinstance(config.sampling.rate_hz, float)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[events]\nonset_fraq = 0.1", r"events\.onset_fraq; did you mean events\.onset_frac\?"),
        ("[weather]\nrain = 1", "weather; allowed: .*sampling"),
        ("events = 3", r"events = 3 .*\[events\]"),
        ("[events]\nonset_frac = '0.1'", "onset_frac = '0.1' .*a number, above 0 to 1"),
        ("[events]\nonset_frac = true", "onset_frac = True .*a number"),
        ("[segmentation]\nbatch_size = 4.0", "batch_size = 4.0 .*a whole number"),
        ("[segmentation]\ndevice = 'abacus'", "'abacus' .*cuda"),
        ("[events]\nonset_frac = 0.01\noffset_frac = 0.02", "offset_frac"),
        ("[events\n", "no valid TOML"),
    ],
)
def test_what_cannot_be_used_is_named(text, words):
    with pytest.raises(ConfigError, match=words):
        config_from_toml(text, AnalysisConfig)


def test_a_file_that_is_missing_or_no_text_is_told(tmp_path):
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe\x00")
    for name in ("absent.toml", "bad.toml"):
        with pytest.raises(ConfigError, match="cannot be read"):
            config_from_toml(tmp_path / name, AnalysisConfig)


def test_every_setting_changes_the_digest():
    first = config_sha256(AnalysisConfig())
    text = config_to_toml(AnalysisConfig())
    assert config_sha256(config_from_toml(text, AnalysisConfig)) == first
    for section in fields(AnalysisConfig):
        assert f"[{section.name}]" in text
    changed = text.replace("onset_frac = 0.05", "onset_frac = 0.06")
    assert config_sha256(config_from_toml(changed, AnalysisConfig)) != first
