"""Pictures of a scenario at any time, each with its exact truth, also where the view is lost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.series import LossReason
from ubereport.laboratory.simulation.blood import BLOOD_OPTICAL_DEPTH
from ubereport.laboratory.simulation.camera import (
    N_KEPT,
    Drawing,
    Pose,
    channel_tripled,
    lay_out,
)
from ubereport.laboratory.simulation.noise import (
    CameraNoise,
    Float32Array,
    clouds,
    fibers,
    smoothstep,
)
from ubereport.laboratory.simulation.scenario import Loss, Scenario
from ubereport.laboratory.simulation.scene import Scene
from ubereport.laboratory.simulation.site import SITE_REACH


def paint_out_of_body(loss: Loss, size_px: int) -> np.ndarray:
    """Paint the room, a drape or gauze, larger than the view so that the camera can move.

    Returns
    -------
    (size_px, size_px, 3) uint8.
    """
    rng = np.random.default_rng([loss.seed, 29])
    painter = (_drape, _gauze, _room)[loss.seed % 3]
    return (np.clip(painter(rng, size_px), 0, 1) * 255).astype(np.uint8)


def paint_slate(loss: Loss, width_px: int, height_px: int) -> np.ndarray:
    """Paint what a recorder shows without a signal: a blue or black slate, or color bars."""
    slate = np.zeros((height_px, width_px, 3), np.uint8)
    kind = loss.seed % 3
    if kind == 0:
        slate[:] = (12, 28, 170)
    elif kind == 1:
        bars = [(180, 180, 180), (180, 180, 16), (16, 180, 180), (16, 180, 16)]
        bars += [(180, 16, 180), (180, 16, 16), (16, 16, 180)]
        edges = np.linspace(0, width_px, len(bars) + 1).astype(int)
        for left, right, color in zip(edges, edges[1:], bars, strict=False):
            slate[:, left:right] = color
        return slate
    size = height_px / 300
    (text_width, text_height), _ = cv2.getTextSize("NO SIGNAL", cv2.FONT_HERSHEY_SIMPLEX, size, 2)
    corner = ((width_px - text_width) // 2, (height_px + text_height) // 2)
    cv2.putText(
        slate, "NO SIGNAL", corner, cv2.FONT_HERSHEY_SIMPLEX, size, (225, 225, 225), 2, cv2.LINE_AA
    )
    return slate


def white_out_level(x: Float32Array, y: Float32Array, time_s: float) -> Float32Array:
    """Return the light (0..255) that a lens against a bright surface adds."""
    level = 345 - 55 * np.hypot(x - 0.2 * np.sin(time_s), y) ** 2
    return np.asarray(np.clip(level, 0, 255), np.float32)


def _drape(rng: np.random.Generator, n: int) -> Float32Array:
    color = np.array([[0.10, 0.42, 0.48], [0.16, 0.34, 0.62]], np.float32)[int(rng.integers(2))]
    folds = fibers(rng, n, 5, float(rng.uniform(0, 3.1)), 3) + 0.6 * clouds(rng, n, n, 3, 3)
    slope_y, slope_x = np.gradient(folds)
    light = np.clip(0.85 - (slope_x + 0.7 * slope_y) * np.float32(n / 48), 0.45, 1.35)
    axis = np.arange(n, dtype=np.float32) * np.float32(2 * np.pi * 110 / n)
    weave = 1 + 0.06 * np.sin(axis)[:, None] * np.sin(axis)[None, :]
    picture = color * (light * weave)[..., None]
    if rng.random() < 0.5:
        glove = smoothstep(-0.1, 0.5, clouds(rng, n, n, 2, 2) - 0.9)[..., None]
        picture = picture + glove * (
            np.array([0.93, 0.90, 0.84], np.float32) * light[..., None] - picture
        )
    return np.asarray(picture, np.float32)


def _gauze(rng: np.random.Generator, n: int) -> Float32Array:
    axis = np.arange(n, dtype=np.float32) * np.float32(2 * np.pi * 60 / n)
    wander = clouds(rng, n, n, 5, 3) * np.float32(0.9)
    threads = np.maximum(
        np.abs(np.sin(axis[:, None] + wander)), np.abs(np.sin(axis[None, :] + 0.8 * wander))
    )
    folds = clouds(rng, n, n, 3, 4)
    light = np.clip(0.62 + 0.22 * threads + 0.12 * folds, 0, 1)
    picture = light[..., None] * np.array([0.97, 0.95, 0.92], np.float32)
    stain = smoothstep(0.9, 1.6, clouds(rng, n, n, 3, 4))[..., None]
    return np.asarray(
        picture * (1 + stain * (np.array([0.78, 0.22, 0.18], np.float32) - 1)), np.float32
    )


def _room(rng: np.random.Generator, n: int) -> Float32Array:
    floor = np.array([0.30, 0.34, 0.38], np.float32) + 0.10 * clouds(rng, n, n, 2, 2)[..., None]
    canvas = np.clip(floor, 0.05, 1).astype(np.float32)
    for _ in range(14):
        color = rng.uniform(0.1, 0.8) + rng.uniform(-0.10, 0.10, 3)
        corner = rng.integers(-n // 6, n, 2)
        size = rng.integers(n // 12, n // 3, 2)
        cv2.rectangle(
            canvas, corner.tolist(), (corner + size).tolist(), color.tolist(), -1, cv2.LINE_8
        )
    for _ in range(3):
        at = rng.integers(n // 6, 5 * n // 6, 2)
        cv2.circle(canvas, at.tolist(), int(n * rng.uniform(0.02, 0.07)), (1.6, 1.55, 1.4), -1)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), n * 0.006), np.float32)


_BLACK_LEVEL = 3


@dataclass(frozen=True, slots=True, eq=False)
class RenderedFrame:
    """A picture and what is true about it.

    Parameters
    ----------
    rgb
        (height, width, 3) uint8.
    blood_mask
        (height, width) bool: blood opacity of at least `BLOOD_OPACITY`, inside the field and not
        hidden by an instrument or debris. All False where the view is lost.
    field_mask
        (height, width) bool, the field of view.
    reason
        Why the view is lost; NONE where it is valid.
    """

    rgb: RgbArray
    blood_mask: BoolArray
    field_mask: BoolArray
    reason: LossReason

    @property
    def area_frac(self) -> float:
        """Blood over field of view; NaN where the view is lost."""
        if self.reason is not LossReason.NONE:
            return math.nan
        return float(np.count_nonzero(self.blood_mask) / np.count_nonzero(self.field_mask))


def render(scenario: Scenario, time_s: float) -> tuple[RgbArray, BoolArray, BoolArray]:
    """Draw one picture; for many of one scenario use a `Renderer`, which paints each site once.

    Returns
    -------
    rgb, blood_mask, field_mask
        As in `RenderedFrame`.
    """
    frame = Renderer(scenario).frame(time_s)
    return frame.rgb, frame.blood_mask, frame.field_mask


class Renderer:
    """Draws any moment of a scenario; the same moment always gives the same picture.

    Parameters
    ----------
    scenario
        What happens and how it is recorded.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.outline = lay_out(scenario.config)
        self._drawing = Drawing(self.outline, scenario.config.render_height_px)
        self._scene = Scene(scenario, self._drawing)
        self._noise = CameraNoise(scenario.seed, scenario.config.noise_level)
        # A cache of this renderer and not of the function: pictures of a recording that is done
        # would stay in memory.
        self._outside = lru_cache(N_KEPT)(paint_out_of_body)

    def frame(self, time_s: float) -> RenderedFrame:
        """Draw the picture at `time_s` on the case clock."""
        loss = self.scenario.loss_at(time_s)
        if loss is None:
            picture, depth = self._scene.draw(time_s)
            return self._framed(picture, depth, time_s, LossReason.NONE)
        if loss.reason is LossReason.NO_SIGNAL:
            # A slate comes from the recorder and not from the camera: it fills the frame, without
            # outline and without noise.
            config = self.scenario.config
            return self._lost(paint_slate(loss, config.width_px, config.height_px), loss)
        if loss.reason is LossReason.FROZEN:
            return self._lost(self._frozen(loss), loss)
        picture = self._picture_of_loss(loss, time_s)
        return self._framed(picture, None, time_s, loss.reason)

    def _lost(self, rgb: RgbArray, loss: Loss) -> RenderedFrame:
        nothing = np.zeros(rgb.shape[:2], np.bool_)
        return RenderedFrame(rgb, nothing, self.outline.mask, loss.reason)

    def _frozen(self, loss: Loss) -> RgbArray:
        """Return the last picture before the loss."""
        # The very picture before, with its noise: a recorder repeats what it has.
        before_s = loss.start_s - 1 / float(self.scenario.config.rate_hz)
        if before_s >= 0:
            return self.frame(before_s).rgb
        picture, depth = self._scene.draw(0.0)
        return self._framed(picture, depth, 0.0, LossReason.FROZEN).rgb

    def _picture_of_loss(self, loss: Loss, time_s: float) -> np.ndarray:
        width, height = self._drawing.size
        if loss.reason is LossReason.BLACK:
            return np.full((height, width, 3), _BLACK_LEVEL, np.uint8)
        if loss.reason is LossReason.OUT_OF_BODY:
            return self._out_of_body(loss, time_s)
        picture, _ = self._scene.draw(time_s)
        if loss.reason is LossReason.BLURRED:
            small = cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
            soft = cv2.GaussianBlur(small, (0, 0), 0.025 * self._drawing.radius_px)
            return self._drawing.enlarged(np.asarray(soft))
        x, y, _ = self._drawing.coarse
        light = self._drawing.enlarged(white_out_level(x, y, time_s)).astype(np.uint8)
        return np.asarray(cv2.add(cv2.GaussianBlur(picture, (9, 9), 0), channel_tripled(light)))

    def _out_of_body(self, loss: Loss, time_s: float) -> np.ndarray:
        size_px = math.ceil(2 * SITE_REACH * self._drawing.radius_px)
        canvas = self._outside(loss, size_px)
        since_s = time_s - loss.start_s
        room = max(0.0, SITE_REACH - self._drawing.reach - 0.05)
        pose = Pose(
            room * math.sin(0.7 * since_s + loss.seed % 6),
            room * math.cos(0.5 * since_s + loss.seed % 5),
            0.25 * math.sin(0.4 * since_s),
            1.05,
        )
        return self._scene.lit(self._drawing.seen(canvas, pose), time_s, is_in_body=False)

    def _framed(
        self, picture: np.ndarray, depth: Float32Array | None, time_s: float, reason: LossReason
    ) -> RenderedFrame:
        """Enlarge the box to its place, add noise, cut it to the outline, threshold the blood."""
        config, outline, box = self.scenario.config, self.outline, self.outline.box
        size = (box.width_px, box.height_px)
        if self._drawing.size != size:
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR))
        # Noise after enlarging: a camera's noise is as fine as its pixels, and enlarged noise would
        # look like soft texture.
        picture = self._noise.added(picture, round(time_s * float(config.rate_hz)))
        if not outline.is_rectangle:
            picture = np.asarray(cv2.multiply(picture, outline.edge, scale=1 / 255))
        if config.surround_level:
            picture = np.maximum(picture, np.uint8(config.surround_level))
        rows, columns = slice(box.top_px, box.bottom_px), slice(box.left_px, box.right_px)
        rgb = np.full((config.height_px, config.width_px, 3), config.surround_level, np.uint8)
        rgb[rows, columns] = picture
        blood = np.zeros(rgb.shape[:2], np.bool_)
        if depth is not None:
            if self._drawing.size != size:
                # Enlarged before the threshold is applied: a mask enlarged after it would have
                # stairs at its edge.
                depth = np.asarray(cv2.resize(depth, size), np.float32)
            blood[rows, columns] = depth >= BLOOD_OPTICAL_DEPTH
            blood &= outline.mask
        return RenderedFrame(rgb, blood, outline.mask, reason)
