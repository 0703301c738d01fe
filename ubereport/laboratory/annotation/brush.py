"""Label Studio's brush strokes: a bit stream of runs of RGBA bytes (thi.ng rle-pack).

Layout: 32 bits number of bytes, 5 bits word size - 1, 4 × 4 bits of run-size widths - 1; then for
each run 1 bit (repeated or literal), 2 bits which width, the length - 1, and the byte or bytes.
Source: https://github.com/thi-ng/umbrella, packages/rle-pack.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import BoolArray
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.annotation.run_lengths import check_size

_WIDTHS = (3, 4, 8, 16)
_WORD_BITS = 8
_N_CHANNELS = 4


def brush_to_mask(rle: Sequence[int], height_px: int, width_px: int) -> BoolArray:
    """Return the (H, W) mask of a brush stroke: where it is not transparent.

    Raises
    ------
    AnnotationError
        If the stream is damaged or of another size than the still.
    """
    check_size(height_px, width_px)
    try:
        content = bytes(rle)
    except (TypeError, ValueError):
        raise AnnotationError("A brush stroke is no list of bytes. Export it again.") from None
    bits = _Bits(content)
    n_bytes = bits.read(32)
    if n_bytes != height_px * width_px * _N_CHANNELS or bits.read(5) + 1 != _WORD_BITS:
        raise AnnotationError(
            f"A brush stroke has another size than its still of {width_px} × {height_px} px. "
            "Export it again."
        )
    widths = [bits.read(4) + 1 for _ in range(4)]
    words = np.zeros(n_bytes, dtype=np.uint8)
    position = 0
    while position < n_bytes:
        is_repeated = bits.read(1)
        end = position + 1 + bits.read(widths[bits.read(2)])
        if end > n_bytes:
            raise AnnotationError("A brush stroke runs past its still. Export it again.")
        if is_repeated:
            words[position:end] = bits.read(_WORD_BITS)
        else:
            words[position:end] = bits.read_words(end - position)
        position = end
    return np.asarray(words[_N_CHANNELS - 1 :: _N_CHANNELS].reshape(height_px, width_px) > 0)


def mask_to_brush(mask: BoolArray) -> list[int]:
    """Return a (H, W) mask as the bytes of a brush stroke, opaque white where it is on."""
    flat = mask.ravel()
    fields: list[tuple[int, int]] = [(len(flat) * _N_CHANNELS, 32), (_WORD_BITS - 1, 5)]
    fields += [(width - 1, 4) for width in _WIDTHS]
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = [0, *changes.tolist(), len(flat)]
    for start, end in itertools.pairwise(edges):
        value = 255 if flat[start] else 0
        fields += _run_fields((end - start) * _N_CHANNELS, value)
    text = "".join(f"{value:0{n_bits}b}" for value, n_bits in fields)
    padded = text + "0" * (-len(text) % 8)
    return list(int(padded, 2).to_bytes(len(padded) // 8, "big"))


def _run_fields(length: int, value: int) -> list[tuple[int, int]]:
    longest = 2 ** _WIDTHS[-1]
    fields: list[tuple[int, int]] = []
    while length > 0:
        part = min(length, longest)
        which = next(i for i, width in enumerate(_WIDTHS) if part <= 2**width)
        fields += [(1, 1), (which, 2), (part - 1, _WIDTHS[which]), (value, _WORD_BITS)]
        length -= part
    return fields


class _Bits:
    """Reads numbers from bytes, highest bit first."""

    def __init__(self, content: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(content, dtype=np.uint8))
        self._position = 0

    def read(self, n_bits: int) -> int:
        value = 0
        for bit in self._take(n_bits):
            value = value << 1 | int(bit)
        return value

    def read_words(self, n_words: int) -> NDArray[np.uint8]:
        return np.packbits(self._take(n_words * _WORD_BITS))

    def _take(self, n_bits: int) -> NDArray[np.uint8]:
        end = self._position + n_bits
        if end > len(self._bits):
            raise AnnotationError("A brush stroke ends too early. Export it again.")
        bits = self._bits[self._position : end]
        self._position = end
        return bits
