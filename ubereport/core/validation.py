"""Frozen types that check themselves where they are made, and one sentence for what cannot be used.

Bounds stand beside defaults (``Annotated[int, Field(ge=0, le=64)] = 0``); the library that checks
them writes their JSON Schema, too.
"""

from __future__ import annotations

import difflib
import functools
import json
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

import pydantic.dataclasses
from pydantic import ConfigDict, Field, Strict, TypeAdapter, ValidationError, model_validator
from pydantic.fields import FieldInfo

from ubereport.core.errors import ConfigError, UbereportError

T = TypeVar("T")

FROM_JSON = Strict(False)
"""Marks a tuple or a choice: a list or a name stands for it, in a file and in Python."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""Of random numbers; any is as good as another."""

RULES = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)
"""No unknown keys, no number from text or from a truth value, no infinity; checks are built when
first used, since a decoding process or `--help` makes no settings."""


def check_setting(condition: bool, key: str, given: object, allowed: str) -> None:
    """Raise ConfigError, with the value given and those allowed, unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{Fault(key, given, allowed)} Change {key}.")


@dataclass(frozen=True, slots=True)
class Fault:
    """What cannot be used: the key, what was given, what is allowed; `hint` replaces both."""

    key: str
    given: object
    allowed: str
    hint: str = ""

    def __str__(self) -> str:
        """Return the fault as a sentence."""
        if self.hint:
            return self.hint
        given = repr(self.given)
        shown = given if len(given) <= 120 else f"{given[:119]}…"
        return f"{self.key} = {shown} cannot be used; allowed: {self.allowed}."


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def validated(
    section: str = "", *, error: type[UbereportError] = ConfigError, remedy: str = "Change {key}."
) -> Callable[[type[T]], type[T]]:
    """Make a class a frozen dataclass that checks types and bounds whenever one is made.

    Parameters
    ----------
    section
        How its keys begin in a sentence: "decode" for ``decode.max_width_px``.
    error
        What is raised; `remedy` ends the sentence.

    Examples
    --------
    >>> from pydantic import Field
    >>> @validated("tea")
    ... class Tea:
    ...     steep_s: Annotated[float, Field(gt=0, le=600)] = 180.0
    >>> Tea(steep_s=0)
    Traceback (most recent call last):
        ...
    ubereport.core.errors.ConfigError: tea.steep_s = 0 cannot be used; allowed: ...
    """

    def checked(made: Any, given: Any, build: Any) -> Any:  # noqa: ANN401 -- pydantic's signature
        try:
            return build(given)
        except ValidationError as found:
            fault = fault_of(found, made, section)
            raise error(f"{fault} {remedy.format(key=fault.key)}") from None

    def decorate(kind: type[T]) -> type[T]:
        wrapped: Any = classmethod(checked)
        kind._checked = model_validator(mode="wrap")(wrapped)  # type: ignore[attr-defined]  # pydantic looks for it in the class
        made: Any = pydantic.dataclasses.dataclass(kind, frozen=True, slots=True, config=RULES)
        result: type[T] = made
        return result

    return decorate


def read_json_value(value: object, kind: type[T]) -> T:
    """Return the `kind`, made by `validated`, that a tree of JSON or TOML values describes.

    JSON's rules hold: a list stands for a tuple and a name for a choice, and nothing else is
    converted. What cannot be used raises the kind's own error.
    """
    read: T = adapter_of(kind).validate_json(json.dumps(value, default=str))
    return read


def json_value(value: Any) -> dict[str, Any]:  # noqa: ANN401 -- any checked type
    """Return the tree of JSON values that `read_json_value` makes an equal value from."""
    tree: dict[str, Any] = adapter_of(type(value)).dump_python(value, mode="json")
    return tree


def json_schema(kind: type[Any]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a checked type: types, bounds, defaults, choices."""
    schema = adapter_of(kind).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def adapter_of(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 -- any annotation
    """Return what reads and writes values of `kind`, built once."""
    return _adapter(kind)


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401
    return TypeAdapter(kind)


def fault_of(found: ValidationError, kind: type[Any], section: str = "") -> Fault:
    """Return the first thing that cannot be used in what should have been a `kind`."""
    first = found.errors(include_url=False)[0]
    where = [_name_of(kind, step) if i == 0 else step for i, step in enumerate(first["loc"])]
    key = _key([section, *where] if section else where)
    match first["type"]:
        case "unexpected_keyword_argument":
            owner, _ = _at(kind, (), where[:-1])
            return Fault(key, first["input"], "", _unknown(owner, key))
        case "missing" | "missing_argument":
            return Fault(key, None, "", f"{key} is missing.")
        case "dataclass_type":
            return Fault(key, first["input"], f"a table: [{key}]")
        case "value_error":
            text = str(first["ctx"]["error"])
            return Fault(key, None, "", f"{key}: {text}." if key else f"{text}.")
    return Fault(key, first["input"], _allowed(*_at(kind, (), where)) or first["msg"])


def _name_of(kind: type[Any], step: object) -> object:
    """Positional arguments are counted by the checking library; name them."""
    return fields(kind)[step].name if isinstance(step, int) and is_dataclass(kind) else step


def _key(steps: Sequence[object]) -> str:
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _unknown(owner: Any, key: str) -> str:  # noqa: ANN401 -- a checked type
    names = [f.name for f in fields(owner)]
    prefix, _, name = key.rpartition(".")
    near = difflib.get_close_matches(name, names, n=1)
    dotted = f"{prefix}." if prefix else ""
    hint = f"did you mean {dotted}{near[0]}?" if near else f"allowed: {', '.join(names)}."
    return f"Unknown key {key}; {hint}"


def _at(
    kind: Any,  # noqa: ANN401 -- an annotation
    bounds: tuple[object, ...],
    where: Sequence[object],
) -> tuple[Any, tuple[object, ...]]:
    """Return annotation and bounds of what lies at `where` inside `kind`."""
    kind, bounds = _plain(kind, bounds)
    if not where:
        return kind, bounds
    step, *rest = where
    if is_dataclass(kind):
        return _at(get_type_hints(kind, include_extras=True)[str(step)], (), rest)
    items = get_args(kind)
    if get_origin(kind) is tuple and isinstance(step, int):
        return _at(items[0] if items[-1] is ... else items[step], (), rest)
    return _at(items[-1], (), rest) if items else (kind, bounds)


def _plain(kind: Any, bounds: tuple[object, ...]) -> tuple[Any, tuple[object, ...]]:  # noqa: ANN401
    """Take ``Annotated`` and ``| None`` off an annotation, and keep the bounds."""
    while True:
        if get_origin(kind) is Annotated:
            kind, *more = get_args(kind)
            bounds += tuple(_bounds(more))
        elif get_origin(kind) in (Union, types.UnionType):
            kind = next(member for member in get_args(kind) if member is not types.NoneType)
        else:
            return kind, bounds


def _bounds(metadata: Sequence[object]) -> Iterator[object]:
    for each in metadata:
        yield from each.metadata if isinstance(each, FieldInfo) else (each,)


def _allowed(kind: Any, bounds: tuple[object, ...]) -> str:  # noqa: ANN401 -- an annotation
    if get_origin(kind) is Literal:
        return ", ".join(str(each) for each in get_args(kind))
    if get_origin(kind) is tuple:
        items = get_args(kind)
        how_many = f" of {len(items)}" if items[-1] is not ... else ""
        return f"a list{how_many}{_length(bounds)}, each {_allowed(*_plain(items[0], ()))}"
    if is_dataclass(kind):
        return "a table"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return ", ".join(kind)
    if kind in (int, float):
        number, limits = "a whole number" if kind is int else "a number", _range(_limits(bounds))
        return f"{number}, {limits}" if limits else number
    return {bool: "true or false", str: "text"}.get(kind, "") + _length(bounds)


def _limits(bounds: tuple[object, ...]) -> Mapping[str, Any]:
    names = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern")
    return {n: getattr(b, n) for b in bounds for n in names if getattr(b, n, None) is not None}


def _range(limits: Mapping[str, Any]) -> str:
    low, high = (
        f"{word}{limits[open_end]:.12g}"
        if open_end in limits
        else f"{limits[end]:.12g}"
        if end in limits
        else ""
        for word, open_end, end in (("above ", "gt", "ge"), ("below ", "lt", "le"))
    )
    step = f", a multiple of {limits['multiple_of']}" if "multiple_of" in limits else ""
    if not high:
        return f"{low} or more{step}" if low else step.removeprefix(", ")
    return f"{low} to {high}{step}".strip()


def _length(bounds: tuple[object, ...]) -> str:
    limits = _limits(bounds)
    if "pattern" in limits:
        return f" like {limits['pattern']}"
    low, high = limits.get("min_length"), limits.get("max_length")
    if low is None and high is None:
        return ""
    return f", {low} long" if low == high else f", {low or 0} to {high or 'any number'} long"
