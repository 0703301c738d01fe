"""Blood: how it spreads over a site and through irrigation, and how it looks.

Optics. A layer of blood has an optical depth ρ ≥ 0. Of the light that carries the structure
beneath, ``exp(−ρ)`` gets through; that share is the layer's transmission in red light, the color
blood blocks least, so green and blue structure is hidden even more (their absorption is some
2.5 times as strong here; Beer–Lambert). The rest of the light is blood's own: bright red where
thin, dark red where thick. A pixel **counts as blood where its opacity** ``1 − exp(−ρ)`` **is at
least 0.5**, that is where half or more of the structure beneath is hidden: ρ ≥ ln 2. Pink
staining below that does not count, as in the definitions.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from ubereport.laboratory.simulation.camera import Pose
from ubereport.laboratory.simulation.noise import Float32Array, clouds, smoothstep
from ubereport.laboratory.simulation.scenario import Bleed, BleedKind
from ubereport.laboratory.simulation.site import SITE_REACH, PaintedSite

BLOOD_OPACITY = 0.5
BLOOD_OPTICAL_DEPTH = -math.log(1 - BLOOD_OPACITY)

# Depths become bytes, so that tables take the place of exponentials. The 255 levels reach a depth
# of 5.8, where less than one level of what lies beneath gets through.
_LEVELS_PER_DEPTH = 44.0
_ABSORPTION = np.array([1.0, 2.6, 2.8])
_THIN = np.array([0.80, 0.06, 0.035])
_THICK = np.array([0.37, 0.014, 0.010])
# What film and cloud cover, each as a share of the whole; they overlap.
_FILM_SHARE = {
    BleedKind.OOZE: 1.0,
    BleedKind.RIVULET: 0.90,
    BleedKind.POOL: 0.97,
    BleedKind.PLUME: 0.22,
    BleedKind.RED_OUT: 0.30,
}
_CLOUD_SHARE = {
    BleedKind.OOZE: 0.05,
    BleedKind.RIVULET: 0.25,
    BleedKind.POOL: 0.15,
    BleedKind.PLUME: 0.90,
    BleedKind.RED_OUT: 1.0,
}


class Film:
    """Blood lying on a site: which place it covers before which other.

    Parameters
    ----------
    bleed
        Where, how and how fast.
    site
        The surface, whose hollows fill first.
    pose
        Where the camera looks at the height of the bleed: levels are shares of that view.
    """

    def __init__(self, bleed: Bleed, site: PaintedSite, pose: Pose) -> None:
        # The second number is the stream of this painter: the cloud of the same bleed has its own,
        # and a draw more here moves nothing there.
        rng = np.random.default_rng([bleed.seed, 13])
        n = site.size_px
        axis = np.linspace(-SITE_REACH, SITE_REACH, n, dtype=np.float32)
        x, y = np.meshgrid(axis - np.float32(bleed.source_x), axis - np.float32(bleed.source_y))
        relief = site.sheen[..., 3].astype(np.float32) / np.float32(255)
        rough = clouds(rng, n, n, 6, 6, 0.6)
        late = _arrival(bleed, rng, x, y, relief, rough)
        away = np.hypot(axis[:, None] - pose.y, axis[None, :] - pose.x)
        middle = away * pose.zoom < 1
        self._bleed = bleed
        self.order = _share_covered_before(late, middle)
        """(n, n) float32: share of the field that is covered before a place is, 0..1 and above."""
        self.body = np.exp(0.38 * np.clip(clouds(rng, n, n, 9, 5, 0.65), -2.2, 1.6))
        """(n, n) float32: thickness relative to the mean."""

    def depth(
        self, order: Float32Array, body: Float32Array, ripple: Float32Array, time_s: float
    ) -> Float32Array:
        """Return the optical depth of the film at `time_s`.

        Parameters
        ----------
        order, body
            The film's maps as the camera sees them.
        ripple
            Slow noise of unit spread that makes its edge live.
        """
        liquid = self._bleed.target_frac(time_s) * _FILM_SHARE[self._bleed.kind]
        clot = self._bleed.clot_target_frac(time_s)
        depth = np.zeros_like(order)
        if liquid > 1e-4:
            # By how much a place was overtaken: below 0 it is dry, at 0 lies the film's thin edge.
            ahead = np.float32(liquid) * (1 + np.float32(0.10) * ripple) - order
            edge = max(0.015, 0.35 * liquid)
            wet = smoothstep(-0.65 * edge, 0.85 * edge, ahead)
            thick = 1.35 + 2.4 * smoothstep(0.0, 0.35, ahead)
            depth = wet * thick * body * np.float32(self._dilution(time_s))
        if clot > 1e-4:
            solid = smoothstep(-0.15 * clot, 0.5 * clot, np.float32(clot) - order)
            depth = np.maximum(depth, solid * body * np.float32(3.6))
        return np.asarray(depth, np.float32)

    def _dilution(self, time_s: float) -> float:
        """Fall of the concentration while it washes clear."""
        bleed = self._bleed
        washing_s = time_s - (bleed.washed_s - bleed.wash_s)
        return 1.15 - 0.35 * min(max(washing_s / bleed.wash_s, 0.0), 1.0)


def _arrival(
    bleed: Bleed,
    rng: np.random.Generator,
    x: Float32Array,
    y: Float32Array,
    relief: Float32Array,
    rough: Float32Array,
) -> Float32Array:
    """When blood reaches each place, in arbitrary units."""
    # Nothing flows: each place is told once when blood gets there, and a growing film covers the
    # earliest first. A rivulet is late off its line, a pool fills hollows first, anything else
    # spreads from its source and four drops near it; irrigation hastens what lies along the flow.
    cos, sin = np.float32(np.cos(bleed.flow_rad)), np.float32(np.sin(bleed.flow_rad))
    along, across = x * cos + y * sin, -x * sin + y * cos
    if bleed.kind is BleedKind.RIVULET:
        phase = float(rng.uniform(0, 6.28))
        across = across + np.float32(0.09) * (
            np.sin(along * 5 + np.float32(phase)) - np.float32(np.sin(phase))
        )
        width = np.float32(0.10) + np.float32(0.22) * np.clip(along, 0, 2)
        behind = np.clip(-along, 0, None) * 6
        front = np.clip(along, 0, None)
        bent = np.float32(0.8) * (across / width) ** 2
        return np.asarray(front + behind + bent + 0.10 * rough + 0.3 * relief)
    if bleed.kind is BleedKind.POOL:
        return np.asarray(1.3 * relief + 0.75 * np.hypot(x, y) + 0.07 * rough - 0.15 * along)
    nearest = np.hypot(x, y)
    for _ in range(4):
        dx, dy = rng.normal(0, 0.28, 2)
        other = np.hypot(x - np.float32(dx), y - np.float32(dy)) + float(rng.uniform(0.02, 0.22))
        nearest = np.minimum(nearest, other)
    return np.asarray(nearest - 0.18 * along + 0.09 * rough + 0.35 * relief)


def _share_covered_before(late: Float32Array, middle: np.ndarray) -> Float32Array:
    """Rank of each place among those of the middle disc, so that a level is an area."""
    # Which share of the middle is reached before each place? Then "blood covers 20 %" is a plain
    # comparison with 0.2, whatever shape it takes.
    late = np.asarray(late, np.float32)
    # Twenty thousand places give the ranks of all others to a hundredth of a percent.
    sample = np.sort(late[middle][:: max(1, int(middle.sum() // 20000))])
    rank = np.interp(late.ravel(), sample, np.linspace(0, 1, len(sample)))
    return rank.reshape(late.shape).astype(np.float32)


class Cloud:
    """Blood carried by irrigation, drawn on a coarse grid of the view.

    Parameters
    ----------
    bleed
        Where, how and how fast.
    """

    def __init__(self, bleed: Bleed) -> None:
        rng = np.random.default_rng([bleed.seed, 17])
        self._bleed = bleed
        self._coarse = clouds(rng, 192, 192, 10, 3)
        self._fine = clouds(rng, 192, 192, 22, 3)

    def depth(
        self,
        source: tuple[float, float],
        grid: tuple[Float32Array, Float32Array, np.ndarray],
        time_s: float,
    ) -> Float32Array:
        """Return the optical depth at `time_s` on a coarse grid.

        Parameters
        ----------
        source
            Where it enters, in field radii from the middle of the view.
        grid
            x, y in field radii and whether a grid point lies in the field.
        """
        x, y, is_inside = grid
        bleed = self._bleed
        share = bleed.target_frac(time_s) * _CLOUD_SHARE[bleed.kind]
        if share < 1e-4:
            return np.zeros_like(x)
        shape = self._shape(x - np.float32(source[0]), y - np.float32(source[1]), time_s)
        # The level that just this share of the view exceeds: scaled by it, the cloud covers the
        # area that was planned.
        floor = float(np.quantile(shape[is_inside], max(0.0, 1 - share)))
        fade = min(1.0, share / 0.03)
        relative = np.minimum(shape / np.float32(max(floor, 1e-4)), 3.0)
        # At that level the depth is just what counts as blood; squared, it thins out quickly
        # beyond. A cloud of less than 3 % of the view also grows pale, until nothing is left of it.
        depth = np.float32(BLOOD_OPTICAL_DEPTH * fade) * relative**2
        return np.asarray(cv2.GaussianBlur(np.minimum(depth, 5.0), (0, 0), 0.8), np.float32)

    def _shape(self, x: Float32Array, y: Float32Array, time_s: float) -> Float32Array:
        bleed = self._bleed
        cos, sin = np.float32(np.cos(bleed.flow_rad)), np.float32(np.sin(bleed.flow_rad))
        along, across = x * cos + y * sin, -x * sin + y * cos
        drift = np.float32(time_s * 0.45)
        bend = self._at(self._coarse, along * 0.7 - drift * 0.5, across * 0.7)
        eddy = self._at(self._coarse, along - drift, across + 0.3 * bend)
        # Turned, so that the grids of the two textures never line up into squares.
        turned_x = 0.8 * (along - drift * 1.4) + 0.6 * across + 0.15 * bend
        turned_y = 0.8 * across - 0.6 * (along - drift * 1.4) - 0.18 * eddy
        curl = self._at(self._fine, turned_x, turned_y)
        body = np.float32(1) + np.float32(0.42) * eddy + np.float32(0.28) * curl
        if bleed.kind is BleedKind.RED_OUT:
            reach = np.exp(-0.35 * np.hypot(x, y))
            return np.asarray(np.clip(0.55 + 0.45 * body, 0.12, None) * reach, np.float32)
        width = np.float32(0.07) + np.float32(0.34) * np.clip(along + 0.05, 0, 2)
        cone = np.exp(-((across - 0.10 * bend * np.clip(along, 0, 1)) ** 2) / (2 * width**2))
        cone *= smoothstep(-0.22, 0.06, along) * np.exp(-np.clip(along, 0, None) * 0.8)
        pulse = 1 + 0.18 * np.sin(np.float32(2 * np.pi * 1.15) * (np.float32(time_s) - along))
        halo = 0.10 * np.exp(-1.2 * np.hypot(x, y))
        return np.asarray((cone * pulse + halo) * np.clip(body, 0.15, None), np.float32)

    @staticmethod
    def _at(texture: Float32Array, x: Float32Array, y: Float32Array) -> Float32Array:
        """Sample a texture that is mirrored every four field radii, so that it never ends."""
        sample = cv2.remap(
            texture,
            np.asarray(np.abs(np.mod(x, 8) - 4) * 47.5, np.float32),
            np.asarray(np.abs(np.mod(y + 2, 8) - 4) * 47.5, np.float32),
            cv2.INTER_LINEAR,
        )
        return np.asarray(sample, np.float32)


def tint_by_blood(rgb: np.ndarray, depth: Float32Array, shade: np.ndarray) -> np.ndarray:
    """Lay blood of an optical depth over a picture.

    Parameters
    ----------
    rgb
        (h, w, 3) uint8.
    depth
        (h, w) float32.
    shade
        (h, w) uint8, light that falls on the surface, 255 brightest.

    Returns
    -------
    (h, w, 3) uint8.
    """
    level = cv2.convertScaleAbs(depth, alpha=_LEVELS_PER_DEPTH)
    level3 = cv2.merge([level, level, level])
    through = cv2.multiply(rgb, cv2.LUT(level3, _THROUGH), scale=1 / 255)
    relit = cv2.convertScaleAbs(shade, alpha=0.75, beta=95)
    own = cv2.multiply(cv2.LUT(level3, _OWN), cv2.merge([relit, relit, relit]), scale=1 / 255)
    return np.asarray(cv2.add(through, own), np.uint8)


def _tables() -> tuple[np.ndarray, np.ndarray]:
    depth = np.arange(256) / _LEVELS_PER_DEPTH
    through = np.exp(-depth[:, None] * _ABSORPTION)
    thick = 1 - np.exp(-0.45 * depth[:, None])
    own = (_THIN + thick * (_THICK - _THIN)) * (1 - np.exp(-depth[:, None]))
    return (
        np.round(through * 255).astype(np.uint8)[None],
        np.round(own * 255).astype(np.uint8)[None],
    )


_THROUGH, _OWN = _tables()
