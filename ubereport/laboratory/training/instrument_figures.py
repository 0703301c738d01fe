"""What a branch that marks instruments errs on operations that it has never seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import torch
from torch import nn

from ubereport.core.arrays import BoolArray, FloatArray
from ubereport.laboratory.picture_files import read_rgb
from ubereport.laboratory.training.labelled_stills import (
    BLOOD,
    IGNORE,
    LabelArray,
    StillCache,
    read_label,
    squared,
)
from ubereport.segmentation.metadata import BundleMetadata
from ubereport.segmentation.network import normalized
from ubereport.segmentation.pictures import MIN_TISSUE_FRAC, shown_blood
from ubereport.statistics.group_bootstrap import Resampler

_COLUMNS = (
    *("iou", "dice", "painted_clean_frac", "share_error_frac"),
    *("tissue_error_frac", "tissue_whole_error_frac", "field_whole_error_frac"),
)
_STATISTICS: dict[str, tuple[str, Callable[[FloatArray], float]]] = {
    "iou_median": ("iou", lambda v: float(np.median(v))),
    "iou_mean": ("iou", lambda v: float(np.mean(v))),
    "dice_median": ("dice", lambda v: float(np.median(v))),
    "dice_mean": ("dice", lambda v: float(np.mean(v))),
    "painted_clean_frac": ("painted_clean_frac", lambda v: float(np.mean(v))),
    "share_mae_frac": ("share_error_frac", lambda v: float(np.mean(np.abs(v)))),
    "share_bias_frac": ("share_error_frac", lambda v: float(np.mean(v))),
    "tissue_area_mae_frac": ("tissue_error_frac", lambda v: float(np.mean(np.abs(v)))),
    "tissue_area_bias_frac": ("tissue_error_frac", lambda v: float(np.mean(v))),
    "tissue_area_p95_frac": ("tissue_error_frac", lambda v: float(np.quantile(np.abs(v), 0.95))),
    "tissue_area_whole_mae_frac": ("tissue_whole_error_frac", lambda v: float(np.mean(np.abs(v)))),
    "field_area_whole_mae_frac": ("field_whole_error_frac", lambda v: float(np.mean(np.abs(v)))),
}


def branch_figures(
    network: nn.Module, metadata: BundleMetadata, threshold: float, cache: StillCache
) -> tuple[tuple[str, float], ...]:
    """Measure both outputs on held-out stills; ends of 95 % intervals resample operations.

    Parameters
    ----------
    network
        With both outputs, in evaluation mode.
    metadata
        Of the bundle: how pictures are given, and from which probability on a pixel is blood.
    threshold
        From which probability on a pixel shows an instrument.
    cache
        Stills with their masks of instruments.

    Returns
    -------
    Names and values: overlap on stills with instruments; the share painted on those without; the
    error of the marked share; the error of the area over tissue that instruments alone cause (the
    same blood, marked against drawn instruments), and the whole error of the areas over tissue and
    of the field against drawn blood, undecided pixels left out.
    """
    rows = np.array(list(_rows(network, metadata, threshold, cache)), dtype=np.float64)
    columns = dict(zip(_COLUMNS, rows.T, strict=True))
    groups = [still.group for still in cache.stills]
    resampler = Resampler(groups, n_resamples=1000, seed=0, confidence=0.95)
    figures: list[tuple[str, float]] = [
        ("n_with_instruments", float(np.count_nonzero(~np.isnan(columns["iou"])))),
        ("n_without", float(np.count_nonzero(~np.isnan(columns["painted_clean_frac"])))),
        ("n_operations", float(len(set(groups)))),
    ]
    for name, (column, statistic) in _STATISTICS.items():
        estimate = resampler.over_rows(columns[column], statistic)
        ends = (
            (name, estimate.value),
            (f"{name}_low", estimate.low),
            (f"{name}_high", estimate.high),
        )
        figures += [(key, float(f"{value:.4g}")) for key, value in ends if value is not None]
    return tuple(figures)


def _rows(
    network: nn.Module, metadata: BundleMetadata, threshold: float, cache: StillCache
) -> Iterator[tuple[float, ...]]:
    side_px = metadata.input_height_px
    for still, mask in zip(cache.stills, cache.label, strict=True):
        picture = read_rgb(still.image_path)
        planes = torch.from_numpy(squared(picture, side_px)).permute(2, 0, 1)[None].float()
        with torch.inference_mode():
            answers = network(normalized(planes, metadata))
            probability, instruments = [torch.sigmoid(answer)[:, 0].numpy() for answer in answers]
        drawn = cv2.resize(mask, (side_px, side_px), interpolation=cv2.INTER_NEAREST) > 0
        label = cv2.resize(
            read_label(still, *picture.shape[:2]), (side_px, side_px),
            interpolation=cv2.INTER_NEAREST,
        )  # fmt: skip
        blood = shown_blood(probability, metadata.presence)[0] >= metadata.thresholds[1]
        yield _row(blood, instruments[0] >= threshold, drawn, np.asarray(label, np.uint8))


def _row(
    blood: BoolArray, marked: BoolArray, drawn: BoolArray, label: LabelArray
) -> tuple[float, ...]:
    """Return the `_COLUMNS` of a still; NaN where one says nothing of it."""
    has_any = bool(drawn.any())
    both, either = np.count_nonzero(marked & drawn), np.count_nonzero(marked | drawn)
    decided = label != IGNORE
    return (
        both / either if has_any else np.nan,
        2 * both / (both + either) if has_any else np.nan,
        np.nan if has_any else float(marked.mean()),
        float(marked.mean() - drawn.mean()),
        _share(blood, ~marked) - _share(blood, ~drawn),
        _share(blood, ~marked & decided) - _share(label == BLOOD, ~drawn & decided),
        _share(blood, decided) - _share(label == BLOOD, decided),
    )


def _share(blood: BoolArray, place: BoolArray) -> float:
    """Return the share of `place` that is blood; NaN where too little of the picture is left."""
    if place.mean() < MIN_TISSUE_FRAC:
        return float("nan")
    return float(blood[place].mean())
