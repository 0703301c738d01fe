"""What a bundle says about itself: frozen, validated where made, exact JSON round trip.

No torch here: the command line lists and verifies bundles without loading it.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Final, Literal

from pydantic import Field

from ubereport.core.errors import BundleError
from ubereport.core.held_out import HeldOutOperation
from ubereport.core.presence import PresenceRule
from ubereport.core.validation import (
    FROM_JSON,
    LEFT_OUT_WHEN_EMPTY,
    Named,
    Sha256,
    Tally,
    json_value,
    read_json_value,
    validated,
)
from ubereport.segmentation.distribution import ColorReference

BUNDLE_SCHEMA: Final = "ubereport-bundle/1"

_REMEDY = "Export the bundle again or mend its metadata.json."
_VERSION = re.compile(r"\d{1,6}(\.\d{1,6}){0,2}")
_Sentence = Annotated[str, Field(pattern=r"\S")]
_Side = Annotated[int, Field(ge=32, le=2048, multiple_of=32)]
_Three = tuple[float, float, float]
_Scale = Annotated[float, Field(gt=0)]
_Probability = Annotated[float, Field(gt=0, lt=1)]
_Level = Annotated[int, Field(ge=0, le=255)]
_Channels = Annotated[int, Field(ge=1, le=2048)]
_Blocks = Annotated[int, Field(ge=0, le=16)]


def _check(is_good: bool, key: str, given: object, allowed: str) -> None:
    if not is_good:
        raise BundleError(f"{key} = {given!r} cannot be used; allowed: {allowed}. {_REMEDY}")


@validated("network", error=BundleError, remedy=_REMEDY)
class NetworkSpec:
    """Everything that `network.build_network` needs to build an untrained network.

    Parameters
    ----------
    architecture
        "unetplusplus" or "unet".
    encoder
        Name of the encoder in segmentation-models-pytorch; ``tu-`` names one of timm.
    decoder_channels
        Channels of the five decoder stages, deepest first.
    classes
        Output channels; 1, the logit of blood.
    interpolation
        How the decoder doubles its maps: "nearest" or "bilinear".
    has_presence_head
        Whether a view that speaks against blood as a whole lowers the logits of its pixels; older
        bundles have no such head.
    has_flood_gain
        Whether a view that is flooded is not doubted and all of its pixels are believed sooner.
    has_flood_color
        Whether a view that is red all over is taken for a flooded one sooner; needs a flood gain.
    has_exposure_gain
        Whether a view dimmer than those that were trained on is lifted before it is looked at.
    has_haze_removal
        Whether the veil of a view hazier than those that were trained on is taken off before.
    has_shade_doubt
        Whether places that hardly any light reaches are doubted.
    """

    architecture: Literal["unetplusplus", "unet"] = "unetplusplus"
    encoder: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]{1,80}$")] = "tu-tf_efficientnet_lite0"
    decoder_channels: Annotated[
        tuple[_Channels, ...], Field(min_length=5, max_length=5), FROM_JSON
    ] = (256, 128, 64, 32, 16)
    classes: Literal[1] = 1
    interpolation: Literal["nearest", "bilinear"] = "nearest"
    has_presence_head: Annotated[bool, LEFT_OUT_WHEN_EMPTY] = False
    has_flood_gain: Annotated[bool, LEFT_OUT_WHEN_EMPTY] = False
    has_exposure_gain: Annotated[bool, LEFT_OUT_WHEN_EMPTY] = False
    has_haze_removal: Annotated[bool, LEFT_OUT_WHEN_EMPTY] = False
    has_shade_doubt: Annotated[bool, LEFT_OUT_WHEN_EMPTY] = False
    has_flood_color: Annotated[bool, LEFT_OUT_WHEN_EMPTY] = False

    @property
    def has_view_parts(self) -> bool:
        """Whether anything is added to the network of the encoder and the decoder."""
        return (
            self.has_presence_head
            or self.has_flood_gain
            or self.has_exposure_gain
            or self.has_haze_removal
            or self.has_shade_doubt
        )


@validated("hsv", error=BundleError, remedy=_REMEDY)
class HsvSpec:
    """Red in OpenCV's HSV (H 0..179, S and V 0..255): the paper's first stage, ranges ours.

    A pixel is red when ``H <= hue_low_max or H >= hue_high_min`` and S and V reach their floors;
    the three floors are for the lenient, central and strict threshold.
    """

    hue_low_max: Annotated[int, Field(ge=0, le=178)] = 10
    hue_high_min: Annotated[int, Field(ge=1, le=179)] = 170
    saturation_floors: tuple[_Level, _Level, _Level] = (45, 60, 75)
    value_floors: tuple[_Level, _Level, _Level] = (30, 40, 50)

    def __post_init__(self) -> None:
        hues = (self.hue_low_max, self.hue_high_min)
        _check(hues[0] < hues[1], "hsv hues", hues, "hue_low_max below hue_high_min")
        for key in ("saturation_floors", "value_floors"):
            floors = getattr(self, key)
            is_rising = floors[0] <= floors[1] <= floors[2]
            _check(is_rising, f"hsv.{key}", floors, "rising (lenient, central, strict)")


@validated("graph", error=BundleError, remedy=_REMEDY)
class GraphSpec:
    """The graph of a network, model.onnx: its digest, and where low precision may begin.

    Parameters
    ----------
    sha256
        Hex digest of the file.
    late_inputs
        Names of the values that lead from what must count in fp32 to what may count in bf16.
    """

    sha256: Sha256
    late_inputs: tuple[str, ...] = ()


@validated("training_data", error=BundleError, remedy=_REMEDY)
class TrainingSet:
    """One set that the weights were trained on: what it is, under which licence, how much."""

    name: _Sentence
    licence: _Sentence
    n_stills: Tally
    n_positive: int | None = None
    n_groups: int | None = None
    role: str = ""


@validated("instruments", error=BundleError, remedy=_REMEDY)
class InstrumentSpec:
    """The second output, which marks instruments, so that area can be told over visible tissue.

    Parameters
    ----------
    sha256
        Hex digest of instruments.safetensors.
    channels, n_blocks
        Channels and mixing blocks of each stage of the branch, the coarsest (a stride of 32)
        first, each following one twice as fine.
    threshold
        A pixel whose probability reaches it shows an instrument.
    training_data
        The sets that it was trained on; the licence of the bundle holds for these weights, too.
    figures
        Names and values measured on operations never trained on; `evaluated_on` says which.
    """

    sha256: Sha256
    channels: Annotated[tuple[_Channels, ...], Field(min_length=1, max_length=4), FROM_JSON]
    n_blocks: Annotated[tuple[_Blocks, ...], Field(min_length=1, max_length=4), FROM_JSON]
    threshold: _Probability
    training_data: tuple[TrainingSet, ...]
    evaluated_on: _Sentence
    figures: Named[float] = ()

    def __post_init__(self) -> None:
        sizes = (len(self.channels), len(self.n_blocks))
        _check(sizes[0] == sizes[1], "instruments.n_blocks", sizes, "as many as channels")


@validated(error=BundleError, remedy=_REMEDY)
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
    presence
        When a picture shows blood at all; None marks whatever reaches the thresholds, as older
        bundles do.
    held_out_operations
        What the network, or its twin, erred on each operation that it had not seen.
    color_reference
        Colors of the training population, for `distribution.distance`.
    weights_sha256
        Hex digest of weights.safetensors; None for kind "hsv".
    graph
        Of a network that runs without torch; older bundles have none.
    instruments
        The second output of a network; older bundles have none.

    Raises
    ------
    BundleError
        If a value is out of range, or network, hsv and weights do not fit the kind.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9.]+)*$")]
    version: str
    title: _Sentence
    kind: Literal["network", "hsv"]
    input_height_px: _Side
    input_width_px: _Side
    thresholds: tuple[_Probability, _Probability, _Probability]
    training_population: _Sentence
    limits: _Sentence
    intended_use: _Sentence
    evaluated_on: _Sentence
    network: NetworkSpec | None = None
    hsv: HsvSpec | None = None
    input_mean: _Three = (127.0, 127.0, 127.0)
    input_scale: tuple[_Scale, _Scale, _Scale] = (128.0, 128.0, 128.0)
    test_time: Literal["none", "flip"] = "none"
    operating_characteristics: Named[float] = ()
    licence: Annotated[str, LEFT_OUT_WHEN_EMPTY] = ""
    training_data: tuple[TrainingSet, ...] = ()
    held_out_operations: Annotated[tuple[HeldOutOperation, ...], LEFT_OUT_WHEN_EMPTY] = ()
    presence: Annotated[PresenceRule | None, LEFT_OUT_WHEN_EMPTY] = None
    color_reference: ColorReference | None = None
    weights_sha256: Sha256 | None = None
    graph: Annotated[GraphSpec | None, LEFT_OUT_WHEN_EMPTY] = None
    instruments: Annotated[InstrumentSpec | None, LEFT_OUT_WHEN_EMPTY] = None
    schema: Literal["ubereport-bundle/1"] = BUNDLE_SCHEMA

    def __post_init__(self) -> None:
        version_key(self.version)
        low, central, high = self.thresholds
        _check(
            low < central < high,
            "thresholds",
            self.thresholds,
            "rising (lenient, central, strict)",
        )
        is_network = self.kind == "network"
        _check(
            (self.network is not None, self.hsv is not None) == (is_network, not is_network),
            "network and hsv",
            (self.network, self.hsv),
            f"only the description that kind {self.kind!r} needs",
        )
        _check(
            (self.weights_sha256 is not None) == is_network,
            "weights_sha256",
            self.weights_sha256,
            "64 hex digits for a network, null for hsv",
        )
        for key in ("graph", "instruments", "presence"):
            value = getattr(self, key)
            _check(is_network or value is None, key, value, "none, for hsv")


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
    table = json_value(metadata)
    # First in the file, for whoever opens it in an editor.
    ordered = {"schema": table.pop("schema")} | table
    return json.dumps(ordered, indent=2, ensure_ascii=False) + "\n"


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
    # A ValueError and not JSON's own alone: a number of thousands of digits is refused by Python.
    except (ValueError, RecursionError) as error:
        raise BundleError(f"metadata.json is no valid JSON ({error}). Export it again.") from None
    return read_json_value(table, BundleMetadata)


def _refuse_constant(name: str) -> float:
    raise BundleError(f"metadata.json holds {name}; only finite numbers are allowed.")
