"""Where labels show a model to be weakest: its errors on them, carried over to what looks alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.training.labelled_stills import BLOOD, IGNORE, LabelArray


def error_frac(probability: NDArray[np.float32], label: LabelArray, threshold: float) -> float:
    """Return the share of decided pixels that a (h, w) map gets wrong; 0 where none is decided."""
    is_decided = label != IGNORE
    if not is_decided.any():
        return 0.0
    is_wrong = (probability >= threshold) != (label == BLOOD)
    return float(np.mean(is_wrong[is_decided]))


@dataclass(frozen=True, slots=True, eq=False)
class Weakness:
    """Pictures that a person labelled, what they look like, and how much the model got wrong.

    Parameters
    ----------
    features
        (m, k) what the labelled pictures look like.
    error_frac
        (m,) share of wrong pixels in each, 0..1.
    """

    features: NDArray[np.float64]
    error_frac: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(self.features) != len(self.error_frac):
            raise ValueError(f"{len(self.features)} pictures with {len(self.error_frac)} errors")
        if len(self.error_frac) == 0:
            raise AnnotationError(
                "The reviewed set holds no labelled still. Make it with `train import`."
            )

    def near(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how weak the model is expected to be on other pictures, 0..1.

        Each labelled picture lends the square root of its error (the side of the wrong area, as
        small false areas matter too) to those that look like it, less and less with their
        distance; the strongest loan counts. Distances are in units of the pictures' own spread,
        and the reach is the median distance to the nearest labelled picture, so that about half
        of all pictures are within it, however many were labelled.

        Parameters
        ----------
        features
            (n, k) what the pictures look like.

        Returns
        -------
        ndarray
            (n,) weakness.
        """
        scale = np.maximum(features.std(axis=0), 1e-9)
        apart = np.linalg.norm(features[:, None] / scale - self.features[None] / scale, axis=2)
        reach = max(float(np.median(apart.min(axis=1))), 1e-9)
        # The strongest loan and not the sum: many labelled pictures of one kind must not make that
        # kind look weak by their number.
        lent = np.sqrt(self.error_frac) * np.exp(-0.5 * (apart / reach) ** 2)
        return np.asarray(lent.max(axis=1), np.float64)
