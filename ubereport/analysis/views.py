"""The field of view of every part, and of every stretch of it where the view was changed."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

from ubereport.analysis.opened_case import OpenedCase
from ubereport.analysis.view.view_changes import FieldStretch, fit_view_stretches
from ubereport.core.arrays import FloatArray, RgbArray
from ubereport.core.case import Flag, FlagLevel
from ubereport.core.config import DecodeConfig, ViewConfig
from ubereport.core.errors import DecodeError
from ubereport.core.frames import FieldOfView
from ubereport.core.progress import Progress, ProgressHook, Stage
from ubereport.core.recording import PartIndex, PlacedPart
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.distribution import distance
from ubereport.video.decode import decode_stills
from ubereport.video.picture_scaling import display_size, to_model_size
from ubereport.video.plan import probe_frames
from ubereport.video.pool import DecoderPool
from ubereport.video.reader import upright_size

# Probes are small: the outline is found on a map of 288 px, and colors need no detail. One every
# half minute, so that a change of the view is noticed, and 240 at most however long a part is.
PROBE_WIDTH_PX = 480
PROBE_SPACING_S = 30.0
MAX_PROBES = 240
MIN_PROBE_LEVEL = 24.0


@dataclass(frozen=True, slots=True, eq=False)
class CaseViews:
    """Stretches that cover every part in time order.

    `population_distance` tells how far the recording lies from the bundle's training population;
    None where the bundle does not describe it.
    """

    stretches: tuple[FieldStretch, ...]
    population_distance: float | None

    @property
    def changes_s(self) -> tuple[float, ...]:
        """Case times at which the view changed inside a part."""
        return tuple(
            after.interval.start_s
            for before, after in itertools.pairwise(self.stretches)
            if before.part_index == after.part_index
        )


def fit_views(opened: OpenedCase, on_progress: ProgressHook) -> CaseViews:
    """Look at keyframes spread over every part and fit fields of view to them.

    Raises
    ------
    DecodeError
        If a part gives no picture at all.
    """
    started = time.perf_counter()
    end_s, model = opened.timeline.end_s, opened.bundle.metadata
    stretches: list[FieldStretch] = []
    distances: list[float] = []
    for placed in opened.timeline.parts:
        elapsed_s = time.perf_counter() - started
        on_progress(Progress(Stage.VIEW, placed.start_s, end_s, 0, elapsed_s))
        part, view = opened.index.parts[placed.part_index], opened.config.view
        time_s, probes = probe_part(part, placed, view, opened.running.decode, opened.decoders)
        width_px, height_px = upright_size(part.video)
        model_px = (model.input_height_px, model.input_width_px)
        for stretch in fit_view_stretches(
            placed, time_s, probes, (height_px, width_px), model_px, view
        ):
            stretches.append(stretch)
            inside = (time_s >= stretch.interval.start_s) & (time_s < stretch.interval.end_s)
            # Each stretch on its own, and the farthest counts: a second scope with other colors
            # must not be averaged away by the first.
            distances.extend(_distance(opened.bundle, probes[inside], stretch.field))
    on_progress(Progress(Stage.VIEW, end_s, end_s, 0, time.perf_counter() - started))
    return CaseViews(tuple(stretches), max(distances, default=None))


def distribution_flag(bundle: Bundle, views: CaseViews) -> tuple[Flag, ...]:
    """Flag a recording that lies outside of the bundle's training population."""
    reference = bundle.metadata.color_reference
    if reference is None or views.population_distance is None:
        return ()
    if views.population_distance <= reference.threshold:
        return ()
    return (
        Flag(
            "out_of_distribution",
            FlagLevel.CAUTION,
            "In color or contrast this recording is unlike everything that the model was trained "
            f"on (distance {views.population_distance:.2f}, usual up to "
            f"{reference.threshold:.2f}); look at the overlays before believing the numbers.",
        ),
    )


def _distance(bundle: Bundle, probes: RgbArray, field: FieldOfView) -> list[float]:
    """Return the distance of a stretch's usable probes, cropped as the model sees them."""
    reference = bundle.metadata.color_reference
    # Black pictures have no colors to compare and would look far from every population.
    bright = probes[probes.max(axis=3).mean(axis=(1, 2)) >= MIN_PROBE_LEVEL]
    if reference is None or len(bright) == 0:
        return []
    scale_x = bright.shape[2] / field.source_width_px
    scale_y = bright.shape[1] / field.source_height_px
    crop = field.crop
    top, bottom = round(crop.top_px * scale_y), round(crop.bottom_px * scale_y)
    left, right = round(crop.left_px * scale_x), round(crop.right_px * scale_x)
    height_px, width_px = field.mask.shape
    crops = to_model_size(bright[:, top:bottom, left:right], height_px, width_px)
    return [distance(reference, crops, field.mask)]


def probe_part(
    part: PartIndex,
    placed: PlacedPart,
    config: ViewConfig,
    decode: DecodeConfig,
    decoders: DecoderPool | None = None,
) -> tuple[FloatArray, RgbArray]:
    """Return case times and whole pictures of keyframes spread over a part.

    Raises
    ------
    DecodeError
        If the part gives no picture at all.
    """
    n_wanted = int(part.duration_s / PROBE_SPACING_S)
    n = min(MAX_PROBES, max(config.n_probe_frames, n_wanted))
    width_px, height_px = upright_size(part.video)
    probe_height_px, probe_width_px = display_size(width_px, height_px, PROBE_WIDTH_PX)
    batch = decode_stills(
        part,
        probe_frames(part, n),
        decode,
        height_px=probe_height_px,
        width_px=probe_width_px,
        part_index=placed.part_index,
        start_s=placed.start_s,
        pool=decoders,
    )
    usable = batch.is_decoded
    if not usable.any():
        raise DecodeError(
            f"Part {placed.part_index + 1} of the case gives no picture: it is indexed, but none "
            "of its keyframes decodes. Export it again from the recorder."
        )
    return batch.time_s[usable], batch.rgb[usable]
