"""Operating sites: tissues with color, relief and gloss, laid out and lit from the endoscope.

A site is a square canvas of ``2 × SITE_REACH`` field radii a side, so that the camera can move
over it; what moves (blood, instruments, irrigation) is added later. Colors are display-referred RGB
in 0..1, as a recorder stores them, set by eye against published pictures of irrigated biportal
endoscopy. Red muscle and inflamed tissue are kept paler, more orange and textured than blood, as
they are in life: they are the red that must not count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np

from ubereport.laboratory.simulation.noise import Float32Array, cells, clouds, fibers, smoothstep


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """A painted surface.

    Parameters
    ----------
    albedo
        (n, n, 3) float32, color in 0..1 before light.
    relief
        (n, n) float32, height in field radii.
    gloss
        (n, n) float32, strength of wet reflections in 0..1.
    """

    albedo: Float32Array
    relief: Float32Array
    gloss: Float32Array


Painter = Callable[[np.random.Generator, int], Material]
"""Paints one tissue over a square of so many pixels."""


def blend(below: Material, above: Material, cover: Float32Array) -> Material:
    """Lay `above` over `below` where `cover` (n, n) in 0..1 says so, its step softly rounded."""
    wide = cover[..., None]
    # Color changes at a sharp line, height does not: a step in relief would be lit as a cliff one
    # pixel wide.
    rounded = cv2.GaussianBlur(cover, (0, 0), 0.012 * len(cover))
    return Material(
        below.albedo + wide * (above.albedo - below.albedo),
        below.relief + rounded * (above.relief - below.relief),
        below.gloss + cover * (above.gloss - below.gloss),
    )


def _mixed(low: tuple[float, ...], high: tuple[float, ...], share: Float32Array) -> Float32Array:
    a, b = np.array(low, np.float32), np.array(high, np.float32)
    return np.asarray(a + np.clip(share, 0, 1)[..., None] * (b - a), np.float32)


def _stain(
    albedo: Float32Array, color: tuple[float, float, float], cover: Float32Array, strength: float
) -> None:
    """Move (n, n, 3) colors toward one, in place, where `cover` (n, n) says so."""
    albedo += cover[..., None] * strength * (np.array(color, np.float32) - albedo)


def paint_bone(rng: np.random.Generator, n: int) -> Material:
    """Paint cortical bone: pale, with pits."""
    broad = clouds(rng, n, n, 3, 4)
    fine = clouds(rng, n, n, 30, 3)
    albedo = _mixed((0.84, 0.68, 0.55), (0.97, 0.91, 0.80), 0.62 + 0.22 * broad + 0.06 * fine)
    pits = smoothstep(1.9, 2.8, clouds(rng, n, n, 26, 2))
    albedo *= 1 - 0.25 * pits[..., None] * np.array([0.7, 1.0, 1.1], np.float32)
    relief = 0.05 * broad + 0.006 * fine - 0.012 * pits
    return Material(albedo, relief, np.full((n, n), 0.35, np.float32))


def paint_drilled_bone(rng: np.random.Generator, n: int) -> Material:
    """Paint bone under the burr: grooves, and marrow in its holes."""
    to_seed, to_border = cells(rng, n, 30)
    holes = smoothstep(0.12, 0.30, to_border) * smoothstep(0.75, 0.35, to_seed)
    broad = clouds(rng, n, n, 4, 3)
    holes = holes * smoothstep(-0.4, 0.9, broad)
    grooves = fibers(rng, n, 34, float(rng.uniform(0, np.pi)), 5)
    albedo = _mixed((0.88, 0.72, 0.58), (0.98, 0.93, 0.84), 0.6 + 0.2 * grooves + 0.15 * broad)
    _stain(albedo, (0.66, 0.36, 0.28), holes, 0.55)
    relief = 0.02 * broad + 0.006 * grooves - 0.02 * holes
    return Material(albedo, relief, np.full((n, n), 0.45, np.float32))


def paint_ligament(rng: np.random.Generator, n: int) -> Material:
    """Paint ligamentum flavum: yellow fibers."""
    angle_rad = float(rng.uniform(-0.5, 0.5) + np.pi / 2)
    coarse = fibers(rng, n, 22, angle_rad, 10)
    fine = fibers(rng, n, 70, angle_rad, 16)
    broad = clouds(rng, n, n, 3, 3)
    albedo = _mixed((0.74, 0.58, 0.36), (0.96, 0.89, 0.68), 0.55 + 0.15 * coarse + 0.12 * broad)
    albedo *= (1 + 0.04 * fine)[..., None]
    relief = 0.03 * broad + 0.012 * coarse + 0.004 * fine
    return Material(albedo, relief, (0.4 + 0.1 * coarse).astype(np.float32))


def paint_dura(rng: np.random.Generator, n: int) -> Material:
    """Paint dura: white, glossy, with fine vessels."""
    broad = clouds(rng, n, n, 2, 3)
    albedo = _mixed((0.80, 0.81, 0.86), (0.99, 0.97, 0.96), 0.6 + 0.2 * broad)
    vessels = _vessels(rng, n, 7)
    _stain(albedo, (0.72, 0.26, 0.28), vessels, 0.5)
    relief = 0.05 * broad + 0.003 * clouds(rng, n, n, 24, 2) + 0.004 * vessels
    return Material(albedo, relief, np.full((n, n), 1.0, np.float32))


def paint_fat(rng: np.random.Generator, n: int) -> Material:
    """Paint fat: yellow lobules with seams."""
    to_seed, to_border = cells(rng, n, 13)
    _, fine_border = cells(rng, n, 34)
    dome = np.sqrt(np.clip(1 - to_seed * to_seed, 0, 1))
    seam = smoothstep(0.0, 0.35, to_border + 0.08 * clouds(rng, n, n, 10, 3))
    fine_seam = smoothstep(0.0, 0.25, fine_border)
    broad = clouds(rng, n, n, 4, 4)
    share = 0.35 + 0.3 * dome + 0.1 * seam + 0.16 * broad
    albedo = _mixed((0.88, 0.66, 0.34), (1.0, 0.91, 0.64), share)
    albedo *= (0.95 + 0.03 * seam + 0.02 * fine_seam)[..., None]
    relief = 0.065 * dome * seam + 0.006 * fine_seam + 0.04 * broad
    return Material(albedo, relief, (0.55 + 0.3 * dome).astype(np.float32))


def paint_muscle(rng: np.random.Generator, n: int) -> Material:
    """Paint muscle: red bundles with pale strands."""
    angle_rad = float(rng.uniform(0, np.pi))
    bundles = fibers(rng, n, 14, angle_rad, 9)
    strands = fibers(rng, n, 55, angle_rad, 18)
    broad = clouds(rng, n, n, 3, 3)
    albedo = _mixed((0.50, 0.19, 0.16), (0.84, 0.47, 0.40), 0.5 + 0.2 * bundles + 0.12 * strands)
    _stain(albedo, (0.92, 0.78, 0.70), smoothstep(1.0, 2.2, strands + 0.5 * broad), 0.35)
    relief = 0.03 * bundles + 0.010 * strands + 0.04 * broad
    return Material(albedo, relief, np.full((n, n), 0.35, np.float32))


def paint_inflamed(rng: np.random.Generator, n: int) -> Material:
    """Paint inflamed tissue: grainy red with dark vessels."""
    broad = clouds(rng, n, n, 4, 4)
    grain = clouds(rng, n, n, 40, 3)
    albedo = _mixed((0.64, 0.27, 0.24), (0.90, 0.56, 0.49), 0.5 + 0.2 * broad + 0.10 * grain)
    _stain(albedo, (0.58, 0.14, 0.15), _vessels(rng, n, 12), 0.5)
    relief = 0.05 * broad + 0.010 * grain
    return Material(albedo, relief, np.full((n, n), 0.6, np.float32))


def paint_char(rng: np.random.Generator, n: int) -> Material:
    """Paint what a probe has charred: brown, dull."""
    grain = clouds(rng, n, n, 30, 4)
    albedo = _mixed((0.20, 0.13, 0.10), (0.66, 0.50, 0.36), 0.35 + 0.25 * grain)
    return Material(albedo, 0.012 * grain, np.full((n, n), 0.1, np.float32))


def _vessels(rng: np.random.Generator, n: int, n_trunks: int) -> Float32Array:
    """Branching fine vessels as an opacity map: random walks that fork and taper."""
    canvas = np.zeros((n, n), np.uint8)
    stack = [
        (rng.random(2) * n, float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.6, 1.0)))
        for _ in range(n_trunks)
    ]
    step_px = n * 0.012
    while stack:
        at, heading_rad, width = stack.pop()
        for _ in range(int(30 * width) + 6):
            heading_rad += float(rng.normal(0, 0.22))
            nxt = at + step_px * np.array([np.cos(heading_rad), np.sin(heading_rad)])
            _line(canvas, at, nxt, width, n)
            at = nxt
            if width > 0.35 and rng.random() < 0.09:
                stack.append((at, heading_rad + float(rng.choice([-0.7, 0.7])), width * 0.6))
        width *= 0.9
    softened = cv2.GaussianBlur(canvas, (0, 0), max(0.4, n * 0.0007))
    return np.asarray(softened, np.float32) / np.float32(255)


def _line(canvas: np.ndarray, start: np.ndarray, end: np.ndarray, width: float, n: int) -> None:
    thickness = max(1, round(width * n * 0.005))
    level = int(np.clip(255 * width * max(0.55, n * 0.005 * width), 90, 255))
    # Sixteenths of a pixel (the 4 below is OpenCV's shift): whole ones would bend fine vessels into
    # stairs.
    points = [(int(p[0] * 16), int(p[1] * 16)) for p in (start, end)]
    cv2.line(canvas, points[0], points[1], level, thickness, cv2.LINE_AA, 4)


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

    def raised(self, painter: Painter, height: Float32Array | float) -> Material:
        painted = painter(self.rng, self.size_px)
        return Material(painted.albedo, painted.relief + np.float32(1) * height, painted.gloss)

    def side(self, angle_rad: float, offset: float, wander: float = 0.06) -> Float32Array:
        """Signed distance to a wandering line; positive beyond it."""
        along = self.x * np.float32(np.cos(angle_rad)) + self.y * np.float32(np.sin(angle_rad))
        return along - np.float32(offset) + self.wander(wander)


def _cover(distance: Float32Array, softness: float = 0.03) -> Float32Array:
    return smoothstep(-softness, softness, distance)


def _lay_approach(g: _Ground) -> Material:
    ground = g.raised(paint_muscle, -0.15)
    fat = _cover(g.wander(0.5, 4) + 0.35 * g.y + 0.05, 0.08)
    ground = blend(ground, g.raised(paint_fat, 0.1), fat)
    bone = _cover(0.55 - np.hypot(g.x * 1.1 - 0.1, g.y * 1.3 + 0.1) + g.wander(0.10), 0.05)
    return blend(ground, g.raised(paint_bone, -0.12), bone)


def _lay_lamina(g: _Ground) -> Material:
    angle_rad = float(g.rng.uniform(-0.3, 0.3))
    ground = g.raised(paint_ligament, -0.22)
    arc = g.y * 0.9 + g.x * np.float32(np.sin(angle_rad)) + 0.45 * g.x**2 - 0.12 + g.wander(0.05)
    lamina = g.raised(paint_bone, 0.10 - 0.25 * np.clip(arc + 0.5, 0, 1) ** 2)
    ground = blend(ground, lamina, _cover(-arc))
    muscle = _cover(np.hypot(g.x, g.y * 0.9) - 1.02 + g.wander(0.14, 5), 0.06)
    ground = blend(ground, g.raised(paint_muscle, 0.2), muscle)
    fat = _cover(g.wander(0.35, 6) + 0.9 * g.y - 0.85, 0.05)
    return blend(ground, g.raised(paint_fat, 0.12), fat)


def _lay_drilling(g: _Ground) -> Material:
    ground = g.raised(paint_bone, 0.18)
    trough = np.hypot(g.x * 0.9 + 0.05, g.y * 1.25 - 0.05) - 0.72 + g.wander(0.06)
    ground = blend(ground, g.raised(paint_drilled_bone, -0.02), _cover(-trough))
    ligament = np.hypot(g.x * 1.1 + 0.05, (g.y - 0.18) * 2.0) - 0.52 + g.wander(0.06)
    ground = blend(ground, g.raised(paint_ligament, -0.22), _cover(-ligament))
    rim = _cover(g.side(float(g.rng.uniform(2.2, 4.1)), 0.95, 0.14), 0.06)
    return blend(ground, g.raised(paint_muscle, 0.25), rim)


def _lay_canal(g: _Ground) -> Material:
    tilt_rad = float(g.rng.uniform(-0.35, 0.35))
    across = g.x * np.float32(np.cos(tilt_rad)) + g.y * np.float32(np.sin(tilt_rad))
    along = -g.x * np.float32(np.sin(tilt_rad)) + g.y * np.float32(np.cos(tilt_rad))
    tube = 0.22 * np.sqrt(np.clip(1 - (across / 0.75) ** 2, 0, 1))
    ground = g.raised(paint_dura, tube - 0.45)
    fat = _cover(g.wander(0.16, 6) + np.abs(across - 0.05) - 0.50, 0.05)
    ground = blend(ground, g.raised(paint_fat, -0.28), fat)
    ligament = _cover(np.abs(along + 0.05) - 0.72 + 0.3 * across**2 + g.wander(0.08), 0.03)
    ground = blend(ground, g.raised(paint_ligament, -0.12), ligament)
    left = _cover(-across - 0.62 + 0.12 * along + g.wander(0.05), 0.025)
    right = _cover(across - 0.74 + 0.15 * along**2 + g.wander(0.05), 0.025)
    ground = blend(ground, g.raised(paint_drilled_bone, 0.12), left)
    return blend(ground, g.raised(paint_bone, 0.15), right)


def _lay_muscle(g: _Ground) -> Material:
    ground = g.raised(paint_muscle, 0.0)
    cleft = _cover(0.05 - np.abs(g.side(float(g.rng.uniform(0, 3)), 0.1, 0.18)), 0.1)
    ground = blend(ground, g.raised(paint_muscle, -0.35), cleft)
    fat = _cover(g.wander(0.4, 5) - 0.62, 0.08)
    return blend(ground, g.raised(paint_fat, 0.08), fat)


def _lay_inflamed(g: _Ground) -> Material:
    ground = g.raised(paint_ligament, -0.15)
    patch = _cover(1.0 - np.hypot(g.x + 0.1, g.y * 1.1) + g.wander(0.2, 5), 0.10)
    ground = blend(ground, g.raised(paint_inflamed, 0.0), patch)
    char = _cover(0.16 - np.hypot(g.x - 0.3, g.y + 0.2) + g.wander(0.07, 9), 0.06)
    ground = blend(ground, g.raised(paint_char, -0.02), char)
    rim = _cover(g.side(float(g.rng.uniform(0, 6.28)), 0.8, 0.12), 0.04)
    return blend(ground, g.raised(paint_bone, 0.2), rim)


_LAYOUTS: dict[Site, Callable[[_Ground], Material]] = {
    Site.APPROACH: _lay_approach,
    Site.LAMINA: _lay_lamina,
    Site.DRILLING: _lay_drilling,
    Site.CANAL: _lay_canal,
    Site.MUSCLE: _lay_muscle,
    Site.INFLAMED: _lay_inflamed,
}


def _lit(ground: Material, rng: np.random.Generator) -> PaintedSite:
    n = len(ground.relief)
    radius_px = n / (2 * SITE_REACH)
    relief = cv2.GaussianBlur(ground.relief, (0, 0), max(0.3, 0.004 * radius_px))
    # Light from the endoscope: brighter where a slope faces it, darker in hollows wide and narrow
    # (what lies lower than its surroundings sees less light), dimmer with depth.
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
