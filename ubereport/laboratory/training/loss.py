"""Cross-entropy plus overlap over the pixels that somebody decided."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ubereport.laboratory.training.config import LossConfig
from ubereport.laboratory.training.labelled_stills import BLOOD, IGNORE

# A few pixels of blood make an overlap that jumps from 0 to 1; so many pixels are added to both
# sides of the ratio.
_SMOOTHING_PX = 32.0


def segmentation_loss(logit: Tensor, label: Tensor, config: LossConfig) -> Tensor:
    """Return the loss of a batch.

    The overlap term is one minus the Tversky index (Salehi 2017), per still with blood; a still
    without blood has the cross-entropy only, since its overlap is undefined. Undecided pixels
    have no gradient.

    Parameters
    ----------
    logit
        (n, 1, H, W) logits of blood.
    label
        (n, H, W) uint8 of CLEAN, BLOOD and IGNORE.
    """
    decided = (label != IGNORE).to(logit.dtype)
    target = (label == BLOOD).to(logit.dtype)
    # A constant in place of undecided logits, not a weight of zero alone: an infinite logit times
    # zero would be NaN.
    logit = torch.where(decided.bool(), logit[:, 0], torch.zeros_like(logit[:, 0]))
    # Cross-entropy counts pixels, so that small bleeds hardly count; overlap counts stills, but has
    # no slope where nothing bleeds. Together each mends the other's fault; undecided pixels are in
    # neither.
    weight = decided * (1 + (config.positive_weight - 1) * target)
    cross = F.binary_cross_entropy_with_logits(logit, target, weight, reduction="sum")
    loss = config.cross_entropy_weight * cross / decided.sum().clamp(min=1)
    has_blood = target.sum((1, 2)) > 0
    if config.overlap_weight > 0 and bool(has_blood.any()):
        overlap = _tversky(torch.sigmoid(logit) * decided, target, config.false_negative_weight)
        # Over all stills and not over those with blood: what a still weighs must not depend on how
        # many others of its batch bleed.
        loss = loss + config.overlap_weight * (1 - overlap[has_blood]).sum() / len(label)
    return loss


def _tversky(probability: Tensor, target: Tensor, false_negative_weight: float) -> Tensor:
    """Return (n,) Tversky indices of (n, H, W) maps; `target` is 0 where undecided."""
    both = (probability * target).sum((1, 2))
    missed = ((1 - probability) * target).sum((1, 2))
    extra = (probability * (1 - target)).sum((1, 2))
    wrong = false_negative_weight * missed + (1 - false_negative_weight) * extra
    return (both + _SMOOTHING_PX / 2) / (both + wrong + _SMOOTHING_PX / 2)
