"""Candidate masks for stills worth labelling, and one offline sheet to judge them on."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.config import SegmentationConfig
from ubereport.core.errors import AnnotationError, OutputError
from ubereport.documents.page.html import render_app
from ubereport.files.atomic import publish_staged
from ubereport.files.resources import templates_dir
from ubereport.laboratory.picture_files import read_rgb
from ubereport.laboratory.training.answers import ANSWERS_SCHEMA, PROPOSAL_NAME, PROPOSAL_SCHEMA
from ubereport.laboratory.training.labelled_stills import (
    BLOOD,
    IGNORE,
    LabelArray,
    Still,
    read_label,
)
from ubereport.segmentation.bundle import find_bundle, load_bundle
from ubereport.segmentation.predictor import open_predictor

Predict = Callable[[RgbArray], NDArray[np.float32]]
_SHOWN_PX = 720


@dataclass(frozen=True, slots=True)
class Proposer:
    """What proposes masks.

    Parameters
    ----------
    key
        Tells models apart: what another one looked at is looked at anew.
    predict
        Maps (1, side_px, side_px, 3) uint8 to (1, side_px, side_px) probabilities.
    threshold
        Probability from which a pixel is proposed as blood.
    """

    key: str
    predict: Predict
    side_px: int
    threshold: float


def proposer_of(model: str) -> Proposer:
    """Return what a bundle proposes; `model` is its name or folder.

    Raises
    ------
    BundleError
        If it is missing, altered, or no bundle.
    """
    bundle = load_bundle(find_bundle(model))
    predictor = open_predictor(bundle, SegmentationConfig(model=model))
    key = f"{bundle.metadata.name} {bundle.metadata.version} {bundle.sha256[:10]}"
    return Proposer(
        key, predictor.probabilities, predictor.input_height_px, predictor.thresholds[1]
    )


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
    # Sure stills keep a little weight: a model may be sure and wrong about a kind of picture that
    # it never saw.
    weight = scores + 0.05
    scale = np.maximum(features.std(axis=0), 1e-9)
    place = features / scale
    chosen = [int(np.argmax(weight))]
    nearest = np.linalg.norm(place - place[chosen[0]], axis=1)
    # Greedy: each next still is the one whose uncertainty times its distance to the nearest one
    # chosen is largest, so that neither ten alike nor ten that are sure are drawn.
    while len(chosen) < n:
        gain = weight * nearest
        gain[chosen] = -1.0
        chosen.append(int(np.argmax(gain)))
        nearest = np.minimum(nearest, np.linalg.norm(place - place[chosen[-1]], axis=1))
    return np.asarray(chosen, np.int64)


def propose(
    paths: Sequence[Path],
    proposer: Proposer,
    n: int,
    folder: Path,
    on_progress: Callable[[int, int], None] | None = None,
    reviewed: Sequence[Still] = (),
) -> Proposal:
    """Write candidate masks of the stills most worth labelling and a sheet to judge them on.

    ``masks/<name>.png`` has the still's size; ``sheet.html`` is one file that works offline and
    hands the answers back as ``answers.json``; ``proposal.json`` says which stills these are.
    Interrupted, the same call goes on where it stopped.

    Parameters
    ----------
    n
        How many stills to show.
    on_progress
        Called with stills looked at and stills in all.
    reviewed
        Labelled stills, as `train import` makes them of reviewed cases: stills that look like
        those which the model gets wrong are asked for first.

    Raises
    ------
    AnnotationError
        If a still or label cannot be read or two stills have one name.
    OutputError
        If `folder` exists already.
    """
    names = [path.stem for path in paths]
    if len(set(names)) != len(names):
        raise AnnotationError("Two stills have one file name. Rename one of them.")
    if folder.exists():
        raise OutputError(f"{folder.name!r} exists already. Choose another folder.")
    partial = folder.with_name(f".{folder.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    looks = _Looks(partial / "looks.jsonl", f"{proposer.key} {proposer.side_px}")
    for i, path in enumerate(paths):
        if path.stem not in looks.by_name:
            probability, small = _look(path, proposer)
            looks.add(path.stem, uncertainty(probability), _appearance(small))
        if on_progress is not None:
            on_progress(i + 1, len(paths))
    scores = np.array([looks.by_name[name][0] for name in names])
    features = np.array([looks.by_name[name][1] for name in names])
    worth = scores + weakness_of(reviewed, proposer).near(features) if reviewed else scores
    chosen = choose_stills(worth, features, n)
    candidates = _write_candidates([paths[i] for i in chosen], scores[chosen], proposer, partial)
    looks.path.unlink()
    publish_staged(partial, folder)
    return Proposal(folder / "sheet.html", candidates)


def weakness_of(reviewed: Sequence[Still], proposer: Proposer) -> Weakness:
    """Try a model on labels; raises AnnotationError if one cannot be read or none is there."""
    features, errors = [], []
    for still in reviewed:
        probability, small = _look(still.image_path, proposer)
        height_px, width_px = read_rgb(still.image_path).shape[:2]
        label = read_label(still, height_px, width_px)
        side = (proposer.side_px, proposer.side_px)
        fitted = np.asarray(cv2.resize(label, side, interpolation=cv2.INTER_NEAREST), np.uint8)
        features.append(_appearance(small))
        errors.append(error_frac(probability, fitted, proposer.threshold))
    return Weakness(np.array(features), np.array(errors))


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


class _Looks:
    """What was seen in each still, one line each, kept until the proposal is written."""

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.by_name: dict[str, tuple[float, NDArray[np.float64]]] = {}
        lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
        head = json.dumps(key)
        if lines and lines[0] == head:
            # The last line may be cut off in the middle; behind a whole one there is an empty
            # piece.
            for line in lines[1:-1]:
                name, score, features = json.loads(line)
                self.by_name[name] = (score, np.array(features))
        rows = (self._line(name, *look) for name, look in self.by_name.items())
        path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")

    def add(self, name: str, score: float, features: NDArray[np.float64]) -> None:
        self.by_name[name] = (score, features)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(self._line(name, score, features) + "\n")

    @staticmethod
    def _line(name: str, score: float, features: NDArray[np.float64]) -> str:
        return json.dumps([name, score, features.tolist()])


def _write_candidates(
    paths: Sequence[Path], scores: NDArray[np.float64], proposer: Proposer, folder: Path
) -> tuple[Candidate, ...]:
    (folder / "masks").mkdir(exist_ok=True)
    candidates, rows, stills = [], [], []
    for path, score in zip(paths, scores, strict=True):
        probability, _ = _look(path, proposer)
        rgb = read_rgb(path)
        mask = _at_size(probability, rgb) >= proposer.threshold
        cv2.imwrite(str(folder / "masks" / f"{path.stem}.png"), mask.astype(np.uint8) * 255)
        candidates.append(Candidate(path.stem, float(mask.mean()), float(score)))
        rows.append(_row(candidates[-1], rgb, mask))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        stills.append({"name": path.stem, "still": path.name, "sha256": digest})
    key = hashlib.sha256(json.dumps([stills, proposer.key]).encode()).hexdigest()[:16]
    table = {"schema": PROPOSAL_SCHEMA, "key": key, "model": proposer.key, "stills": stills}
    (folder / PROPOSAL_NAME).write_text(json.dumps(table, indent=1), encoding="utf-8")
    (folder / "sheet.html").write_text(_sheet(key, rows), encoding="utf-8")
    return tuple(candidates)


def _look(path: Path, proposer: Proposer) -> tuple[NDArray[np.float32], RgbArray]:
    rgb = read_rgb(path)
    side = (proposer.side_px, proposer.side_px)
    small = np.asarray(cv2.resize(rgb, side, interpolation=cv2.INTER_AREA), np.uint8)
    return proposer.predict(small[None])[0], small


def _appearance(rgb: RgbArray) -> NDArray[np.float64]:
    """Return color and layout: a 4 × 4 thumbnail in Lab."""
    # In Lab distances are about what eyes see, so that unlike means unlike to a person.
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    small = cv2.resize(lab, (4, 4), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float64).reshape(-1)


def _at_size(probability: NDArray[np.float32], rgb: RgbArray) -> NDArray[np.float32]:
    size = (rgb.shape[1], rgb.shape[0])
    return np.asarray(cv2.resize(probability, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _sheet(key: str, rows: Sequence[Mapping[str, str | float]]) -> str:
    """Return the sheet, one file, in the language spoken here."""
    text = json.dumps({"schema": ANSWERS_SCHEMA, "key": key, "candidates": rows})
    names = ("review/words.js", "proposal.js")
    scripts = [(templates_dir() / name).read_text(encoding="utf-8") for name in names]
    return render_app("proposal.html", scripts, proposal=text)


def _row(candidate: Candidate, rgb: RgbArray, mask: BoolArray) -> dict[str, str | float]:
    """Return what the sheet shows: a picture of bounded size and the candidate drawn over it."""
    height, width = rgb.shape[:2]
    scale = min(1.0, _SHOWN_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    shown = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    tinted = np.zeros((*shown.shape, 4), np.uint8)
    tinted[shown > 0] = 255
    return {
        "name": candidate.name,
        "blood_frac": candidate.blood_frac,
        "width_px": width,
        "height_px": height,
        "still": _inline(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85]),
        "mask": _inline(".png", tinted, [cv2.IMWRITE_PNG_COMPRESSION, 9]),
    }


def _inline(suffix: str, picture: NDArray[np.uint8], settings: Sequence[int]) -> str:
    _, code = cv2.imencode(suffix, np.ascontiguousarray(picture), settings)
    kind = {".jpg": "jpeg", ".png": "png"}[suffix]
    return f"data:image/{kind};base64," + base64.b64encode(code.tobytes()).decode("ascii")
