"""Reading and writing annotation files within bounds; nothing half-written stays."""

from __future__ import annotations

import gzip
import io
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.errors import AnnotationError, OutputError
from ubereport.laboratory.annotation.run_lengths import check_size

MAX_BYTES = 2**29
_PNG_START = b"\x89PNG\r\n\x1a\n"


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes; what its name says is gzipped is unpacked.

    Raises
    ------
    AnnotationError
        If it is missing, no file, damaged, or larger than `MAX_BYTES`.
    """
    if not path.is_file():
        raise AnnotationError(f"There is no annotation file {path.name!r}. Check the path.")
    if path.stat().st_size > MAX_BYTES:
        raise AnnotationError(
            f"{path.name} has more than {MAX_BYTES} bytes and is not read. Split it."
        )
    content = path.read_bytes()
    return _unzipped(content, path.name) if path.suffix == ".gz" else content


def read_json(content: bytes, name: str) -> Any:  # noqa: ANN401 -- JSON
    """Return the JSON value in `content`; raises AnnotationError if it is none."""
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise AnnotationError(f"{name} is no valid JSON. Export it again.") from None


def _refuse_constant(constant: str) -> float:
    raise AnnotationError(f"The annotation file holds {constant}; only finite numbers are allowed.")


def to_json(value: object) -> bytes:
    """Return `value` as JSON text, the same bytes every time."""
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def table_of(value: Any, what: str) -> Mapping[str, Any]:  # noqa: ANN401 -- JSON
    """Return `value` if it is a JSON object; raises AnnotationError else."""
    if not isinstance(value, dict):
        raise AnnotationError(f"{what} is no JSON object. Export the file again.")
    return value


def list_of(value: Any, what: str) -> Sequence[Any]:  # noqa: ANN401 -- JSON
    """Return `value` if it is a JSON list; raises AnnotationError else."""
    if not isinstance(value, list):
        raise AnnotationError(f"{what} is no list. Export the file again.")
    return value


def text_of(table: Mapping[str, Any], key: str, what: str) -> str:
    """Return the text under `key`; raises AnnotationError if there is none."""
    value = table.get(key)
    if not isinstance(value, str):
        raise AnnotationError(f"{what} has {key} = {value!r}; it needs text. Export it again.")
    return value


def number_of(table: Mapping[str, Any], key: str, what: str) -> int:
    """Return the whole number under `key`; raises AnnotationError if there is none."""
    value = table.get(key)
    is_whole = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_whole or not math.isfinite(value) or value != int(value):  # type: ignore[arg-type]
        raise AnnotationError(
            f"{what} has {key} = {value!r}; it needs a whole number. Export it again."
        )
    return int(value)


def zipped(content: bytes) -> bytes:
    """Return `content` gzipped, without time or name: the same bytes every time."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as stream:
        stream.write(content)
    return buffer.getvalue()


def _unzipped(content: bytes, name: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            # One byte more than allowed tells a file that is too large without unpacking the rest
            # of it.
            plain = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        raise AnnotationError(f"{name} is no sound gzip file. Get it again.") from None
    if len(plain) > MAX_BYTES:
        raise AnnotationError(f"{name} holds more than {MAX_BYTES} bytes. Split it.")
    return plain


def read_png_mask(path: Path) -> BoolArray:
    """Return the (H, W) bool mask in a gray-level PNG file of 0 and 255; see `png_mask`."""
    return png_mask(read_bytes(path), path.name)


def png_mask(content: bytes, name: str, *, is_one_allowed: bool = False) -> BoolArray:
    """Return the (H, W) bool mask in the bytes of a gray-level PNG of 0 and 255, or 0 and 1.

    Raises
    ------
    AnnotationError
        If it is no PNG, has colors or other values, or is absurdly large.
    """
    if content[:8] != _PNG_START or len(content) < 24:
        raise AnnotationError(f"The mask {name} is no PNG. Export it as PNG.")
    # Sizes stand at a fixed place: a small file that unpacks to gigabytes is refused unread.
    check_size(int.from_bytes(content[20:24]), int.from_bytes(content[16:20]))
    levels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if levels is None:
        raise AnnotationError(f"The mask {name} is damaged. Export it again.")
    if levels.ndim != 2 or levels.dtype != np.uint8:
        raise AnnotationError(
            f"The mask {name} has colors or more than 8 bits. Export it as gray levels 0 and 255."
        )
    if is_one_allowed and levels.max() == 1:
        return np.asarray(levels == 1)
    others = np.setdiff1d(levels, (0, 255))
    if others.size:
        raise AnnotationError(
            f"The mask {name} has values such as {int(others[0])}; allowed are 0 and 255. "
            "Export it without smoothing."
        )
    return np.asarray(levels == 255)


def png_bytes(mask: BoolArray) -> bytes:
    """Return a (H, W) bool mask as a gray-level PNG of 0 and 255."""
    return _packed(mask.astype(np.uint8) * 255)


def rgb_png_bytes(rgb: RgbArray) -> bytes:
    """Return a (H, W, 3) picture as PNG."""
    return _packed(np.ascontiguousarray(rgb[..., ::-1]))


def _packed(levels: NDArray[np.uint8]) -> bytes:
    is_good, content = cv2.imencode(".png", levels)
    if not is_good:
        raise OutputError("A picture or mask cannot be packed as PNG.")
    return content.tobytes()
