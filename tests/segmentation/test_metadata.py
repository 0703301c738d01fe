from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ubereport.core.errors import BundleError
from ubereport.core.presence import PresenceRule
from ubereport.segmentation.distribution import FEATURES, ColorReference
from ubereport.segmentation.metadata import (
    BundleMetadata,
    HsvSpec,
    NetworkSpec,
    TrainingSet,
    metadata_from_json,
    metadata_to_json,
    version_key,
)

WORDS = st.text(min_size=1, max_size=30).filter(lambda text: bool(text.strip()))
FINITE = st.floats(-1e6, 1e6)
SHARES = st.floats(0.001, 0.999)
PROBABILITIES = st.lists(st.floats(0.01, 0.99), min_size=3, max_size=3, unique=True).map(
    lambda values: tuple(sorted(values))
)


@st.composite
def references(draw: st.DrawFn) -> ColorReference:
    # Bundles that were exported before know the first eleven.
    names = draw(st.sampled_from((FEATURES, FEATURES[:11])))
    n = len(names)
    row = st.lists(FINITE, min_size=n, max_size=n).map(tuple)
    return ColorReference(
        names,
        tuple(draw(st.lists(st.floats(1e-6, 10), min_size=n, max_size=n))),
        tuple(draw(st.lists(row, min_size=2, max_size=4))),
        draw(st.floats(0.01, 100)),
        draw(st.just(()) | st.lists(row, min_size=n, max_size=n).map(tuple)),
    )


@st.composite
def metadatas(draw: st.DrawFn) -> BundleMetadata:
    is_network = draw(st.booleans())
    sets = st.builds(
        TrainingSet, WORDS, WORDS, st.integers(0, 10**6), st.none() | st.integers(0, 9)
    )
    return BundleMetadata(
        name=draw(st.from_regex(r"\A[a-z0-9]{1,5}(-[a-z0-9]{1,5}){0,2}\Z")),
        version=draw(st.from_regex(r"\A[0-9]{1,3}(\.[0-9]{1,3}){0,2}\Z")),
        title=draw(WORDS),
        kind="network" if is_network else "hsv",
        input_height_px=32 * draw(st.integers(1, 64)),
        input_width_px=32 * draw(st.integers(1, 64)),
        thresholds=draw(PROBABILITIES),
        training_population=draw(WORDS),
        limits=draw(WORDS),
        intended_use=draw(WORDS),
        evaluated_on=draw(WORDS),
        network=NetworkSpec() if is_network else None,
        hsv=None if is_network else HsvSpec(),
        weights_sha256="ab" * 32 if is_network else None,
        operating_characteristics=tuple(
            draw(st.dictionaries(st.text(max_size=9), FINITE, max_size=4)).items()
        ),
        training_data=tuple(draw(st.lists(sets, max_size=3))),
        color_reference=draw(st.none() | references()),
        presence=draw(st.none() | st.builds(PresenceRule, SHARES, SHARES)) if is_network else None,
        test_time=draw(st.sampled_from(["none", "flip"])),
    )


@settings(deadline=None)
@given(metadatas())
def test_json_round_trip_is_exact(metadata: BundleMetadata) -> None:
    text = metadata_to_json(metadata)
    assert metadata_from_json(text) == metadata
    assert metadata_to_json(metadata_from_json(text)) == text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "Ube Blood"}, "name"),
        ({"name": "../x"}, "name"),
        ({"version": "1.2.3.4"}, "version"),
        ({"version": "one"}, "version"),
        ({"kind": "pickle"}, "kind"),
        ({"title": "  "}, "title"),
        ({"limits": ""}, "limits"),
        ({"input_height_px": 250}, "multiple of 32"),
        ({"input_width_px": 4096}, "multiple of 32"),
        ({"input_scale": (128.0, 0.0, 128.0)}, r"input_scale\[1\] = 0.0 .* above 0"),
        ({"input_mean": (float("nan"), 0.0, 0.0)}, "finite"),
        ({"thresholds": (0.5, 0.5, 0.7)}, "rising"),
        ({"thresholds": (0.0, 0.5, 0.7)}, r"thresholds\[0\] = 0.0 .* above 0 to below 1"),
        ({"test_time": "crop"}, "test_time"),
        ({"operating_characteristics": (("a", 1.0), ("a", 2.0))}, "occur twice"),
        ({"operating_characteristics": (("a", float("inf")),)}, "finite"),
        ({"weights_sha256": None}, "64 hex digits"),
        ({"weights_sha256": "xyz"}, "weights_sha256 = 'xyz' .* text like"),
        ({"network": None}, "kind"),
        ({"hsv": HsvSpec()}, "kind"),
        ({"schema": "ubereport-bundle/2"}, "schema"),
    ],
)
def test_values_out_of_range_are_refused(
    metadata: BundleMetadata, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(BundleError, match=words):
        dataclasses.replace(metadata, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "spec",
    [
        {"architecture": "transformer"},
        {"encoder": "../../etc"},
        {"decoder_channels": (256, 128)},
        {"decoder_channels": (256, 128, 64, 32, 0)},
        {"classes": 3},
        {"interpolation": "cubic"},
    ],
)
def test_network_descriptions_out_of_range_are_refused(spec: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="allowed"):
        NetworkSpec(**spec)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"hue_low_max": 175}, "hue_low_max below hue_high_min"),
        ({"hue_high_min": 300}, "hsv.hue_high_min = 300 .* 1 to 179"),
        ({"saturation_floors": (60, 45, 75)}, "rising"),
        ({"value_floors": (30, 40)}, r"value_floors\[2\] is missing"),
    ],
)
def test_hsv_ranges_out_of_order_are_refused(spec: dict[str, object], words: str) -> None:
    with pytest.raises(BundleError, match=words):
        HsvSpec(**spec)  # type: ignore[arg-type]


def test_a_training_set_needs_a_licence_and_a_count() -> None:
    with pytest.raises(BundleError, match="licence"):
        TrainingSet("stills", "", 3)
    with pytest.raises(BundleError, match="n_stills"):
        TrainingSet("stills", "MIT", -1)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda table: table.update(colour=1), "colour"),
        (lambda table: table["network"].update(pretrained=True), "network.pretrained"),
        (lambda table: table.pop("thresholds"), "thresholds is missing"),
        (lambda table: table.update(input_height_px="64"), "input_height_px"),
        (lambda table: table.update(input_height_px=True), "input_height_px"),
        (lambda table: table.update(thresholds=[0.1, 0.2]), r"thresholds\[2\] is missing"),
        (lambda table: table.update(training_data={}), "a list"),
        (lambda table: table.update(network=[]), "network = .* a table"),
        (
            lambda table: table.update(operating_characteristics={"a": "b"}),
            r"\.a = 'b' .* finite number",
        ),
        (lambda table: table.update(operating_characteristics=[]), "names with a finite number"),
    ],
)
def test_json_with_wrong_keys_or_types_is_refused(
    metadata: BundleMetadata, edit: object, words: str
) -> None:
    table = json.loads(metadata_to_json(metadata))
    edit(table)  # type: ignore[operator]
    with pytest.raises(BundleError, match=words):
        metadata_from_json(json.dumps(table))


@pytest.mark.parametrize(
    "text", ["", "[1]", "{", '{"name": NaN}', "[" * 100_000, '{"version": ' + "9" * 5000 + "}"]
)
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(BundleError):
        metadata_from_json(text)


def test_versions_sort_by_number_not_by_letter() -> None:
    versions = ["10", "2", "1.2", "1.10", "1.9.9"]
    assert sorted(versions, key=version_key) == ["1.2", "1.9.9", "1.10", "2", "10"]
    assert version_key("3") == version_key("3.0.0")


@pytest.mark.parametrize("change", [{"probability": 1.0}, {"view_frac": 0.0}, {"view_frac": "2"}])
def test_a_rule_of_presence_out_of_range_is_refused(
    metadata: BundleMetadata, change: dict[str, object]
) -> None:
    rule = PresenceRule(probability=0.97, view_frac=0.002)
    table = json.loads(metadata_to_json(dataclasses.replace(metadata, presence=rule)))
    assert metadata_from_json(json.dumps(table)).presence == rule
    table["presence"] |= change
    with pytest.raises(BundleError, match=next(iter(change))):
        metadata_from_json(json.dumps(table))


def test_bundles_without_a_rule_of_presence_keep_their_bytes(metadata: BundleMetadata) -> None:
    assert "presence" not in json.loads(metadata_to_json(metadata))


@pytest.mark.parametrize(
    ("part", "word"),
    [
        ("presence_head", "presence_head"),
        ("flood_gain", "flood"),
        ("exposure_gain", "exposure"),
        ("haze_removal", "haze"),
        ("shade_doubt", "shade"),
        ("flood_color", "flood_color"),
    ],
)
def test_a_description_without_a_part_is_written_as_before_there_was_one(
    metadata: BundleMetadata, part: str, word: str
) -> None:
    assert word not in metadata_to_json(metadata)
    network = NetworkSpec(**{f"has_{part}": True})
    described = dataclasses.replace(metadata, network=network)
    text = metadata_to_json(described)
    assert f'"has_{part}": true' in text
    assert metadata_from_json(text) == described
