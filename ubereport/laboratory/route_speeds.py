"""How fast the shipped bundle runs here by every route, measured on simulated stills."""

from __future__ import annotations

import numpy as np

from ubereport.core.config import Route, SegmentationConfig
from ubereport.core.errors import DependencyError
from ubereport.laboratory.simulation.simulated_stills import simulate_stills
from ubereport.segmentation.bundle import find_bundle, load_bundle
from ubereport.segmentation.measure import RouteSpeed, measure_routes

N_STILLS = 12
SEED = 50


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
