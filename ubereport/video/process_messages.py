"""Messages between the program and its decoding process: JSON and raw arrays, no pickle."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Header = dict[str, Any]
_SIZES = struct.Struct("<II")


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None) -> bytes:
    """Encode one message.

    Parameters
    ----------
    header
        Anything that JSON can carry.
    arrays
        One-dimensional arrays by name.
    """
    blobs = {} if arrays is None else arrays
    shapes = [[name, array.dtype.str, len(array)] for name, array in blobs.items()]
    head = json.dumps({"header": dict(header), "arrays": shapes}).encode()
    body = b"".join(np.ascontiguousarray(array).tobytes() for array in blobs.values())
    return _SIZES.pack(len(head), len(body)) + head + body


class MessageReader:
    """Cut a stream of bytes, which arrives in any pieces, into messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the stream."""
        self._held += piece

    def next(self) -> tuple[Header, dict[str, NDArray[Any]]] | None:
        """Return the next whole message as (header, arrays); None if there is none yet."""
        if len(self._held) < _SIZES.size:
            return None
        n_head, n_body = _SIZES.unpack_from(self._held)
        end = _SIZES.size + n_head + n_body
        if len(self._held) < end:
            return None
        head = json.loads(bytes(self._held[_SIZES.size : _SIZES.size + n_head]))
        body = bytes(self._held[_SIZES.size + n_head : end])
        del self._held[:end]
        arrays: dict[str, NDArray[Any]] = {}
        at = 0
        for name, dtype, length in head["arrays"]:
            kind = np.dtype(dtype)
            arrays[name] = np.frombuffer(body, kind, count=length, offset=at)
            at += length * kind.itemsize
        return head["header"], arrays
