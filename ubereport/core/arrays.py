"""Read-only numpy arrays, so that frozen types are frozen all the way down."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
RgbArray = NDArray[np.uint8]


def frozen_array(values: ArrayLike, dtype: DTypeLike) -> NDArray[Any]:
    """Return a read-only array of `dtype`; copies only when `values` could still be written to."""
    array = np.asarray(values, dtype=dtype)
    if array.flags.writeable:
        array = array.copy()
        array.setflags(write=False)
    return array


def freeze(record: object, dtype: DTypeLike, *names: str) -> None:
    """Make fields of a frozen dataclass read-only arrays of `dtype`; for ``__post_init__``."""
    for name in names:
        object.__setattr__(record, name, frozen_array(getattr(record, name), dtype))
