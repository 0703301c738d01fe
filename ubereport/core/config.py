"""Frozen configurations: every default lives here once; TOML in and out."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tomli_w
from pydantic import Field

from ubereport.core.choices import DecodeDevice
from ubereport.core.choices import Device as Device
from ubereport.core.choices import ReaderChoice as ReaderChoice
from ubereport.core.choices import Route as Route
from ubereport.core.choices import SamplingMode as SamplingMode
from ubereport.core.errors import ConfigError
from ubereport.core.validation import (
    FROM_JSON,
    Seed,
    check_setting,
    json_value,
    read_json_value,
    validated,
)

Share = Annotated[float, Field(gt=0, le=1)]
"""A share of something, and never none of it."""
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]
Level = Annotated[float, Field(ge=0, le=255)]
"""Of a picture's 0..255."""
Seconds = Annotated[float, Field(ge=0, le=3600)]
AnyTime = Annotated[float, Field(gt=0, le=30 * 86_400)]
Confidence = Annotated[float, Field(ge=0.5, lt=1)]
Count = Annotated[int, Field(ge=0, le=100_000)]
Resamples = Annotated[int, Field(ge=100, le=1_000_000)]


@validated("sampling")
class SamplingConfig:
    """Which pictures to look at; `rate_hz` is the full rate of every plan.

    The adaptive plan goes to the full rate where a threshold lies between the areas of two samples
    or is neared by one of them, and where the areas differ by `change_frac`. Near is within
    `near_frac` of the threshold, or within `near_sd` standard deviations of the area's restlessness
    around there, whichever is farther.
    """

    mode: Annotated[SamplingMode, FROM_JSON] = SamplingMode.ADAPTIVE
    rate_hz: Annotated[float, Field(ge=0.01, le=60)] = 2.0
    near_frac: ShareBelowOne = 0.1
    near_sd: Annotated[float, Field(ge=0, le=10)] = 2.0
    change_frac: Share = 0.15


@validated("decode")
class DecodeConfig:
    """Reading recordings: bounds that keep a hostile or broken file from taking the machine.

    `device` decodes, see the README; `n_threads` decoders share the work, 0 for one a core;
    `stall_timeout_s` is how long one may
    stay silent before it is killed; `memory_mib` is what its process may take on top of what it has
    when it starts; `max_gap_s` is the longest jump of the clock inside a part that is believed, a
    longer one is taken out.
    """

    reader: Annotated[ReaderChoice, FROM_JSON] = ReaderChoice.AUTO
    device: Annotated[DecodeDevice, FROM_JSON] = DecodeDevice.AUTO
    n_threads: Annotated[int, Field(ge=0, le=64)] = 0
    stall_timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    memory_mib: Annotated[int, Field(ge=256, le=1_048_576)] = 2048
    ring_batches: Annotated[int, Field(ge=2, le=64)] = 3
    max_width_px: Annotated[int, Field(ge=16, le=65_536)] = 8192
    max_height_px: Annotated[int, Field(ge=16, le=65_536)] = 8192
    max_recorded_s: AnyTime = 48 * 3600.0
    max_gap_s: AnyTime = 3600.0


@validated("view")
class ViewConfig:
    """Fitting the field of view.

    `n_probe_frames` keyframes, spread over a part, are looked at; a pixel brighter than
    `dark_level` (0..255) in enough of them belongs to the content. A surround that stands still
    at a dark gray is believed up to `max_surround_level`.
    """

    n_probe_frames: Annotated[int, Field(ge=1, le=256)] = 16
    dark_level: Annotated[int, Field(ge=1, le=127)] = 18
    min_area_frac: Annotated[float, Field(gt=0, lt=1)] = 0.1
    max_surround_level: Annotated[int, Field(ge=1, le=127)] = 64


@validated("validity")
class ValidityConfig:
    """When a sample counts as lost, and why; levels are 0..255 inside the field of view.

    `blur_score` is the least share of the strongest edges that smoothing must take away,
    `min_detail_level` the least strength of those edges (levels a pixel at 256 pixels);
    `frozen_moved_frac` the share of pixels that may differ in a frozen picture. Smoke veils a view
    whose darkest pixels reach `veil_level` and whose median gradient stays below
    `veil_max_gradient` (levels a pixel at 128 pixels). A generated slate
    is flat (`slate_flat_frac`) and of one color (`slate_mode_frac`). Out of body: the share of
    green to violet pixels (`foreign_color_frac`), or of those and gray ones (`colorless_frac`).
    A view is red, and never lost for its looks, where `red_view_frac` of it is red, or where it
    has less contrast than `plain_contrast` and a median red of `plain_red_ratio` × green and blue.
    """

    black_mean_level: Annotated[float, Field(ge=0, lt=128)] = 14.0
    white_out_frac: Share = 0.7
    white_level: Annotated[int, Field(ge=0, le=255)] = 225
    blur_score: ShareBelowOne = 0.22
    min_detail_level: Level = 1.0
    veil_level: Level = 50.0
    veil_max_gradient: Level = 1.5
    frozen_min_s: Seconds = 2.0
    frozen_moved_frac: ShareBelowOne = 0.002
    slate_flat_frac: Share = 0.75
    slate_mode_frac: Share = 0.6
    is_out_of_body_checked: bool = True
    foreign_color_frac: Share = 0.35
    colorless_frac: Share = 0.75
    red_view_frac: Share = 0.85
    plain_contrast: Level = 10.0
    plain_red_ratio: Annotated[float, Field(ge=1, le=10)] = 1.4


@validated("segmentation")
class SegmentationConfig:
    """Running the network.

    `route` "auto" takes OpenVINO on a processor where it is installed and the bundle has a graph,
    else torch: the same installation always takes the same one, and the record says which.
    `batch_size` pictures are looked at together; where it is not set, 64 on a graphics device and
    16 on a processor. The setting as given is part of the record, the number taken is not.
    """

    model: Annotated[str, Field(min_length=1)] = "ube-blood"
    device: Annotated[Device, FROM_JSON] = Device.AUTO
    route: Annotated[Route, FROM_JSON] = Route.AUTO
    batch_size: Annotated[int, Field(ge=1, le=1024)] | None = None
    is_low_precision_allowed: bool = True
    n_threads: Annotated[int, Field(ge=0, le=256)] = 0


@validated("events")
class EventConfig:
    """Hemostasis events on the smoothed area; see the definitions in the README.

    `smoothing_s` is the width of the centered, time-weighted running median that steadies the
    area before the thresholds are applied; 0 turns it off. Events cross all parts where
    `is_continuous` is true and none where it is false; where it is not set they cross parts that
    were found to follow each other without a pause.
    """

    # Two thresholds and not one: an area that trembles about a single one would make an event each
    # time it crosses.
    onset_frac: Share = 0.05
    offset_frac: Share = 0.025
    min_duration_s: Seconds = 3.0
    clear_hold_s: Seconds = 5.0
    max_gap_s: Seconds = 10.0
    rebleed_window_s: Seconds = 60.0
    smoothing_s: Seconds = 1.5
    moderate_frac: Share = 0.20
    major_frac: Share = 0.50
    is_continuous: bool | None = None

    def __post_init__(self) -> None:
        onset, major = self.onset_frac, self.major_frac
        check_setting(
            self.offset_frac <= onset,
            "events.offset_frac",
            self.offset_frac,
            f"above 0 to onset_frac ({onset})",
        )
        check_setting(
            self.moderate_frac < major,
            "events.moderate_frac",
            self.moderate_frac,
            f"above 0, below major_frac ({major})",
        )


@validated("metrics")
class MetricConfig:
    """Thresholds and windows of the metrics."""

    closing_window_s: Annotated[float, Field(gt=0, le=36_000)] = 180.0
    strip_block_s: Annotated[float, Field(ge=1, le=36_000)] = 600.0
    kaplan_meier_min_events: Count = 5


@validated("records")
class RecordsConfig:
    """What is kept of a case beside its numbers."""

    is_frames_kept: bool = True
    max_key_frame_events: Count = 12
    key_frame_width_px: Annotated[int, Field(ge=64, le=4096)] = 640


@validated("compare")
class CompareConfig:
    """Comparing groups of cases; see "Comparing techniques" in the README.

    `primary` is the one metric declared before looking. No p-value is given where a group has
    fewer than `min_cases_for_p` cases. `seed` makes the bootstrap and the permutations repeat.
    Groups whose difference lies inside ± `margin`, in the unit of the metric, are called alike.
    """

    primary: str = "impaired_share_20"
    confidence: Confidence = 0.95
    power: Confidence = 0.8
    min_cases_for_p: Annotated[int, Field(ge=2, le=10_000)] = 5
    min_surgeons_for_mixed: Annotated[int, Field(ge=2, le=10_000)] = 5
    max_missing_frac: Annotated[float, Field(ge=0, le=1)] = 0.2
    min_cases_per_term: Annotated[int, Field(ge=1, le=10_000)] = 5
    rmst_horizon_s: Annotated[float, Field(gt=0, le=86_400)] = 180.0
    n_bootstrap: Resamples = 1000
    n_permutations: Resamples = 5000
    seed: Seed = 20260301
    margin: Annotated[float, Field(gt=0, le=1_000_000)] | None = None


@validated("audit")
class AuditConfig:
    """Control charts, funnel plot and learning curves of a department.

    `baseline_cases` first cases give the limits of a chart; 0 takes all. Fewer than
    `trial_points` make trial limits. Nobody with fewer than `min_cases_per_surgeon` is drawn.
    A steady department sees a signal on at most `false_alarm_frac` of its pages. Funnel plots hold
    the cases of the last `funnel_days`.
    """

    metric: str = "impaired_share_20"
    confidence: Confidence = 0.95
    baseline_cases: Count = 0
    trial_points: Annotated[int, Field(ge=2, le=10_000)] = 12
    run_points: Annotated[int, Field(ge=3, le=20)] = 7
    false_alarm_frac: Annotated[float, Field(ge=0.01, le=0.5)] = 0.10
    funnel_days: Annotated[int, Field(ge=1, le=36_525)] = 365
    is_moving_range_screened: bool = False
    min_cases_per_surgeon: Annotated[int, Field(ge=2, le=10_000)] = 10
    polynomial_degree: Annotated[int, Field(ge=1, le=6)] = 3
    n_permutations: Resamples = 2000
    rating_column: str = "clarity_rating"
    seed: Seed = 20260301

    def __post_init__(self) -> None:
        check_setting(
            self.baseline_cases != 1,
            "audit.baseline_cases",
            self.baseline_cases,
            "0 (all cases) or 2 and more",
        )


@validated()
class AnalysisConfig:
    """Everything that decides the numbers of a case, apart from the recording and the bundle."""

    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    view: ViewConfig = field(default_factory=ViewConfig)
    validity: ValidityConfig = field(default_factory=ValidityConfig)
    segmentation: SegmentationConfig = field(default_factory=SegmentationConfig)
    events: EventConfig = field(default_factory=EventConfig)
    metrics: MetricConfig = field(default_factory=MetricConfig)
    records: RecordsConfig = field(default_factory=RecordsConfig)


T = TypeVar("T")


def config_from_toml(source: str | Path, kind: type[T], aside: tuple[str, ...] = ()) -> T:
    """Read a configuration of `kind` from TOML text or from a file.

    Keys named in `aside` may stand there for somebody else and are passed over.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no TOML, has an unknown key, a value of another type or a
        value out of range.
    """
    try:
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
        raise ConfigError(
            f"The configuration cannot be read ({reason}). Name a TOML file."
        ) from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The configuration is no valid TOML: {error}.") from None
    return read_json_value({key: table[key] for key in table if key not in aside}, kind)


def config_to_toml(config: object) -> str:
    """Write a configuration as TOML; `config_from_toml` gives back an equal one."""
    return tomli_w.dumps(_without_nulls(json_value(config)))


def _without_nulls(table: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is not set: TOML has no null, and absent means the same."""
    return {
        key: _without_nulls(value) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }


def config_sha256(config: object) -> str:
    """Hex digest of the configuration's TOML."""
    return hashlib.sha256(config_to_toml(config).encode()).hexdigest()
