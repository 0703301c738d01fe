"""The camera: where its round picture lies in the recorded one, and where it looks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from ubereport.core.arrays import BoolArray
from ubereport.core.frames import PixelBox
from ubereport.laboratory.simulation.config import FieldOutline, SimulationConfig
from ubereport.laboratory.simulation.noise import Float32Array, ease
from ubereport.laboratory.simulation.scenario import Visit
from ubereport.laboratory.simulation.site import SITE_REACH


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """The field of view in the picture.

    Parameters
    ----------
    box
        Rectangle around the field, within the picture.
    center_x_px, center_y_px
        Middle of the field, in the box.
    radius_x_px, radius_y_px
        One field radius along each axis; they differ where a recorder squashed the picture.
    mask
        (height, width) bool of the whole picture.
    edge
        (box height, box width, 3) uint8, 255 inside and fading over a pixel at the rim.
    is_rectangle
        Whether the field fills its box.
    """

    box: PixelBox
    center_x_px: float
    center_y_px: float
    radius_x_px: float
    radius_y_px: float
    mask: BoolArray
    edge: np.ndarray
    is_rectangle: bool


def lay_out(config: SimulationConfig) -> Outline:
    """Place the field of view that `config` asks for."""
    width, height = config.width_px, config.height_px
    short = min(width, height)
    if config.field is FieldOutline.FULL:
        return _rectangle(config, PixelBox(0, 0, width, height))
    if config.field is FieldOutline.RECTANGLE:
        side, top = round(width * 0.11), round(height * 0.05)
        return _rectangle(config, PixelBox(side, top, width - side, height - top))
    radius_y = {FieldOutline.CUT: 0.60, FieldOutline.SQUASHED: 0.48}.get(config.field, 0.485)
    radius_x = 0.30 if config.field is FieldOutline.SQUASHED else radius_y
    return _ellipse(config, radius_x * short, radius_y * short)


def _rectangle(config: SimulationConfig, box: PixelBox) -> Outline:
    mask = np.zeros((config.height_px, config.width_px), np.bool_)
    mask[box.top_px : box.bottom_px, box.left_px : box.right_px] = True
    radius = max(box.width_px, box.height_px) / 2
    edge = np.full((box.height_px, box.width_px, 3), 255, np.uint8)
    return Outline(box, box.width_px / 2, box.height_px / 2, radius, radius, mask, edge, True)


def _ellipse(config: SimulationConfig, radius_x: float, radius_y: float) -> Outline:
    center_x, center_y = config.width_px / 2, config.height_px / 2
    y, x = np.mgrid[0 : config.height_px, 0 : config.width_px] + 0.5
    reach = np.hypot((x - center_x) / radius_x, (y - center_y) / radius_y)
    mask = np.asarray(reach <= 1, np.bool_)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = PixelBox(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    inside = np.clip((1 - reach) * min(radius_x, radius_y) + 0.5, 0, 1) * 255
    edge = inside[box.top_px : box.bottom_px, box.left_px : box.right_px, None]
    return Outline(
        box,
        center_x - box.left_px,
        center_y - box.top_px,
        radius_x,
        radius_y,
        mask,
        np.ascontiguousarray(np.repeat(edge, 3, axis=2).astype(np.uint8)),
        False,
    )


_DWELL_S = 9.0
_MARGIN = 0.03


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the camera looks: middle in field radii of the site, roll, and magnification."""

    x: float
    y: float
    roll_rad: float
    zoom: float

    def to_view(self, site_x: float, site_y: float) -> tuple[float, float]:
        """Place a point of the site in the view, both in field radii."""
        cos, sin = np.cos(self.roll_rad) * self.zoom, np.sin(self.roll_rad) * self.zoom
        dx, dy = site_x - self.x, site_y - self.y
        return float(cos * dx + sin * dy), float(-sin * dx + cos * dy)

    def canvas_from_box(self, radius: np.ndarray, center: np.ndarray, canvas_px: int) -> np.ndarray:
        """Return the affine map from pixels of the drawing to pixels of a site's canvas.

        Parameters
        ----------
        radius, center
            One field radius along x and y, and the middle of the field, in drawn pixels.
        canvas_px
            Side of the canvas.
        """
        per_radius = canvas_px / (2 * SITE_REACH)
        cos = np.cos(self.roll_rad) / self.zoom * per_radius
        sin = np.sin(self.roll_rad) / self.zoom * per_radius
        a_x, a_y = 1 / radius
        middle = SITE_REACH * per_radius
        matrix = np.array(
            [
                [cos * a_x, -sin * a_y, middle + self.x * per_radius - 0.5],
                [sin * a_x, cos * a_y, middle + self.y * per_radius - 0.5],
            ]
        )
        # So far (0, 0) is the middle of the field; from here on it is the first pixel.
        matrix[:, 2] -= matrix[:, :2] @ (center - 0.5)
        return matrix


class CameraPath:
    """The camera's way through one visit.

    Parameters
    ----------
    visit
        The visit; its seed decides the path.
    reach
        Farthest point of the field from its middle, in field radii (1 for a round one).
    """

    def __init__(self, visit: Visit, reach: float) -> None:
        rng = np.random.default_rng([visit.seed, 11])
        n = max(2, int((visit.end_s - visit.start_s) / _DWELL_S) + 3)
        self._start_s = visit.start_s
        # 0.97 is the smallest magnification, at which the most of the site is seen.
        self._room = max(0.0, SITE_REACH - reach / 0.97 - _MARGIN)
        spread = min(0.30, self._room * 0.6)
        self._x = np.clip(rng.normal(0, spread * 0.5, n), -spread, spread)
        self._y = np.clip(rng.normal(0, spread * 0.5, n), -spread, spread)
        self._roll = rng.normal(0, 0.07, n)
        self._zoom = 1.0 + np.clip(rng.normal(0.07, 0.06, n), -0.02, 0.25)
        self._phase = rng.uniform(0, 2 * np.pi, 6)

    def pose(self, time_s: float) -> Pose:
        """Return where the camera looks at `time_s`."""
        # The camera rests at a place, then glides to the next in the last 45 % of its dwell. The
        # surgeon's hand, breathing and the pulse shake it; `room` keeps the end of the painted
        # site out of view.
        since_s = max(0.0, time_s - self._start_s)
        at = since_s / _DWELL_S
        row = min(int(at), len(self._x) - 2)
        t = ease((at - row - 0.55) / 0.45)
        hand = 0.012 * np.sin(np.array([0.9, 1.3, 0.7, 2.3]) * since_s + self._phase[:4])
        breath = 0.006 * np.sin(2 * np.pi * 0.24 * since_s + self._phase[4])
        pulse = 0.0015 * np.sin(2 * np.pi * 1.15 * since_s + self._phase[5])

        def between(values: np.ndarray) -> float:
            return float(values[row] + t * (values[row + 1] - values[row]))

        room = self._room
        return Pose(
            float(np.clip(between(self._x) + hand[0] + 0.3 * hand[3], -room, room)),
            float(np.clip(between(self._y) + hand[1] + breath + pulse, -room, room)),
            between(self._roll) + 0.5 * float(hand[2]),
            max(0.97, between(self._zoom) + breath),
        )


COARSE_PX = 72
N_KEPT = 4
"""How many sites, films or clouds are kept at a time: each takes seconds to paint."""


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
        view = cv2.warpAffine(
            canvas,
            matrix,
            self.size,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return np.asarray(view)

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


def channel_tripled(layer: np.ndarray) -> np.ndarray:
    """Repeat a (h, w) layer as (h, w, 3)."""
    return np.asarray(cv2.merge([layer, layer, layer]))


def lay_over(region: np.ndarray, sprite: np.ndarray) -> np.ndarray:
    """Lay a premultiplied RGBA sprite over a region in place; return the sprite's opacity."""
    alpha = np.ascontiguousarray(sprite[..., 3])
    under = cv2.multiply(region, channel_tripled(255 - alpha), scale=1 / 255)
    region[:] = cv2.add(under, np.ascontiguousarray(sprite[..., :3]))
    return alpha
