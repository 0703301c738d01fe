"""Seeded textures that look alike at every picture size: clouds, fibers and cells."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Pictures are float32; single steps may come out as float64 before they are stored.
Float32Array = NDArray[np.floating[Any]]


def ease(t: float) -> float:
    """Rise from 0 at 0 to 1 at 1 with flat ends, for one number."""
    t = min(max(t, 0.0), 1.0)
    return t * t * (3 - 2 * t)


def smoothstep(low: float, high: float, x: Float32Array) -> Float32Array:
    """Rise from 0 at `low` to 1 at `high` with flat ends (Hermite)."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1, dtype=np.float32)
    return np.asarray(t * t * (np.float32(3) - np.float32(2) * t), np.float32)


def clouds(
    rng: np.random.Generator,
    height_px: int,
    width_px: int,
    n_cells: float,
    n_octaves: int = 4,
    gain: float = 0.5,
) -> Float32Array:
    """Draw band-limited value noise of zero mean and unit spread.

    Parameters
    ----------
    n_cells
        Blobs across the picture's height in the coarsest octave; each next octave doubles it.
        Octaves finer than two pixels are drawn (so that the generator's state never depends on
        the size) but add nothing.
    gain
        Weight of an octave relative to the one before.

    Returns
    -------
    (height_px, width_px) float32.
    """
    total = np.zeros((height_px, width_px), np.float32)
    for octave in range(n_octaves):
        rows = max(2, round(n_cells * 2**octave)) + 3
        columns = max(2, round(n_cells * 2**octave * width_px / height_px)) + 3
        grid = rng.standard_normal((rows, columns), dtype=np.float32)
        if rows < height_px:
            total += np.float32(gain**octave) * _enlarged(grid, height_px, width_px)
    spread = float(total.std())
    return np.asarray((total - total.mean()) / (spread if spread > 0 else 1.0), np.float32)


def fibers(
    rng: np.random.Generator,
    size_px: int,
    n_cells: float,
    angle_rad: float,
    elongation: float = 12.0,
) -> Float32Array:
    """Draw noise stretched along one direction, gently wavy; (size_px, size_px) float32."""
    # Half as long again as the picture: turned by any angle, its diagonal (1.41 sides) lies inside.
    long_px = int(size_px * 1.5)
    columns = max(4, round(n_cells / elongation * 1.5)) + 3
    total = np.zeros((long_px, long_px), np.float32)
    for octave in range(3):
        rows = round(n_cells * 1.5) * 2**octave + 3
        grid = rng.standard_normal((rows, columns * (octave + 1)), dtype=np.float32)
        if rows < long_px:
            total += np.float32(0.6**octave) * _enlarged(grid, long_px, long_px)
    wave = clouds(rng, size_px, size_px, 3, 2) * np.float32(size_px * 0.012)
    rows_px, columns_px = np.mgrid[0:size_px, 0:size_px].astype(np.float32) - np.float32(
        size_px / 2
    )
    cos, sin = np.float32(np.cos(angle_rad)), np.float32(np.sin(angle_rad))
    along = columns_px * cos + rows_px * sin + np.float32(long_px / 2)
    across = -columns_px * sin + rows_px * cos + wave + np.float32(long_px / 2)
    strands = cv2.remap(total, along, across, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray((strands - strands.mean()) / max(float(strands.std()), 1e-6), np.float32)


def cells(
    rng: np.random.Generator, size_px: int, n_cells: int, jitter: float = 0.9
) -> tuple[Float32Array, Float32Array]:
    """Draw Worley cells: distance to the nearest seed and to the border, in cell widths.

    Returns
    -------
    to_seed, to_border
        (size_px, size_px) float32 each; `to_border` is half the difference between the second
        nearest and the nearest seed.
    """
    # Distances change slowly: a dozen pixels a cell are computed, those between interpolated.
    work_px = min(size_px, max(64, n_cells * 12))
    seeds = _jittered_seeds(rng, n_cells, jitter)
    at = (np.arange(work_px, dtype=np.float32) + np.float32(0.5)) * np.float32(n_cells / work_px)
    column, row = np.meshgrid(at, at)
    cell_row, cell_column = row.astype(np.int64), column.astype(np.int64)
    # Each cell of a grid holds one seed, so that the nearest two seeds of a pixel lie in its own
    # cell or in the eight around it. Half the difference of the two distances is how far the border
    # is.
    first = np.full((work_px, work_px), 9, np.float32)
    second = np.full((work_px, work_px), 9, np.float32)
    for d_row in (0, 1, 2):
        for d_column in (0, 1, 2):
            seed = seeds[cell_row + d_row, cell_column + d_column]
            distance = np.hypot(row - seed[..., 0], column - seed[..., 1])
            second = np.minimum(second, np.maximum(first, distance))
            first = np.minimum(first, distance)
    to_seed = cv2.resize(first, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    to_border = cv2.resize(
        (second - first) / np.float32(2), (size_px, size_px), interpolation=cv2.INTER_CUBIC
    )
    return np.asarray(to_seed, np.float32), np.asarray(to_border, np.float32)


class CameraNoise:
    """Camera noise from one tile, cut at another place for every picture.

    Parameters
    ----------
    seed
        Decides the tile.
    level
        Standard deviation in levels of 0..255.
    """

    _SIDE_PX = 256

    def __init__(self, seed: int, level: float) -> None:
        rng = np.random.default_rng([seed, 31])
        side = self._SIDE_PX
        noise = rng.standard_normal((side, side, 3)) * [1.0, 0.85, 1.2]
        # The mean of four pixels has half their spread, hence nearly doubled. What is added and
        # what is taken away are kept apart: bytes hold no minus, and sums that saturate need no
        # wider type.
        noise = np.round(cv2.blur(noise, (2, 2)) * 1.9 * level)
        self._seed = seed
        self._is_silent = level == 0
        self._brighter = np.clip(noise, 0, 255).astype(np.uint8)
        self._darker = np.clip(-noise, 0, 255).astype(np.uint8)
        self._tiled: tuple[np.ndarray, np.ndarray] | None = None

    def added(self, picture: np.ndarray, frame_index: int) -> np.ndarray:
        """Return the picture (h, w, 3) uint8 with the noise of this frame."""
        if self._is_silent:
            return picture
        height, width = picture.shape[:2]
        brighter, darker = self._covering(height, width)
        # Knuth's multiplicative hash: neighboring frames cut the tile at places that have nothing
        # to do with each other, else noise would be seen to glide.
        mixed = (frame_index + 1) * 2654435761 + self._seed * 40503
        top, left = (mixed >> 8) % self._SIDE_PX, (mixed >> 17) % self._SIDE_PX
        rows, columns = slice(top, top + height), slice(left, left + width)
        noisy = cv2.subtract(cv2.add(picture, brighter[rows, columns]), darker[rows, columns])
        return np.asarray(noisy, np.uint8)

    def _covering(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Tile the noise far enough for every cut of a picture of this size."""
        side = self._SIDE_PX
        if self._tiled is None or self._tiled[0].shape[:2] < (height + side, width + side):
            repeats = (height // side + 2, width // side + 2, 1)
            self._tiled = (np.tile(self._brighter, repeats), np.tile(self._darker, repeats))
        return self._tiled


def _jittered_seeds(rng: np.random.Generator, n_cells: int, jitter: float) -> Float32Array:
    """One seed a cell, with a border of one cell around: (n + 2, n + 2, 2) in cell widths."""
    offset = rng.random((n_cells + 2, n_cells + 2, 2), dtype=np.float32) - np.float32(0.5)
    corner = np.stack(
        np.meshgrid(np.arange(-1, n_cells + 1), np.arange(-1, n_cells + 1), indexing="ij"), -1
    )
    return np.asarray(corner + 0.5 + offset * jitter, np.float32)


def _enlarged(grid: Float32Array, height_px: int, width_px: int) -> Float32Array:
    """Interpolate a grid smoothly, its outermost ring of cells cut away."""
    rows, columns = grid.shape
    y = np.linspace(1, rows - 2, height_px, dtype=np.float32)
    x = np.linspace(1, columns - 2, width_px, dtype=np.float32)
    map_x, map_y = np.meshgrid(x, y)
    enlarged = cv2.remap(grid, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(enlarged, np.float32)
