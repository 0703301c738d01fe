"""What a bundle says about itself: frozen, validated where made, exact JSON round trip.

No torch here: the command line lists and verifies bundles without loading it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
from dataclasses import dataclass, field
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ubereport.core.case import LEFT_OUT_WHEN_EMPTY
from ubereport.core.errors import BundleError
from ubereport.core.held_out import HeldOutOperation
from ubereport.segmentation.distribution import ColorReference

BUNDLE_SCHEMA = "ubereport-bundle/1"
ARCHITECTURES = ("unetplusplus", "unet")
KINDS = ("network", "hsv")
TEST_TIME_CHOICES = ("none", "flip")

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9.]+)*")
_VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){0,2}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ENCODER = re.compile(r"[A-Za-z0-9_.\-]{1,80}")

T = TypeVar("T")


def _check(is_good: bool, key: str, given: object, allowed: str) -> None:
    if not is_good:
        raise BundleError(
            f"The bundle's {key} is {given!r}; allowed: {allowed}. "
            "Export the bundle again or mend its metadata.json."
        )


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Everything that `network.build_network` needs to build an untrained network.

    Parameters
    ----------
    architecture
        One of `ARCHITECTURES`.
    encoder
        Name of the encoder in segmentation-models-pytorch; ``tu-`` names one of timm.
    decoder_channels
        Channels of the five decoder stages, deepest first.
    classes
        Output channels; 1, the logit of blood.
    interpolation
        How the decoder doubles its maps: "nearest" or "bilinear".
    """

    architecture: str = "unetplusplus"
    encoder: str = "tu-tf_efficientnet_lite0"
    decoder_channels: tuple[int, ...] = (256, 128, 64, 32, 16)
    classes: int = 1
    interpolation: str = "nearest"

    def __post_init__(self) -> None:
        _check(
            self.architecture in ARCHITECTURES,
            "network.architecture",
            self.architecture,
            ", ".join(ARCHITECTURES),
        )
        _check(
            _ENCODER.fullmatch(self.encoder) is not None,
            "network.encoder",
            self.encoder,
            "the name of an encoder of segmentation-models-pytorch",
        )
        _check(
            len(self.decoder_channels) == 5 and all(1 <= c <= 2048 for c in self.decoder_channels),
            "network.decoder_channels",
            self.decoder_channels,
            "five counts of 1 to 2048",
        )
        _check(self.classes == 1, "network.classes", self.classes, "1, the logit of blood")
        _check(
            self.interpolation in ("nearest", "bilinear"),
            "network.interpolation",
            self.interpolation,
            "nearest, bilinear",
        )


@dataclass(frozen=True, slots=True)
class HsvSpec:
    """Red in OpenCV's HSV (H 0..179, S and V 0..255): the paper's first stage, ranges ours.

    A pixel is red when ``H <= hue_low_max or H >= hue_high_min`` and S and V reach their floors;
    the three floors are for the lenient, central and strict threshold.
    """

    hue_low_max: int = 10
    hue_high_min: int = 170
    saturation_floors: tuple[int, ...] = (45, 60, 75)
    value_floors: tuple[int, ...] = (30, 40, 50)

    def __post_init__(self) -> None:
        _check(
            0 <= self.hue_low_max < self.hue_high_min <= 179,
            "hsv hues",
            (self.hue_low_max, self.hue_high_min),
            "0 <= hue_low_max < hue_high_min <= 179",
        )
        for key in ("saturation_floors", "value_floors"):
            floors = getattr(self, key)
            _check(
                len(floors) == 3 and 0 <= floors[0] <= floors[1] <= floors[2] <= 255,
                f"hsv.{key}",
                floors,
                "three rising levels of 0 to 255 (lenient, central, strict)",
            )


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """One set that the weights were trained on: what it is, under which licence, how much."""

    name: str
    licence: str
    n_stills: int
    n_positive: int | None = None
    n_groups: int | None = None
    role: str = ""

    def __post_init__(self) -> None:
        _check(bool(self.name and self.licence), "training_data", self.name, "name and licence")
        _check(self.n_stills >= 0, "training_data.n_stills", self.n_stills, "0 or more")


@dataclass(frozen=True, slots=True)
class BundleMetadata:
    """What a bundle says about itself.

    Parameters
    ----------
    name, version
        Family and version: ``ube-blood`` and ``1`` or ``1.2.0``. The newest version of a family
        answers to the bare name.
    kind
        "network" (weights beside the metadata) or "hsv" (no weights).
    thresholds
        (lenient, central, strict) probabilities; a pixel at or above one is blood.
    input_mean, input_scale
        Per channel: the network sees ``(level - mean) / scale`` of 0..255 levels.
    test_time
        "none", or "flip": the mean of the picture and its mirror image.
    operating_characteristics
        Names and values measured on data never trained on; `evaluated_on` says which.
    licence
        Of the weights; older bundles do not say.
    held_out_operations
        What the network, or its twin, erred on each operation that it had not seen.
    color_reference
        Colors of the training population, for `distribution.distance`.
    weights_sha256
        Hex digest of weights.safetensors; None for kind "hsv".

    Raises
    ------
    BundleError
        If a value is out of range, or network, hsv and weights do not fit the kind.
    """

    name: str
    version: str
    title: str
    kind: str
    input_height_px: int
    input_width_px: int
    thresholds: tuple[float, float, float]
    training_population: str
    limits: str
    intended_use: str
    evaluated_on: str
    network: NetworkSpec | None = None
    hsv: HsvSpec | None = None
    input_mean: tuple[float, float, float] = (127.0, 127.0, 127.0)
    input_scale: tuple[float, float, float] = (128.0, 128.0, 128.0)
    test_time: str = "none"
    operating_characteristics: tuple[tuple[str, float], ...] = ()
    licence: str = field(default="", metadata=LEFT_OUT_WHEN_EMPTY)
    training_data: tuple[TrainingSet, ...] = ()
    held_out_operations: tuple[HeldOutOperation, ...] = field(
        default=(), metadata=LEFT_OUT_WHEN_EMPTY
    )
    color_reference: ColorReference | None = None
    weights_sha256: str | None = None
    schema: str = BUNDLE_SCHEMA

    def __post_init__(self) -> None:
        _check(self.schema == BUNDLE_SCHEMA, "schema", self.schema, BUNDLE_SCHEMA)
        _check(
            _NAME.fullmatch(self.name) is not None,
            "name",
            self.name,
            "lower-case words joined by hyphens",
        )
        version_key(self.version)
        _check(self.kind in KINDS, "kind", self.kind, ", ".join(KINDS))
        for key in ("title", "training_population", "limits", "intended_use", "evaluated_on"):
            _check(bool(getattr(self, key).strip()), key, getattr(self, key), "a sentence")
        self._check_input()
        self._check_thresholds()
        self._check_kind()

    def _check_input(self) -> None:
        for key in ("input_height_px", "input_width_px"):
            size = getattr(self, key)
            _check(32 <= size <= 2048 and size % 32 == 0, key, size, "a multiple of 32, 32 to 2048")
        for key in ("input_mean", "input_scale"):
            values = getattr(self, key)
            _check(
                len(values) == 3 and all(math.isfinite(v) for v in values),
                key,
                values,
                "three finite numbers",
            )
        _check(all(v > 0 for v in self.input_scale), "input_scale", self.input_scale, "positive")
        _check(
            self.test_time in TEST_TIME_CHOICES,
            "test_time",
            self.test_time,
            ", ".join(TEST_TIME_CHOICES),
        )

    def _check_thresholds(self) -> None:
        _check(
            len(self.thresholds) == 3
            and 0 < self.thresholds[0] < self.thresholds[1] < self.thresholds[2] < 1,
            "thresholds",
            self.thresholds,
            "three rising probabilities above 0 and below 1 (lenient, central, strict)",
        )
        names = [name for name, _ in self.operating_characteristics]
        _check(
            len(set(names)) == len(names)
            and all(math.isfinite(v) for _, v in self.operating_characteristics),
            "operating_characteristics",
            self.operating_characteristics,
            "finite values under different names",
        )

    def _check_kind(self) -> None:
        is_network = self.kind == "network"
        _check(
            (self.network is not None) == is_network and (self.hsv is not None) != is_network,
            "network and hsv",
            (self.network, self.hsv),
            f"only the description that kind {self.kind!r} needs",
        )
        _check(
            (self.weights_sha256 is not None) == is_network
            and (self.weights_sha256 is None or bool(_SHA256.fullmatch(self.weights_sha256))),
            "weights_sha256",
            self.weights_sha256,
            "64 hex digits for a network, null for hsv",
        )


def version_key(version: str) -> tuple[int, int, int]:
    """Return a version such as ``2`` or ``1.10.3`` as a tuple that sorts by age.

    Raises
    ------
    BundleError
        If `version` is not one to three numbers joined by dots.
    """
    _check(_VERSION.fullmatch(version) is not None, "version", version, "1, 1.2 or 1.2.3 (numbers)")
    numbers = [int(part) for part in version.split(".")] + [0, 0]
    return numbers[0], numbers[1], numbers[2]


def metadata_to_json(metadata: BundleMetadata) -> str:
    """Return the text of metadata.json: stable key order, two spaces, a final newline."""
    table = dataclasses.asdict(metadata)
    for later in dataclasses.fields(metadata):
        if later.metadata == LEFT_OUT_WHEN_EMPTY and not getattr(metadata, later.name):
            del table[later.name]
    table["operating_characteristics"] = dict(metadata.operating_characteristics)
    ordered = {"schema": table.pop("schema")} | table
    return json.dumps(ordered, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def metadata_from_json(text: str) -> BundleMetadata:
    """Read metadata.json; `metadata_to_json` of the answer gives the same text again.

    Raises
    ------
    BundleError
        If the text is no JSON, a key is unknown or missing, or a value is of another type or out
        of range.
    """
    try:
        table = json.loads(text, parse_constant=_refuse_constant)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BundleError(f"metadata.json is no valid JSON ({error}). Export it again.") from None
    if isinstance(table, dict) and isinstance(table.get("operating_characteristics"), dict):
        table["operating_characteristics"] = [
            list(item) for item in table["operating_characteristics"].items()
        ]
    return _from_object(table, BundleMetadata, "")


def _refuse_constant(name: str) -> float:
    raise BundleError(f"metadata.json holds {name}; only finite numbers are allowed.")


def _from_object(table: Any, kind: type[T], prefix: str) -> T:  # noqa: ANN401 -- JSON
    _check(isinstance(table, dict), prefix or "metadata", table, "a JSON object")
    hints = get_type_hints(kind)
    unknown = sorted(set(table) - set(hints))
    _check(not unknown, "unknown keys", [prefix + key for key in unknown], ", ".join(hints))
    needed = {
        f.name
        for f in dataclasses.fields(kind)  # type: ignore[arg-type]
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    missing = sorted(needed - set(table))
    _check(not missing, "missing keys", [prefix + key for key in missing], "none may be missing")
    values = {key: _convert(item, hints[key], prefix + key) for key, item in table.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise BundleError(
            f"The bundle's {prefix.rstrip('.') or 'metadata'} cannot be used: {error}. "
            "Export the bundle again or mend its metadata.json."
        ) from None


def _convert(value: Any, kind: Any, key: str) -> Any:  # noqa: ANN401 -- JSON
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        inner = next(a for a in get_args(kind) if a is not type(None))
        return None if value is None else _convert(value, inner, key)
    if origin is tuple:
        return _convert_tuple(value, get_args(kind), key)
    if dataclasses.is_dataclass(kind):
        return _from_object(value, kind, f"{key}.")  # type: ignore[arg-type]
    if kind is float and type(value) is int:
        return float(value)
    _check(type(value) is kind, key, value, f"a {kind.__name__}")
    return value


def _convert_tuple(value: Any, kinds: tuple[Any, ...], key: str) -> tuple[Any, ...]:  # noqa: ANN401
    _check(isinstance(value, list), key, value, "a list")
    if kinds[-1] is Ellipsis:
        return tuple(_convert(item, kinds[0], f"{key}[{i}]") for i, item in enumerate(value))
    _check(len(value) == len(kinds), key, value, f"a list of {len(kinds)}")
    return tuple(
        _convert(item, k, f"{key}[{i}]")
        for i, (item, k) in enumerate(zip(value, kinds, strict=True))
    )
