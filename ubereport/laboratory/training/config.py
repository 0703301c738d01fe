"""Frozen configurations of training; every default lives here once, TOML in and out."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated

from pydantic import Field

from ubereport.core.choices import Device
from ubereport.core.validation import FROM_JSON, Seed, check_setting, validated

Share = Annotated[float, Field(ge=0, le=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]
Steps = Annotated[int, Field(ge=0, le=10_000_000)]
Every = Annotated[int, Field(ge=1, le=10_000_000)]
Side = Annotated[int, Field(ge=32, le=2048, multiple_of=32)]
Channels = Annotated[int, Field(ge=1, le=2048)]


@validated("data")
class DataConfig:
    """Which stills are learned from and in which shares.

    Parameters
    ----------
    cache_side_px
        Stills are decoded once and kept at this side length (stretched to a square).
    n_folds, fold, split_seed
        Groups are dealt to `n_folds` folds with `split_seed`; `fold` is held out, -1 holds out
        nothing.
    positive_share
        Of the manually labelled draws, the share that shows blood.
    group_power
        A group of n stills is drawn with weight n ** group_power: 1 treats stills alike, 0 groups.
    composite_share, simulated_share, box_share
        Of all draws: blood composited onto frames, simulated stills, stills whose blood lies in
        boxes. What is left is drawn from manual masks.
    n_simulated
        How many simulated stills there are to draw from.
    n_composites
        How many composites are made before the first step; draws take them from there.
    has_zero_masks, has_ignore
        False leaves zero masks out, or counts undecided pixels as clean (for ablations).
    """

    cache_side_px: Annotated[int, Field(ge=64, le=2048)] = 384
    n_folds: Annotated[int, Field(ge=2, le=50)] = 5
    fold: Annotated[int, Field(ge=-1, le=49)] = -1
    split_seed: Seed = 20260
    positive_share: Share = 0.6
    group_power: Share = 0.5
    composite_share: Share = 0.0
    simulated_share: Share = 0.0
    box_share: Share = 0.0
    n_simulated: Annotated[int, Field(ge=0, le=1_000_000)] = 400
    n_composites: Annotated[int, Field(ge=1, le=1_000_000)] = 3200
    has_zero_masks: bool = True
    has_ignore: bool = True

    def __post_init__(self) -> None:
        check_setting(
            self.fold < self.n_folds,
            "data.fold",
            self.fold,
            f"-1 (none held out) to {self.n_folds - 1}",
        )
        shares = (self.composite_share, self.simulated_share, self.box_share)
        check_setting(
            sum(shares) <= 1,
            "data.composite_share, simulated_share, box_share",
            shares,
            "together at most 1",
        )


@validated("augment")
class AugmentConfig:
    """How far a still is turned, scaled, tinted and degraded before the network sees it.

    `min_crop_frac` and `max_crop_frac` bound the side of the crop as a share of the still.
    `shade_share` of the stills are lit from one place with light falling off around it.
    """

    min_crop_frac: Annotated[float, Field(ge=0.1, le=2)] = 0.45
    max_crop_frac: Annotated[float, Field(ge=0.1, le=2)] = 1.1
    max_rotation_deg: Annotated[float, Field(ge=0, le=180)] = 180.0
    max_gain: ShareBelowOne = 0.25
    max_exposure: ShareBelowOne = 0.35
    max_saturation: ShareBelowOne = 0.35
    max_hue_deg: Annotated[float, Field(ge=0, le=180)] = 8.0
    surround_share: Share = 0.1
    shade_share: Share = 0.0
    degrade_share: Share = 0.5

    def __post_init__(self) -> None:
        crop = (self.min_crop_frac, self.max_crop_frac)
        check_setting(
            crop[0] <= crop[1], "augment.min_crop_frac, max_crop_frac", crop, "the smaller first"
        )


@validated("loss")
class LossConfig:
    """Cross-entropy plus an overlap term; `false_negative_weight` 0.5 makes it Dice."""

    cross_entropy_weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    overlap_weight: Annotated[float, Field(ge=0, le=1000)] = 1.0
    false_negative_weight: Annotated[float, Field(gt=0, lt=1)] = 0.5
    positive_weight: Annotated[float, Field(gt=0, le=1000)] = 1.0


@validated("hsv")
class HsvConfig:
    """Which pixels count as red when pretraining (OpenCV: hue 0..179, others 0..255); ours.

    `opening_px` is the side of the square that takes out specks and closes holes.
    """

    hue_low_max: Annotated[int, Field(ge=0, le=180)] = 10
    hue_high_min: Annotated[int, Field(ge=0, le=180)] = 170
    min_saturation: Annotated[int, Field(ge=0, le=255)] = 60
    min_value: Annotated[int, Field(ge=0, le=255)] = 40
    opening_px: Annotated[int, Field(ge=1, le=31)] = 3

    def __post_init__(self) -> None:
        hues = (self.hue_low_max, self.hue_high_min)
        check_setting(hues[0] < hues[1], "hsv.hue_low_max, hue_high_min", hues, "the lower first")


@validated("frames")
class FramesConfig:
    """How stills are taken from recordings.

    Parameters
    ----------
    rate_hz
        Pictures looked at per second of recording.
    side_px
        Side of the square to which the field of view is scaled.
    min_difference
        A still is kept when it differs from the last kept one by at least this many levels
        (0..255, mean over a 16 × 16 gray thumbnail).
    max_stills
        At most so many per recording, spread evenly.
    """

    rate_hz: Annotated[float, Field(ge=0.001, le=60)] = 1.0
    side_px: Annotated[int, Field(ge=32, le=4096)] = 512
    min_difference: Annotated[float, Field(ge=0, le=255)] = 4.0
    max_stills: Annotated[int, Field(ge=1, le=10_000_000)] = 20000


@validated("optimizer")
class OptimizerConfig:
    """AdamW with warm-up, a plateau and a cosine decay over the last `decay_frac` of the steps.

    `n_frozen_stages` keeps the stem and so many stages of the encoder as they are.
    `is_normalization_frozen` keeps what normalizations know of the pictures before, for a run that
    goes on from trained weights: a step takes half the time then, and depends on no batch's size.
    """

    lr: Annotated[float, Field(gt=0, lt=1)] = 2e-3
    encoder_lr_factor: Annotated[float, Field(ge=0, le=100)] = 0.25
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 1e-2
    warmup_steps: Steps = 50
    decay_frac: Share = 0.5
    final_lr_frac: Share = 0.02
    gradient_norm_max: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    ema_decay: ShareBelowOne = 0.995
    n_frozen_stages: Annotated[int, Field(ge=0, le=7)] = 2
    is_normalization_frozen: bool = False


@validated()
class TrainConfig:
    """One training run, whole: a seed, a budget, a network and what it learns from.

    Parameters
    ----------
    side_px
        Side of the crops that are learned from.
    input_px
        Side of the whole stills that validation and the bundle use.
    initial
        "imagenet" (the `train` extra), "random", or a checkpoint folder's name under the run
        folder's parent.
    initial_probability
        Of blood, that a network begins with everywhere unless it goes on from a checkpoint. At 0.5
        blood can come to be what excites nothing, and then no probability can rise: one of three
        seeds ended so.
    validation_stills
        At most so many held-out stills per look; half of them with blood where there are enough.
    n_threads
        0 takes what the machine offers.
    is_low_precision_allowed
        Where the processor multiplies bf16 natively, the decoder counts in it (half the time of a
        step); weights and the encoder stay in fp32. CUDA counts in bf16
        throughout, in fp32 where a card has none.
    """

    name: str = "run"
    seed: Seed = 1
    steps: Annotated[int, Field(ge=1, le=10_000_000)] = 1000
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 8
    side_px: Side = 192
    input_px: Side = 256
    initial: str = "imagenet"
    initial_probability: Annotated[float, Field(gt=0, lt=1)] = 0.1
    encoder: str = "tu-tf_efficientnet_lite0"
    decoder_channels: Annotated[tuple[Channels, ...], FROM_JSON] = (96, 64, 32, 16, 8)
    validate_every: Every = 200
    checkpoint_every: Every = 50
    validation_stills: Every = 96
    n_threads: Annotated[int, Field(ge=0, le=256)] = 0
    device: Annotated[Device, FROM_JSON] = Device.AUTO
    is_low_precision_allowed: bool = True
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    hsv: HsvConfig = field(default_factory=HsvConfig)

    def __post_init__(self) -> None:
        # ImageNet's encoder comes with a decoder whose normalizations have seen nothing.
        check_setting(
            not self.optimizer.is_normalization_frozen
            or self.initial not in ("imagenet", "random"),
            "initial",
            self.initial,
            "trained weights where optimizer.is_normalization_frozen is true",
        )
