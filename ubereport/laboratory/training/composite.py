"""Blood and look-alikes laid on frames with exact masks; degradation comes after.

Light that reaches tissue through blood is absorbed twice, green and blue far more than red
(Bosschaart 2014 compiles the spectra); whole blood also scatters back a dark red of its own, in
proportion to the light that falls on it. Thickness is in units in which 1 hides most texture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.laboratory.training.labelled_stills import BLOOD, IGNORE, LabelArray

Field = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Optics:
    """How one patch of blood looks.

    Parameters
    ----------
    absorption
        Per channel (red, green, blue) and unit of thickness, both ways together.
    backscatter
        Linear color of an infinitely thick layer under unit light.
    scattering
        How fast a layer takes on that color, per unit of thickness.
    gloss, gloss_exponent
        Strength and narrowness of the highlights on its surface.
    """

    absorption: tuple[float, float, float]
    backscatter: tuple[float, float, float]
    scattering: float
    gloss: float
    gloss_exponent: float


def random_optics(rng: np.random.Generator) -> Optics:
    """Draw blood between bright arterial and dark venous or clotted, dull or glossy."""
    darkness = float(rng.beta(1.3, 1.5))
    red = 0.42 * (1 - darkness) + 0.05 * darkness
    return Optics(
        (0.25 + 0.9 * darkness, 2.4 + 1.2 * float(rng.random()), 2.2 + 1.2 * float(rng.random())),
        (
            red * float(rng.uniform(0.8, 1.2)),
            red * float(rng.uniform(0.01, 0.09)),
            red * float(rng.uniform(0.01, 0.11)),
        ),
        float(rng.uniform(0.7, 1.6)),
        float(rng.choice([0.0, rng.uniform(0.05, 0.8)])),
        float(rng.uniform(60, 400)),
    )


def illumination(rgb: RgbArray) -> Field:
    """Estimate the light that falls on a scene: the upper envelope of luminance, smoothed."""
    small = cv2.resize(rgb.max(axis=-1), (32, 32), interpolation=cv2.INTER_AREA)
    bright = cv2.dilate(_to_linear(small), np.ones((3, 3), np.uint8))
    # Estimated on 32 × 32 pixels: light falls smoothly, what is small is the tissue's own color.
    smooth = cv2.GaussianBlur(bright, (0, 0), 2.2)
    size = (rgb.shape[1], rgb.shape[0])
    return np.asarray(cv2.resize(smooth, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _to_linear(levels: NDArray[np.uint8]) -> Field:
    """Return light of 0..1; gamma 2 instead of 2.2 costs a product, not a power."""
    scaled = levels.astype(np.float32) * np.float32(1 / 255)
    return scaled * scaled


def render(
    rgb: RgbArray, thickness: Field, optics: Optics, light: Field, rng: np.random.Generator
) -> RgbArray:
    """Lay blood of (H, W) `thickness` over a picture."""
    depth = thickness[..., None]
    # Light is added, levels are not: what shines through and what blood itself sends back are
    # summed as light and turned into levels at the end.
    through = _to_linear(rgb) * np.exp(-np.asarray(optics.absorption, np.float32) * depth)
    own = np.asarray(optics.backscatter, np.float32) * (1 - np.exp(-optics.scattering * depth))
    result = (
        through
        + own * light[..., None]
        + _gloss(thickness, optics, rng)[..., None] * light[..., None]
    )
    return np.asarray(np.sqrt(np.clip(result, 0, 1)) * 255, np.uint8)


def _gloss(thickness: Field, optics: Optics, rng: np.random.Generator) -> Field:
    """Highlights where the liquid's surface leans toward the lamp (Blinn–Phong)."""
    if optics.gloss == 0:
        return np.zeros_like(thickness)
    side = thickness.shape[0]
    waves = fractal_noise(side, rng, first=int(rng.integers(5, 30)), octaves=2)
    height = np.minimum(thickness, 1.5) * side / 20 + waves * rng.uniform(1, 5)
    dx = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3) / 8
    dy = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3) / 8
    lean = rng.normal(0, 0.5, 2)
    facing = (1 - lean[0] * dx - lean[1] * dy) / np.sqrt(
        (1 + dx**2 + dy**2) * (1 + float(lean @ lean))
    )
    cover = np.clip(thickness * 2 - 0.4, 0, 1)
    return np.asarray(
        optics.gloss * np.clip(facing, 0, 1) ** optics.gloss_exponent * cover, np.float32
    )


def fractal_noise(
    side_px: int, rng: np.random.Generator, first: int = 3, octaves: int = 4
) -> Field:
    """Return (side_px, side_px) noise with mean 0 and unit deviation, coarse to fine."""
    total = np.zeros((side_px, side_px), np.float32)
    for octave in range(octaves):
        cells = min(side_px, first * 2**octave + 2)
        grid = rng.normal(size=(cells, cells)).astype(np.float32)
        total += cv2.resize(grid, (side_px, side_px), interpolation=cv2.INTER_CUBIC) * 0.55**octave
    return np.asarray((total - total.mean()) / max(float(total.std()), 1e-6), np.float32)


def _blob(side: int, rng: np.random.Generator, radius: float, rough: float) -> Field:
    """Return a field that is 0 on the outline of a lumpy blob and grows inward (in radii)."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    middle = rng.uniform(0.05, 0.95, 2) * side
    stretch, angle = float(np.exp(rng.uniform(-0.7, 0.7))), float(rng.uniform(0, np.pi))
    u = (x - middle[0]) * np.cos(angle) + (y - middle[1]) * np.sin(angle)
    v = -(x - middle[0]) * np.sin(angle) + (y - middle[1]) * np.cos(angle)
    distance = np.sqrt((u * stretch) ** 2 + (v / stretch) ** 2) / (radius * side)
    return np.asarray(1 - distance + rough * fractal_noise(side, rng, first=4), np.float32)


def pool(side: int, rng: np.random.Generator) -> Field:
    """Fill a hollow: deep blood with a smooth surface and a crisp edge."""
    inside = _blob(side, rng, float(rng.uniform(0.08, 0.45)), float(rng.uniform(0.05, 0.3)))
    return np.asarray(np.clip(inside * rng.uniform(6, 25), 0, 1) * rng.uniform(1.2, 3), np.float32)


def film(side: int, rng: np.random.Generator) -> Field:
    """Spread a thin layer with holes, whose texture shines through in places."""
    region = _blob(side, rng, float(rng.uniform(0.15, 0.6)), 0.25)
    holes = fractal_noise(side, rng, first=int(rng.integers(4, 16))) + rng.uniform(-0.2, 1.2)
    thick = np.clip(region * 5, 0, 1) * np.clip(holes * rng.uniform(0.6, 2), 0, 1)
    return np.asarray(thick * rng.uniform(0.7, 1.4), np.float32)


def rivulet(side: int, rng: np.random.Generator) -> Field:
    """Draw threads that run down, wander and end in a drop."""
    canvas = np.zeros((side, side), np.float32)
    heading = float(rng.uniform(0, 2 * np.pi))
    for _ in range(int(rng.integers(1, 5))):
        place, angle = rng.uniform(0.05, 0.95, 2) * side, heading + float(rng.normal(0, 0.3))
        width = float(rng.uniform(0.012, 0.05)) * side
        for _ in range(int(rng.integers(8, 40))):
            angle += float(rng.normal(0, 0.25)) + 0.1 * float(np.sin(heading - angle))
            after = place + np.array([np.cos(angle), np.sin(angle)]) * side * 0.025
            start, end = tuple(int(v) for v in place), tuple(int(v) for v in after)
            line_px = max(1, round(width * float(np.exp(rng.normal(0, 0.25)))))
            cv2.line(canvas, start, end, 1.0, line_px, cv2.LINE_AA)
            place = after
        drop = (int(place[0]), int(place[1]))
        cv2.circle(canvas, drop, max(1, round(width * 0.9)), 1.0, -1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(canvas, (0, 0), max(0.6, side * 0.005))
    return np.asarray(soft * rng.uniform(0.9, 2.2), np.float32)


def clot(side: int, rng: np.random.Generator) -> Field:
    """Heap up a lumpy mass, thick and uneven."""
    inside = _blob(side, rng, float(rng.uniform(0.05, 0.22)), 0.3)
    lumps = 1.6 + 0.5 * fractal_noise(side, rng, first=int(rng.integers(10, 26)), octaves=3)
    return np.asarray(np.clip(inside * 15, 0, 1) * np.clip(lumps, 0.8, 4), np.float32)


def spurt(side: int, rng: np.random.Generator) -> Field:
    """Throw a jet from one point, breaking into drops, with spatter around it."""
    canvas = np.zeros((side, side), np.float32)
    source, angle = rng.uniform(0.2, 0.8, 2) * side, float(rng.uniform(0, 2 * np.pi))
    reach, fall = float(rng.uniform(0.2, 0.6)) * side, float(rng.uniform(-0.4, 0.4)) * side
    for t in np.sort(rng.random(int(rng.integers(15, 60)))):
        place = source + np.array([np.cos(angle), np.sin(angle)]) * reach * t + [0, fall * t * t]
        place = place + rng.normal(0, 0.012 + 0.03 * t, 2) * side
        radius = max(1, round(float(rng.uniform(0.006, 0.022)) * side * (1.3 - t)))
        cv2.circle(canvas, (int(place[0]), int(place[1])), radius, 1.0, -1, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 12))):
        spot = rng.uniform(0, 1, 2) * side
        cv2.circle(canvas, (int(spot[0]), int(spot[1])), int(rng.integers(1, 3)), 1.0, -1)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.8) * rng.uniform(1, 2), np.float32)


def plume(side: int, rng: np.random.Generator) -> Field:
    """Let blood drift in irrigation: soft, without an edge."""
    noise = fractal_noise(side, rng, first=2, octaves=5)
    region = _blob(side, rng, float(rng.uniform(0.25, 0.9)), 0.3)
    soft = np.clip(region, 0, 1) * np.clip(noise * 0.5 + rng.uniform(0.2, 1.1), 0, 2)
    return np.asarray(cv2.GaussianBlur(soft, (0, 0), side * 0.02) * rng.uniform(0.8, 2), np.float32)


def flood(side: int, rng: np.random.Generator) -> Field:
    """Cover most of the view."""
    noise = fractal_noise(side, rng, first=2, octaves=4)
    return np.asarray(np.clip(noise + rng.uniform(0.6, 2.5), 0, 1.6), np.float32)


SHAPES: tuple[tuple[float, Callable[[int, np.random.Generator], Field]], ...] = (
    (0.22, pool),
    (0.16, film),
    (0.22, rivulet),
    (0.12, clot),
    (0.08, spurt),
    (0.14, plume),
    (0.06, flood),
)


_HIDDEN_THICKNESS = 0.45
_VISIBLE_THICKNESS = 0.12


def tool_mask(rgb: RgbArray) -> BoolArray:
    """Return where a frame is gray and smooth, as metal and plastic instruments are."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    gray = ((hsv[..., 1] < 60) & (hsv[..., 2] > 35)).astype(np.uint8)
    # Specks go first: closed before they are gone, they would grow together into a tool.
    opened = cv2.morphologyEx(gray, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    return np.asarray(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)) > 0)


def add_blood(
    rgb: RgbArray, label: LabelArray, rng: np.random.Generator
) -> tuple[RgbArray, LabelArray]:
    """Lay one to three patches of blood over a square picture and mark them in its label.

    Where the layer hides what lies beneath (thickness at least 0.45) it is BLOOD, where it
    barely shows (below 0.12) the label stays, between the two it is IGNORE. Instruments may lie
    above the blood, bubbles may lie on it; blood outside the field of view is not laid.
    """
    side = rgb.shape[0]
    picture, mask = rgb, label.copy()
    field = rgb.max(axis=-1) > 10
    weights = np.array([w for w, _ in SHAPES])
    keeps_tools = rng.random() < 0.7
    over = tool_mask(rgb) if keeps_tools else np.zeros(rgb.shape[:2], bool)
    # Of the picture as it came: a second patch is lit by the lamp, and measured anew the first one
    # would pass for shade.
    light = illumination(rgb)
    for _ in range(int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))):
        shape = SHAPES[int(rng.choice(len(SHAPES), p=weights / weights.sum()))][1]
        thickness = np.where(field & ~over, shape(side, rng), 0).astype(np.float32)
        picture = render(picture, thickness, random_optics(rng), light, rng)
        mask = _mark(mask, thickness)
    if rng.random() < 0.15:
        picture = _bubbles(picture, rng)
    return picture, mask


def _mark(label: LabelArray, thickness: Field) -> LabelArray:
    # Between barely seen and hiding, people disagree: training is told nothing of such pixels.
    unclear = (thickness >= _VISIBLE_THICKNESS) & (label != BLOOD)
    marked = np.where(unclear, IGNORE, label)
    return np.asarray(np.where(thickness >= _HIDDEN_THICKNESS, BLOOD, marked), np.uint8)


def _bubbles(rgb: RgbArray, rng: np.random.Generator) -> RgbArray:
    """Draw gas bubbles: a bright rim and a highlight; what is seen through them stays."""
    picture = rgb.copy()
    side = rgb.shape[0]
    for _ in range(int(rng.integers(1, 8))):
        center = tuple(int(v) for v in rng.integers(0, side, 2))
        radius = int(rng.integers(3, max(5, side // 12)))
        rim = np.zeros((side, side), np.float32)
        cv2.circle(rim, center, radius, 1.0, 1, cv2.LINE_AA)
        spot = (center[0] - radius // 3, center[1] - radius // 3)
        cv2.circle(rim, spot, max(1, radius // 5), 1.0, -1, cv2.LINE_AA)
        glow = rim[..., None] * rng.uniform(40, 140)
        picture = np.clip(picture + glow, 0, 255).astype(np.uint8)
    return picture


def add_red_decoys(rgb: RgbArray, rng: np.random.Generator) -> RgbArray:
    """Add red that is no blood: erythema, muscle, liver-like texture, RF glow, a vessel loop."""
    decoys = (_erythema, _muscle, _liver, _glow, _vessel_loop)
    picture = decoys[int(rng.integers(len(decoys)))](rgb, rng)
    # Decoys are tissue, and there is none outside of the field of view.
    outside = rgb.max(axis=-1) <= 10
    return np.where(outside[..., None], rgb, picture).astype(np.uint8)


def _region(side: int, rng: np.random.Generator, soft: float) -> NDArray[np.float32]:
    noise = fractal_noise(side, rng, first=2, octaves=3) + rng.uniform(-0.6, 1)
    return np.asarray(np.clip(noise * soft, 0, 1)[..., None], np.float32)


def _tinted(rgb: RgbArray, color: tuple[float, float, float], weight: Field) -> RgbArray:
    """Multiply: structure beneath stays visible, as it does in red tissue."""
    factor = 1 - weight * (1 - np.asarray(color, np.float32))
    return np.asarray(np.clip(rgb.astype(np.float32) * factor, 0, 255), np.uint8)


def _erythema(rgb: RgbArray, rng: np.random.Generator) -> RgbArray:
    green = float(rng.uniform(0.35, 0.75))
    color = (float(rng.uniform(0.85, 1.1)), green, green * float(rng.uniform(0.85, 1.15)))
    return _tinted(rgb, color, _region(rgb.shape[0], rng, 1.0))


def _muscle(rgb: RgbArray, rng: np.random.Generator) -> RgbArray:
    side = rgb.shape[0]
    y, x = np.mgrid[:side, :side].astype(np.float32)
    angle, period = float(rng.uniform(0, np.pi)), float(rng.uniform(3, 9))
    phase = (x * np.cos(angle) + y * np.sin(angle)) / period + fractal_noise(side, rng)
    fibers = 0.5 + 0.5 * np.sin(2 * np.pi * phase)
    base = np.array([150, 52, 48], np.float32) * float(rng.uniform(0.6, 1.3))
    shade = rgb.astype(np.float32).mean(axis=-1, keepdims=True) / 110
    tissue = base * (0.65 + 0.35 * fibers[..., None]) * np.clip(shade, 0.3, 1.8)
    weight = _region(side, rng, 2.0) * 0.9
    return np.asarray(np.clip(rgb * (1 - weight) + tissue * weight, 0, 255), np.uint8)


def _liver(rgb: RgbArray, rng: np.random.Generator) -> RgbArray:
    side = rgb.shape[0]
    grain = fractal_noise(side, rng, first=side // 6, octaves=2)[..., None]
    base = np.array([112, 40, 34], np.float32) * float(rng.uniform(0.6, 1.5))
    shade = cv2.GaussianBlur(rgb.astype(np.float32).mean(axis=-1), (0, 0), side / 30)[..., None]
    tissue = base * (1 + 0.08 * grain) * np.clip(shade / 90, 0.3, 1.8)
    weight = _region(side, rng, 6.0)
    return np.asarray(np.clip(rgb * (1 - weight) + tissue * weight, 0, 255), np.uint8)


def _glow(rgb: RgbArray, rng: np.random.Generator) -> RgbArray:
    side = rgb.shape[0]
    y, x = np.mgrid[:side, :side].astype(np.float32)
    center, size = rng.uniform(0.1, 0.9, 2) * side, float(rng.uniform(0.03, 0.25)) * side
    spread = np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / (2 * size**2))
    color = np.array([255, rng.uniform(60, 180), rng.uniform(20, 140)], np.float32)
    glow = spread[..., None] * color * float(rng.uniform(0.3, 1))
    return np.asarray(np.clip(rgb + glow, 0, 255), np.uint8)


def _vessel_loop(rgb: RgbArray, rng: np.random.Generator) -> RgbArray:
    side = rgb.shape[0]
    t = np.linspace(0, 1, 24)[:, None]
    knots = rng.uniform(-0.1, 1.1, (4, 2)) * side
    # A cubic Bézier curve: from the first knot to the last, drawn toward the two between.
    curve = (
        (1 - t) ** 3 * knots[0]
        + 3 * (1 - t) ** 2 * t * knots[1]
        + 3 * (1 - t) * t**2 * knots[2]
        + t**3 * knots[3]
    )
    points = np.round(curve).astype(np.int32).reshape(-1, 1, 2)
    width = int(rng.integers(3, max(5, side // 24)))
    picture = rgb.copy()
    color = (int(rng.integers(170, 250)), int(rng.integers(20, 60)), int(rng.integers(20, 70)))
    cv2.polylines(picture, [points], False, color, width, cv2.LINE_AA)
    light = tuple(min(255, c + 90) for c in color)
    cv2.polylines(picture, [points - 1], False, light, max(1, width // 4), cv2.LINE_AA)
    return picture
