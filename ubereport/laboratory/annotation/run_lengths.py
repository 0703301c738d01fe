"""Run-length coding of masks: as COCO keeps them, as row-major counts, as brush strokes.

COCO's runs go down the columns and start with the pixels that are off
(https://github.com/cocodataset/cocoapi, common/maskApi.c).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import BoolArray, IntArray, frozen_array
from ubereport.core.errors import AnnotationError

MAX_SIDE_PX = 16384
_MAX_PIXELS = 2**26
# Seven groups of five bits hold every count of 32 bits; a longer number is damage, and must not
# grow without a bound.
_MAX_GROUPS = 7


@dataclass(frozen=True, slots=True)
class RunLengths:
    """A mask (height_px, width_px) as alternating runs, off first, down the columns.

    `packed` holds the counts as little-endian int32, so that masks compare, hash and stay small.
    """

    height_px: int
    width_px: int
    packed: bytes

    def __post_init__(self) -> None:
        check_size(self.height_px, self.width_px)
        _check_counts(self.counts, self.height_px * self.width_px)

    @classmethod
    def from_mask(cls, mask: BoolArray) -> RunLengths:
        """Encode a (H, W) bool mask."""
        if mask.ndim != 2 or mask.dtype != np.bool_:
            raise ValueError(f"mask of shape {mask.shape} {mask.dtype}; need (H, W) bool")
        check_size(*mask.shape)
        counts = counts_of(mask.ravel(order="F"))
        return cls(mask.shape[0], mask.shape[1], counts.astype("<i4").tobytes())

    @classmethod
    def from_counts(cls, height_px: int, width_px: int, counts: Iterable[int]) -> RunLengths:
        """Take COCO's uncompressed counts; runs of length 0 inside are joined.

        Raises
        ------
        AnnotationError
            If a count is negative or the counts do not add up to the size.
        """
        check_size(height_px, width_px)
        values = np.asarray(list(counts))
        if values.size and values.dtype.kind not in "iu":
            raise AnnotationError("The runs of a mask are not whole numbers. Export it again.")
        _check_counts(values, height_px * width_px)
        # Joined, so that one mask has one form: they are compared and hashed by their runs.
        if (values[1:] == 0).any():
            values = counts_of(runs_to_flat(values.astype(np.int64)))
        return cls(height_px, width_px, values.astype("<i4").tobytes())

    @classmethod
    def from_string(cls, height_px: int, width_px: int, text: str) -> RunLengths:
        """Take COCO's compressed counts; raises as `from_counts`."""
        check_size(height_px, width_px)
        counts = counts_from_string(text, height_px * width_px)
        return cls.from_counts(height_px, width_px, counts.tolist())

    @property
    def counts(self) -> IntArray:
        """(n,) int64 lengths of the runs, off first."""
        return np.frombuffer(self.packed, dtype="<i4").astype(np.int64)

    @property
    def area_px(self) -> int:
        """Pixels that are on."""
        return int(self.counts[1::2].sum())

    def overlaps(self, other: RunLengths) -> bool:
        """Return whether a pixel is on in both masks, which are of one size."""
        # Runs are intervals in order. For each of ours, find the last of the other mask that begins
        # before ours ends: they share a pixel if it ends after ours begins. No mask is unpacked.
        own_ends, other_ends = np.cumsum(self.counts), np.cumsum(other.counts)
        own_start, own_end = own_ends[:-1:2], own_ends[1::2]
        other_start, other_end = other_ends[:-1:2], other_ends[1::2]
        n_before = np.searchsorted(other_start, own_end)
        is_any = n_before > 0
        return bool((other_end[n_before[is_any] - 1] > own_start[is_any]).any())

    def to_string(self) -> str:
        """Return COCO's compressed counts."""
        return counts_to_string(self.counts.tolist())

    def decode(self) -> BoolArray:
        """Return the (H, W) bool mask, read-only."""
        flat = runs_to_flat(self.counts)
        return frozen_array(flat.reshape((self.height_px, self.width_px), order="F"), np.bool_)


def check_size(height_px: int, width_px: int) -> None:
    """Raise AnnotationError for a size that no still has: below 1 or absurdly large."""
    is_good = (
        1 <= height_px <= MAX_SIDE_PX
        and 1 <= width_px <= MAX_SIDE_PX
        and height_px * width_px <= _MAX_PIXELS
    )
    if not is_good:
        raise AnnotationError(
            f"A mask of {width_px} × {height_px} px cannot be used; stills have 1 to "
            f"{MAX_SIDE_PX} px a side and at most {_MAX_PIXELS} pixels. Mend the annotation file."
        )


def counts_of(flat: BoolArray) -> IntArray:
    """Return the lengths of the runs of a flat bool array, off first."""
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], changes, [len(flat)]])
    counts = np.diff(edges)
    return np.concatenate([[0], counts]) if len(flat) and flat[0] else counts


def runs_to_flat(counts: IntArray) -> BoolArray:
    """Return the flat bool array of runs, off first."""
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts)


def counts_to_string(counts: Sequence[int]) -> str:
    """Return counts in COCO's compressed text: differences in groups of five bits."""
    codes = bytearray()
    # Five bits a character, lowest first; the sixth says that more follow. From the fourth count
    # on it is the difference to the count two before, small where columns resemble each other.
    for i, count in enumerate(counts):
        value = count - counts[i - 2] if i > 2 else count
        is_more = True
        while is_more:
            group = value & 0x1F
            value >>= 5
            is_more = value != (-1 if group & 0x10 else 0)
            codes.append((group | 0x20 if is_more else group) + 48)
    return codes.decode("ascii")


def counts_from_string(text: str, n_pixels: int) -> IntArray:
    """Return the counts in COCO's compressed text.

    Raises
    ------
    AnnotationError
        If the text has other characters, ends inside a number, or runs past `n_pixels`.
    """
    counts: list[int] = []
    value, n_groups, total = 0, 0, 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or n_groups == _MAX_GROUPS:
            raise AnnotationError(f"Run-length text holds {character!r}. Export the mask again.")
        value |= (code & 0x1F) << (5 * n_groups)
        n_groups += 1
        if code & 0x20:
            continue
        # An unset sixth bit ends the number; the fifth bit of its last group is its sign.
        if code & 0x10:
            value -= 1 << (5 * n_groups)
        if len(counts) > 2:
            value += counts[-2]
        total += value
        if value < 0 or total > n_pixels:
            raise AnnotationError(
                f"Run-length text goes past the {n_pixels} pixels of its still. Export it again."
            )
        counts.append(value)
        value, n_groups = 0, 0
    if n_groups:
        raise AnnotationError("Run-length text ends inside a number. Export the mask again.")
    return np.asarray(counts, dtype=np.int64)


def _check_counts(counts: IntArray, n_pixels: int) -> None:
    if (counts < 0).any() or (counts > n_pixels).any() or int(counts.sum()) != n_pixels:
        raise AnnotationError(
            f"The runs of a mask do not add up to the {n_pixels} pixels of its still. "
            "Export the mask again."
        )
