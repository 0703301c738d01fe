"""What sees views as a whole, added to a trained network: a head, gains, doubts, haze removal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ubereport.laboratory.training.batches import draw_weights
from ubereport.laboratory.training.collections import collections_of
from ubereport.laboratory.training.config import TrainConfig
from ubereport.laboratory.training.labelled_stills import BLOOD, IGNORE, Still, StillCache
from ubereport.laboratory.training.loop import INPUT_MEAN, INPUT_SCALE, network_spec, to_input
from ubereport.segmentation.fusion import fuse_batch_norms
from ubereport.segmentation.network import build_network, load_state
from ubereport.segmentation.view_parts import (
    EXPOSURE_PREFIX,
    FLOOD_COLOR_PREFIX,
    FLOOD_PREFIX,
    HAZE_PREFIX,
    PRESENCE_PREFIX,
    SHADE_PREFIX,
    ExposureGain,
    FloodColor,
    FloodGain,
    HazeRemoval,
    ShadeDoubt,
    pooled_features,
)

# Of the decided pixels: the share from which on evaluations say that blood is there.
_MIN_BLOOD_FRAC = 0.002
DEFAULT_MARGIN = 1.5
"""Logits by which a view must speak for blood to be left as it is."""
_WEIGHT_PENALTY = 0.2
_BATCH = 8
_N_ITERATIONS = 1000
_BLACK_AND_WHITE = ((0 - INPUT_MEAN) / INPUT_SCALE, (255 - INPUT_MEAN) / INPUT_SCALE)


def with_presence_head(
    config: TrainConfig,
    state: Mapping[str, Tensor],
    cache: StillCache,
    index: NDArray[np.int64],
    margin: float = DEFAULT_MARGIN,
) -> dict[str, Tensor]:
    """Return `state` and the weights of a head that was fitted to the stills `index`.

    The network stays as it is. A logistic regression tells stills with blood from others by the
    mean and the maximum of each of its deepest features; both kinds count alike, and collections
    and groups as they do in draws.

    Parameters
    ----------
    config
        The network, the size of its pictures, and how much a group counts.
    state
        Weights without a head.
    cache, index
        Stills that the network was trained on.
    margin
        Logits by which a view must speak for blood to be left as it is.

    Raises
    ------
    BundleError
        If the weights do not fit the configuration.
    """
    network = build_network(network_spec(config))
    load_state(network, state)
    shown = _shown(cache, index)
    index, shown = index[shown >= 0], shown[shown >= 0]
    encoder = fuse_batch_norms(network).get_submodule("encoder")
    features = _pooled(encoder, cache, index, config.input_px)
    weights = _weights([cache.stills[int(i)] for i in index], config.data.group_power)
    linear = fit_logistic(features, torch.from_numpy(shown == 1), torch.from_numpy(weights))
    with torch.no_grad():
        linear.bias.sub_(margin)
    return _with_part(state, f"{PRESENCE_PREFIX}linear.", linear)


def with_exposure_gain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` and the numbers by which dim views are lifted."""
    return _with_part(state, EXPOSURE_PREFIX, ExposureGain(*_BLACK_AND_WHITE))


def with_haze_removal(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` and the numbers by which the veil of hazy views is taken off."""
    return _with_part(state, HAZE_PREFIX, HazeRemoval(*_BLACK_AND_WHITE))


def with_shade_doubt(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` and the numbers by which places without light are doubted."""
    return _with_part(state, SHADE_PREFIX, ShadeDoubt(*_BLACK_AND_WHITE))


def with_flood_gain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` and the numbers by which flooded views are believed."""
    return _with_part(state, FLOOD_PREFIX, FloodGain())


def with_flood_color(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` and the numbers by which views that are red all over are flooded sooner."""
    return _with_part(state, FLOOD_COLOR_PREFIX, FloodColor(*_BLACK_AND_WHITE))


def _with_part(state: Mapping[str, Tensor], prefix: str, part: nn.Module) -> dict[str, Tensor]:
    return dict(state) | {f"{prefix}{key}": value for key, value in part.state_dict().items()}


def _shown(cache: StillCache, index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (n,) 1 where a still shows blood, 0 where not, -1 where nothing of it is decided."""
    answers = []
    for i in index:
        label = cache.label[int(i)]
        n_decided = int((label != IGNORE).sum())
        n_blood = int((label == BLOOD).sum())
        answers.append(int(n_blood >= _MIN_BLOOD_FRAC * n_decided) if n_decided else -1)
    return np.array(answers, np.int64)


def _weights(stills: Sequence[Still], group_power: float) -> NDArray[np.float64]:
    """Return (n,) how much each still counts; each collection together has its share."""
    weights = np.zeros(len(stills))
    for collection in collections_of(stills):
        own = np.flatnonzero([still.collection == collection for still in stills])
        weights[own] = collection.share * draw_weights([stills[int(i)] for i in own], group_power)
    return weights


@torch.inference_mode()
def _pooled(
    encoder: nn.Module, cache: StillCache, index: NDArray[np.int64], side_px: int
) -> Tensor:
    device = next(encoder.parameters()).device
    parts = [
        pooled_features(encoder(to_input(cache.resized(chunk, side_px).rgb, device))[-1])
        for chunk in (index[at : at + _BATCH] for at in range(0, len(index), _BATCH))
    ]
    return torch.cat(parts)


def fit_logistic(features: Tensor, is_shown: Tensor, weights: Tensor) -> nn.Linear:
    """Return the layer of a logistic regression on standardized features.

    Parameters
    ----------
    features
        (n, m) float.
    is_shown
        (n,) bool, of both kinds; each has half of the weight.
    weights
        (n,) above 0.
    """
    # In float64, and by a method that goes on until nothing gets better: the same stills give the
    # same head on every processor, up to rounding.
    features, target = features.double(), is_shown.double()
    mean, scale = features.mean(0), features.std(0).clamp(min=1e-6)
    standard = (features - mean) / scale
    weights = weights.double().clone()
    for kind in (is_shown, ~is_shown):
        weights[kind] *= 0.5 / weights[kind].sum()
    slope = torch.zeros(features.shape[1], dtype=torch.float64, requires_grad=True)
    offset = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [slope, offset], max_iter=_N_ITERATIONS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        # With hundreds of features and a few hundred stills of each kind, what keeps weights small
        # decides how much is learned by heart.
        value = (
            nn.functional.binary_cross_entropy_with_logits(
                standard @ slope + offset, target, weights, reduction="sum"
            )
            + _WEIGHT_PENALTY * slope.square().sum()
        )
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    linear = nn.Linear(features.shape[1], 1)
    with torch.no_grad():
        linear.weight.copy_((slope / scale)[None])
        linear.bias.copy_(offset - (slope * mean / scale).sum())
    return linear
