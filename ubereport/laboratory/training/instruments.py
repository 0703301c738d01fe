"""Train the branch that marks instruments on the features of a frozen network.

The network looks at every still once, plain and as some other cameras show it; what its encoder
saw is kept, and the branch alone learns from that: minutes on one processor core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ubereport.core.arrays import RgbArray
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.evaluation.load import read_mask
from ubereport.laboratory.picture_files import read_rgb
from ubereport.laboratory.training.augment import augment_batch, draw_matrix, draw_recoloring
from ubereport.laboratory.training.batches import draw_weights
from ubereport.laboratory.training.config import AugmentConfig, LossConfig
from ubereport.laboratory.training.labelled_stills import (
    LabelArray,
    Still,
    StillCache,
    squared,
    stacked,
)
from ubereport.laboratory.training.loss import segmentation_loss
from ubereport.segmentation.instruments import InstrumentBranch, build_branch
from ubereport.segmentation.metadata import BundleMetadata, InstrumentSpec
from ubereport.segmentation.network import SegmentationNetwork, normalized

_AT_ONCE = 8
_DROPOUT = 0.1
_EMA_DECAY = 0.99


@dataclass(frozen=True, slots=True)
class BranchTraining:
    """How a branch is trained.

    Parameters
    ----------
    steps, batch_size
        Steps, and stills in each.
    lr
        Largest learning rate.
    n_views
        How often each still is shown as another camera shows it, beside the still itself.
    still_px
        Side of the stills that views are cut from.
    seed
        Of everything drawn.
    """

    steps: int = 1500
    batch_size: int = 8
    lr: float = 3e-3
    n_views: int = 2
    still_px: int = 448
    seed: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class SeenStills:
    """What an encoder saw of stills: features (coarsest last) in half precision, and labels.

    `label` is (n, H, W) uint8, 1 where there is an instrument.
    """

    features: tuple[Tensor, ...]
    label: Tensor


def with_instruments(stills: Sequence[Still]) -> tuple[Still, ...]:
    """Return the stills whose instruments somebody drew.

    Raises
    ------
    AnnotationError
        If there are none.
    """
    marked = tuple(still for still in stills if still.instrument_path is not None)
    if not marked:
        raise AnnotationError(
            "No still has a mask of instruments. Name their folder in the list of sets: "
            'instruments = "instruments/masks".'
        )
    return marked


def read_stills(stills: Sequence[Still], side_px: int) -> StillCache:
    """Read stills and their masks of instruments as squares.

    Raises
    ------
    AnnotationError
        If a still or mask cannot be read, or they differ in size.
    """
    marked = (_marked(still, side_px) for still in stills)
    return StillCache(tuple(stills), *stacked(marked, len(stills), side_px))


def _marked(still: Still, side_px: int) -> tuple[RgbArray, LabelArray]:
    picture = read_rgb(still.image_path)
    mask = read_mask(Path(str(still.instrument_path)), still.name, picture.shape[:2])
    share = cv2.resize(mask.astype(np.float32), (side_px, side_px), interpolation=cv2.INTER_AREA)
    return squared(picture, side_px), np.asarray(share >= 0.5, dtype=np.uint8)


def see(
    network: nn.Module,
    metadata: BundleMetadata,
    cache: StillCache,
    training: BranchTraining,
    n_views: int,
) -> SeenStills:
    """Let the encoder look at stills as they are and `n_views` times as other cameras show them."""
    rng = np.random.default_rng(training.seed)
    augment = AugmentConfig(min_crop_frac=0.5, shade_share=0.3)
    side_px = metadata.input_height_px
    seen: list[tuple[list[Tensor], Tensor]] = []
    for view in range(n_views + 1):
        for start in range(0, len(cache.stills), _AT_ONCE):
            rgb = torch.from_numpy(cache.rgb[start : start + _AT_ONCE])
            label = torch.from_numpy(cache.label[start : start + _AT_ONCE])
            if view == 0:
                planes, shown = _plain(rgb, label, side_px)
            else:
                n, still_px = len(rgb), rgb.shape[1]
                matrices = [draw_matrix(still_px, side_px, rng, augment, None) for _ in range(n)]
                recolorings = [draw_recoloring(rng, augment) for _ in range(n)]
                planes, shown = augment_batch(rgb, label, side_px, matrices, recolorings)
            seen.append((_features(network, metadata, planes), shown))
    features = zip(*(features for features, _ in seen), strict=True)
    return SeenStills(
        tuple(torch.cat(level) for level in features), torch.cat([label for _, label in seen])
    )


def _plain(rgb: Tensor, label: Tensor, side_px: int) -> tuple[Tensor, Tensor]:
    planes = rgb.permute(0, 3, 1, 2).float()
    shown = F.interpolate(planes, size=side_px, mode="area").round()
    mask = F.interpolate(label[:, None].float(), size=side_px, mode="area")[:, 0]
    return shown, (mask >= 0.5).to(torch.uint8)


def _features(network: nn.Module, metadata: BundleMetadata, planes: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        features = SegmentationNetwork(network).features(normalized(planes, metadata))
    return [feature.half() for feature in features[2:]]


def train_branch(
    network: nn.Module,
    metadata: BundleMetadata,
    spec: InstrumentSpec,
    cache: StillCache,
    training: BranchTraining,
    on_step: Callable[[int, float], None] | None = None,
) -> InstrumentBranch:
    """Train a branch on stills; the network is only looked through.

    Parameters
    ----------
    network, metadata
        Of a bundle, in evaluation mode.
    spec
        Says how large the branch is.
    cache
        Stills and their masks of instruments.
    training
        How long and how.
    on_step
        Told the step and its loss.

    Returns
    -------
    The branch with weights averaged over the end of the run, in evaluation mode.
    """
    seen = see(network, metadata, cache, training, training.n_views)
    torch.manual_seed(training.seed)
    rng = np.random.default_rng(training.seed)
    branch = build_branch(network, spec)
    nn.init.constant_(branch.head.get_parameter("bias"), -2.0)  # an eighth of the view at first
    optimizer = torch.optim.AdamW(branch.parameters(), training.lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, training.lr, total_steps=training.steps, pct_start=0.15
    )
    ema = get_ema_multi_avg_fn(_EMA_DECAY)  # type: ignore[no-untyped-call]
    average = AveragedModel(branch, multi_avg_fn=ema)
    share = np.tile(draw_weights(cache.stills, 0.5), training.n_views + 1)
    for step in range(training.steps):
        index = rng.choice(len(share), training.batch_size, p=share / share.sum())
        loss = _loss(branch, seen, index, rng)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        average.update_parameters(branch)
        if on_step is not None:
            on_step(step + 1, float(loss.detach()))
    branch.load_state_dict(average.module.state_dict())
    return branch.eval()


def _loss(
    branch: InstrumentBranch, seen: SeenStills, index: np.ndarray, rng: np.random.Generator
) -> Tensor:
    rows = torch.from_numpy(index)
    features = [F.dropout2d(level[rows].float(), _DROPOUT) for level in seen.features]
    label = seen.label[rows]
    for axis in (-1, -2):
        # What an encoder sees of a mirrored picture is nearly its features mirrored.
        if rng.random() < 0.5:
            features, label = [level.flip(axis) for level in features], label.flip(axis)
    return segmentation_loss(branch(features), label, LossConfig())
