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

from pydantic import (
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    Strict,
    TypeAdapter,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_core import ArgsKwargs, CoreSchema, core_schema

from ubereport.core.errors import ConfigError

T = TypeVar("T")

FROM_JSON = Strict(False)
"""Marks a tuple or a choice: a list or a name stands for it, in a file and in Python."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""Of random numbers; any is as good as another."""
Frac = Annotated[float, Field(ge=0, le=1)]
"""A share or a fraction, never percent."""
Tally = Annotated[int, Field(ge=0)]
"""How many there are of something that was counted."""
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Key = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
"""What a metric or a flag is called in files."""
LEFT_OUT_WHEN_EMPTY = Field(exclude_if=lambda value: not value)
"""Marks a field that came after files were first written: where empty, it is not in the JSON."""


class _Object:
    """Writes (name, value) pairs as a JSON object that keeps their order, and reads them back."""

    def __get_pydantic_core_schema__(
        self,
        source: Any,  # noqa: ANN401 -- an annotation
        handler: GetCoreSchemaHandler,
    ) -> CoreSchema:
        (pair, _) = get_args(source)
        table = handler.generate_schema(dict[str, get_args(pair)[1]])  # type: ignore[misc]
        # Two schemas: a file has an object, whose names cannot repeat; Python has pairs, which can
        # and are therefore looked through.
        return core_schema.json_or_python_schema(
            core_schema.no_info_after_validator_function(lambda d: tuple(d.items()), table),
            core_schema.no_info_after_validator_function(_named_once, handler(source)),
            serialization=core_schema.wrap_serializer_function_ser_schema(
                lambda pairs, write: write(dict(pairs)), schema=table, return_schema=table
            ),
        )


def _named_once(pairs: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError(f"names occur twice: {names}")
    return pairs


Named = Annotated[tuple[tuple[str, T], ...], _Object()]
"""Values under names that differ: frozen pairs in Python, an object in JSON."""

RULES = ConfigDict(strict=True, allow_inf_nan=False)
"""No number from text or from a truth value, no infinity. Checks are built when first used, since
a decoding process or `--help` makes no settings."""


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
        text = repr(self.given)
        shortened = text if len(text) <= 120 else f"{text[:119]}…"
        return f"{self.key} = {shortened} cannot be used; allowed: {self.allowed}."


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def validated(
    section: str = "",
    *,
    error: type[Exception] = ConfigError,
    remedy: str = "Change {key}.",
    is_open: bool = False,
) -> Callable[[type[T]], type[T]]:
    """Make a class a frozen dataclass that checks types and bounds whenever one is made.

    Parameters
    ----------
    section
        How its keys begin in a sentence: "decode" for ``decode.max_width_px``.
    error
        What is raised; `remedy` ends the sentence.
    is_open
        Whether keys that it does not know are left aside, as in files that later versions write.

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

    def refuse(failure: ValidationError, kind: type[Any]) -> Exception:
        fault = fault_of(failure, kind, section)
        return error(f"{fault} {remedy.format(key=fault.key)}")

    def decorate(kind: type[T]) -> type[T]:
        made: Any = dataclass(frozen=True, slots=True)(kind)

        # The constructor of a plain dataclass gives way to one that checks. Pydantic's own
        # dataclasses would need a wrapper to raise our errors, and inside of one a list no longer
        # stands for a tuple.
        def __init__(self: Any, *args: Any, **values: Any) -> None:  # noqa: ANN401, N807
            check = adapter_of(made).validator.validate_python
            try:
                check(ArgsKwargs(args, values), self_instance=self)
            except ValidationError as failure:
                raise refuse(failure, made) from None

        made.__init__ = functools.wraps(made.__init__)(__init__)
        made.__refusal__ = refuse
        made.__pydantic_config__ = RULES | ConfigDict(extra="ignore" if is_open else "forbid")
        result: type[T] = made
        return result

    return decorate


def read_json_value(value: object, kind: type[T]) -> T:
    """Return the `kind`, made by `validated`, that a tree of JSON or TOML values describes.

    JSON's rules hold: a list stands for a tuple and a name for a choice, and nothing else is
    converted. What cannot be used raises the kind's own error.
    """
    try:
        # TOML has dates, which JSON lacks: as text they are refused with the key that holds them.
        read: T = adapter_of(kind).validate_json(json.dumps(value, default=str))
    except ValidationError as failure:
        raise kind.__refusal__(failure, kind) from None  # type: ignore[attr-defined]
    return read


def json_value(value: Any) -> dict[str, Any]:  # noqa: ANN401 -- any frozen dataclass
    """Return the tree of JSON values that `read_json_value` makes an equal value from.

    It is read once before it is returned, so that nothing is written that cannot be read and
    numbers are of the kind that is declared: numpy's become plain ones, 1 seconds 1.0 seconds.

    Raises
    ------
    ValueError
        If a number is not finite, or a value is not what its annotation says.
    """
    adapter = adapter_of(type(value))
    # numpy's numbers are not of the declared kind yet, which is no cause for a warning: what comes
    # out is read, and so checked, below.
    written = adapter.dump_python(value, warnings=False)
    text = json.dumps(written, default=lambda number: number.item(), allow_nan=False)
    try:
        tree: dict[str, Any] = adapter.dump_python(adapter.validate_json(text), mode="json")
    except ValidationError as failure:
        raise ValueError(
            f"what is to be written is wrong: {fault_of(failure, type(value))}"
        ) from None
    return tree


def json_schema(kind: type[Any]) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a checked type: types, bounds, defaults, choices."""
    schema = adapter_of(kind).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def adapter_of(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 -- any annotation
    """Return what reads and writes values of `kind`, built once."""
    return _adapter(kind)


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401
    return TypeAdapter(kind)


def fault_of(failure: ValidationError, kind: type[Any], section: str = "") -> Fault:
    """Return the first thing that cannot be used in what should have been a `kind`."""
    # One fault a time: a sentence to act on, and not the checking library's list.
    first = failure.errors(include_url=False)[0]
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
    meant = f"{dotted}{near[0]}" if near else ""
    hint = f"did you mean {meant}?" if near else f"allowed: {', '.join(names)}."
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
    if get_origin(kind) is tuple and isinstance(step, str):  # a name of `Named`
        return _at(get_args(items[0])[1], (), rest)
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
        if any(isinstance(bound, _Object) for bound in bounds):
            return f"names with {_allowed(*_plain(get_args(items[0])[1], ()))} each"
        listed = "a list" if items[-1] is ... else f"a list of {len(items)}"
        return _joined(listed, _length(bounds), f"each {_allowed(*_plain(items[0], ()))}")
    if is_dataclass(kind):
        return "a table"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return ", ".join(kind)
    if kind in (int, float):
        number, limits = "a whole number" if kind is int else "a number", _range(_limits(bounds))
        return f"{number}, {limits}" if limits else number.replace("a number", "a finite number")
    word = {bool: "true or false", str: "text"}.get(kind, "")
    pattern = _limits(bounds).get("pattern")
    return _joined(word if pattern is None else f"{word} like {pattern}", _length(bounds))


def _joined(*clauses: str) -> str:
    return ", ".join(clause for clause in clauses if clause)


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
    step = f"a multiple of {limits['multiple_of']}" if "multiple_of" in limits else ""
    if not high:
        return _joined(_at_least(low), step)
    return _joined(f"{low} to {high}".strip(), step)


def _at_least(quantity: str) -> str:
    return f"{quantity} or more" if quantity else ""


def _length(bounds: tuple[object, ...]) -> str:
    limits = _limits(bounds)
    low, high = limits.get("min_length"), limits.get("max_length")
    if low is None and high is None:
        return ""
    return f"{low} long" if low == high else f"{low or 0} to {high or 'any number'} long"
