"""How an evaluation counts; every default lives here once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ubereport.core.errors import ConfigError

__all__ = ["Consensus", "StillsConfig"]


class Consensus(StrEnum):
    """How several annotators become one reference."""

    MAJORITY = "majority"
    STAPLE = "staple"


@dataclass(frozen=True, slots=True)
class StillsConfig:
    """How stills are scored.

    Parameters
    ----------
    presence_frac, presence_probability
        A still counts as "blood is there" where at least `presence_frac` of its decided pixels
        reach `presence_probability`; any such pixel where the share is 0. None takes what the
        bundle was calibrated to, and where it says nothing 0.1 % at its central threshold. A
        reference shows blood with its first pixel.
    surface_tolerance_frac
        Distance, over the picture's diagonal, up to which outlines agree.
    area_edges
        Upper edges of the first two area bands.
    high_agreement
        Mean pairwise Dice of the annotators from which a still counts as agreed upon.
    consensus
        Reference of several annotators. Pixels on which a majority is split evenly are undecided.
    n_resamples, seed, confidence
        Of the bootstrap over groups, and of every interval.
    batch_size
        Stills given to the model at a time.
    """

    presence_frac: float | None = None
    presence_probability: float | None = None
    surface_tolerance_frac: float = 0.01
    area_edges: tuple[float, float] = (0.05, 0.20)
    high_agreement: float = 0.80
    consensus: Consensus = Consensus.MAJORITY
    n_resamples: int = 1000
    seed: int = 1
    confidence: float = 0.95
    batch_size: int = 8

    def __post_init__(self) -> None:
        low, high = self.area_edges
        for key in ("presence_frac", "presence_probability"):
            value = getattr(self, key)
            _check(value is None or 0 <= value < 1, key, value, "0 to below 1")
        _check(
            0 < self.surface_tolerance_frac < 1,
            "surface_tolerance_frac",
            self.surface_tolerance_frac,
            "above 0, below 1",
        )
        _check(0 < low < high < 1, "area_edges", self.area_edges, "two rising shares below 1")
        _check(0 < self.high_agreement <= 1, "high_agreement", self.high_agreement, "0 to 1")
        _check(100 <= self.n_resamples <= 100_000, "n_resamples", self.n_resamples, "100 to 100000")
        _check(0.5 <= self.confidence < 1, "confidence", self.confidence, "0.5 to below 1")
        _check(1 <= self.batch_size <= 1024, "batch_size", self.batch_size, "1 to 1024")


def _check(is_good: bool, key: str, given: object, allowed: str) -> None:
    if not is_good:
        raise ConfigError(
            f"evaluation.{key} = {given!r} cannot be used; allowed: {allowed}. Change {key}."
        )
