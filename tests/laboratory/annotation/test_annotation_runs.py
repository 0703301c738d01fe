from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.annotation.label_studio import brush_to_mask, mask_to_brush
from ubereport.laboratory.annotation.run_lengths import MAX_SIDE_PX, RunLengths, counts_to_string

MASKS = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda size: arrays(np.bool_, size, fill=st.booleans())
)

# Written by pycocotools 2.0 (mask.encode) for these masks.
PYCOCOTOOLS = [
    ("1110100001OO220NN14O", ["...###.", "##..#..", "..#..#.", "#.#..#.", ".#.#..#"]),
    ("9", ["...", "...", "..."]),
    ("04", ["##", "##"]),
    ("11101020N0O020N040L1000", [".#...#", "#....#", "..##..", "#....#", "..####", ".#...."]),
]
FRAME = (
    "m8l0<00000000000000[OL64JL64JL64JL64JL64JL64JL64JL64JL64JL64JL64JL64JL64JL64JL64?"
    "00000000000000000000S;"
)


def _mask(rows: list[str]) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


def _slow_counts(mask: np.ndarray) -> list[int]:
    """A second reading of COCO's format: one pixel at a time, down the columns."""
    pixels = [bool(mask[y, x]) for x in range(mask.shape[1]) for y in range(mask.shape[0])]
    runs = [(value, len(list(run))) for value, run in itertools.groupby(pixels)]
    return [length for _, length in ([(False, 0)] if runs[0][0] else []) + runs]


@pytest.mark.parametrize(("text", "rows"), PYCOCOTOOLS)
def test_text_is_that_of_pycocotools(text: str, rows: list[str]) -> None:
    mask = _mask(rows)
    assert RunLengths.from_mask(mask).to_string() == text
    np.testing.assert_array_equal(RunLengths.from_string(*mask.shape, text).decode(), mask)


def test_long_runs_are_those_of_pycocotools() -> None:
    frame = np.zeros((40, 50), dtype=bool)
    frame[5:33, 7:41] = True
    frame[12:20, 15:30] = False
    assert RunLengths.from_mask(frame).to_string() == FRAME
    np.testing.assert_array_equal(RunLengths.from_string(40, 50, FRAME).decode(), frame)


@settings(deadline=None)
@given(MASKS)
def test_runs_agree_with_a_pixel_by_pixel_reading(mask: np.ndarray) -> None:
    runs = RunLengths.from_mask(mask)
    assert runs.counts.tolist() == _slow_counts(mask)
    assert runs.area_px == mask.sum()
    np.testing.assert_array_equal(runs.decode(), mask)
    assert RunLengths.from_counts(*mask.shape, runs.counts.tolist()) == runs
    assert RunLengths.from_string(*mask.shape, runs.to_string()) == runs


@settings(deadline=None)
@given(st.data(), MASKS)
def test_overlap_is_that_of_the_pixels(data: st.DataObject, mask: np.ndarray) -> None:
    other = data.draw(arrays(np.bool_, mask.shape, fill=st.booleans()))
    runs, others = RunLengths.from_mask(mask), RunLengths.from_mask(other)
    assert runs.overlaps(others) == bool((mask & other).any())
    assert not runs.overlaps(RunLengths.from_mask(~mask))


def test_empty_runs_inside_are_joined() -> None:
    runs = RunLengths.from_counts(1, 4, [1, 1, 0, 1, 1])
    assert runs.counts.tolist() == [1, 2, 1]
    assert not runs.decode().flags.writeable


@pytest.mark.parametrize("counts", [[], [3], [5], [-1, 5], [2, 3], [1.5, 2.5], ["a"], [2**70]])
def test_counts_that_do_not_fit_are_refused(counts: list[int]) -> None:
    with pytest.raises(AnnotationError):
        RunLengths.from_counts(2, 2, counts)


@pytest.mark.parametrize(
    "text", ["", "3", "5", "T", "\x00", "é", "o" * 9, counts_to_string([1, 2, 3]), "1O4"]
)
def test_text_that_is_damaged_is_refused(text: str) -> None:
    with pytest.raises(AnnotationError):
        RunLengths.from_string(2, 2, text)


@pytest.mark.parametrize(
    ("height_px", "width_px"), [(0, 4), (4, -1), (MAX_SIDE_PX + 1, 1), (10_000, 10_000)]
)
def test_absurd_sizes_are_refused_before_memory_is_taken(height_px: int, width_px: int) -> None:
    with pytest.raises(AnnotationError, match="cannot be used"):
        RunLengths.from_counts(height_px, width_px, [height_px * width_px])


def test_only_flat_bool_masks_are_encoded() -> None:
    with pytest.raises(ValueError, match="need"):
        RunLengths.from_mask(np.zeros((2, 2), dtype=np.uint8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="need"):
        RunLengths.from_mask(np.zeros((2, 2, 2), dtype=bool))


@settings(deadline=None)
@given(MASKS)
def test_brush_strokes_come_back(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(brush_to_mask(mask_to_brush(mask), *mask.shape), mask)


def test_a_brush_stroke_of_label_studio_is_read() -> None:
    """Written by label-studio-converter 0.0.59 (encode_rle), literal runs included."""
    stroke = [0, 0, 0, 96, 57, 27, 254, 31, 0, 183, 255, 108, 2, 223, 252, 96, 17, 255, 225, 48, 0]
    expected = np.zeros((4, 6), dtype=bool)
    expected[1:3, 2:5] = True
    expected[3, 0] = True
    np.testing.assert_array_equal(brush_to_mask(stroke, 4, 6), expected)


def test_a_literal_run_is_read() -> None:
    bits = f"{8:032b}{7:05b}" + "".join(f"{w - 1:04b}" for w in (3, 4, 8, 16))
    bits += "0" + "00" + f"{7:03b}" + "".join(f"{v:08b}" for v in (0, 0, 0, 9, 5, 5, 5, 0))
    bits += "0" * (-len(bits) % 8)
    stroke = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    np.testing.assert_array_equal(brush_to_mask(stroke, 1, 2), [[True, False]])


def test_strokes_longer_than_the_widest_run_are_split() -> None:
    mask = np.zeros((200, 200), dtype=bool)
    mask[150:] = True
    np.testing.assert_array_equal(brush_to_mask(mask_to_brush(mask), 200, 200), mask)


@pytest.mark.parametrize(
    "stroke", [[], [0], [300], ["a"], [0] * 30, mask_to_brush(np.ones((3, 3), dtype=bool))]
)
def test_strokes_that_do_not_fit_are_refused(stroke: list[int]) -> None:
    with pytest.raises(AnnotationError):
        brush_to_mask(stroke, 2, 2)


def test_truncated_and_overlong_strokes_are_refused() -> None:
    stroke = mask_to_brush(np.eye(4, dtype=bool))
    with pytest.raises(AnnotationError, match="too early"):
        brush_to_mask(stroke[:-3], 4, 4)
    bits = f"{16:032b}{7:05b}" + "".join(f"{w - 1:04b}" for w in (3, 4, 8, 16))
    bits += "1" + "10" + f"{200:08b}" + f"{255:08b}" + "0" * 8
    long = [int(bits[i : i + 8], 2) for i in range(0, len(bits) - 7, 8)]
    with pytest.raises(AnnotationError, match="runs past"):
        brush_to_mask(long, 2, 2)
