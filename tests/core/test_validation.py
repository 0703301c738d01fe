"""Settings check themselves: every number has bounds, every refusal names key, value and range."""

import dataclasses
import math
from enum import StrEnum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from pydantic import Field

from ubereport.core import config
from ubereport.core.config import (
    AnalysisConfig,
    AuditConfig,
    CompareConfig,
    DecodeConfig,
    EventConfig,
    SegmentationConfig,
    config_from_toml,
)
from ubereport.core.errors import BundleError, ConfigError
from ubereport.core.validation import (
    FROM_JSON,
    LEFT_OUT_WHEN_EMPTY,
    Named,
    json_schema,
    json_value,
    read_json_value,
    validated,
)
from ubereport.laboratory.evaluation.config import StillsConfig
from ubereport.laboratory.simulation.config import SimulationConfig
from ubereport.laboratory.training import config as training_config
from ubereport.laboratory.training.config import TrainConfig


def classes_of(module) -> list[type]:
    return [
        each
        for each in vars(module).values()
        if dataclasses.is_dataclass(each) and getattr(each, "__module__", None) == module.__name__
    ]


SETTINGS = [*classes_of(config), *classes_of(training_config), StillsConfig, SimulationConfig]
ENDS = {"ge": "low", "gt": "low", "le": "high", "lt": "high"}
KEYS = [(kind, field.name) for kind in SETTINGS for field in dataclasses.fields(kind)]


def bounds_of(annotation) -> dict[str, Any]:
    """Lower and upper bound of a number, however deep it lies; empty where there is no number."""
    limits: dict[str, Any] = {}
    metadata: list[Any] = []
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata += more
    for each in metadata:
        for bound in getattr(each, "metadata", [each]):
            limits |= {end: getattr(bound, n) for n, end in ENDS.items() if hasattr(bound, n)}
    if annotation in (int, float):
        return {"is_number": True} | limits
    found: dict[str, Any] = {}
    for item in get_args(annotation):
        found |= bounds_of(item)
    return found | limits if found else {}


def test_a_number_without_a_bound_would_be_seen():
    assert bounds_of(float | None) == {"is_number": True}
    assert bounds_of(Annotated[int, Field(ge=1)]) == {"is_number": True, "low": 1}
    bounded = bounds_of(tuple[Annotated[int, Field(gt=0, lt=9)], ...])
    assert bounded == {"is_number": True, "low": 0, "high": 9}
    assert bounds_of(bool) == bounds_of(str) == {}


@pytest.mark.parametrize(("kind", "key"), KEYS, ids=lambda x: getattr(x, "__name__", x))
def test_every_number_has_bounds_and_a_default_inside_them(kind, key):
    bounds = bounds_of(get_type_hints(kind, include_extras=True)[key])
    if bounds:
        assert {"low", "high"} <= set(bounds), f"{kind.__name__}.{key} may be any number"
    assert read_json_value(json_value(kind()), kind) == kind()


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_number_beyond_either_bound_is_refused_by_key_value_and_range(kind):
    for key, annotation in get_type_hints(kind, include_extras=True).items():
        if get_origin(annotation) is Annotated and get_args(annotation)[0] in (int, float):
            bounds = bounds_of(annotation)
            number = get_args(annotation)[0]
            for value in (bounds["low"] - 1, bounds["high"] + 1):
                with pytest.raises(ConfigError) as told:
                    kind(**{key: number(value)})
                text = str(told.value)
                assert f"{key} = {number(value)!r} cannot be used; allowed: a" in text
                assert f"{bounds['high']:.12g}" in text
                assert text.endswith(f"{key}.")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DecodeConfig(max_width_px=-5), r"decode\.max_width_px = -5 .* 16 to 65536"),
        (lambda: AuditConfig(trial_points=-3), r"audit\.trial_points = -3 .* 2 to 10000"),
        (lambda: CompareConfig(max_missing_frac=7), r"max_missing_frac = 7 .* a number, 0 to 1"),
        (lambda: TrainConfig(device="gpu"), r"device = 'gpu' .* auto, cpu, cuda, mps"),
        (lambda: SegmentationConfig(device="gpu"), r"segmentation\.device = 'gpu' .* auto, cpu"),
        (lambda: EventConfig(onset_frac=math.nan), r"events\.onset_frac = nan .* above 0 to 1"),
        (lambda: EventConfig(min_duration_s=math.inf), r"min_duration_s = inf .* 0 to 3600"),
        (lambda: EventConfig(onset_frac=True), r"events\.onset_frac = True"),
        (lambda: SegmentationConfig(batch_size=4.0), "batch_size = 4.0 .* a whole number"),
        (lambda: EventConfig(7), r"events\.onset_frac = 7"),
        (lambda: EventConfig(onsets=1), r"events\.onsets; did you mean events\.onset_frac\?"),
        (lambda: EventConfig(offset_frac=0.5), r"offset_frac = 0.5 .* onset_frac \(0.05\)"),
        (lambda: dataclasses.replace(EventConfig(), onset_frac=2), r"events\.onset_frac = 2"),
        (lambda: TrainConfig(decoder_channels=(96, 0, 32, 16, 8)), r"decoder_channels\[1\] = 0"),
    ],
)
def test_what_python_hands_over_is_checked_like_a_file(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


class Leaf(StrEnum):
    GREEN = "green"
    BLACK = "black"


@validated("tea", error=BundleError, remedy="Brew {key} again.")
class Tea:
    """A cup."""

    leaf: Leaf
    name: Annotated[str, Field(pattern="^[a-z]+$")] = "sencha"
    grams: Annotated[tuple[Annotated[float, Field(gt=0, lt=9)], ...], FROM_JSON] = (2.0,)
    size: Annotated[int, Field(ge=32, le=64, multiple_of=32)] = 32
    cups: Annotated[int, Field(ge=1)] = 1

    def __post_init__(self) -> None:
        if self.size == 64 and self.cups == 1:
            raise ValueError("a pot is for two")


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({}, r"^tea\.leaf is missing\. Brew tea\.leaf again\.$"),
        ({"leaf": "red"}, r"tea\.leaf = 'red' cannot be used; allowed: green, black\."),
        ({"leaf": "green", "name": "A"}, r"tea\.name = 'A' .* text like \^\[a-z\]"),
        ({"leaf": "green", "grams": [1, 9]}, r"tea\.grams\[1\] = 9 .* above 0 to below 9"),
        ({"leaf": "green", "grams": 1}, r"tea\.grams = 1 .* a list, each a number"),
        ({"leaf": "green", "size": 33}, "size = 33 .* 32 to 64, a multiple of 32"),
        ({"leaf": "green", "cups": 0}, "cups = 0 .* 1 or more"),
        ({"leaf": "green", "size": 64}, "^tea: a pot is for two"),
        ({"leaf": "green", "nome": "x"}, r"Unknown key tea\.nome; did you mean tea\.name\?"),
        (3, "tea = 3 .* a table"),
    ],
)
def test_every_kind_of_fault_has_its_sentence(tree, words):
    with pytest.raises(BundleError, match=words):
        read_json_value(tree, Tea)


def test_a_long_value_is_told_in_short():
    with pytest.raises(BundleError, match="…") as told:
        read_json_value({"leaf": "x" * 10_000}, Tea)
    assert len(str(told.value)) < 300


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_schema_says_what_the_checks_ask(kind):
    schema = json_schema(kind)
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {field.name for field in dataclasses.fields(kind)}


def test_the_schema_has_bounds_choices_and_defaults():
    schema = json_schema(AnalysisConfig)["$defs"]
    rate = schema["SamplingConfig"]["properties"]["rate_hz"]
    assert (rate["minimum"], rate["maximum"], rate["default"]) == (0.01, 60, 2.0)
    assert schema["Device"]["enum"] == ["auto", "cpu", "cuda", "mps"]


def test_settings_of_a_file_are_told_with_their_section():
    with pytest.raises(ConfigError, match=r"^decode\.max_width_px = -5 cannot be used"):
        config_from_toml("[decode]\nmax_width_px = -5", AnalysisConfig)


@dataclasses.dataclass(frozen=True)
class Sip:
    """Checked only where it is read: a plain type inside of a checked one."""

    at_s: Annotated[float, Field(ge=0)]
    n_people: int = 1


@validated("tray", error=BundleError, remedy="Bring another.", is_open=True)
class Tray:
    sips: tuple[Sip, ...]
    prices: Named[float] = ()
    note: Annotated[str, LEFT_OUT_WHEN_EMPTY] = ""


def test_lists_inside_of_checked_types_stand_for_tuples_and_unknown_keys_are_left_aside():
    tree = {"sips": [{"at_s": 1, "mine": 2}], "prices": {"b": 2, "a": 1}, "later": True}
    assert read_json_value(tree, Tray) == Tray((Sip(1.0),), (("b", 2.0), ("a", 1.0)))


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"sips": [{"at_s": -1}]}, r"tray\.sips\[0\]\.at_s = -1 .* 0 or more"),
        ({"sips": [{"at_s": 1, "n_people": "2"}]}, r"sips\[0\]\.n_people = '2' .* a whole number"),
        ({"sips": [], "prices": {"a": "x"}}, r"prices\.a = 'x' .* a finite number\. Bring"),
        ({"sips": [], "prices": 3}, "prices = 3 .* names with a finite number each"),
        ({"sips": {}}, r"sips = \{\} .* a list"),
    ],
)
def test_a_fault_inside_of_plain_types_is_named_too(tree, words):
    with pytest.raises(BundleError, match=words):
        read_json_value(tree, Tray)


def test_a_name_twice_is_refused():
    with pytest.raises(BundleError, match=r"tray\.prices: names occur twice"):
        Tray((), (("a", 1.0), ("a", 2.0)))


def test_what_is_written_is_of_the_kind_that_is_declared_and_empty_late_fields_are_left_out():
    written = json_value(Tray((Sip(np.int64(2), np.int64(3)),), (("a", 1),)))  # type: ignore[arg-type]
    assert written == {"sips": [{"at_s": 2.0, "n_people": 3}], "prices": {"a": 1.0}}
    assert type(written["sips"][0]["at_s"]) is float
    assert json_value(Tray((), note="x"))["note"] == "x"


@pytest.mark.parametrize("sip", [Sip(-1.0), Sip(math.inf), Sip("1")])  # type: ignore[arg-type]
def test_what_could_not_be_read_again_is_not_written(sip):
    with pytest.raises(ValueError, match=r"JSON compliant|written is wrong: sips\[0\]"):
        json_value(Tray((sip,)))
