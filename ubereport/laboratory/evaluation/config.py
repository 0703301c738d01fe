"""How an evaluation counts; every default lives here once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from ubereport.core.validation import FROM_JSON, Seed, check_setting, validated

Inside = Annotated[float, Field(gt=0, lt=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]


class Consensus(StrEnum):
    """How several annotators become one reference."""

    MAJORITY = "majority"
    STAPLE = "staple"


@validated("evaluation")
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

    presence_frac: ShareBelowOne | None = None
    presence_probability: ShareBelowOne | None = None
    surface_tolerance_frac: Inside = 0.01
    area_edges: Annotated[tuple[Inside, Inside], FROM_JSON] = (0.05, 0.20)
    high_agreement: Annotated[float, Field(gt=0, le=1)] = 0.80
    consensus: Annotated[Consensus, FROM_JSON] = Consensus.MAJORITY
    n_resamples: Annotated[int, Field(ge=100, le=100_000)] = 1000
    seed: Seed = 1
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 8

    def __post_init__(self) -> None:
        edges = self.area_edges
        check_setting(edges[0] < edges[1], "evaluation.area_edges", edges, "two rising shares")
