"""One analyzed case: everything a report is made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field

from ubereport.core.events import HemostasisEvent
from ubereport.core.held_out import HeldOutOperation
from ubereport.core.intervals import Interval
from ubereport.core.metrics import MetricValue
from ubereport.core.presence import PresenceRule
from ubereport.core.review import CaseReview
from ubereport.core.series import AreaSeries
from ubereport.core.validation import LEFT_OUT_WHEN_EMPTY, Frac, Key, Named, Sha256, Tally

SCHEMA_VERSION: Final = "1.0"
# A peak is one of the smoothed area; its key frame shows it within this many seconds.
PEAK_REACH_S = 1.0

_Size = Annotated[int, Field(ge=1)]
_Seconds = Annotated[float, Field(ge=0)]
_Sha256OrNone = Annotated[str, Field(pattern="^([0-9a-f]{64})?$")]


class FlagLevel(StrEnum):
    """How much a flag should worry the reader of a report."""

    INFO = "info"
    CAUTION = "caution"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Flag:
    """Something about the recording or the analysis that a reader must know."""

    key: Key
    level: FlagLevel
    message: str


def worst_first(flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """Return flags by how much they should worry a reader, in their order within a level."""
    order = (FlagLevel.WARNING, FlagLevel.CAUTION, FlagLevel.INFO)
    return tuple(sorted(flags, key=lambda flag: order.index(flag.level)))


@dataclass(frozen=True, slots=True)
class FieldSummary:
    """The field of view of one part, as fitted: shape, crop in source pixels, confidence 0..1."""

    shape: Annotated[str, Field(pattern="^(circle|rectangle|full)$")]
    left_px: Tally
    top_px: Tally
    right_px: Tally
    bottom_px: Tally
    confidence: Frac


@dataclass(frozen=True, slots=True)
class PartSummary:
    """One part of the recording, without its path, name or container metadata.

    `start_s` is on the case clock. `found_duration_s` and `found_n_frames` are from the packet
    index, `declared_*` from the container. `n_undecoded` counts requested samples that no reader
    could give, `n_corrupt` those given but damaged.
    """

    sha256: Sha256
    size_bytes: Tally
    container: str
    codec: str
    pixel_format: str
    width_px: _Size
    height_px: _Size
    rotation_deg: Annotated[int, Field(ge=0, le=270, multiple_of=90)]
    is_interlaced: bool
    color_matrix: str
    color_range: str
    average_rate_hz: float | None
    start_s: float
    duration_s: _Seconds
    found_duration_s: _Seconds
    declared_duration_s: _Seconds | None
    found_n_frames: Tally
    declared_n_frames: Tally | None
    gaps: tuple[Interval, ...]
    n_samples: Tally
    n_undecoded: Tally
    n_corrupt: Tally
    field_of_view: FieldSummary


class CutEvidence(StrEnum):
    """What tells that a recorder, and not a person, ended a part."""

    EQUAL_LENGTHS = "equal_lengths"
    EQUAL_SIZES = "equal_sizes"
    USUAL_LENGTH = "usual_length"
    USUAL_SIZE = "usual_size"


class EndPictures(StrEnum):
    """What the last picture of a part and the first of the next tell of a pause between them."""

    JOIN = "join"
    DIFFER = "differ"
    UNTOLD = "untold"


@dataclass(frozen=True, slots=True)
class PartJoin:
    """The end of part `part_index`, where a recorder seems to have cut, and the part after it.

    `change_levels` is how far the pictures on both sides lie apart, `usual_change_levels` how far
    the view moves within a fifth of a second around them (levels of 0 to 255); None where the
    pictures are black, still, damaged or too far apart to tell.
    """

    part_index: Tally
    evidence: CutEvidence
    pictures: EndPictures
    change_levels: Annotated[float, Field(ge=0)] | None
    usual_change_levels: Annotated[float, Field(ge=0)] | None


def joined_parts(joins: Iterable[PartJoin]) -> tuple[int, ...]:
    """Return the parts whose end joins the next part."""
    return tuple(join.part_index for join in joins if join.pictures is EndPictures.JOIN)


def part_at(parts: Sequence[PartSummary], at_s: float) -> int | None:
    """Return the index of the part that a moment of the case clock lies in; None where none."""
    for index, part in enumerate(parts):
        # A start is a sum of lengths: rounding must leave no moment between two parts.
        if part.start_s - 1e-6 <= at_s < part.start_s + part.duration_s:
            return index
    return None


class KeyFrameKind(StrEnum):
    """Which moment of an event a key frame shows."""

    ONSET = "onset"
    PEAK = "peak"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """A still kept with the case: raw and overlaid, paths relative to the case folder."""

    event_index: Tally
    kind: KeyFrameKind
    time_s: float
    area_frac: Frac
    raw_path: str
    overlay_path: str


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """The model as a report must name it, copied from its bundle.

    `thresholds` are (lenient, central, strict). `operating_characteristics` maps names such as
    "sensitivity" to values measured on data never trained on; `evaluated_on` says which.
    `licence` is that of the weights, `held_out_operations` what the model erred on each operation
    it had not seen; empty where the bundle does not say. `instruments_sha256` is the digest of what
    marks instruments, empty where nothing does. `presence` says when a picture shows blood at all.
    """

    name: str
    version: str
    title: str
    sha256: Sha256
    architecture: str
    input_height_px: _Size
    input_width_px: _Size
    thresholds: tuple[float, float, float]
    training_population: str
    limits: str
    operating_characteristics: Named[float]
    evaluated_on: str
    licence: Annotated[str, LEFT_OUT_WHEN_EMPTY] = ""
    held_out_operations: Annotated[tuple[HeldOutOperation, ...], LEFT_OUT_WHEN_EMPTY] = ()
    instruments_sha256: Annotated[_Sha256OrNone, LEFT_OUT_WHEN_EMPTY] = ""
    presence: Annotated[PresenceRule | None, LEFT_OUT_WHEN_EMPTY] = None


@dataclass(frozen=True, slots=True)
class ReaderUse:
    """Which reader decoded which stretch of a part, and why it was chosen."""

    part_index: Tally
    reader: str
    start_s: float
    end_s: float
    why: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made the numbers: the same provenance and recording give the same bytes.

    Times of day, durations of stages and host names are left out on purpose; they lie in
    ``run.json`` beside the record.
    """

    ubereport_version: str
    library_versions: Named[str]
    model: ModelSummary
    config_toml: str
    config_sha256: Sha256
    device: str
    precision: str
    sampling: str
    readers: tuple[ReaderUse, ...]
    decode_failures: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CaseRecord:
    """One analyzed case under its pseudonymous id; round-trips exactly through a case folder.

    `review` is what people made of it; None where nobody reviewed it. Everything else is as
    measured. `joins` lists the parts that a recorder seems to have cut.
    """

    case_id: str
    parts: tuple[PartSummary, ...]
    pauses: tuple[Interval, ...]
    series: AreaSeries
    events: tuple[HemostasisEvent, ...]
    metrics: tuple[MetricValue, ...]
    flags: tuple[Flag, ...]
    key_frames: tuple[KeyFrame, ...]
    provenance: Provenance
    schema_version: Literal["1.0"] = SCHEMA_VERSION
    review: CaseReview | None = None
    joins: tuple[PartJoin, ...] = ()

    def metric(self, key: str) -> MetricValue:
        """Return the metric called `key`; raise KeyError if the case has none of that name."""
        for value in self.metrics:
            if value.key == key:
                return value
        raise KeyError(key)
