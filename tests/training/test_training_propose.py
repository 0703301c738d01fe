import json
import re

import cv2
import numpy as np
import pytest

from ubereport.errors import AnnotationError, OutputError
from ubereport.training.propose import (
    Answer,
    apply_answers,
    choose_stills,
    propose,
    read_answers,
    uncertainty,
)


def test_uncertainty_is_zero_when_sure_and_one_when_torn():
    assert uncertainty(np.zeros((4, 4), np.float32)) == 0
    assert uncertainty(np.ones((4, 4), np.float32)) == 0
    assert uncertainty(np.full((4, 4), 0.5, np.float32)) == 1
    mixed = np.array([[0.0, 0.5, 1.0, 0.01]], np.float32)
    assert uncertainty(mixed) == pytest.approx(0.5)


def test_the_most_uncertain_comes_first_then_what_differs():
    scores = np.array([0.2, 0.9, 0.9, 0.5])
    features = np.array([[0.0], [1.0], [1.0], [5.0]])
    assert list(choose_stills(scores, features, 3)) == [1, 3, 0]
    assert len(choose_stills(scores, features, 99)) == 4
    assert len(choose_stills(scores, features, 0)) == 0


def test_twins_are_not_both_chosen_while_others_remain():
    scores = np.full(6, 0.5)
    features = np.array([[0.0], [0.0], [3.0], [3.0], [9.0], [9.0]])
    assert {int(features[i][0]) for i in choose_stills(scores, features, 3)} == {0, 3, 9}


def red_predictor(rgb):
    return (rgb[..., 0].astype(np.float32) - rgb[..., 1]) / 255


@pytest.fixture
def stills(tmp_path):
    paths = []
    for i in range(4):
        rgb = np.full((40, 60, 3), (150, 140, 130), np.uint8)
        rgb[:20, : 12 * (i + 1)] = (220, 20, 20)
        path = tmp_path / f"still<{i}>&.png"
        cv2.imwrite(str(path), rgb[..., ::-1])
        paths.append(path)
    return paths


def test_a_proposal_holds_masks_and_one_offline_sheet(stills, tmp_path):
    seen = []
    found = propose(
        stills, red_predictor, 32, 0.5, 3, tmp_path / "out", lambda i, n: seen.append((i, n))
    )
    assert len(found.candidates) == 3
    assert seen[-1] == (4, 4)
    page = found.sheet.read_text()
    assert not re.search(r"(?:src|href)=[\"']?https?:|@import|url\(", page)
    assert "default-src 'none'" in page
    # A still's name can neither end the script nor open an element.
    assert "<0>" not in page
    block = re.search(r'id="proposal">(.*?)</script>', page, re.DOTALL).group(1)
    table = json.loads(block)
    assert {c["name"] for c in table["candidates"]} == {c.name for c in found.candidates}
    first = found.candidates[0]
    mask = cv2.imread(str(tmp_path / "out" / "masks" / f"{first.name}.png"), 0)
    assert mask.shape == (40, 60)
    i = int(first.name[6])
    assert (mask > 0).mean() == pytest.approx(0.5 * 0.2 * (i + 1), abs=0.04)


def answers_file(tmp_path, answers, schema="ubereport-proposal/1"):
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"schema": schema, "answers": answers}))
    return path


def test_answers_become_masks(stills, tmp_path):
    found = propose(stills, red_predictor, 32, 0.5, 4, tmp_path / "out")
    names = [c.name for c in found.candidates]
    given = dict(zip(names, ["accept", "zero", "undecided", "reject"], strict=True))
    answers = read_answers(answers_file(tmp_path, given), names)
    assert answers[names[1]] is Answer.ZERO
    settled = apply_answers(answers, tmp_path / "out" / "masks")
    assert set(settled) == set(names[:3])
    blood, ignore = settled[names[0]]
    assert blood.any()
    assert not ignore.any()
    assert not settled[names[1]][0].any()
    blood, ignore = settled[names[2]]
    assert ignore.any()
    assert not blood.any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answers": {"a": "maybe"}}, "holds no answers"),
        ({"answers": {"a": "zero"}, "schema": "other/1"}, "holds no answers"),
        ({"answers": {"b": "zero"}}, "speaks of b"),
    ],
)
def test_answers_that_do_not_belong_are_refused(tmp_path, change, words):
    with pytest.raises(AnnotationError, match=words):
        read_answers(answers_file(tmp_path, **change), ["a"])


def test_a_file_without_answers_is_refused(tmp_path):
    (tmp_path / "answers.json").write_text("[1, 2]")
    with pytest.raises(AnnotationError, match="holds no answers"):
        read_answers(tmp_path / "answers.json", ["a"])


def test_an_answer_without_its_mask_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="candidate mask of a is missing"):
        apply_answers({"a": Answer.ACCEPT}, tmp_path)


def test_twins_by_name_and_an_existing_folder_are_refused(stills, tmp_path):
    with pytest.raises(AnnotationError, match="one file name"):
        propose([stills[0], stills[0]], red_predictor, 32, 0.5, 1, tmp_path / "out")
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        propose(stills, red_predictor, 32, 0.5, 1, tmp_path / "there")
