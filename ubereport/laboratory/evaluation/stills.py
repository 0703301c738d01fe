"""A model on stills with reference masks: overlap, false alarms, area, presence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import cv2
import numpy as np

from ubereport.core.arrays import BoolArray, FloatArray, RgbArray
from ubereport.laboratory.evaluation.agreement import majority, pairwise_dice, staple
from ubereport.laboratory.evaluation.annotators import annotator_agreement
from ubereport.laboratory.evaluation.config import Consensus, StillsConfig
from ubereport.laboratory.evaluation.load import LoadedStill, ReferenceStill, StillSet, read_still
from ubereport.laboratory.evaluation.overlap import dice, iou, surface_agreement
from ubereport.laboratory.evaluation.reliability import bin_sums, reliability
from ubereport.laboratory.evaluation.results import StillScore, StillsEvaluation
from ubereport.laboratory.evaluation.summary import summarize
from ubereport.segmentation.pictures import ProbabilityArray
from ubereport.segmentation.predictor import Predictor

_PRESENCE_FRAC = 0.001


def with_presence_rule(
    config: StillsConfig, central: float, calibrated: Mapping[str, float]
) -> StillsConfig:
    """Return `config` with a whole presence rule.

    What it leaves open comes from `calibrated`, the operating characteristics of the bundle, and
    what they leave open is 0.1 % of the pixels at the threshold `central`.
    """
    share = calibrated.get("presence_area_frac", _PRESENCE_FRAC)
    probability = calibrated.get("presence_probability", central)
    return dataclasses.replace(
        config,
        presence_frac=share if config.presence_frac is None else config.presence_frac,
        presence_probability=probability
        if config.presence_probability is None
        else config.presence_probability,
    )


def evaluate_stills(
    stills: StillSet,
    predictor: Predictor,
    model: str,
    config: StillsConfig,
    on_still: Callable[[int, int], None] | None = None,
) -> StillsEvaluation:
    """Score a model on every still of a set.

    Parameters
    ----------
    stills
        From `load_stills`.
    predictor
        The model, ready to predict.
    model
        Its name and version, as the evaluation shall state it.
    config
        How to count; `with_presence_rule` gives it the bundle's presence rule.
    on_still
        Called with stills done and stills in all.

    Raises
    ------
    AnnotationError
        If a file was changed since the set was loaded.
    PredictionError
        If the model's answer cannot be trusted.
    """
    scores: list[StillScore] = []
    central = predictor.thresholds[1]
    config = with_presence_rule(config, central, {})
    sums: dict[str, FloatArray] = {}
    for still, loaded, probability in predict_stills(stills.stills, predictor, config.batch_size):
        scores.append(score_still(still, loaded, probability, central, config))
        # Sums by group are enough for reliability and its intervals; maps of all stills would fill
        # the memory.
        own = bin_sums(probability, *reference_of(loaded, config.consensus))
        sums[still.group] = sums.get(still.group, 0.0) + own
        if on_still is not None:
            on_still(len(scores), len(stills.stills))
    agreement = annotator_agreement(stills, scores, config) if len(stills.annotators) > 1 else None
    return summarize(scores, model, stills.grouping, reliability(sums), agreement, config)


def predict_stills(
    stills: Sequence[ReferenceStill], predictor: Predictor, batch_size: int
) -> Iterator[tuple[ReferenceStill, LoadedStill, ProbabilityArray]]:
    """Yield each still with the model's (H, W) probability map at the still's own size.

    The whole picture is stretched to the model's input, and the map is stretched back.
    """
    size = (predictor.input_width_px, predictor.input_height_px)
    for start in range(0, len(stills), batch_size):
        batch = stills[start : start + batch_size]
        loaded = [read_still(still) for still in batch]
        rgb = np.stack([_stretched(one.rgb, size) for one in loaded])
        maps = predictor.probabilities(rgb)
        for still, one, probability in zip(batch, loaded, maps, strict=True):
            height, width = one.is_decided.shape
            # Probabilities are enlarged and thresholded at the still's size, where people drew:
            # masks enlarged afterwards would have steps for outlines.
            wide = cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)
            yield still, one, np.asarray(wide, dtype=np.float32)


def reference_of(loaded: LoadedStill, consensus: Consensus) -> tuple[BoolArray, BoolArray]:
    """Return the (H, W) reference of a still, undecided pixels unset, and the decided pixels."""
    if len(loaded.masks) == 1:
        return loaded.masks[0] & loaded.is_decided, loaded.is_decided
    if consensus is Consensus.STAPLE:
        blood = staple(loaded.masks, loaded.is_decided).probability >= 0.5
        return blood & loaded.is_decided, loaded.is_decided
    # Half against half is no majority for either answer: such pixels are counted for nobody.
    blood, is_settled = majority(loaded.masks)
    is_decided = loaded.is_decided & is_settled
    return blood & is_decided, is_decided


def score_still(
    still: ReferenceStill,
    loaded: LoadedStill,
    probability: ProbabilityArray,
    threshold: float,
    config: StillsConfig,
) -> StillScore:
    """Score an (H, W) probability map against the reference of a still.

    Pixels at or above `threshold` are called blood; `config` holds a whole presence rule.
    """
    reference, is_decided = reference_of(loaded, config.consensus)
    called = (probability >= threshold) & is_decided
    n = max(1, int(is_decided.sum()))
    is_positive = bool(reference.any())
    diagonal_px = float(np.hypot(*is_decided.shape))
    overlap, surface = dice(reference, called), None
    if is_positive:
        tolerance_px = config.surface_tolerance_frac * diagonal_px
        surface = surface_agreement(reference, called, is_decided, tolerance_px)
    distance_px = None if surface is None else surface.mean_distance_px
    # Masks that fill the picture have no outline in it: their overlap takes its place.
    surface_dice = overlap if surface is None else surface.dice
    return StillScore(
        name=still.name,
        group=still.group,
        n_annotators=len(loaded.masks),
        agreement=_agreement(loaded),
        true_frac=float(reference.sum()) / n,
        predicted_frac=float(called.sum()) / n,
        is_positive=is_positive,
        is_called=_is_present(probability[is_decided], config),
        dice=overlap if is_positive else None,
        iou=iou(reference, called) if is_positive else None,
        surface_dice=surface_dice if is_positive else None,
        surface_distance_frac=None if distance_px is None else distance_px / diagonal_px,
    )


def _is_present(decided: ProbabilityArray, config: StillsConfig) -> bool:
    if config.presence_frac is None or config.presence_probability is None:
        raise ValueError("the presence rule is not whole; see with_presence_rule")
    n_sure = int(np.count_nonzero(decided >= config.presence_probability))
    return n_sure > 0 and n_sure / max(1, decided.size) >= config.presence_frac


def _agreement(loaded: LoadedStill) -> float | None:
    if len(loaded.masks) < 2:
        return None
    pairs = pairwise_dice(loaded.masks, loaded.is_decided)
    return float(np.mean(list(pairs.values()))) if pairs else None


def _stretched(rgb: RgbArray, size: tuple[int, int]) -> RgbArray:
    shrinks = size[0] < rgb.shape[1] or size[1] < rgb.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, size, interpolation=how), dtype=np.uint8)
