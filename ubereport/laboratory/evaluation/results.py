"""What an evaluation against ground truth found: plain values, ready to be written or drawn."""

from __future__ import annotations

from dataclasses import dataclass

from ubereport.core.series import LossReason
from ubereport.laboratory.evaluation.reliability import Reliability
from ubereport.statistics.estimates import Estimate


@dataclass(frozen=True, slots=True)
class StillScore:
    """One still against its reference, undecided pixels counted neither way.

    Parameters
    ----------
    name, group
        Stem of the file, and what it shares with stills of the same recording or operation.
    n_annotators
        How many drew the reference.
    agreement
        Mean pairwise Dice of the annotators; None for one annotator, or where none drew blood.
    true_frac, predicted_frac
        Shares of the decided pixels.
    is_positive, is_called
        Whether the reference has any blood; whether the model's presence rule is met.
    dice, iou, surface_dice
        0..1, only where the reference has blood (0 where the model then drew none).
    surface_distance_frac
        Mean distance of the two outlines over the picture's diagonal; None where one is missing.
    """

    name: str
    group: str
    n_annotators: int
    agreement: float | None
    true_frac: float
    predicted_frac: float
    is_positive: bool
    is_called: bool
    dice: float | None
    iou: float | None
    surface_dice: float | None
    surface_distance_frac: float | None

    def __post_init__(self) -> None:
        for name in ("dice", "iou", "surface_dice"):
            if (getattr(self, name) is not None) != self.is_positive:
                raise ValueError(f"{name} of {self.name} exists exactly where it has blood")


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of an evaluation, over stills and then over groups.

    Parameters
    ----------
    key, title, unit
        Name for programs, name for people, UCUM unit.
    over_stills
        All stills alike; the interval, unless its method says otherwise, resamples groups.
    over_groups
        The mean over groups of each group's own number, groups resampled.
    n, n_groups
        Stills and groups that it rests on.
    """

    key: str
    title: str
    unit: str
    over_stills: Estimate
    over_groups: Estimate
    n: int
    n_groups: int


@dataclass(frozen=True, slots=True)
class GroupScore:
    """The stills of one group; None where they have none of the kind."""

    group: str
    n_positive: int
    n_negative: int
    dice_median: float | None
    iou_median: float | None
    negative_area_mean_frac: float | None
    area_mae_frac: float
    area_bias_frac: float


@dataclass(frozen=True, slots=True)
class Stratum:
    """Reference-positive stills of one kind, such as an area band; None where there are none."""

    key: str
    title: str
    n: int
    dice_median: float | None
    dice_mean: float | None
    iou_median: float | None
    surface_dice_median: float | None
    area_mae_frac: float | None
    area_bias_frac: float | None
    called_share: float | None


@dataclass(frozen=True, slots=True)
class Confusion:
    """Presence of blood, still by still."""

    true_positive: int
    false_negative: int
    false_positive: int
    true_negative: int


@dataclass(frozen=True, slots=True)
class AnnotatorPair:
    """Two annotators on the `n` stills that both looked at.

    Dice is taken where at least one drew blood (`n_drawn`), and where both did (`n_both`).
    """

    first: str
    second: str
    n: int
    n_drawn: int
    dice_median: float | None
    dice_mean: float | None
    n_both: int
    both_dice_median: float | None
    both_dice_mean: float | None
    presence_agreement: float | None


@dataclass(frozen=True, slots=True)
class AnnotatorAgreement:
    """How far several annotators agree."""

    annotators: tuple[str, ...]
    consensus: str
    pairs: tuple[AnnotatorPair, ...]
    presence_kappa: float | None
    presence_kappa_reason: str
    n_kappa: int
    dice_agreement_correlation: Estimate


@dataclass(frozen=True, slots=True)
class StillsEvaluation:
    """A model on a set of stills."""

    model: str
    n: int
    n_positive: int
    n_negative: int
    n_groups: int
    figures: tuple[Figure, ...]
    confusion: Confusion
    area_limits_frac: tuple[float, float] | None
    strata: tuple[Stratum, ...]
    groups: tuple[GroupScore, ...]
    reliability: Reliability
    agreement: AnnotatorAgreement | None
    rules: tuple[str, ...]
    scores: tuple[StillScore, ...]

    def figure(self, key: str) -> Figure:
        """Return the figure called `key`; raise KeyError if there is none."""
        for figure in self.figures:
            if figure.key == key:
                return figure
        raise KeyError(key)


@dataclass(frozen=True, slots=True)
class EventMatch:
    """A true event and the detected one that belongs to it; errors are detected minus true."""

    true_onset_s: float
    found_onset_s: float
    iou: float
    onset_error_s: float | None
    clear_error_s: float | None


@dataclass(frozen=True, slots=True)
class EventScore:
    """Detection of events at one temporal overlap; shares are None without any event to count."""

    min_iou: float
    n_true: int
    n_found: int
    n_matched: int
    f1: float | None
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class ReasonScore:
    """Seconds lost for one reason (or for any): precision and recall of finding them."""

    reason: LossReason | None
    true_s: float
    found_s: float
    both_s: float
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class RecordingEvaluation:
    """A case against the truth of its recording.

    Parameters
    ----------
    compared_s, true_valid_s
        Seconds that are valid in both, and seconds that are truly valid.
    area_mae_frac, area_bias_frac
        Time-weighted over `compared_s`; None where nothing can be compared.
    area_limits_frac
        Bias ± 1.96 standard deviations.
    events
        At temporal IoU 0.1, 0.25 and 0.5.
    matches
        Pairs at the loosest overlap, from which the errors are taken.
    onset_error_median_s, clear_error_median_s
        Median absolute errors; None without a pair whose moments were both seen.
    onset_bias_quartiles_s, clear_bias_quartiles_s
        Quartiles of detected minus true.
    false_events_per_hour
        Events that belong to no true one, per hour of truly valid time.
    reasons
        Per reason in the order of `LossReason`, and over all reasons (None) last.
    """

    compared_s: float
    true_valid_s: float
    area_mae_frac: float | None
    area_bias_frac: float | None
    area_limits_frac: tuple[float, float] | None
    events: tuple[EventScore, ...]
    matches: tuple[EventMatch, ...]
    onset_error_median_s: float | None
    clear_error_median_s: float | None
    onset_bias_quartiles_s: tuple[float, float, float] | None
    clear_bias_quartiles_s: tuple[float, float, float] | None
    false_events_per_hour: float | None
    reasons: tuple[ReasonScore, ...]

    def event_score(self, min_iou: float) -> EventScore:
        """Return the score at that overlap; raise KeyError if it was not asked for."""
        for score in self.events:
            if score.min_iou == min_iou:
                return score
        raise KeyError(min_iou)
