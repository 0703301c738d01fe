"""Pictures of a scenario at any time, each with its exact truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.series import LossReason
from ubereport.laboratory.simulation.blood import BLOOD_OPTICAL_DEPTH
from ubereport.laboratory.simulation.drawing import Drawing, Kept, channel_tripled
from ubereport.laboratory.simulation.losses import paint_out_of_body, paint_slate, white_out_level
from ubereport.laboratory.simulation.motion import Pose
from ubereport.laboratory.simulation.noise import CameraNoise, Float32Array
from ubereport.laboratory.simulation.outline import lay_out
from ubereport.laboratory.simulation.scenario import Loss, Scenario
from ubereport.laboratory.simulation.scene import Scene
from ubereport.laboratory.simulation.site import SITE_REACH

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
        self._outside: Kept[Loss, np.ndarray] = Kept()

    def frame(self, time_s: float) -> RenderedFrame:
        """Draw the picture at `time_s` on the case clock."""
        loss = self.scenario.loss_at(time_s)
        if loss is None:
            picture, depth = self._scene.draw(time_s)
            return self._framed(picture, depth, time_s, LossReason.NONE)
        if loss.reason is LossReason.NO_SIGNAL:
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
        canvas = self._outside.get(loss, partial(paint_out_of_body, loss, size_px))
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
                depth = np.asarray(cv2.resize(depth, size), np.float32)
            blood[rows, columns] = depth >= BLOOD_OPTICAL_DEPTH
            blood &= outline.mask
        return RenderedFrame(rgb, blood, outline.mask, reason)
