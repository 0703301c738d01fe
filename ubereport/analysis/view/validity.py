"""Decide for each sample whether it shows the operation, and if not, why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ubereport.analysis.view.scores import LastPicture, SampleScores, score_samples
from ubereport.core.arrays import BoolArray, FloatArray
from ubereport.core.config import ValidityConfig
from ubereport.core.frames import FieldOfView, FrameBatch
from ubereport.core.series import LossReason

# Color bars: cyan, green and blue are three of seven.
_BAR_FOREIGN_FRAC = 0.25
# Lettering on black has steps of this many levels a pixel over a hundredth of the field.
_LETTERING_LEVEL = 15.0
# A colorless view with more red than this may be the operation.
_MAX_RED_FRAC = 0.05
# What a picture shows on its own that standing still explains better.
_MAY_BE_FROZEN = (LossReason.NONE, LossReason.OUT_OF_BODY, LossReason.BLURRED)
_ROUNDING_S = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class ViewMemory:
    """What one batch leaves for the next: the last readable picture."""

    last: LastPicture | None = None

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the memory as named arrays, for a checkpoint."""
        if self.last is None:
            return {}
        return {
            "last_gray": self.last.gray,
            "last_time_s": np.array([self.last.time_s], dtype=np.float64),
            "last_part_index": np.array([self.last.part_index], dtype=np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> ViewMemory:
        """Return the memory that `to_arrays` wrote."""
        if "last_gray" not in arrays:
            return cls()
        last = LastPicture(
            np.asarray(arrays["last_gray"], dtype=np.uint8),
            float(arrays["last_time_s"][0]),
            int(arrays["last_part_index"][0]),
        )
        return cls(last)


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What each sample of a batch shows on its own, and how it differs from the one before.

    Parameters
    ----------
    reason
        n `LossReason` but for frozen, which no picture shows on its own.
    moved_frac
        (n,) share of pixels that differ from the readable picture looked at before; NaN where
        there is none.
    moved_from_s
        (n,) time of that picture.
    """

    reason: tuple[LossReason, ...]
    moved_frac: FloatArray
    moved_from_s: FloatArray

    @property
    def is_usable(self) -> BoolArray:
        """(n,) whether each sample counts unless it is frozen."""
        return np.array([r is LossReason.NONE for r in self.reason], dtype=np.bool_)


def look_at(
    batch: FrameBatch, field: FieldOfView, config: ValidityConfig, memory: ViewMemory
) -> tuple[Look, ViewMemory]:
    """Judge a batch of cropped samples of one part, leaving freezes to `settle_frozen`.

    Whether a picture stands still can only be told when all its neighbors have been looked at,
    and passes do not look in the order of time.

    Parameters
    ----------
    batch
        Samples in time order, cropped to the field, at the mask's size.
    field
        The field of view.
    config
        Thresholds.
    memory
        What the call before returned; `ViewMemory()` at the start.

    Raises
    ------
    ValueError
        If samples and mask differ in size.
    """
    scores, last = score_samples(batch, field, config, memory.last)
    reason = _decide_reasons(scores, config)
    return Look(reason, scores.moved_frac, scores.time_s - scores.since_s), ViewMemory(last)


def settle_frozen(
    time_s: FloatArray,
    reason: Sequence[LossReason],
    moved_frac: FloatArray,
    moved_from_s: FloatArray,
    config: ValidityConfig,
) -> tuple[LossReason, ...]:
    """Find the frozen samples among all that were looked at, whatever the order of looking.

    A sample stands still if it equals the readable sample before it; one that was compared with
    another picture than that one counts as moved. A freeze lasts at least `frozen_min_s` and
    begins with the second of its equal pictures (the first was still live).

    Parameters
    ----------
    time_s
        (n,) increasing times.
    reason, moved_frac, moved_from_s
        As in `Look`, in the same order.
    config
        Thresholds.
    """
    # Walk through the samples in time order and remember since when nothing has moved. A comparison
    # counts only with the readable sample just before; then every sample that has stood still for
    # long enough is frozen, and those that led up to it are marked afterwards.
    still_since_s = np.full(len(time_s), np.nan)
    before_s, since_s = np.nan, np.nan
    for row, name in enumerate(reason):
        # A damaged picture is neither still nor moved; the ones on either side of it are compared
        # with each other.
        if name is LossReason.CORRUPT:
            continue
        is_neighbor = abs(moved_from_s[row] - before_s) <= _ROUNDING_S
        if is_neighbor and moved_frac[row] <= config.frozen_moved_frac:
            since_s = before_s if np.isnan(since_s) else since_s
            still_since_s[row] = since_s
        else:
            since_s = np.nan
        before_s = time_s[row]
    has_stood = time_s - still_since_s >= config.frozen_min_s - _ROUNDING_S
    reasons = tuple(
        LossReason.FROZEN if stood and name in _MAY_BE_FROZEN else name
        for stood, name in zip(has_stood, reason, strict=True)
    )
    return _backdate_frozen(reasons, still_since_s)


def _decide_reasons(scores: SampleScores, config: ValidityConfig) -> tuple[LossReason, ...]:
    """Turn scores into reasons; the first that applies, in the order of certainty.

    Corrupt, no signal (lettering on black), black, white-out, no signal (slates), out of body,
    blurred. A view that is red nearly everywhere, or red and without structure, is bleeding:
    it is none of no signal, white-out, out of body and blurred.
    """
    is_red = _is_red_view(scores, config)
    is_black = scores.mean_level < config.black_mean_level
    rules: list[tuple[LossReason, BoolArray]] = [
        (LossReason.CORRUPT, ~scores.is_readable),
        (LossReason.NO_SIGNAL, is_black & (scores.detail_level >= _LETTERING_LEVEL)),
        (LossReason.BLACK, is_black),
        (LossReason.WHITE_OUT, (scores.white_frac >= config.white_out_frac) & ~is_red),
        (LossReason.NO_SIGNAL, _is_slate(scores, config) & ~is_red),
    ]
    if config.is_out_of_body_checked:
        rules.append((LossReason.OUT_OF_BODY, _is_out_of_body(scores, config) & ~is_red))
    rules.append((LossReason.BLURRED, _is_blurred(scores, config) & ~is_red))
    reason = [LossReason.NONE] * len(scores)
    # Written from the least certain to the most certain rule, each overwriting what came before:
    # the first that applies in the order of the list stands.
    for name, applies in reversed(rules):
        for row in np.flatnonzero(applies):
            reason[row] = name
    return tuple(reason)


def _backdate_frozen(
    reason: Sequence[LossReason], still_since_s: FloatArray
) -> tuple[LossReason, ...]:
    """Extend each freeze back to the second of its equal pictures (the first was still live)."""
    frozen = {
        float(since)
        for since, name in zip(still_since_s, reason, strict=True)
        if name is LossReason.FROZEN
    }
    return tuple(
        LossReason.FROZEN if name is LossReason.NONE and float(since) in frozen else name
        for since, name in zip(still_since_s, reason, strict=True)
    )


def _is_red_view(scores: SampleScores, config: ValidityConfig) -> BoolArray:
    """Tell views that are bleeding, not lost: nearly all red, or reddish without structure."""
    is_plain = (scores.coarse_contrast < config.plain_contrast) & (
        scores.median_red_ratio >= config.plain_red_ratio
    )
    return np.asarray((scores.red_frac >= config.red_view_frac) | is_plain)


def _is_slate(scores: SampleScores, config: ValidityConfig) -> BoolArray:
    """Tell pictures as flat as only generated ones are: of one color, or color bars."""
    is_flat = scores.flat_frac >= config.slate_flat_frac
    is_one_color = scores.mode_frac >= config.slate_mode_frac
    return np.asarray(is_flat & (is_one_color | (scores.foreign_frac >= _BAR_FOREIGN_FRAC)))


def _is_out_of_body(scores: SampleScores, config: ValidityConfig) -> BoolArray:
    """Apply a cautious color rule: much green or blue, or hardly any color at all and no red."""
    has_contrast = scores.coarse_contrast >= config.plain_contrast
    is_foreign = scores.foreign_frac >= config.foreign_color_frac
    return np.asarray(is_foreign | (_is_colorless(scores, config) & has_contrast))


def _is_colorless(scores: SampleScores, config: ValidityConfig) -> BoolArray:
    is_gray = scores.gray_frac + scores.foreign_frac >= config.colorless_frac
    return np.asarray(is_gray & (scores.red_frac <= _MAX_RED_FRAC))


def _is_blurred(scores: SampleScores, config: ValidityConfig) -> BoolArray:
    """Tell pictures without fine detail, fog without color or contrast, and veils of smoke.

    Smoke lifts the dark of the whole view and takes its structure, whatever glints through.
    """
    is_plain = scores.coarse_contrast < config.plain_contrast
    is_fog = (scores.gray_frac >= config.colorless_frac) & is_plain
    is_smooth = scores.sharpness < config.blur_score
    is_veiled = (scores.veil_level >= config.veil_level) & (
        scores.usual_gradient < config.veil_max_gradient
    )
    has_no_detail = scores.detail_level < config.min_detail_level
    return np.asarray(is_smooth | is_fog | is_veiled | has_no_detail)
