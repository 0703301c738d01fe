"""Pictures of a scenario at any time, each with its exact truth."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.series import LossReason
from ubereport.simulation.blood import BLOOD_OPTICAL_DEPTH, Cloud, Film, tint_by_blood
from ubereport.simulation.irrigation import Floating, Turbidity
from ubereport.simulation.losses import paint_out_of_body, paint_slate, white_out_level
from ubereport.simulation.motion import CameraPath, Pose
from ubereport.simulation.noise import Float32Array
from ubereport.simulation.outline import Outline, lay_out
from ubereport.simulation.scenario import Bleed, Loss, Scenario, ToolKind
from ubereport.simulation.site import SITE_REACH, PaintedSite, paint_site
from ubereport.simulation.tools import ToolPainter, tip_in_view

__all__ = ["RenderedFrame", "Renderer", "render"]

_COARSE_PX = 72
_CLOT_FADES_S = 60.0
_N_CACHED = 3


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
        config = scenario.config
        self.scenario = scenario
        self.outline = lay_out(config)
        box = self.outline.box
        self._scale = min(1.0, config.render_height_px / box.height_px)
        self._size = (
            max(8, round(box.width_px * self._scale)),
            max(8, round(box.height_px * self._scale)),
        )
        self._radius_px = (
            math.sqrt(self.outline.radius_x_px * self.outline.radius_y_px) * self._scale
        )
        self._reach = max(
            box.width_px / 2 / self.outline.radius_x_px,
            box.height_px / 2 / self.outline.radius_y_px,
        )
        if self._is_rectangular:
            self._reach = math.hypot(1.0, box.height_px / box.width_px)
        self._grid = self._coarse_grid()
        self._noise = _NoiseTile(scenario.seed, config.noise_level)
        self._tools = ToolPainter(self._radius_px)
        self._floating = Floating(scenario.seed, self._radius_px)
        self._turbidity = Turbidity(scenario.seed)
        self._paths = [CameraPath(visit, self._reach) for visit in scenario.visits]
        self._sites: OrderedDict[int, PaintedSite] = OrderedDict()
        self._films: OrderedDict[Bleed, tuple[Film, np.ndarray]] = OrderedDict()
        self._canvases: OrderedDict[Loss, np.ndarray] = OrderedDict()

    @property
    def _is_rectangular(self) -> bool:
        return bool(self.outline.edge.min() == 255)

    def frame(self, time_s: float) -> RenderedFrame:
        """Draw the picture at `time_s` on the case clock."""
        loss = self.scenario.loss_at(time_s)
        if loss is None:
            box, depth = self._scene(time_s)
            box = self._lit(box, time_s)
            return self._framed(box, depth, time_s, LossReason.NONE)
        if loss.reason is LossReason.FROZEN:
            before_s = loss.start_s - float(1 / Fraction(self.scenario.config.rate_hz))
            still = self.frame(max(0.0, before_s)) if loss.start_s > 0 else self._lost(loss, 0.0)
            return RenderedFrame(
                still.rgb, np.zeros_like(still.blood_mask), still.field_mask, loss.reason
            )
        return self._lost(loss, time_s)

    def _scene(self, time_s: float) -> tuple[np.ndarray, Float32Array | None]:
        """Draw the box without light; also the optical depth of blood, None where there is none."""
        index = self.scenario.visit_index(time_s)
        pose = self._paths[index].pose(time_s)
        site = self._site(index)
        matrix = pose.canvas_from_box(self.outline, self._scale, site.size_px)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        picture = cv2.warpAffine(
            site.rgb, matrix, self._size, flags=flags, borderMode=cv2.BORDER_REFLECT_101
        )
        sheen = cv2.warpAffine(
            site.sheen, matrix, self._size, flags=flags, borderMode=cv2.BORDER_REFLECT_101
        )
        gleam_a, gleam_b, shade, _ = cv2.split(sheen)
        bleeds = self._bleeds(index, time_s)
        film = self._film_depth(bleeds, index, matrix, time_s)
        if film is not None:
            picture = tint_by_blood(picture, film, shade)
        turn = 0.5 + 0.5 * math.sin(time_s * 1.3)
        gleam = cv2.addWeighted(gleam_a, 0.9 * turn, gleam_b, 0.9 * (1 - turn), 0)
        picture = cv2.add(picture, cv2.merge([gleam] * 3))
        opaque = np.zeros(picture.shape[:2], np.uint8)
        for tool in self.scenario.tools:
            if tool.start_s <= time_s < tool.end_s:
                self._tools.draw(picture, opaque, self.outline, self._scale, tool, pose, time_s)
        if film is not None:
            film[opaque >= 128] = 0
        cloud = self._cloud_depth(bleeds, pose, time_s)
        if cloud is not None:
            picture = tint_by_blood(picture, cloud, shade)
        depth = film if cloud is None else cloud if film is None else film + cloud
        in_front = np.zeros_like(opaque)
        self._floating.draw(
            picture, in_front, self.outline, self._scale, time_s, *self._stirred(pose, time_s)
        )
        if depth is not None:
            depth[in_front >= 128] = 0
        return picture, depth

    def _site(self, index: int) -> PaintedSite:
        visit = self.scenario.visits[index]
        return _cached(
            self._sites, index, lambda: paint_site(visit.site, visit.seed, self._radius_px)
        )

    def _bleeds(self, index: int, time_s: float) -> list[Bleed]:
        """Bleeds of this visit whose blood or clot is in view."""
        return [
            bleed
            for bleed in self.scenario.bleeds
            if bleed.start_s < time_s < bleed.washed_s + _CLOT_FADES_S
            and self.scenario.visit_index(bleed.start_s) == index
        ]

    def _film_depth(
        self, bleeds: list[Bleed], index: int, matrix: np.ndarray, time_s: float
    ) -> Float32Array | None:
        total: Float32Array | None = None
        for bleed in bleeds:
            film, maps = _cached(self._films, bleed, lambda b=bleed: self._film(b, index))
            order, body = cv2.split(
                cv2.warpAffine(
                    maps,
                    matrix,
                    self._size,
                    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                    borderMode=cv2.BORDER_REFLECT_101,
                )
            )
            veil = self._turbidity.veil(_COARSE_PX, _COARSE_PX, time_s * 6 + bleed.seed % 50, 0.2)
            ripple = cv2.resize((veil - np.float32(0.2)) * 10, self._size)
            depth = film.depth(order, body, ripple, time_s)
            total = depth if total is None else np.maximum(total, depth)
        return total

    def _film(self, bleed: Bleed, index: int) -> tuple[Film, np.ndarray]:
        film = Film(bleed, self._site(index))
        return film, np.dstack([film.order, film.body])

    def _cloud_depth(
        self, bleeds: list[Bleed], pose: Pose, time_s: float
    ) -> Float32Array | None:
        total = np.zeros((_COARSE_PX, _COARSE_PX), np.float32)
        for bleed in bleeds:
            source = pose.to_view(bleed.source_x, bleed.source_y)
            total += Cloud(bleed.seed).depth(bleed, source, self._grid, time_s)
        if float(total.max()) < 0.02:
            return None
        return np.asarray(cv2.resize(total, self._size, interpolation=cv2.INTER_CUBIC), np.float32)

    def _stirred(self, pose: Pose, time_s: float) -> tuple[tuple[float, float] | None, int]:
        """Where a working probe makes bubbles, and how much debris floats."""
        n_debris, tip = 2, None
        for tool in self.scenario.tools:
            if tool.start_s <= time_s < tool.end_s and tool.is_active(time_s):
                if tool.kind is ToolKind.RF_PROBE:
                    tip = tip_in_view(tool, pose, time_s)
                n_debris = 6
        return tip, n_debris

    def _lit(self, picture: np.ndarray, time_s: float) -> np.ndarray:
        """Add vignetting, exposure drift, turbidity and the glow of an RF probe."""
        x, y, _ = self._grid
        seed = self.scenario.seed % 97
        exposure = 0.93 + 0.05 * math.sin(0.21 * time_s + seed) + 0.02 * math.sin(0.9 * time_s)
        r2 = (x - np.float32(0.04)) ** 2 + (y + np.float32(0.03)) ** 2
        vignette = np.clip(1.04 - 0.40 * r2 - 0.10 * r2 * r2, 0.2, 1) * np.float32(exposure)
        bled = self._bled_lately(time_s)
        veil = self._turbidity.veil(*x.shape, time_s, 0.05 + 0.12 * bled)
        gain = vignette * (1 - veil)
        color = np.float32([0.80, 0.78, 0.74]) + np.float32([0.0, -0.42, -0.42]) * np.float32(bled)
        light = (vignette * veil)[..., None] * color * 255 + self._glow(time_s)
        gain8 = np.round(gain * 255).astype(np.uint8)
        gain3 = cv2.resize(cv2.merge([gain8] * 3), self._size, interpolation=cv2.INTER_LINEAR)
        light8 = np.clip(light, 0, 255).astype(np.uint8)
        light3 = cv2.resize(light8, self._size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.add(cv2.multiply(picture, gain3, scale=1 / 255), light3), np.uint8)

    def _bled_lately(self, time_s: float) -> float:
        """Share (0..1) of pink in the water, trailing the bleeding by some seconds."""
        index = self.scenario.visit_index(time_s)
        level = 0.0
        for bleed in self._bleeds(index, time_s):
            level = max(level, *(bleed.target_frac(time_s - lag) * 0.9 for lag in (0.0, 2.0, 4.0)))
        return min(1.0, level)

    def _glow(self, time_s: float) -> Float32Array:
        x, y, _ = self._grid
        light = np.zeros((*x.shape, 3), np.float32)
        pose = self._paths[self.scenario.visit_index(time_s)].pose(time_s)
        for tool in self.scenario.tools:
            is_lit = tool.start_s <= time_s < tool.end_s and tool.is_active(time_s)
            if not is_lit or tool.kind is not ToolKind.RF_PROBE:
                continue
            tip_x, tip_y = tip_in_view(tool, pose, time_s)
            flicker = 0.75 + 0.2 * math.sin(31 * time_s) + 0.12 * math.sin(47 * time_s)
            r2 = (x - np.float32(tip_x)) ** 2 + (y - np.float32(tip_y)) ** 2
            core = np.exp(-r2 / np.float32(2 * 0.05**2))[..., None] * np.float32([255, 170, 70])
            halo = np.exp(-r2 / np.float32(2 * 0.17**2))[..., None] * np.float32([170, 52, 14])
            light += np.float32(flicker) * (core + halo)
        return light

    def _lost(self, loss: Loss, time_s: float) -> RenderedFrame:
        config = self.scenario.config
        if loss.reason is LossReason.NO_SIGNAL:
            slate = paint_slate(loss, config.width_px, config.height_px)
            nothing = np.zeros(slate.shape[:2], np.bool_)
            return RenderedFrame(slate, nothing, self.outline.mask, loss.reason)
        return self._framed(self._lost_box(loss, time_s), None, time_s, loss.reason)

    def _lost_box(self, loss: Loss, time_s: float) -> np.ndarray:
        width, height = self._size
        if loss.reason is LossReason.BLACK:
            return np.full((height, width, 3), 3, np.uint8)
        if loss.reason is LossReason.OUT_OF_BODY:
            return self._lit(self._out_of_body(loss, time_s), loss.start_s - 120.0)
        scene = self._lit(self._scene(time_s)[0], time_s)
        if loss.reason is LossReason.BLURRED:
            small = cv2.resize(scene, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
            soft = cv2.GaussianBlur(small, (0, 0), 0.10 * self._radius_px * 0.25)
            return np.asarray(cv2.resize(soft, self._size, interpolation=cv2.INTER_LINEAR))
        level = white_out_level(self._grid[0], self._grid[1], time_s)
        light = cv2.resize(level, self._size).astype(np.uint8)
        return np.asarray(cv2.add(cv2.GaussianBlur(scene, (9, 9), 0), cv2.merge([light] * 3)))

    def _out_of_body(self, loss: Loss, time_s: float) -> np.ndarray:
        size_px = math.ceil(2 * SITE_REACH * self._radius_px)
        canvas = _cached(self._canvases, loss, lambda: paint_out_of_body(loss, size_px))
        since_s = time_s - loss.start_s
        room = max(0.0, SITE_REACH - self._reach - 0.05)
        pose = Pose(
            room * math.sin(0.7 * since_s + loss.seed % 6),
            room * math.cos(0.5 * since_s + loss.seed % 5),
            0.25 * math.sin(0.4 * since_s),
            1.05,
        )
        matrix = pose.canvas_from_box(self.outline, self._scale, size_px)
        return np.asarray(
            cv2.warpAffine(
                canvas,
                matrix,
                self._size,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REFLECT_101,
            ),
            np.uint8,
        )

    def _framed(
        self, picture: np.ndarray, depth: Float32Array | None, time_s: float, reason: LossReason
    ) -> RenderedFrame:
        """Enlarge the box to its place, add noise, cut it to the outline, threshold the blood."""
        config, outline, box = self.scenario.config, self.outline, self.outline.box
        size = (box.width_px, box.height_px)
        if self._size != size:
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        picture = self._noise.added(picture, round(time_s * float(config.rate_hz)))
        if not self._is_rectangular:
            picture = cv2.multiply(picture, outline.edge, scale=1 / 255)
        rows, columns = slice(box.top_px, box.bottom_px), slice(box.left_px, box.right_px)
        rgb = np.full((config.height_px, config.width_px, 3), config.surround_level, np.uint8)
        if config.surround_level:
            picture = np.maximum(picture, config.surround_level)
        rgb[rows, columns] = picture
        blood = np.zeros(rgb.shape[:2], np.bool_)
        if depth is not None:
            if self._size != size:
                depth = np.asarray(cv2.resize(depth, size), np.float32)
            blood[rows, columns] = depth >= BLOOD_OPTICAL_DEPTH
            blood &= outline.mask
        return RenderedFrame(rgb, blood, outline.mask, reason)

    def _coarse_grid(self) -> tuple[Float32Array, Float32Array, np.ndarray]:
        """Field radii at the middles of a coarse grid over the box, and what lies in the field."""
        outline, n = self.outline, _COARSE_PX
        at = (np.arange(n) + 0.5) / n
        x = (at * outline.box.width_px - outline.center_x_px) / outline.radius_x_px
        y = (at * outline.box.height_px - outline.center_y_px) / outline.radius_y_px
        grid_x, grid_y = (np.asarray(g, np.float32) for g in np.meshgrid(x, y))
        is_inside = np.ones((n, n), np.bool_) if self._is_rectangular else grid_x**2 + grid_y**2 <= 1
        return grid_x, grid_y, is_inside


class _NoiseTile:
    """Camera noise from one tile, cut at another place for every picture."""

    _SIDE_PX = 256

    def __init__(self, seed: int, level: float) -> None:
        rng = np.random.default_rng([seed, 31])
        side = self._SIDE_PX
        noise = rng.standard_normal((side, side, 3)) * [1.0, 0.85, 1.2]
        noise = np.round(cv2.blur(noise, (2, 2)) * 1.9 * level)
        self._seed = seed
        self._is_silent = level == 0
        self._brighter = np.clip(noise, 0, 255).astype(np.uint8)
        self._darker = np.clip(-noise, 0, 255).astype(np.uint8)

    def added(self, picture: np.ndarray, frame_index: int) -> np.ndarray:
        if self._is_silent:
            return picture
        height, width = picture.shape[:2]
        mixed = (frame_index + 1) * 2654435761 + self._seed * 40503
        rolled = (mixed >> 8) % self._SIDE_PX, (mixed >> 17) % self._SIDE_PX
        brighter = self._cut(self._brighter, rolled, height, width)
        darker = self._cut(self._darker, rolled, height, width)
        return np.asarray(cv2.subtract(cv2.add(picture, brighter), darker), np.uint8)

    def _cut(self, tile: np.ndarray, rolled: tuple[int, int], height: int, width: int) -> np.ndarray:
        side = self._SIDE_PX
        repeats = (-(-(height + side) // side), -(-(width + side) // side), 1)
        wide = np.tile(tile, repeats) if repeats != (1, 1, 1) else tile
        return wide[rolled[0] : rolled[0] + height, rolled[1] : rolled[1] + width]


def _cached(cache: OrderedDict, key, make):  # noqa: ANN001, ANN202
    if key in cache:
        cache.move_to_end(key)
    else:
        cache[key] = make()
        while len(cache) > _N_CACHED:
            cache.popitem(last=False)
    return cache[key]
