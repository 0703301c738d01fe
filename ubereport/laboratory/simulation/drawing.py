"""The rectangle around the field of view at the size that it is drawn at."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import cv2
import numpy as np

from ubereport.laboratory.simulation.motion import Pose
from ubereport.laboratory.simulation.noise import Float32Array
from ubereport.laboratory.simulation.outline import Outline

COARSE_PX = 72
_N_KEPT = 4

Key = TypeVar("Key")
Made = TypeVar("Made")


class Drawing:
    """Sizes and coordinates of what is drawn, and ways to bring pictures there.

    Parameters
    ----------
    outline
        The field of view in the recorded picture.
    max_height_px
        Rows drawn at most; a taller box is enlarged afterwards.

    Attributes
    ----------
    scale
        Size as drawn over size as recorded, at most 1.
    size
        Width and height in pixels.
    radius, center
        One field radius along x and y, and the middle of the field, in pixels.
    radius_px
        Mean radius in pixels.
    reach
        Farthest point of the field from its middle, in field radii.
    coarse
        x and y in field radii at the middles of a coarse grid, and which of them are in the field.
    """

    def __init__(self, outline: Outline, max_height_px: int) -> None:
        box = outline.box
        self.scale = min(1.0, max_height_px / box.height_px)
        self.size = (
            max(8, round(box.width_px * self.scale)),
            max(8, round(box.height_px * self.scale)),
        )
        self.radius = np.array([outline.radius_x_px, outline.radius_y_px]) * self.scale
        self.center = np.array([outline.center_x_px, outline.center_y_px]) * self.scale
        self.radius_px = float(np.sqrt(self.radius.prod()))
        self.reach = math.hypot(1.0, box.height_px / box.width_px) if outline.is_rectangle else 1.0
        self.coarse = self._coarse_grid(outline.is_rectangle)

    def blank(self) -> np.ndarray:
        """Return an empty (h, w) uint8 layer."""
        return np.zeros((self.size[1], self.size[0]), np.uint8)

    def seen(self, canvas: np.ndarray, pose: Pose) -> np.ndarray:
        """Cut from a site's square canvas what the camera sees at `pose`."""
        matrix = pose.canvas_from_box(self.radius, self.center, len(canvas))
        drawn = cv2.warpAffine(
            canvas,
            matrix,
            self.size,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return np.asarray(drawn)

    def enlarged(self, coarse: np.ndarray, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
        """Bring a layer of the coarse grid to the drawing's size."""
        return np.asarray(cv2.resize(coarse, self.size, interpolation=interpolation))

    def _coarse_grid(self, is_rectangle: bool) -> tuple[Float32Array, Float32Array, np.ndarray]:
        at = (np.arange(COARSE_PX) + 0.5) / COARSE_PX
        along_x = (at * self.size[0] - self.center[0]) / self.radius[0]
        along_y = (at * self.size[1] - self.center[1]) / self.radius[1]
        x, y = np.meshgrid(along_x.astype(np.float32), along_y.astype(np.float32))
        is_inside = np.full(x.shape, True) if is_rectangle else x**2 + y**2 <= 1
        return x, y, is_inside


class Kept(Generic[Key, Made]):
    """The few most recently used of things that are dear to make."""

    def __init__(self) -> None:
        self._made: OrderedDict[Key, Made] = OrderedDict()

    def get(self, key: Key, make: Callable[[], Made]) -> Made:
        """Return what was made for `key`; make it if it is not there any more."""
        if key in self._made:
            self._made.move_to_end(key)
        else:
            self._made[key] = make()
            while len(self._made) > _N_KEPT:
                self._made.popitem(last=False)
        return self._made[key]


def channel_tripled(layer: np.ndarray) -> np.ndarray:
    """Repeat a (h, w) layer as (h, w, 3)."""
    return np.asarray(cv2.merge([layer, layer, layer]))


def lay_over(region: np.ndarray, sprite: np.ndarray) -> np.ndarray:
    """Lay a premultiplied RGBA sprite over a region in place; return the sprite's opacity."""
    alpha = np.ascontiguousarray(sprite[..., 3])
    under = cv2.multiply(region, channel_tripled(255 - alpha), scale=1 / 255)
    region[:] = cv2.add(under, np.ascontiguousarray(sprite[..., :3]))
    return alpha
