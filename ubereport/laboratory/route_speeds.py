"""How fast a bundle runs here by every route, and how far its areas move, on simulated stills."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.config import Device, Route, SegmentationConfig
from ubereport.core.errors import DependencyError
from ubereport.laboratory.simulation.simulated_stills import simulate_stills
from ubereport.segmentation.bundle import Bundle, find_bundle, load_bundle
from ubereport.segmentation.openvino import is_openvino_present
from ubereport.segmentation.predictor import Predictor, open_predictor

N_STILLS = 12
SEED = 50
MAX_AREA_DEVIATION_FRAC = 0.002
"""A route is usable if no picture's area differs by more from fp32 in torch."""

_N_TIMED = 16
_REPETITIONS = 2


@dataclass(frozen=True, slots=True)
class RouteSpeed:
    """One way of running a network.

    `area_deviation_max_frac` and `area_deviation_mean_frac` compare the areas at all three
    thresholds with those of fp32 in torch.
    """

    route: Route
    device: str
    precision: str
    pictures_per_s: float
    area_deviation_max_frac: float
    area_deviation_mean_frac: float

    @property
    def title(self) -> str:
        """Library, device and precision, as the record names them."""
        return f"{self.route}, {self.device}, {self.precision}"

    @property
    def is_usable(self) -> bool:
        """Whether areas stay what they are."""
        return self.area_deviation_max_frac <= MAX_AREA_DEVIATION_FRAC


def measure_routes(
    bundle: Bundle, rgb: RgbArray, field_mask: BoolArray, n_threads: int = 0
) -> tuple[RouteSpeed, ...]:
    """Run every way that there is on the processor over the same pictures.

    Parameters
    ----------
    bundle
        A bundle of kind "network".
    rgb
        (n, H, W, 3) uint8 pictures of the model's size, n >= 1; some with blood.
    field_mask
        (H, W) bool.
    n_threads
        Processor threads; 0 takes all.

    Returns
    -------
    tuple of RouteSpeed
        fp32 in torch first; a way that this processor gains nothing from is left out.
    """
    has_openvino = bundle.metadata.graph is not None and is_openvino_present()
    routes = [Route.TORCH, *([Route.OPENVINO] if has_openvino else [])]
    speeds: dict[tuple[Route, str], RouteSpeed] = {}
    exact = None
    for route in routes:
        for is_low in (False, True):
            config = SegmentationConfig(
                device=Device.CPU,
                route=route,
                is_low_precision_allowed=is_low,
                n_threads=n_threads,
            )
            predictor = open_predictor(bundle, config)
            if (route, predictor.precision) in speeds:
                continue
            areas = predictor.areas(rgb, field_mask)[:, :3]
            exact = areas if exact is None else exact
            apart = np.abs(areas - exact)
            speeds[route, predictor.precision] = RouteSpeed(
                route=route,
                device=predictor.device,
                precision=predictor.precision,
                pictures_per_s=_pictures_per_s(predictor, rgb, field_mask),
                area_deviation_max_frac=float(apart.max()),
                area_deviation_mean_frac=float(apart.mean()),
            )
    return tuple(speeds.values())


def _pictures_per_s(predictor: Predictor, rgb: RgbArray, field_mask: BoolArray) -> float:
    timed = rgb[:_N_TIMED]
    # The shortest of a few: whatever else runs here can only slow a run down.
    best_s = float("inf")
    for _ in range(_REPETITIONS):
        started = time.perf_counter()
        predictor.areas(timed, field_mask)
        best_s = min(best_s, time.perf_counter() - started)
    return len(timed) / best_s


def measure_shipped() -> tuple[RouteSpeed, ...]:
    """Measure the default bundle on stills whose blood, outlines and sites differ.

    Raises
    ------
    UbereportError
        If the bundle cannot be run.
    """
    bundle = load_bundle(find_bundle(SegmentationConfig().model))
    height_px, width_px = bundle.metadata.input_height_px, bundle.metadata.input_width_px
    # Simulated pictures, since an installation has no others; noise would not do, as areas are
    # compared and not speeds alone.
    rgb = np.stack([still[0] for still in simulate_stills(SEED, N_STILLS, height_px, width_px)])
    return measure_routes(bundle, rgb, np.ones((height_px, width_px), dtype=bool))


def recommended(speeds: tuple[RouteSpeed, ...]) -> RouteSpeed:
    """Return the fastest usable way.

    Raises
    ------
    DependencyError
        If none is usable, which fp32 in torch always is.
    """
    usable = [speed for speed in speeds if speed.is_usable]
    if not usable:
        raise DependencyError("No route gives the areas of fp32 in torch; install torch again.")
    return max(usable, key=lambda speed: speed.pictures_per_s)


def taken_by_auto(speeds: tuple[RouteSpeed, ...]) -> RouteSpeed:
    """Return what ``segmentation.route = auto`` takes on the processor.

    OpenVINO where it was measured, in the lowest precision that was: `measure_routes` lists the
    exact way of a route before the other.
    """
    by_route = {speed.route: speed for speed in speeds}
    return by_route.get(Route.OPENVINO, by_route[Route.TORCH])
