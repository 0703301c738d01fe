"""Frozen configurations of training; every default lives here once, TOML in and out."""

from __future__ import annotations

from dataclasses import dataclass, field

from ubereport.core.config import check_setting

__all__ = [
    "AugmentConfig",
    "DataConfig",
    "FramesConfig",
    "HsvConfig",
    "LossConfig",
    "OptimizerConfig",
    "TrainConfig",
]


@dataclass(frozen=True, slots=True)
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
    has_zero_masks, has_ignore
        False leaves zero masks out, or counts undecided pixels as clean (for ablations).
    """

    cache_side_px: int = 384
    n_folds: int = 5
    fold: int = -1
    split_seed: int = 20260
    positive_share: float = 0.6
    group_power: float = 0.5
    composite_share: float = 0.0
    simulated_share: float = 0.0
    box_share: float = 0.0
    n_simulated: int = 400
    has_zero_masks: bool = True
    has_ignore: bool = True

    def __post_init__(self) -> None:
        side = self.cache_side_px
        check_setting(64 <= side <= 2048, "data.cache_side_px", side, "64 to 2048")
        check_setting(2 <= self.n_folds <= 50, "data.n_folds", self.n_folds, "2 to 50")
        check_setting(
            -1 <= self.fold < self.n_folds,
            "data.fold",
            self.fold,
            f"-1 (none held out) to {self.n_folds - 1}",
        )
        check_setting(
            0 <= self.positive_share <= 1, "data.positive_share", self.positive_share, "0 to 1"
        )
        check_setting(0 <= self.group_power <= 1, "data.group_power", self.group_power, "0 to 1")
        shares = (self.composite_share, self.simulated_share, self.box_share)
        check_setting(
            min(shares) >= 0 and sum(shares) <= 1,
            "data.composite_share, simulated_share, box_share",
            shares,
            "0 or more, together at most 1",
        )


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """How far a still is turned, scaled, tinted and degraded before the network sees it.

    `min_crop_frac` and `max_crop_frac` bound the side of the crop as a share of the still.
    `shade_share` of the stills are lit from one place with light falling off around it.
    """

    min_crop_frac: float = 0.45
    max_crop_frac: float = 1.1
    max_rotation_deg: float = 180.0
    max_gain: float = 0.25
    max_exposure: float = 0.35
    max_saturation: float = 0.35
    max_hue_deg: float = 8.0
    surround_share: float = 0.1
    shade_share: float = 0.0
    degrade_share: float = 0.5

    def __post_init__(self) -> None:
        check_setting(
            0.1 <= self.min_crop_frac <= self.max_crop_frac <= 2,
            "augment.min_crop_frac, max_crop_frac",
            (self.min_crop_frac, self.max_crop_frac),
            "0.1 to 2, the smaller first",
        )
        for key in ("surround_share", "shade_share", "degrade_share"):
            check_setting(
                0 <= getattr(self, key) <= 1, f"augment.{key}", getattr(self, key), "0 to 1"
            )
        for key in ("max_gain", "max_exposure", "max_saturation"):
            check_setting(
                0 <= getattr(self, key) < 1, f"augment.{key}", getattr(self, key), "0 to 1"
            )


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Cross-entropy plus an overlap term; `false_negative_weight` 0.5 makes it Dice."""

    cross_entropy_weight: float = 1.0
    overlap_weight: float = 1.0
    false_negative_weight: float = 0.5
    positive_weight: float = 1.0

    def __post_init__(self) -> None:
        check_setting(
            0 < self.false_negative_weight < 1,
            "loss.false_negative_weight",
            self.false_negative_weight,
            "above 0, below 1",
        )
        check_setting(
            self.cross_entropy_weight > 0,
            "loss.cross_entropy_weight",
            self.cross_entropy_weight,
            "above 0",
        )


@dataclass(frozen=True, slots=True)
class HsvConfig:
    """Which pixels count as red when pretraining (OpenCV: hue 0..179, others 0..255); ours.

    `opening_px` is the side of the square that takes out specks and closes holes.
    """

    hue_low_max: int = 10
    hue_high_min: int = 170
    min_saturation: int = 60
    min_value: int = 40
    opening_px: int = 3

    def __post_init__(self) -> None:
        check_setting(
            0 <= self.hue_low_max < self.hue_high_min <= 180,
            "hsv.hue_low_max, hue_high_min",
            (self.hue_low_max, self.hue_high_min),
            "0 to 180, the lower first",
        )
        for key in ("min_saturation", "min_value"):
            check_setting(
                0 <= getattr(self, key) <= 255, f"hsv.{key}", getattr(self, key), "0 to 255"
            )
        check_setting(1 <= self.opening_px <= 31, "hsv.opening_px", self.opening_px, "1 to 31")


@dataclass(frozen=True, slots=True)
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

    rate_hz: float = 1.0
    side_px: int = 512
    min_difference: float = 4.0
    max_stills: int = 20000

    def __post_init__(self) -> None:
        check_setting(0.001 <= self.rate_hz <= 60, "frames.rate_hz", self.rate_hz, "0.001 to 60")
        check_setting(32 <= self.side_px <= 4096, "frames.side_px", self.side_px, "32 to 4096")
        check_setting(
            0 <= self.min_difference <= 255,
            "frames.min_difference",
            self.min_difference,
            "0 to 255",
        )
        check_setting(self.max_stills >= 1, "frames.max_stills", self.max_stills, "1 or more")


@dataclass(frozen=True, slots=True)
class OptimizerConfig:
    """AdamW with warm-up, a plateau and a cosine decay over the last `decay_frac` of the steps."""

    lr: float = 2e-3
    encoder_lr_factor: float = 0.25
    weight_decay: float = 1e-2
    warmup_steps: int = 50
    decay_frac: float = 0.5
    final_lr_frac: float = 0.02
    gradient_norm_max: float = 1.0
    ema_decay: float = 0.995
    n_frozen_stages: int = 2

    def __post_init__(self) -> None:
        check_setting(0 < self.lr < 1, "optimizer.lr", self.lr, "above 0, below 1")
        check_setting(
            0 <= self.ema_decay < 1, "optimizer.ema_decay", self.ema_decay, "0 to below 1"
        )
        check_setting(0 <= self.decay_frac <= 1, "optimizer.decay_frac", self.decay_frac, "0 to 1")
        check_setting(
            self.warmup_steps >= 0, "optimizer.warmup_steps", self.warmup_steps, "0 or more"
        )
        check_setting(
            0 <= self.n_frozen_stages <= 7,
            "optimizer.n_frozen_stages",
            self.n_frozen_stages,
            "0 (none) to 7",
        )


@dataclass(frozen=True, slots=True)
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
        step); weights and the encoder stay in fp32. CUDA counts in bf16 throughout.
    """

    name: str = "run"
    seed: int = 1
    steps: int = 1000
    batch_size: int = 8
    side_px: int = 192
    input_px: int = 256
    initial: str = "imagenet"
    initial_probability: float = 0.1
    encoder: str = "tu-tf_efficientnet_lite0"
    decoder_channels: tuple[int, ...] = (96, 64, 32, 16, 8)
    validate_every: int = 200
    checkpoint_every: int = 50
    validation_stills: int = 96
    n_threads: int = 0
    device: str = "auto"
    is_low_precision_allowed: bool = True
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    hsv: HsvConfig = field(default_factory=HsvConfig)

    def __post_init__(self) -> None:
        first = self.initial_probability
        check_setting(0 < first < 1, "initial_probability", first, "above 0, below 1")
        check_setting(self.steps >= 1, "steps", self.steps, "1 or more")
        check_setting(1 <= self.batch_size <= 1024, "batch_size", self.batch_size, "1 to 1024")
        for key in ("side_px", "input_px"):
            side = getattr(self, key)
            check_setting(
                32 <= side <= 2048 and side % 32 == 0, key, side, "a multiple of 32 to 2048"
            )
        for key in ("validate_every", "checkpoint_every", "validation_stills"):
            check_setting(getattr(self, key) >= 1, key, getattr(self, key), "1 or more")
