"""Frozen configurations: every default lives here once; TOML in and out."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import tomllib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import tomli_w

from ubereport.core.choices import DecodeDevice, Device, ReaderChoice, Route, SamplingMode
from ubereport.core.errors import ConfigError

__all__ = [
    "AnalysisConfig",
    "AuditConfig",
    "CompareConfig",
    "DecodeConfig",
    "Device",
    "EventConfig",
    "MetricConfig",
    "ReaderChoice",
    "RecordsConfig",
    "Route",
    "SamplingConfig",
    "SamplingMode",
    "SegmentationConfig",
    "ValidityConfig",
    "ViewConfig",
    "check_setting",
    "config_from_toml",
    "config_sha256",
    "config_to_toml",
]


def check_setting(condition: bool, key: str, given: object, allowed: str) -> None:
    """Raise ConfigError, with the value given and those allowed, unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{key} = {given!r} cannot be used; allowed: {allowed}. Change {key}.")


@dataclass(frozen=True, slots=True)
class SamplingConfig:
    """Which pictures to look at; `rate_hz` is the full rate of every plan.

    The adaptive plan goes to the full rate where a threshold lies between the areas of two samples
    or is neared by one of them, and where the areas differ by `change_frac`. Near is within
    `near_frac` of the threshold, or within `near_sd` standard deviations of the area's restlessness
    around there, whichever is farther.
    """

    mode: SamplingMode = SamplingMode.ADAPTIVE
    rate_hz: float = 2.0
    near_frac: float = 0.1
    near_sd: float = 2.0
    change_frac: float = 0.15

    def __post_init__(self) -> None:
        near, change = self.near_frac, self.change_frac
        check_setting(0.01 <= self.rate_hz <= 60, "sampling.rate_hz", self.rate_hz, "0.01 to 60")
        check_setting(0 <= near < 1, "sampling.near_frac", near, "0 to below 1")
        check_setting(0 <= self.near_sd <= 10, "sampling.near_sd", self.near_sd, "0 to 10")
        check_setting(0 < change <= 1, "sampling.change_frac", change, "above 0 to 1")


@dataclass(frozen=True, slots=True)
class DecodeConfig:
    """Reading recordings: bounds that keep a hostile or broken file from taking the machine.

    `device` decodes, see the README; `n_threads` decoders share the work, 0 for one a core;
    `stall_timeout_s` is how long one may
    stay silent before it is killed; `memory_mib` is what its process may take on top of what it has
    when it starts; `max_gap_s` is the longest jump of the clock inside a part that is believed, a
    longer one is taken out.
    """

    reader: ReaderChoice = ReaderChoice.AUTO
    device: DecodeDevice = DecodeDevice.AUTO
    n_threads: int = 0
    stall_timeout_s: float = 60.0
    memory_mib: int = 2048
    ring_batches: int = 3
    max_width_px: int = 8192
    max_height_px: int = 8192
    max_recorded_s: float = 48 * 3600.0
    max_gap_s: float = 3600.0

    def __post_init__(self) -> None:
        n = self.n_threads
        check_setting(0 <= n <= 64, "decode.n_threads", n, "0 (all cores, at most 16) to 64")
        check_setting(
            self.stall_timeout_s > 0, "decode.stall_timeout_s", self.stall_timeout_s, "> 0"
        )
        check_setting(self.memory_mib >= 256, "decode.memory_mib", self.memory_mib, "256 or more")
        check_setting(self.ring_batches >= 2, "decode.ring_batches", self.ring_batches, "2 or more")
        check_setting(self.max_gap_s > 0, "decode.max_gap_s", self.max_gap_s, "> 0")


@dataclass(frozen=True, slots=True)
class ViewConfig:
    """Fitting the field of view.

    `n_probe_frames` keyframes, spread over a part, are looked at; a pixel brighter than
    `dark_level` (0..255) in enough of them belongs to the content. A surround that stands still
    at a dark gray is believed up to `max_surround_level`.
    """

    n_probe_frames: int = 16
    dark_level: int = 18
    min_area_frac: float = 0.1
    max_surround_level: int = 64

    def __post_init__(self) -> None:
        check_setting(
            1 <= self.n_probe_frames <= 256, "view.n_probe_frames", self.n_probe_frames, "1 to 256"
        )
        check_setting(0 < self.dark_level < 128, "view.dark_level", self.dark_level, "1 to 127")
        check_setting(
            0 < self.min_area_frac < 1, "view.min_area_frac", self.min_area_frac, "0 to 1"
        )
        check_setting(
            0 < self.max_surround_level < 128,
            "view.max_surround_level",
            self.max_surround_level,
            "1 to 127",
        )


@dataclass(frozen=True, slots=True)
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

    black_mean_level: float = 14.0
    white_out_frac: float = 0.7
    white_level: int = 225
    blur_score: float = 0.22
    min_detail_level: float = 1.0
    veil_level: float = 50.0
    veil_max_gradient: float = 1.5
    frozen_min_s: float = 2.0
    frozen_moved_frac: float = 0.002
    slate_flat_frac: float = 0.75
    slate_mode_frac: float = 0.6
    is_out_of_body_checked: bool = True
    foreign_color_frac: float = 0.35
    colorless_frac: float = 0.75
    red_view_frac: float = 0.85
    plain_contrast: float = 10.0
    plain_red_ratio: float = 1.4

    def __post_init__(self) -> None:
        black, stood_s = self.black_mean_level, self.frozen_min_s
        ratio = self.plain_red_ratio
        check_setting(0 <= black < 128, "validity.black_mean_level", black, "0 to 127")
        check_setting(1 <= ratio <= 10, "validity.plain_red_ratio", ratio, "1 to 10")
        check_setting(0 <= stood_s <= 3600, "validity.frozen_min_s", stood_s, "0 to 3600 seconds")
        for name in (
            "white_level",
            "plain_contrast",
            "min_detail_level",
            "veil_level",
            "veil_max_gradient",
        ):
            value = getattr(self, name)
            check_setting(0 <= value <= 255, f"validity.{name}", value, "0 to 255")
        for name in (
            "white_out_frac",
            "slate_flat_frac",
            "slate_mode_frac",
            "foreign_color_frac",
            "colorless_frac",
            "red_view_frac",
        ):
            value = getattr(self, name)
            check_setting(0 < value <= 1, f"validity.{name}", value, "above 0 to 1")
        for name in ("blur_score", "frozen_moved_frac"):
            value = getattr(self, name)
            check_setting(0 <= value < 1, f"validity.{name}", value, "0 to below 1")


@dataclass(frozen=True, slots=True)
class SegmentationConfig:
    """Running the network.

    `route` "auto" takes OpenVINO on a processor where it is installed, else torch: the same
    installation always takes the same one, and the record says which.
    """

    model: str = "ube-blood"
    device: Device = Device.AUTO
    route: Route = Route.AUTO
    batch_size: int = 16
    is_low_precision_allowed: bool = True
    n_threads: int = 0

    def __post_init__(self) -> None:
        check_setting(
            1 <= self.batch_size <= 1024, "segmentation.batch_size", self.batch_size, "1 to 1024"
        )
        check_setting(
            0 <= self.n_threads <= 256,
            "segmentation.n_threads",
            self.n_threads,
            "0 (all cores) to 256",
        )


@dataclass(frozen=True, slots=True)
class EventConfig:
    """Hemostasis events on the smoothed area; see the definitions in the README.

    `smoothing_s` is the width of the centered, time-weighted running median that steadies the
    area before the thresholds are applied; 0 turns it off.
    """

    onset_frac: float = 0.05
    offset_frac: float = 0.025
    min_duration_s: float = 3.0
    clear_hold_s: float = 5.0
    max_gap_s: float = 10.0
    rebleed_window_s: float = 60.0
    smoothing_s: float = 1.5
    moderate_frac: float = 0.20
    major_frac: float = 0.50

    def __post_init__(self) -> None:
        check_setting(
            0 < self.onset_frac <= 1, "events.onset_frac", self.onset_frac, "above 0 to 1"
        )
        check_setting(
            0 < self.offset_frac <= self.onset_frac,
            "events.offset_frac",
            self.offset_frac,
            f"above 0 to onset_frac ({self.onset_frac})",
        )
        for name in (
            "min_duration_s",
            "clear_hold_s",
            "max_gap_s",
            "rebleed_window_s",
            "smoothing_s",
        ):
            check_setting(
                0 <= getattr(self, name) <= 3600,
                f"events.{name}",
                getattr(self, name),
                "0 to 3600 seconds",
            )
        check_setting(
            0 < self.moderate_frac < self.major_frac <= 1,
            "events.moderate_frac",
            self.moderate_frac,
            f"above 0, below major_frac ({self.major_frac})",
        )


@dataclass(frozen=True, slots=True)
class MetricConfig:
    """Thresholds and windows of the metrics."""

    closing_window_s: float = 180.0
    strip_block_s: float = 600.0
    kaplan_meier_min_events: int = 5

    def __post_init__(self) -> None:
        check_setting(
            0 < self.closing_window_s <= 36000,
            "metrics.closing_window_s",
            self.closing_window_s,
            "above 0 to 36000 seconds",
        )
        check_setting(
            1 <= self.strip_block_s <= 36000,
            "metrics.strip_block_s",
            self.strip_block_s,
            "1 to 36000 seconds",
        )


@dataclass(frozen=True, slots=True)
class RecordsConfig:
    """What is kept of a case beside its numbers."""

    is_frames_kept: bool = True
    max_key_frame_events: int = 12
    key_frame_width_px: int = 640

    def __post_init__(self) -> None:
        check_setting(
            64 <= self.key_frame_width_px <= 4096,
            "records.key_frame_width_px",
            self.key_frame_width_px,
            "64 to 4096",
        )


@dataclass(frozen=True, slots=True)
class CompareConfig:
    """Comparing groups of cases; see "Comparing techniques" in the README.

    `primary` is the one metric declared before looking. No p-value is given where a group has
    fewer than `min_cases_for_p` cases. `seed` makes the bootstrap and the permutations repeat.
    """

    primary: str = "impaired_share_20"
    confidence: float = 0.95
    power: float = 0.8
    min_cases_for_p: int = 5
    min_surgeons_for_mixed: int = 5
    max_missing_frac: float = 0.2
    min_cases_per_term: int = 5
    rmst_horizon_s: float = 180.0
    n_bootstrap: int = 1000
    n_permutations: int = 5000
    seed: int = 20260301

    def __post_init__(self) -> None:
        check_setting(0.5 <= self.confidence < 1, "compare.confidence", self.confidence, "0.5 to 1")
        check_setting(0.5 <= self.power < 1, "compare.power", self.power, "0.5 to 1")
        check_setting(
            self.min_cases_for_p >= 2, "compare.min_cases_for_p", self.min_cases_for_p, "2 or more"
        )
        check_setting(
            self.rmst_horizon_s > 0,
            "compare.rmst_horizon_s",
            self.rmst_horizon_s,
            "above 0 seconds",
        )
        check_setting(
            self.n_bootstrap >= 100, "compare.n_bootstrap", self.n_bootstrap, "100 or more"
        )
        check_setting(
            self.n_permutations >= 100,
            "compare.n_permutations",
            self.n_permutations,
            "100 or more",
        )


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """Control charts, funnel plot and learning curves of a department.

    `baseline_cases` first cases give the limits of a chart; 0 takes all. Fewer than
    `trial_points` make trial limits. Nobody with fewer than `min_cases_per_surgeon` is drawn.
    A steady department sees a signal on at most `false_alarm_frac` of its pages; limits are wider
    and runs longer than `run_points` where a page of several charts needs it. Funnel plots hold
    the cases of the last `funnel_days`.
    """

    metric: str = "impaired_share_20"
    confidence: float = 0.95
    baseline_cases: int = 0
    trial_points: int = 12
    run_points: int = 7
    false_alarm_frac: float = 0.10
    funnel_days: int = 365
    is_moving_range_screened: bool = False
    min_cases_per_surgeon: int = 10
    polynomial_degree: int = 3
    n_permutations: int = 2000
    rating_column: str = "clarity_rating"
    seed: int = 20260301

    def __post_init__(self) -> None:
        check_setting(0.5 <= self.confidence < 1, "audit.confidence", self.confidence, "0.5 to 1")
        check_setting(
            self.baseline_cases == 0 or self.baseline_cases >= 2,
            "audit.baseline_cases",
            self.baseline_cases,
            "0 (all cases) or 2 and more",
        )
        check_setting(3 <= self.run_points <= 20, "audit.run_points", self.run_points, "3 to 20")
        check_setting(
            0.01 <= self.false_alarm_frac <= 0.5,
            "audit.false_alarm_frac",
            self.false_alarm_frac,
            "0.01 to 0.5",
        )
        check_setting(self.funnel_days >= 1, "audit.funnel_days", self.funnel_days, "1 or more")
        check_setting(
            self.min_cases_per_surgeon >= 2,
            "audit.min_cases_per_surgeon",
            self.min_cases_per_surgeon,
            "2 or more",
        )
        check_setting(
            1 <= self.polynomial_degree <= 6,
            "audit.polynomial_degree",
            self.polynomial_degree,
            "1 to 6",
        )
        check_setting(
            self.n_permutations >= 100, "audit.n_permutations", self.n_permutations, "100 or more"
        )


@dataclass(frozen=True, slots=True)
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


def config_from_toml(source: str | Path, kind: type[T]) -> T:
    """Read a configuration of `kind` from TOML text or from a file.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no TOML, has an unknown key, a value of another type or a
        value out of range.
    """
    try:
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The configuration cannot be read ({error}). Name a TOML file."
        ) from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The configuration is no valid TOML: {error}.") from None
    return _from_table(table, kind, "")


def config_to_toml(config: Any) -> str:  # noqa: ANN401 -- any of the frozen configurations
    """Write a configuration as TOML; `config_from_toml` gives back an equal one."""
    return tomli_w.dumps(_plain(dataclasses.asdict(config)))


def config_sha256(config: Any) -> str:  # noqa: ANN401 -- any of the frozen configurations
    """Hex digest of the configuration's TOML."""
    return hashlib.sha256(config_to_toml(config).encode()).hexdigest()


def _plain(value: Any) -> Any:  # noqa: ANN401 -- walks nested tables
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.value if isinstance(value, StrEnum) else value


def _from_table(table: dict[str, Any], kind: type[T], prefix: str) -> T:
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1)
            hint = f"did you mean {prefix}{near[0]}?" if near else f"allowed: {', '.join(hints)}."
            raise ConfigError(f"Unknown configuration key {prefix}{key}; {hint}")
    return kind(**{key: _convert(item, hints[key], prefix + key) for key, item in table.items()})


def _convert(value: Any, kind: Any, key: str) -> Any:  # noqa: ANN401 -- TOML values
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise ConfigError(f"{key} = {value!r} cannot be used; it is a table: [{key}].")
        return _from_table(value, kind, f"{key}.")  # type: ignore[arg-type]
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        allowed = [str(member) for member in kind]
        check_setting(value in allowed, key, value, ", ".join(allowed))
        return kind(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(
            _convert(item, get_args(kind)[0], f"{key}[{i}]") for i, item in enumerate(value)
        )
    if get_origin(kind) is tuple or type(value) is not kind:
        raise ConfigError(
            f"{key} = {value!r} cannot be used; it takes a {getattr(kind, '__name__', kind)}."
        )
    return value
