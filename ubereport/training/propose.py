"""Candidate masks for stills worth labelling, and one offline sheet to judge them on."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.errors import AnnotationError, OutputError
from ubereport.resources import templates_dir
from ubereport.training.stills import read_rgb

__all__ = [
    "Answer",
    "Candidate",
    "Proposal",
    "apply_answers",
    "choose_stills",
    "propose",
    "read_answers",
    "uncertainty",
]

SCHEMA = "ubereport-proposal/1"
Predict = Callable[[RgbArray], NDArray[np.float32]]


class Answer(StrEnum):
    """What a person says of a candidate mask."""

    ACCEPT = "accept"
    REJECT = "reject"
    ZERO = "zero"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A still with its candidate mask's share and how unsure the model is (0..1)."""

    name: str
    blood_frac: float
    uncertainty: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """What `propose` wrote: the sheet, and the candidates in the order shown."""

    sheet: Path
    candidates: tuple[Candidate, ...]


def uncertainty(probability: NDArray[np.float32]) -> float:
    """Return how unsure a map is: the mean of 4 p (1 − p) over pixels that are not surely clean.

    0 where every pixel is surely clean or surely blood, 1 where all are at one half.
    """
    open_question = probability > 0.05
    if not open_question.any():
        return 0.0
    p = probability[open_question]
    return float(np.mean(4 * p * (1 - p)))


def choose_stills(
    scores: NDArray[np.float64], features: NDArray[np.float64], n: int
) -> NDArray[np.int64]:
    """Choose `n` stills that are uncertain and unlike each other.

    The most uncertain comes first; then always the one with the largest product of its
    uncertainty and its distance to the nearest one chosen.

    Parameters
    ----------
    scores
        (m,) uncertainties, 0 or more.
    features
        (m, k) what stills look like.

    Returns
    -------
    ndarray
        (min(n, m),) indices in the order chosen.
    """
    n = min(n, len(scores))
    if n <= 0:
        return np.empty(0, np.int64)
    weight = scores + 0.05
    scale = np.maximum(features.std(axis=0), 1e-9)
    place = features / scale
    chosen = [int(np.argmax(weight))]
    nearest = np.linalg.norm(place - place[chosen[0]], axis=1)
    while len(chosen) < n:
        gain = weight * nearest
        gain[chosen] = -1.0
        chosen.append(int(np.argmax(gain)))
        nearest = np.minimum(nearest, np.linalg.norm(place - place[chosen[-1]], axis=1))
    return np.asarray(chosen, np.int64)


def propose(
    paths: Sequence[Path],
    predict: Predict,
    side_px: int,
    threshold: float,
    n: int,
    folder: Path,
    on_progress: Callable[[int, int], None] | None = None,
) -> Proposal:
    """Write candidate masks of the stills most worth labelling and a sheet to judge them on.

    ``masks/<name>.png`` has the still's size; ``sheet.html`` is one file that works offline and
    hands the answers back as ``answers.json``.

    Parameters
    ----------
    predict
        Maps (1, side_px, side_px, 3) uint8 to (1, side_px, side_px) probabilities.
    threshold
        Probability from which a pixel is proposed as blood.
    n
        How many stills to show.

    Raises
    ------
    AnnotationError
        If a still cannot be read or two have one name.
    OutputError
        If `folder` exists already.
    """
    names = [path.stem for path in paths]
    if len(set(names)) != len(names):
        raise AnnotationError("Two stills have one file name. Rename one of them.")
    if folder.exists():
        raise OutputError(f"{folder.name!r} exists already. Choose another folder.")
    scores, features = [], []
    for i, path in enumerate(paths):
        probability, small = _look(path, predict, side_px)
        scores.append(uncertainty(probability))
        features.append(_appearance(small))
        if on_progress is not None:
            on_progress(i + 1, len(paths))
    chosen = choose_stills(np.array(scores), np.array(features), n)
    (folder / "masks").mkdir(parents=True)
    candidates, rows = [], []
    for i in chosen:
        probability, _ = _look(paths[i], predict, side_px)
        rgb = read_rgb(paths[i])
        mask = _at_size(probability, rgb) >= threshold
        cv2.imwrite(str(folder / "masks" / f"{names[i]}.png"), mask.astype(np.uint8) * 255)
        candidate = Candidate(names[i], float(mask.mean()), scores[i])
        candidates.append(candidate)
        rows.append(_row(candidate, rgb, mask))
    sheet = folder / "sheet.html"
    sheet.write_text(_sheet(rows), encoding="utf-8")
    return Proposal(sheet, tuple(candidates))


def read_answers(path: Path, names: Sequence[str]) -> dict[str, Answer]:
    """Read what the sheet handed back; stills without an answer are left out.

    Raises
    ------
    AnnotationError
        If the file is no answer of a sheet, or speaks of a still that is not in `names`.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        if table["schema"] != SCHEMA:
            raise ValueError(f"schema {table['schema']!r}")
        answers = {str(name): Answer(answer) for name, answer in table["answers"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnnotationError(
            f"{path.name} holds no answers of a sheet ({error}). Save them from sheet.html again."
        ) from None
    unknown = sorted(set(answers) - set(names))[:3]
    if unknown:
        raise AnnotationError(
            f"{path.name} speaks of {', '.join(unknown)}, which this proposal does not hold. "
            "Use the answers that belong to it."
        )
    return answers


def apply_answers(
    answers: Mapping[str, Answer], masks_dir: Path
) -> dict[str, tuple[BoolArray, BoolArray]]:
    """Return blood and ignore masks, (H, W) bool each, of the stills that an answer settles.

    Accepted masks become blood, zero becomes an empty mask, undecided ignores the candidate's
    pixels; a rejected candidate has to be drawn by hand and is left out.

    Raises
    ------
    AnnotationError
        If a candidate mask is missing.
    """
    settled = {}
    for name, answer in answers.items():
        if answer is Answer.REJECT:
            continue
        candidate = cv2.imread(str(masks_dir / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
        if candidate is None:
            raise AnnotationError(f"The candidate mask of {name} is missing. Propose again.")
        mask, none = np.asarray(candidate > 0), np.zeros(candidate.shape, np.bool_)
        blood = mask if answer is Answer.ACCEPT else none
        settled[name] = (blood, mask if answer is Answer.UNDECIDED else none)
    return settled


def _look(path: Path, predict: Predict, side_px: int) -> tuple[NDArray[np.float32], RgbArray]:
    rgb = read_rgb(path)
    small = np.asarray(cv2.resize(rgb, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)
    return predict(small[None])[0], small


def _appearance(rgb: RgbArray) -> NDArray[np.float64]:
    """Return color and layout: a 4 × 4 thumbnail in Lab."""
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    small = cv2.resize(lab, (4, 4), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float64).reshape(-1)


def _at_size(probability: NDArray[np.float32], rgb: RgbArray) -> NDArray[np.float32]:
    size = (rgb.shape[1], rgb.shape[0])
    return np.asarray(cv2.resize(probability, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _sheet(rows: Sequence[Mapping[str, str | float]]) -> str:
    """Fill the page; what could end a script element is escaped in the JSON."""
    key = hashlib.sha256("|".join(str(row["name"]) for row in rows).encode()).hexdigest()[:16]
    text = json.dumps({"schema": SCHEMA, "key": key, "candidates": rows})
    safe = text.replace("<", "\\u003c").replace("&", "\\u0026")
    page = (templates_dir() / "proposal.html").read_text(encoding="utf-8")
    return page.replace("{{proposal}}", safe)


def _row(candidate: Candidate, rgb: RgbArray, mask: BoolArray) -> dict[str, str | float]:
    scale = 420 / max(rgb.shape[:2])
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    plain = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    small = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    drawn = plain.copy()
    edges, _ = cv2.findContours(small, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, edges, -1, (0, 255, 0), 2)
    return {
        "name": candidate.name,
        "blood_frac": candidate.blood_frac,
        "still": _inline(plain),
        "outline": _inline(drawn),
    }


def _inline(rgb: RgbArray) -> str:
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    _, code = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(code.tobytes()).decode("ascii")
