"""What a model errs in each group of a comparison, from stills that a department labelled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np

from ubereport.core.arrays import FloatArray
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.evaluation.results import StillScore

_N_BOOTSTRAP = 1000
_MIN_RECORDINGS = 3


def errors_by_group_json(
    scores: Sequence[StillScore], technique_of: Mapping[str, str], seed: int
) -> bytes:
    """Return ``errors_by_group.json``: shares of blood found and of clean view painted, by group.

    Pixels are added up over the stills of a group; standard errors from whole recordings drawn
    again, so that many stills of one recording do not pass for many.

    Raises
    ------
    AnnotationError
        If a group has stills of fewer than three recordings, or none with blood.
    """
    # A still of no technique has an empty name there and is left out.
    groups = sorted({technique_of.get(s.name, "") for s in scores} - {""})
    if not groups:
        raise AnnotationError(
            "No still of the table of techniques was scored. Its names are the stems of the stills."
        )
    content = {
        group: _errors(group, [s for s in scores if technique_of.get(s.name) == group], seed)
        for group in groups
    }
    return (json.dumps({"groups": content}, indent=1, ensure_ascii=False) + "\n").encode()


def _errors(group: str, scores: Sequence[StillScore], seed: int) -> dict[str, float | int]:
    recordings = sorted({score.group for score in scores})
    sums = np.zeros((len(recordings), 4))
    for score in scores:
        sums[recordings.index(score.group)] += _pixels(score)
    if len(recordings) < _MIN_RECORDINGS or sums[:, 1].sum() == 0:
        raise AnnotationError(
            f"{group} has labelled stills of {len(recordings)} recordings, "
            f"{int(np.sum(sums[:, 1] > 0))} of them with blood. Label stills of "
            f"{_MIN_RECORDINGS} recordings or more, some with blood."
        )
    rng = np.random.default_rng(seed)
    # To draw recordings again is to draw how often each occurs: one product with their sums then
    # gives all draws at once.
    counts = rng.multinomial(
        len(recordings), np.full(len(recordings), 1 / len(recordings)), size=_N_BOOTSTRAP
    )
    recall, painted = _shares(counts @ sums)
    own_recall, own_painted = _shares(sums.sum(axis=0)[None, :])
    return {
        "painted_clean_frac": float(own_painted[0]),
        "painted_se": float(np.nanstd(painted, ddof=1)),
        "blood_found_share": float(own_recall[0]),
        "found_se": float(np.nanstd(recall, ddof=1)),
        "n_stills": len(scores),
        "n_recordings": len(recordings),
    }


def _pixels(score: StillScore) -> FloatArray:
    """Return found blood, blood, painted clean and clean, as shares of the decided pixels."""
    # Scores keep Dice and areas: Dice = 2 hit / (true + called), solved for what both share.
    hit = 0.0 if score.dice is None else score.dice * (score.true_frac + score.predicted_frac) / 2
    return np.array([hit, score.true_frac, score.predicted_frac - hit, 1 - score.true_frac])


def _shares(sums: FloatArray) -> tuple[FloatArray, FloatArray]:
    nothing = np.full(len(sums), np.nan)
    recall = np.divide(sums[:, 0], sums[:, 1], out=nothing.copy(), where=sums[:, 1] > 0)
    painted = np.divide(sums[:, 2], sums[:, 3], out=nothing.copy(), where=sums[:, 3] > 0)
    return recall, painted
