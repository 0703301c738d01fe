"""Operating sites: tissues laid out in relief and lit from the endoscope, painted once.

A site is a square canvas of ``2 × SITE_REACH`` field radii a side, so that the camera can move
over it; what moves (blood, instruments, irrigation) is added later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np

from ubereport.laboratory.simulation.noise import Float32Array, clouds, smoothstep
from ubereport.laboratory.simulation.tissue import Material, Tissue, blend, paint_tissue

SITE_REACH = 1.7


class Site(StrEnum):
    """Places that an operation passes through."""

    APPROACH = "approach"
    LAMINA = "lamina"
    DRILLING = "drilling"
    CANAL = "canal"
    MUSCLE = "muscle"
    INFLAMED = "inflamed"


@dataclass(frozen=True, slots=True, eq=False)
class PaintedSite:
    """A site as the endoscope's light shows it, without blood.

    Parameters
    ----------
    rgb
        (n, n, 3) uint8.
    sheen
        (n, n, 4) uint8: wet reflections for two positions of the light, the shading that a film
        of blood takes over from the surface, and the relief (0 lowest, 255 highest).
    """

    rgb: np.ndarray
    sheen: np.ndarray

    @property
    def size_px(self) -> int:
        """Side of the canvas in pixels."""
        return len(self.rgb)


def paint_site(site: Site, seed: int, radius_px: float) -> PaintedSite:
    """Paint a site for a field of view of `radius_px`; the same seed gives the same place."""
    rng = np.random.default_rng([seed, 7, list(Site).index(site)])
    size_px = int(np.ceil(2 * SITE_REACH * radius_px))
    return _lit(_LAYOUTS[site](_Ground(rng, size_px)), rng)


class _Ground:
    """Coordinates in field radii with a wandering outline, and the paints."""

    def __init__(self, rng: np.random.Generator, size_px: int) -> None:
        self.rng = rng
        self.size_px = size_px
        axis = np.linspace(-SITE_REACH, SITE_REACH, size_px, dtype=np.float32)
        self.x, self.y = np.meshgrid(axis, axis)

    def wander(self, amount: float, n_cells: float = 7) -> Float32Array:
        return np.float32(amount) * clouds(self.rng, self.size_px, self.size_px, n_cells, 5)

    def paint(self, tissue: Tissue) -> Material:
        return paint_tissue(tissue, self.rng, self.size_px)

    def raised(self, tissue: Tissue, height: Float32Array | float) -> Material:
        painted = self.paint(tissue)
        return Material(painted.albedo, painted.relief + np.float32(1) * height, painted.gloss)

    def side(self, angle_rad: float, offset: float, wander: float = 0.06) -> Float32Array:
        """Signed distance to a wandering line; positive beyond it."""
        along = self.x * np.float32(np.cos(angle_rad)) + self.y * np.float32(np.sin(angle_rad))
        return along - np.float32(offset) + self.wander(wander)


def _cover(distance: Float32Array, softness: float = 0.03) -> Float32Array:
    return smoothstep(-softness, softness, distance)


def _approach(g: _Ground) -> Material:
    ground = g.raised(Tissue.MUSCLE, -0.15)
    fat = _cover(g.wander(0.5, 4) + 0.35 * g.y + 0.05, 0.08)
    ground = blend(ground, g.raised(Tissue.FAT, 0.1), fat)
    bone = _cover(0.55 - np.hypot(g.x * 1.1 - 0.1, g.y * 1.3 + 0.1) + g.wander(0.10), 0.05)
    return blend(ground, g.raised(Tissue.BONE, -0.12), bone)


def _lamina(g: _Ground) -> Material:
    angle_rad = float(g.rng.uniform(-0.3, 0.3))
    ground = g.raised(Tissue.LIGAMENT, -0.22)
    arc = g.y * 0.9 + g.x * np.float32(np.sin(angle_rad)) + 0.45 * g.x**2 - 0.12 + g.wander(0.05)
    lamina = g.raised(Tissue.BONE, 0.10 - 0.25 * np.clip(arc + 0.5, 0, 1) ** 2)
    ground = blend(ground, lamina, _cover(-arc))
    muscle = _cover(np.hypot(g.x, g.y * 0.9) - 1.02 + g.wander(0.14, 5), 0.06)
    ground = blend(ground, g.raised(Tissue.MUSCLE, 0.2), muscle)
    fat = _cover(g.wander(0.35, 6) + 0.9 * g.y - 0.85, 0.05)
    return blend(ground, g.raised(Tissue.FAT, 0.12), fat)


def _drilling(g: _Ground) -> Material:
    ground = g.raised(Tissue.BONE, 0.18)
    trough = np.hypot(g.x * 0.9 + 0.05, g.y * 1.25 - 0.05) - 0.72 + g.wander(0.06)
    ground = blend(ground, g.raised(Tissue.DRILLED_BONE, -0.02), _cover(-trough))
    ligament = np.hypot(g.x * 1.1 + 0.05, (g.y - 0.18) * 2.0) - 0.52 + g.wander(0.06)
    ground = blend(ground, g.raised(Tissue.LIGAMENT, -0.22), _cover(-ligament))
    rim = _cover(g.side(float(g.rng.uniform(2.2, 4.1)), 0.95, 0.14), 0.06)
    return blend(ground, g.raised(Tissue.MUSCLE, 0.25), rim)


def _canal(g: _Ground) -> Material:
    tilt_rad = float(g.rng.uniform(-0.35, 0.35))
    across = g.x * np.float32(np.cos(tilt_rad)) + g.y * np.float32(np.sin(tilt_rad))
    along = -g.x * np.float32(np.sin(tilt_rad)) + g.y * np.float32(np.cos(tilt_rad))
    tube = 0.22 * np.sqrt(np.clip(1 - (across / 0.75) ** 2, 0, 1))
    ground = g.raised(Tissue.DURA, tube - 0.45)
    fat = _cover(g.wander(0.16, 6) + np.abs(across - 0.05) - 0.50, 0.05)
    ground = blend(ground, g.raised(Tissue.FAT, -0.28), fat)
    ligament = _cover(np.abs(along + 0.05) - 0.72 + 0.3 * across**2 + g.wander(0.08), 0.03)
    ground = blend(ground, g.raised(Tissue.LIGAMENT, -0.12), ligament)
    left = _cover(-across - 0.62 + 0.12 * along + g.wander(0.05), 0.025)
    right = _cover(across - 0.74 + 0.15 * along**2 + g.wander(0.05), 0.025)
    ground = blend(ground, g.raised(Tissue.DRILLED_BONE, 0.12), left)
    return blend(ground, g.raised(Tissue.BONE, 0.15), right)


def _muscle(g: _Ground) -> Material:
    ground = g.raised(Tissue.MUSCLE, 0.0)
    cleft = _cover(0.05 - np.abs(g.side(float(g.rng.uniform(0, 3)), 0.1, 0.18)), 0.1)
    ground = blend(ground, g.raised(Tissue.MUSCLE, -0.35), cleft)
    fat = _cover(g.wander(0.4, 5) - 0.62, 0.08)
    return blend(ground, g.raised(Tissue.FAT, 0.08), fat)


def _inflamed(g: _Ground) -> Material:
    ground = g.raised(Tissue.LIGAMENT, -0.15)
    patch = _cover(1.0 - np.hypot(g.x + 0.1, g.y * 1.1) + g.wander(0.2, 5), 0.10)
    ground = blend(ground, g.raised(Tissue.INFLAMED, 0.0), patch)
    char = _cover(0.16 - np.hypot(g.x - 0.3, g.y + 0.2) + g.wander(0.07, 9), 0.06)
    ground = blend(ground, g.raised(Tissue.CHAR, -0.02), char)
    rim = _cover(g.side(float(g.rng.uniform(0, 6.28)), 0.8, 0.12), 0.04)
    return blend(ground, g.raised(Tissue.BONE, 0.2), rim)


_LAYOUTS: dict[Site, Callable[[_Ground], Material]] = {
    Site.APPROACH: _approach,
    Site.LAMINA: _lamina,
    Site.DRILLING: _drilling,
    Site.CANAL: _canal,
    Site.MUSCLE: _muscle,
    Site.INFLAMED: _inflamed,
}


def _lit(ground: Material, rng: np.random.Generator) -> PaintedSite:
    n = len(ground.relief)
    radius_px = n / (2 * SITE_REACH)
    relief = cv2.GaussianBlur(ground.relief, (0, 0), max(0.3, 0.004 * radius_px))
    hollow = relief - cv2.GaussianBlur(relief, (0, 0), 0.10 * radius_px)
    crevice = relief - cv2.GaussianBlur(relief, (0, 0), 0.025 * radius_px)
    slope_y, slope_x = (s * np.float32(radius_px) for s in np.gradient(relief))
    shading = _facing(slope_x, slope_y, (-0.30, -0.38, 0.87))
    occlusion = np.clip(1 + 1.6 * hollow + 3.2 * crevice, 0.42, 1.18)
    depth = np.clip(1 + 0.7 * relief, 0.55, 1.3)
    light = np.clip(0.30 + 0.80 * shading, 0, 1.15) * occlusion * depth
    warm = np.float32(light[..., None]) ** np.array([0.92, 1.0, 1.06], np.float32)
    rgb = np.clip(ground.albedo * warm * 1.02, 0, 1)
    bumps = (0.0035 * clouds(rng, n, n, 34, 3)).astype(np.float32)
    bump_y, bump_x = (s * np.float32(radius_px) for s in np.gradient(bumps))
    gleams = [
        ground.gloss
        * smoothstep(0.965, 0.999, _facing(slope_x + bump_x, slope_y + bump_y, toward))
        * smoothstep(-0.3, 1.2, clouds(rng, n, n, 5, 3))
        for toward in ((-0.26, -0.34, 0.90), (-0.02, -0.42, 0.907))
    ]
    low, high = np.percentile(relief, (1, 99))
    level = np.clip((relief - low) / (high - low), 0, 1)
    layers = [np.clip(g, 0, 1) for g in gleams] + [np.clip(light / 1.4, 0, 1), level]
    sheen = np.stack(layers, -1)
    return PaintedSite((rgb * 255).astype(np.uint8), (sheen * 255).astype(np.uint8))


def _facing(
    slope_x: Float32Array, slope_y: Float32Array, light: tuple[float, float, float]
) -> Float32Array:
    """Cosine between the surface normal and a direction, never negative."""
    x, y, z = (np.float32(v) for v in light)
    cosine = (z - x * slope_x - y * slope_y) / np.sqrt(1 + slope_x**2 + slope_y**2)
    return np.asarray(np.clip(cosine, 0, 1), np.float32)
