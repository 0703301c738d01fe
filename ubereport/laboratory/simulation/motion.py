"""Camera motion: slow wandering over a site, breathing, pulsation, as a function of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ubereport.laboratory.simulation.scenario import Visit
from ubereport.laboratory.simulation.site import SITE_REACH

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
        self._room = max(0.0, SITE_REACH - reach / 0.97 - _MARGIN)
        spread = min(0.30, self._room * 0.6)
        self._x = np.clip(rng.normal(0, spread * 0.5, n), -spread, spread)
        self._y = np.clip(rng.normal(0, spread * 0.5, n), -spread, spread)
        self._roll = rng.normal(0, 0.07, n)
        self._zoom = 1.0 + np.clip(rng.normal(0.07, 0.06, n), -0.02, 0.25)
        self._phase = rng.uniform(0, 2 * np.pi, 6)

    def pose(self, time_s: float) -> Pose:
        """Return where the camera looks at `time_s`."""
        since_s = max(0.0, time_s - self._start_s)
        at = since_s / _DWELL_S
        row = min(int(at), len(self._x) - 2)
        t = min(max((at - row - 0.55) / 0.45, 0.0), 1.0)
        t = t * t * (3 - 2 * t)
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
