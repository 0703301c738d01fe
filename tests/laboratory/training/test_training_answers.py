"""What comes back from the proposal sheet, against masks made by hand."""

import json

import cv2
import numpy as np
import pytest

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.training.answers import (
    ANSWERS_SCHEMA,
    PROPOSAL_SCHEMA,
    is_answers,
    read_answers,
    read_proposal,
    settle_answers,
)

SQUARE = [[10, 2], [14, 2], [14, 6], [10, 6]]


@pytest.fixture
def proposal(tmp_path):
    """Five stills of 20 × 10 px; the left half of each is proposed, of the last one nothing."""
    folder = tmp_path / "to-label"
    (folder / "masks").mkdir(parents=True)
    stills = []
    for i in range(5):
        mask = np.zeros((10, 20), np.uint8)
        mask[:, :10] = 255 if i < 4 else 0
        cv2.imwrite(str(folder / "masks" / f"s{i}.png"), mask)
        stills.append({"name": f"s{i}", "still": f"s{i}.jpg", "sha256": f"{i}" * 64})
    table = {"schema": PROPOSAL_SCHEMA, "key": "k1", "stills": stills}
    (folder / "proposal.json").write_text(json.dumps(table))
    return folder


def answered(tmp_path, answers, **other):
    path = tmp_path / "answers.json"
    table = {"schema": ANSWERS_SCHEMA, "key": "k1", "answers": answers}
    path.write_text(json.dumps({**table, **other}))
    return path


def one(answer, *edits):
    return {"answer": answer, "edits": list(edits)}


def test_each_answer_becomes_what_it_says(proposal, tmp_path):
    path = answered(
        tmp_path,
        {
            "s0": one("accept", ["blood", SQUARE], ["ignore", [[0, 0], [2, 0], [2, 10], [0, 10]]]),
            "s1": one("zero", ["blood", SQUARE]),
            "s2": one("undecided"),
            "s3": one("reject", ["clear", SQUARE]),
            "s4": one("undecided"),
        },
    )
    settled = settle_answers(proposal, path, "surgeon1")
    by_name = {a.still: a for a in settled.annotations}
    half = np.zeros((10, 20), bool)
    half[:, :10] = True
    blood, ignore = half.copy(), np.zeros_like(half)
    blood[2:6, 10:14] = True
    ignore[:, :2], blood[:, :2] = True, False
    assert np.array_equal(by_name["s0.jpg"].blood, blood)
    assert np.array_equal(by_name["s0.jpg"].ignore, ignore)
    assert by_name["s0.jpg"].annotator == "surgeon1"
    assert by_name["s0.jpg"].sha256 == "0" * 64
    assert not by_name["s1.jpg"].blood.any()
    assert not by_name["s2.jpg"].blood.any()
    assert np.array_equal(by_name["s2.jpg"].ignore, half)
    # Nothing is marked: the person cannot tell of any pixel.
    assert by_name["s4.jpg"].ignore.all()
    (rejected,) = settled.rejected
    assert (rejected.still, settled.n_open) == ("s3.jpg", 0)
    assert np.array_equal(rejected.blood, half)


def test_later_strokes_win(proposal, tmp_path):
    path = answered(
        tmp_path,
        {"s4": one("accept", ["blood", SQUARE], ["ignore", SQUARE], ["clear", SQUARE])},
    )
    settled = settle_answers(proposal, path, "a")
    assert not settled.annotations[0].blood.any()
    assert not settled.annotations[0].ignore.any()
    assert settled.n_open == 4


@pytest.mark.parametrize(
    ("answers", "other", "words"),
    [
        ({"s9": one("zero")}, {}, "speaks of s9"),
        ({"s0": one("zero")}, {"key": "k2"}, "belongs to a sheet"),
        ({"s0": one("zero")}, {"schema": "other/1"}, "holds no answers"),
        ({"s0": one("maybe")}, {}, "answer for s0 cannot be read"),
        ({"s0": "zero"}, {}, "answer for s0 cannot be read"),
        ({"s0": one("accept", ["paint", SQUARE])}, {}, "answer for s0 cannot be read"),
        ({"s0": one("accept", ["blood", [[1, 1], [2, 2]]])}, {}, "answer for s0 cannot be read"),
        ([], {}, "no JSON object"),
    ],
)
def test_answers_that_do_not_belong_are_refused(proposal, tmp_path, answers, other, words):
    with pytest.raises(AnnotationError, match=words):
        settle_answers(proposal, answered(tmp_path, answers, **other), "a")


def test_a_folder_without_a_proposal_and_a_lost_mask_are_refused(proposal, tmp_path):
    with pytest.raises(AnnotationError, match="is no proposal"):
        read_proposal(tmp_path)
    (proposal / "masks" / "s0.png").unlink()
    with pytest.raises(AnnotationError, match=r"s0\.png"):
        settle_answers(proposal, answered(tmp_path, {"s0": one("accept")}), "a")


def test_answers_are_told_from_other_files(proposal, tmp_path):
    path = answered(tmp_path, {})
    assert is_answers(path)
    assert not is_answers(proposal / "proposal.json")
    assert not is_answers(tmp_path)
    assert read_answers(path, "k1", frozenset()) == {}
