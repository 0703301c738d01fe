"""What the proposal sheet hands back: answers and what was drawn, as annotations of stills."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from ubereport.core.arrays import BoolArray
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.annotation.files import read_bytes, read_json, read_png_mask, table_of
from ubereport.laboratory.annotation.shapes import fill_polygon
from ubereport.laboratory.annotation.types import Annotation

ANSWERS_SCHEMA = "ubereport-answers/1"
PROPOSAL_SCHEMA = "ubereport-proposal/2"
PROPOSAL_NAME = "proposal.json"
_MAX_EDITS = 1000


class Answer(StrEnum):
    """What a person says of a candidate mask."""

    ACCEPT = "accept"
    REJECT = "reject"
    ZERO = "zero"
    UNDECIDED = "undecided"


class Brush(StrEnum):
    """What a region drawn on the sheet becomes."""

    BLOOD = "blood"
    CLEAR = "clear"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Edit:
    """A region drawn on the sheet: `points` are x and y in pixels of the still."""

    brush: Brush
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer and what was drawn before it, in order."""

    answer: Answer
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class ProposedStill:
    """A still of a proposal: its stem, its file name and the sha256 of its file."""

    name: str
    still: str
    sha256: str


@dataclass(frozen=True, slots=True)
class SettledAnswers:
    """Annotations that answers settle, and candidates to be drawn anew by hand.

    `rejected` holds what was proposed and drawn so far, as a start for another tool.
    """

    annotations: tuple[Annotation, ...]
    rejected: tuple[Annotation, ...]
    n_open: int


def is_answers(path: Path) -> bool:
    """Return whether a file holds the answers of a sheet."""
    if not path.is_file() or path.suffix.lower() != ".json":
        return False
    table = read_json(read_bytes(path), path.name)
    return isinstance(table, dict) and table.get("schema") == ANSWERS_SCHEMA


def read_proposal(folder: Path) -> tuple[str, tuple[ProposedStill, ...]]:
    """Return the key of a proposal, which its answers repeat, and its stills.

    Raises
    ------
    AnnotationError
        If `folder` is no folder of `train propose`.
    """
    path = folder / PROPOSAL_NAME
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        if table["schema"] != PROPOSAL_SCHEMA:
            raise ValueError(f"schema {table['schema']!r}")
        stills = tuple(
            ProposedStill(str(row["name"]), str(row["still"]), str(row["sha256"]))
            for row in table["stills"]
        )
        return str(table["key"]), stills
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AnnotationError(
            f"{folder.name} is no proposal ({type(error).__name__}). Name the folder that "
            "`ubereport train propose` wrote with --proposal."
        ) from None


def read_answers(path: Path, key: str, names: frozenset[str]) -> dict[str, Answered]:
    """Read what the sheet handed back; stills without an answer are left out.

    Raises
    ------
    AnnotationError
        If the file is no answer of a sheet, or belongs to another proposal.
    """
    table = table_of(read_json(read_bytes(path), path.name), path.name)
    if table.get("schema") != ANSWERS_SCHEMA:
        raise AnnotationError(
            f"{path.name} holds no answers of a sheet. Save them from sheet.html again."
        )
    answers = table_of(table.get("answers"), f"answers of {path.name}")
    unknown = sorted(set(answers) - names)[:3]
    if unknown or table.get("key") != key:
        words = f"speaks of {', '.join(unknown)}, which" if unknown else "belongs to a sheet that"
        raise AnnotationError(
            f"{path.name} {words} this proposal does not hold. Use the answers that belong to it."
        )
    return {name: _answered(name, value) for name, value in answers.items()}


def _answered(name: str, value: Any) -> Answered:  # noqa: ANN401 -- JSON
    try:
        edits = [Edit(Brush(brush), _points(points)) for brush, points in value["edits"]]
        if len(edits) > _MAX_EDITS:
            raise ValueError("too many regions")
        return Answered(Answer(value["answer"]), tuple(edits))
    except (ValueError, KeyError, TypeError):
        raise AnnotationError(
            f"The answer for {name} cannot be read; allowed are {', '.join(Answer)}, with regions "
            f"of {', '.join(Brush)}. Save the answers from sheet.html again."
        ) from None


def _points(points: Any) -> tuple[tuple[float, float], ...]:  # noqa: ANN401 -- JSON
    xy = tuple((float(x), float(y)) for x, y in points)
    if len(xy) < 3 or not all(math.isfinite(v) for point in xy for v in point):
        raise ValueError("a region needs three finite points")
    return xy


def settle_answers(folder: Path, answers_path: Path, annotator: str) -> SettledAnswers:
    """Turn the answers of a proposal into annotations.

    Accepted: the candidate with what was drawn. Zero: no blood. Undecided: what is marked counts
    neither way, or the whole still where nothing is marked. Rejected: to be drawn by hand.

    Parameters
    ----------
    folder
        Of the proposal, with the candidate masks.

    Raises
    ------
    AnnotationError
        If the answers do not belong to the proposal or a candidate mask is missing.
    """
    key, stills = read_proposal(folder)
    answers = read_answers(answers_path, key, frozenset(still.name for still in stills))
    settled: list[Annotation] = []
    rejected: list[Annotation] = []
    for still in stills:
        if still.name not in answers:
            continue
        answered = answers[still.name]
        blood, ignore = _drawn(read_png_mask(folder / "masks" / f"{still.name}.png"), answered)
        if answered.answer is Answer.ZERO:
            blood = np.zeros_like(blood)
        elif answered.answer is Answer.UNDECIDED:
            ignore = blood | ignore if (blood | ignore).any() else np.ones_like(blood)
            blood = np.zeros_like(blood)
        annotation = Annotation.from_masks(
            still.still, blood, ignore, annotator=annotator, sha256=still.sha256
        )
        (rejected if answered.answer is Answer.REJECT else settled).append(annotation)
    n_open = len(stills) - len(answers)
    return SettledAnswers(tuple(settled), tuple(rejected), n_open)


def _drawn(candidate: BoolArray, answered: Answered) -> tuple[BoolArray, BoolArray]:
    layers: Mapping[Brush, BoolArray] = {
        Brush.BLOOD: np.array(candidate),
        Brush.IGNORE: np.zeros(candidate.shape, np.bool_),
    }
    # In the order in which they were drawn, each over what lay there: a pixel is blood, undecided
    # or clear, and never two of them.
    for edit in answered.edits:
        region = fill_polygon(edit.points, *candidate.shape)
        for brush, layer in layers.items():
            layer[region] = brush is edit.brush
    return layers[Brush.BLOOD], layers[Brush.IGNORE]
