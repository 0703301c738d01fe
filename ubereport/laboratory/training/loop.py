"""The training loop, readable top to bottom: seeded, resumable, weights averaged as it goes."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from ubereport.core.arrays import RgbArray
from ubereport.core.config import Device, config_sha256, config_to_toml
from ubereport.core.errors import ConfigError
from ubereport.files.atomic import recover_folder, write_file
from ubereport.laboratory.training.batches import Batch, Batches
from ubereport.laboratory.training.config import OptimizerConfig, TrainConfig
from ubereport.laboratory.training.labelled_stills import StillCache
from ubereport.laboratory.training.loss import segmentation_loss
from ubereport.laboratory.training.scoring import Summary, score_still, summarize
from ubereport.laboratory.training.training_device import (
    gains_from_bf16,
    told_of,
    training_device,
)
from ubereport.laboratory.training.weights import (
    CHECKPOINT_NAME,
    RunState,
    load_imagenet,
    load_weights,
    read_checkpoint,
    write_checkpoint,
)
from ubereport.segmentation.fusion import FoldedNorm, fold_batch_norms, unfolded_state
from ubereport.segmentation.metadata import NetworkSpec
from ubereport.segmentation.network import (
    SegmentationNetwork,
    build_network,
    load_state,
    portable_state,
    without_view_parts,
)

INPUT_MEAN, INPUT_SCALE = 127.0, 128.0
_PRESENCE_FRAC = 0.001


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run has done so far; `validation` only where it was just looked at.

    `elapsed_s` counts from `first_step` on, where this process took the run up.
    """

    step: int
    n_steps: int
    loss: float
    lr: float
    elapsed_s: float
    validation: Summary | None = None
    first_step: int = 0


def network_spec(config: TrainConfig) -> NetworkSpec:
    """Return the description of the network that a configuration trains."""
    return NetworkSpec(encoder=config.encoder, decoder_channels=config.decoder_channels)


def learning_rate(step: int, n_steps: int, config: OptimizerConfig) -> float:
    """Return the decoder's learning rate: linear warm-up, plateau, half a cosine down."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    n_decay = max(1, round(n_steps * config.decay_frac))
    done = max(0.0, (step - (n_steps - n_decay)) / n_decay)
    shape = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return config.lr * (config.final_lr_frac + (1 - config.final_lr_frac) * shape)


def train(
    config: TrainConfig,
    batches: Batches,
    held_out: StillCache | None,
    folder: Path,
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[str, Tensor]:
    """Train from the start or from the checkpoint in `folder`; return the averaged weights.

    Parameters
    ----------
    batches
        Draws the batch of a step.
    held_out
        Looked at every `config.validate_every` steps; None looks at nothing.
    folder
        Of this run: config.toml, checkpoint/, average.safetensors at the end.

    In a `torch.distributed` group every process draws its own batches, gradients are averaged,
    and the first process validates and writes.

    Raises
    ------
    ConfigError
        If `folder` holds a run of another configuration, the loss is no longer finite, or the
        device has too little memory or is lost; the run goes on from its checkpoint, on whatever
        device.
    BundleError
        If the checkpoint is damaged or does not fit the network.
    DependencyError
        If the device that `config` names is absent.
    """
    if config.n_threads > 0:
        torch.set_num_threads(config.n_threads)
    # The same in every process of a group: gradients alone are shared, so that all must start from
    # the same weights.
    torch.manual_seed(config.seed)
    device = training_device(config.device)
    # Around all of it: memory can run out, or the device be lost, in a step as well as where a
    # batch is made, held-out stills are looked at or weights are fetched.
    with told_of(device, f"batches of {config.batch_size} crops", "batch_size"):
        return _trained(config, batches, held_out, folder, device, on_progress)


def _trained(
    config: TrainConfig,
    batches: Batches,
    held_out: StillCache | None,
    folder: Path,
    device: torch.device,
    on_progress: Callable[[Progress], None] | None,
) -> dict[str, Tensor]:
    original = _started(config, folder)
    network, folded = _folded(original, config)
    average = copy.deepcopy(network).eval()
    network.to(device)
    average.to(device)
    optimizer = _optimizer(network, config)
    first, history = _resume(config, folder, network, average, optimizer)
    if is_first_process():
        write_file(folder / "config.toml", config_to_toml(config).encode())
    is_low = config.is_low_precision_allowed and gains_from_bf16(device)
    started_s, losses = time.monotonic(), []
    # Every process draws other crops; a large prime keeps the seeds of neighboring runs apart.
    seed = config.seed + 7919 * _rank()
    for step in range(first, config.steps):
        batch = batches.draw(step, seed)
        lr = learning_rate(step, config.steps, config.optimizer)
        losses.append(_train_step(network, optimizer, batch, lr, config, device, is_low))
        _follow(average, network, step, config.optimizer.ema_decay)
        done = step + 1
        is_look = done % config.validate_every == 0 or done == config.steps
        summary = None
        if is_look and held_out is not None and is_first_process():
            # The averaged weights are looked at, as they are what is exported.
            summary = validate(average, held_out, device)
        if is_look or done % 10 == 0:
            loss = float(np.mean(losses))
            losses = []
            elapsed_s = time.monotonic() - started_s
            row = Progress(done, config.steps, loss, lr, elapsed_s, summary, first)
            history = (*history, asdict(row))
            if on_progress is not None:
                on_progress(row)
        is_kept = done % config.checkpoint_every == 0 or done == config.steps
        if is_kept and is_first_process():
            state = _state(config, done, network, average, optimizer, history)
            write_checkpoint(state, folder / CHECKPOINT_NAME)
    return unfolded_state(portable_state(average), folded, portable_state(original))


def check_start(config: TrainConfig, folder: Path) -> None:
    """Check before any work that a run can begin, or go on, in `folder`.

    Raises
    ------
    ConfigError
        If `folder` holds a run of another configuration, or normalizations cannot be frozen.
    DependencyError
        If ImageNet weights are asked for and not installed, or the device is absent.
    BundleError
        If the initial weights or the checkpoint are missing, damaged, a pickle, or of another
        architecture.
    """
    training_device(config.device)
    recover_folder(folder / CHECKPOINT_NAME)
    state = read_checkpoint(folder / CHECKPOINT_NAME)
    network, _ = _folded(_started(config, folder), config)
    if state is not None:
        _check_same(config, folder, state)
        load_state(network, state.network)


def _check_same(config: TrainConfig, folder: Path, state: RunState) -> None:
    # Also as it was written before device and threads were left out of what makes a run the same.
    if state.config_sha256 not in (config_sha256(config), _identity(config)):
        raise ConfigError(
            f"The folder {folder.name!r} holds a run of another configuration. Choose another "
            "name, or delete the folder to start anew."
        )


def _identity(config: TrainConfig) -> str:
    """Return what makes a run the same one; where it is computed does not."""
    return config_sha256(replace(config, device=Device.AUTO, n_threads=0))


def _begin_with(network: nn.Module, probability: float) -> None:
    """Let the answer be about `probability` everywhere before anything was learned."""
    # Blood is a small share of all pixels. Starting at one half, the first steps would do nothing
    # but push every pixel down.
    bias = network.get_parameter("segmentation_head.0.bias")
    nn.init.constant_(bias, math.log(probability / (1 - probability)))


def _started(config: TrainConfig, folder: Path) -> nn.Module:
    """Return the network with its first weights."""
    network = build_network(network_spec(config))
    if config.initial not in ("imagenet", "random"):
        # A head that a bundle got at its export belongs to its features, and is fitted anew to
        # those that come of this run.
        load_state(network, without_view_parts(load_weights(folder.parent / config.initial)))
        return network
    _begin_with(network, config.initial_probability)
    if config.initial == "imagenet":
        load_imagenet(network.get_submodule("encoder"), config.encoder)
    return network


def _folded(network: nn.Module, config: TrainConfig) -> tuple[nn.Module, tuple[FoldedNorm, ...]]:
    """Return what is trained: the network itself, or without the normalizations named beside it."""
    if not config.optimizer.is_normalization_frozen:
        return network, ()
    # A frozen normalization scales and shifts, as the convolution before it does: one does both,
    # and a step neither reads nor writes the picture for the other.
    folded, norms = fold_batch_norms(network)
    if any(isinstance(module, nn.BatchNorm2d) for module in folded.modules()):
        raise ConfigError(
            f"Normalizations of {config.encoder} cannot all be folded into convolutions. Set "
            "optimizer.is_normalization_frozen = false."
        )
    return folded, norms


def _frozen_stages(network: nn.Module, n_stages: int) -> list[nn.Module]:
    """Return the stem and the first `n_stages` blocks: ImageNet's edges and colors, kept."""
    if n_stages == 0:
        return []
    body = network.get_submodule("encoder.model")
    blocks = [body.get_submodule(f"blocks.{i}") for i in range(n_stages)]
    return [body.get_submodule("conv_stem"), body.get_submodule("bn1"), *blocks]


def _optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    for module in _frozen_stages(network, config.optimizer.n_frozen_stages):
        module.requires_grad_(False)
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            # Biases and normalizations are not decayed: pulling them to zero takes away scale and
            # not complexity.
            key = (name.startswith("encoder."), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    decay = config.optimizer.weight_decay
    factor = config.optimizer.encoder_lr_factor
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "weight_decay": decay if is_matrix else 0.0,
                "factor": factor if is_encoder else 1.0,
            }
            for (is_encoder, is_matrix), parameters in sorted(groups.items())
        ],
        lr=config.optimizer.lr,
    )


def _resume(
    config: TrainConfig,
    folder: Path,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.AdamW,
) -> tuple[int, tuple[Mapping[str, Any], ...]]:
    state = read_checkpoint(folder / CHECKPOINT_NAME)
    if state is None:
        return 0, ()
    _check_same(config, folder, state)
    load_state(network, state.network)
    load_state(average, state.average)
    _set_moments(optimizer, state.moments)
    return state.step, state.history


def _moments(optimizer: torch.optim.AdamW) -> dict[str, Tensor]:
    # Tensors with flat names, which is all that safetensors holds: a checkpoint as torch writes it
    # would be a pickle.
    state = optimizer.state_dict()["state"]
    return {f"{i}.{k}": torch.as_tensor(v) for i, item in state.items() for k, v in item.items()}


def _set_moments(optimizer: torch.optim.AdamW, moments: Mapping[str, Tensor]) -> None:
    table = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in moments.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(table | {"state": state})


def _state(
    config: TrainConfig,
    step: int,
    network: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.AdamW,
    history: tuple[Mapping[str, Any], ...],
) -> RunState:
    return RunState(
        step,
        _identity(config),
        portable_state(network),
        portable_state(average),
        _moments(optimizer),
        history,
    )


def to_input(rgb: RgbArray, device: torch.device) -> Tensor:
    """Return (n, H, W, 3) uint8 pictures as a network takes them, on `device`."""
    tensor = torch.from_numpy(np.ascontiguousarray(rgb)).to(device).permute(0, 3, 1, 2)
    return _scaled(tensor.float())


def _scaled(planes: Tensor) -> Tensor:
    scaled: Tensor = (planes - INPUT_MEAN) / INPUT_SCALE
    return scaled.contiguous(memory_format=torch.channels_last)


def _train_step(
    network: nn.Module,
    optimizer: torch.optim.AdamW,
    batch: Batch,
    lr: float,
    config: TrainConfig,
    device: torch.device,
    is_low: bool,
) -> float:
    # train() sets every module to it, so that frozen stages are put back below: their
    # normalizations must not drift to this set's statistics.
    network.train()
    for module in _frozen_stages(network, config.optimizer.n_frozen_stages):
        module.eval()
    for group in optimizer.param_groups:
        group["lr"] = lr * group["factor"]
    logit = _logit(network, _scaled(batch.planes.to(device)), is_low)
    loss = segmentation_loss(logit.float(), batch.label.to(device), config.loss)
    value = float(loss.detach())
    # Told before the step is taken: the weights and the checkpoint are still those of the last good
    # one.
    if not math.isfinite(value):
        raise ConfigError(
            f"The loss is {value} with learning rate {config.optimizer.lr}. Lower optimizer.lr."
        )
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    _share_gradients(network)
    # After they are shared: every process then clips alike, and their weights stay the same.
    nn.utils.clip_grad_norm_(network.parameters(), config.optimizer.gradient_norm_max)
    optimizer.step()
    return value


def _logit(network: nn.Module, planes: Tensor, is_low: bool) -> Tensor:
    """Count in bf16 where `is_low`: on processors, depthwise bf16 gradients take thrice fp32.

    So there the encoder, which is made of them, counts in fp32.
    """
    if is_low and not planes.is_cuda:
        network = SegmentationNetwork(network, late_dtype=torch.bfloat16)
    with torch.autocast(planes.device.type, torch.bfloat16, enabled=is_low and planes.is_cuda):
        logit: Tensor = network(planes)
    return logit


def is_first_process() -> bool:
    """Return whether this process writes: the only one, or the first of a group."""
    return _rank() == 0


def _rank() -> int:
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def _share_gradients(network: nn.Module) -> None:
    """Average gradients over the processes of a group, where there is one."""
    if not (dist.is_available() and dist.is_initialized()):
        return
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    # In one piece: a call for each of hundreds of tensors would wait for the network each time.
    flat = torch.cat([g.reshape(-1) for g in gradients]) / dist.get_world_size()
    dist.all_reduce(flat)
    at = 0
    for gradient in gradients:
        gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
        at += gradient.numel()


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Move the averaged weights; the average looks back less far while there is little."""
    # With the full decay from the first step on, the average would long be made of the random
    # weights; this lets it forget them at once.
    weight = 1 - min(decay, (1 + step) / (10 + step))
    # Every tensor moves a little toward the network's; counters, such as of batches, are copied.
    for kept, now in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(now, weight)
        else:
            kept.copy_(now)


@torch.inference_mode()
def predict(
    network: nn.Module, rgb: RgbArray, device: torch.device, batch_size: int = 8
) -> NDArray[np.float32]:
    """Return (n, H, W) float32 probabilities of blood for (n, H, W, 3) uint8 stills."""
    network.eval()
    if len(rgb) == 0:
        return np.empty(rgb.shape[:3], np.float32)
    parts = [
        torch.sigmoid(network(to_input(rgb[i : i + batch_size], device)))[:, 0].cpu().numpy()
        for i in range(0, len(rgb), batch_size)
    ]
    return np.asarray(np.concatenate(parts), dtype=np.float32)


def validate(network: nn.Module, held_out: StillCache, device: torch.device) -> Summary:
    """Score a network on held-out stills at probability 0.5."""
    maps = predict(network, held_out.rgb, device)
    scores = [score_still(m, label, 0.5) for m, label in zip(maps, held_out.label, strict=True)]
    return summarize(scores, _PRESENCE_FRAC)
