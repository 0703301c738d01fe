"""Frozen dataclasses to JSON values and back, driven by their annotations."""

from __future__ import annotations

import dataclasses
import functools
import types
from enum import StrEnum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ubereport.core.case import LEFT_OUT_WHEN_EMPTY

T = TypeVar("T")


def to_json_value(value: Any, kind: Any) -> Any:  # noqa: ANN401 -- walks any frozen dataclass
    """Return `value`, annotated as `kind`, as a tree of dict, list, str, int, float, bool, None.

    Dataclasses become objects, tuples become arrays, and tuples of (name, value) pairs become
    objects that keep their order. Floats stay floats, so that JSON carries them exactly. Fields
    that came later are left out where they are empty, so that older records keep their bytes.
    """
    if value is None:
        return None
    kind = _without_none(kind)
    if dataclasses.is_dataclass(kind):
        hints = _hints(kind)  # type: ignore[arg-type]  # narrowed to an instance
        return {
            field.name: to_json_value(getattr(value, field.name), hints[field.name])
            for field in dataclasses.fields(kind)
            if getattr(value, field.name) or field.metadata != LEFT_OUT_WHEN_EMPTY
        }
    if get_origin(kind) is tuple:
        return _tuple_to_json(value, kind)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(value).value
    return kind(value)


def _tuple_to_json(value: tuple[Any, ...], kind: Any) -> Any:  # noqa: ANN401 -- an annotation
    if (pair := _pair_kind(kind)) is not None:
        names = [name for name, _ in value]
        if len(set(names)) != len(names):
            raise ValueError(f"names occur twice: {names}")
        return {str(name): to_json_value(item, pair) for name, item in value}
    return [
        to_json_value(item, item_kind)
        for item, item_kind in zip(value, _item_kinds(kind, len(value)), strict=True)
    ]


def from_json_value(value: Any, kind: type[T]) -> T:  # noqa: ANN401 -- any JSON value
    """Return the value of `kind` that `to_json_value` made `value` from; unknown keys are ignored.

    Raises
    ------
    KeyError, TypeError, ValueError
        If `value` does not describe a `kind`; check it against the JSON Schema first.
    """
    converted: T = _from(value, kind)
    return converted


def _from(value: Any, kind: Any) -> Any:  # noqa: ANN401 -- walks annotations
    if value is None:
        return None
    kind = _without_none(kind)
    if dataclasses.is_dataclass(kind):
        hints = _hints(kind)  # type: ignore[arg-type]  # narrowed to an instance
        names = [
            field.name
            for field in dataclasses.fields(kind)
            if field.name in value or field.metadata != LEFT_OUT_WHEN_EMPTY
        ]
        return kind(**{name: _from(value[name], hints[name]) for name in names})  # type: ignore[operator]
    if get_origin(kind) is tuple:
        if (pair := _pair_kind(kind)) is not None:
            return tuple((name, _from(item, pair)) for name, item in value.items())
        return tuple(
            _from(item, item_kind)
            for item, item_kind in zip(value, _item_kinds(kind, len(value)), strict=True)
        )
    return kind(value)


@functools.lru_cache(maxsize=256)
def _hints(kind: type) -> dict[str, Any]:
    """Read the annotations of a class once, not once a value: an audit holds thousands of rows."""
    return get_type_hints(kind)


def _without_none(kind: Any) -> Any:  # noqa: ANN401 -- an annotation
    if get_origin(kind) is types.UnionType:
        (kind,) = (member for member in get_args(kind) if member is not types.NoneType)
    return kind


def _pair_kind(kind: Any) -> Any:  # noqa: ANN401 -- an annotation
    """Return X where `kind` is ``tuple[tuple[str, X], ...]``, else None."""
    item, *rest = get_args(kind)
    if rest == [...] and get_origin(item) is tuple:
        first, second, *more = get_args(item)
        if first is str and second is not ... and not more:
            return second
    return None


def _item_kinds(kind: Any, n: int) -> list[Any]:  # noqa: ANN401 -- an annotation
    kinds = list(get_args(kind))
    return [kinds[0]] * n if kinds[-1] is ... else kinds
