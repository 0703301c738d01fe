"""Stills worth looking at, with the model's and the reference's outlines drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.laboratory.evaluation.results import StillScore

# Okabe and Ito's palette: told apart by color-blind readers; missed also stands darker in gray.
_AGREED = (0, 158, 115)
_MISSED = (213, 94, 0)
_INVENTED = (86, 180, 233)
_OPACITY = 0.45


@dataclass(frozen=True, slots=True)
class Examples:
    """Names of stills: the best, middle and worst by Dice, and the largest false alarms."""

    best: tuple[str, ...]
    median: tuple[str, ...]
    worst: tuple[str, ...]
    false_alarms: tuple[str, ...]


def pick_examples(scores: Sequence[StillScore], n: int) -> Examples:
    """Return up to `n` stills of each kind; ties go by name, so that a choice repeats."""
    rated = sorted(
        ((s.dice, s.name) for s in scores if s.dice is not None),
        key=lambda pair: (-pair[0], pair[1]),
    )
    names = [name for _, name in rated]
    middle = max(0, len(names) // 2 - n // 2)
    alarms = sorted(
        (s for s in scores if not s.is_positive and s.predicted_frac > 0),
        key=lambda s: (-s.predicted_frac, s.name),
    )
    return Examples(
        tuple(names[:n]),
        tuple(names[middle : middle + n]),
        tuple(reversed(names[-n:])) if n else (),
        tuple(s.name for s in alarms[:n]),
    )


def draw_overlay(
    rgb: RgbArray, reference: BoolArray, predicted: BoolArray, is_decided: BoolArray
) -> RgbArray:
    """Return the (H, W, 3) picture tinted: agreed green, missed orange, invented blue.

    Undecided pixels are shown gray. Outlines of reference and model are drawn white and black.
    """
    picture = rgb.astype(np.float32)
    gray = picture.mean(axis=2, keepdims=True)
    picture = np.where(is_decided[..., None], picture, 0.5 * gray + 64)
    for mask, color in (
        (reference & predicted & is_decided, _AGREED),
        (reference & ~predicted & is_decided, _MISSED),
        (predicted & ~reference & is_decided, _INVENTED),
    ):
        tint = np.array(color, dtype=np.float32)
        picture[mask] = (1 - _OPACITY) * picture[mask] + _OPACITY * tint
    canvas = np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8))
    for mask, color in ((reference, (255, 255, 255)), (predicted, (0, 0, 0))):
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, contours, -1, color, 1)
    return canvas
