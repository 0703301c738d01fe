"""The operating field at any time: tissue, blood, instruments, irrigation and light."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np

from ubereport.laboratory.simulation.blood import Cloud, Film, tint_by_blood
from ubereport.laboratory.simulation.camera import (
    COARSE_PX,
    N_KEPT,
    CameraPath,
    Drawing,
    Pose,
    channel_tripled,
)
from ubereport.laboratory.simulation.foreground import Floating, ToolPainter, Turbidity, tip_in_view
from ubereport.laboratory.simulation.noise import Float32Array
from ubereport.laboratory.simulation.scenario import Bleed, Scenario, Tool, ToolKind
from ubereport.laboratory.simulation.site import PaintedSite, paint_site

_CLOT_FADES_S = 60.0
_OPAQUE = 128
_CALM_DEBRIS, _WORKING_DEBRIS = 2, 6


class Scene:
    """Draws the field of view of a scenario, and the optical depth of blood in it.

    Parameters
    ----------
    scenario
        What happens.
    drawing
        Sizes to draw at.
    """

    def __init__(self, scenario: Scenario, drawing: Drawing) -> None:
        self._scenario = scenario
        self._drawing = drawing
        self._tools = ToolPainter(drawing)
        self._floating = Floating(scenario.seed, drawing)
        self._turbidity = Turbidity(scenario.seed)
        self._paths = [CameraPath(visit, drawing.reach) for visit in scenario.visits]
        self._site = lru_cache(N_KEPT)(self._painted_site)
        self._film = lru_cache(N_KEPT)(self._spread_film)
        self._cloud = lru_cache(N_KEPT)(Cloud)

    def draw(self, time_s: float) -> tuple[np.ndarray, Float32Array | None]:
        """Draw the field as recorded, without camera noise.

        Returns
        -------
        picture
            (h, w, 3) uint8 at the drawing's size.
        depth
            (h, w) float32, optical depth of the blood that is not hidden; None where there is
            none at all.
        """
        picture, depth = self._surfaces(time_s)
        return self.lit(picture, time_s), depth

    def _surfaces(self, time_s: float) -> tuple[np.ndarray, Float32Array | None]:
        index = self._scenario.visit_index(time_s)
        pose = self._paths[index].pose(time_s)
        site = self._site(index)
        picture = self._drawing.seen(site.rgb, pose)
        gleam_a, gleam_b, shade, _ = (
            np.asarray(layer) for layer in cv2.split(self._drawing.seen(site.sheen, pose))
        )
        bleeds = self._bleeds(index, time_s)
        # Painted from the back to the front: tissue, blood on it, its wet gleam, instruments, blood
        # in the water, what floats. What lies before blood hides it from the truth as from the
        # picture.
        film = self._film_depth(bleeds, index, pose, time_s)
        if film is not None:
            picture = tint_by_blood(picture, film, shade)
        turn = 0.5 + 0.5 * math.sin(time_s * 1.3)
        gleam = cv2.addWeighted(gleam_a, 0.9 * turn, gleam_b, 0.9 * (1 - turn), 0)
        picture = np.asarray(cv2.add(picture, channel_tripled(np.asarray(gleam))))
        hidden = self._drawing.blank()
        for tool in self._tools_at(time_s):
            self._tools.draw(picture, hidden, tool, pose, time_s)
        if film is not None:
            film[hidden >= _OPAQUE] = 0
        cloud = self._cloud_depth(bleeds, pose, time_s)
        if cloud is not None:
            picture = tint_by_blood(picture, cloud, shade)
        depth = film if cloud is None else cloud if film is None else film + cloud
        in_front = self._drawing.blank()
        self._floating.draw(picture, in_front, time_s, *self._stirred(pose, time_s))
        if depth is not None:
            depth[in_front >= _OPAQUE] = 0
        return picture, depth

    def _painted_site(self, index: int) -> PaintedSite:
        visit = self._scenario.visits[index]
        return paint_site(visit.site, visit.seed, self._drawing.radius_px)

    def _bleeds(self, index: int, time_s: float) -> list[Bleed]:
        """Bleeds of this visit whose blood or clot is in view."""
        return [
            bleed
            for bleed in self._scenario.bleeds
            if bleed.start_s < time_s < bleed.washed_s + _CLOT_FADES_S
            and self._scenario.visit_index(bleed.start_s) == index
        ]

    def _tools_at(self, time_s: float) -> list[Tool]:
        return [tool for tool in self._scenario.tools if tool.start_s <= time_s < tool.end_s]

    def _film_depth(
        self, bleeds: list[Bleed], index: int, pose: Pose, time_s: float
    ) -> Float32Array | None:
        total: Float32Array | None = None
        for bleed in bleeds:
            film, maps = self._film(bleed, index)
            order, body = cv2.split(self._drawing.seen(maps, pose))
            # The texture of turbid water serves as ripple, six times as fast and at a time of its
            # own for each bleed; less its mean and times ten, its spread is about the one that
            # a film takes.
            veil = self._turbidity.veil(time_s * 6 + bleed.seed % 50, 0.2)
            ripple = self._drawing.enlarged((veil - np.float32(0.2)) * 10)
            depth = film.depth(np.asarray(order), np.asarray(body), ripple, time_s)
            # Films of two bleeds on one place lie in one puddle, not one on the other.
            total = depth if total is None else np.maximum(total, depth)
        return total

    def _spread_film(self, bleed: Bleed, index: int) -> tuple[Film, np.ndarray]:
        # Levels are shares of the view in the middle of the plateau, where the planned area is to
        # be seen.
        height_s = bleed.start_s + bleed.rise_s + 0.5 * bleed.plateau_s
        film = Film(bleed, self._site(index), self._paths[index].pose(height_s))
        return film, np.dstack([film.order, film.body])

    def _cloud_depth(self, bleeds: list[Bleed], pose: Pose, time_s: float) -> Float32Array | None:
        total = np.zeros((COARSE_PX, COARSE_PX), np.float32)
        for bleed in bleeds:
            source = pose.to_view(bleed.source_x, bleed.source_y)
            total += self._cloud(bleed).depth(source, self._drawing.coarse, time_s)
        if float(total.max()) < 0.02:
            return None
        return self._drawing.enlarged(total, cv2.INTER_CUBIC)

    def _stirred(self, pose: Pose, time_s: float) -> tuple[tuple[float, float] | None, int]:
        """Where a working probe makes bubbles, and how much debris floats."""
        n_debris, tip = _CALM_DEBRIS, None
        for tool in self._tools_at(time_s):
            if tool.is_active(time_s):
                n_debris = _WORKING_DEBRIS
                if tool.kind is ToolKind.RF_PROBE:
                    tip = tip_in_view(tool, pose, time_s)
        return tip, n_debris

    def lit(self, picture: np.ndarray, time_s: float, is_in_body: bool = True) -> np.ndarray:
        """Add vignetting and exposure drift; in the body, turbidity and the glow of a probe too."""
        x, y, _ = self._drawing.coarse
        drift = 0.05 * math.sin(0.21 * time_s + self._scenario.seed % 97)
        exposure = 0.93 + drift + 0.02 * math.sin(0.9 * time_s)
        r2 = (x - np.float32(0.04)) ** 2 + (y + np.float32(0.03)) ** 2
        gain = np.clip(1.04 - 0.40 * r2 - 0.10 * r2 * r2, 0.2, 1) * np.float32(exposure)
        # As headlights in fog: of what comes from the tissue, turbid water takes a share away
        # (gain), and puts light of its own color in its place.
        light = np.zeros((*x.shape, 3), np.float32)
        if is_in_body:
            pink = self._pink(time_s)
            veil = self._turbidity.veil(time_s, 0.05 + 0.12 * pink)
            color = np.array([204, 199 - 107 * pink, 189 - 107 * pink], np.float32)
            light = (gain * veil)[..., None] * color + self._glow(time_s)
            gain = gain * (1 - veil)
        gain8 = np.round(gain * 255).astype(np.uint8)
        light8 = np.clip(light, 0, 255).astype(np.uint8)
        dimmed = cv2.multiply(
            picture, channel_tripled(self._drawing.enlarged(gain8)), scale=1 / 255
        )
        return np.asarray(cv2.add(dimmed, self._drawing.enlarged(light8)), np.uint8)

    def _pink(self, time_s: float) -> float:
        """How pink the water is, 0..1: it trails the bleeding by some seconds."""
        index = self._scenario.visit_index(time_s)
        levels = [
            0.9 * bleed.target_frac(time_s - lag_s)
            for bleed in self._bleeds(index, time_s)
            for lag_s in (0.0, 2.0, 4.0)
        ]
        return min(1.0, max(levels, default=0.0))

    def _glow(self, time_s: float) -> Float32Array:
        """Orange and red light around the tip of a working RF probe, 0..255 and above."""
        x, y, _ = self._drawing.coarse
        light = np.zeros((*x.shape, 3), np.float32)
        pose = self._paths[self._scenario.visit_index(time_s)].pose(time_s)
        flicker = 0.75 + 0.2 * math.sin(31 * time_s) + 0.12 * math.sin(47 * time_s)
        for tool in self._tools_at(time_s):
            if tool.kind is ToolKind.RF_PROBE and tool.is_active(time_s):
                tip_x, tip_y = tip_in_view(tool, pose, time_s)
                r2 = ((x - np.float32(tip_x)) ** 2 + (y - np.float32(tip_y)) ** 2)[..., None]
                core = np.exp(-r2 / np.float32(2 * 0.05**2)) * np.array([255, 170, 70], np.float32)
                halo = np.exp(-r2 / np.float32(2 * 0.17**2)) * np.array([170, 52, 14], np.float32)
                light += np.float32(flicker) * (core + halo)
        return light
