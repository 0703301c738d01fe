import hashlib
import json
import re

import cv2
import numpy as np
import pytest

from ubereport.core.errors import AnnotationError, OutputError
from ubereport.laboratory.training.answers import read_proposal
from ubereport.laboratory.training.labelled_stills import Still
from ubereport.laboratory.training.propose import (
    Proposer,
    Weakness,
    choose_stills,
    error_frac,
    propose,
    uncertainty,
    weakness_of,
)
from ubereport.language.languages import find_language
from ubereport.language.speaking import speaking
from ubereport.language.translator import translator


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


RED = Proposer("red", red_predictor, 32, 0.5)


def predict_of(asked):
    def predict(rgb):
        asked.append(1)
        return red_predictor(rgb)

    return predict


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
    found = propose(stills, RED, 3, tmp_path / "out", lambda i, n: seen.append((i, n)))
    assert len(found.candidates) == 3
    assert seen[-1] == (4, 4)
    page = found.sheet.read_text()
    assert not re.search(r"(?:src|href)=[\"']?https?:|@import|url\((?!.data:font/)", page)
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
    key, listed = read_proposal(tmp_path / "out")
    assert key == table["key"]
    assert [s.name for s in listed] == [c.name for c in found.candidates]
    assert listed[0].sha256 == hashlib.sha256(stills[i].read_bytes()).hexdigest()


def test_an_interrupted_proposal_goes_on(stills, tmp_path):
    asked = []

    def predict(rgb):
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return red_predictor(rgb)

    broken = Proposer("red", predict, 32, 0.5)
    with pytest.raises(KeyboardInterrupt):
        propose(stills, broken, 4, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    del asked[:]
    found = propose(stills, Proposer("red", predict_of(asked), 32, 0.5), 4, tmp_path / "out")
    # Two of four were looked at before; each of the four is predicted once more for its mask.
    assert len(asked) == 2 + 4
    undisturbed = propose(stills, RED, 4, tmp_path / "other")
    assert found.candidates == undisturbed.candidates
    assert found.sheet.read_bytes() == undisturbed.sheet.read_bytes()


def test_what_another_model_looked_at_is_looked_at_anew(stills, tmp_path):
    looks = tmp_path / ".out.partial" / "looks.jsonl"
    looks.parent.mkdir()
    former = json.dumps([stills[0].stem, 9.0, [0.0] * 48])
    looks.write_text(f'"other 32"\n{former}\n')
    found = propose(stills, RED, 4, tmp_path / "out")
    assert max(c.uncertainty for c in found.candidates) <= 1
    assert not (tmp_path / ".out.partial").exists()


def test_twins_by_name_and_an_existing_folder_are_refused(stills, tmp_path):
    with pytest.raises(AnnotationError, match="one file name"):
        propose([stills[0], stills[0]], RED, 1, tmp_path / "out")
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        propose(stills, RED, 1, tmp_path / "there")


def test_the_error_is_the_share_of_decided_pixels_that_are_wrong():
    probability = np.array([[0.9, 0.9, 0.1, 0.1]], np.float32)
    assert error_frac(probability, np.array([[1, 0, 1, 0]], np.uint8), 0.5) == 0.5
    assert error_frac(probability, np.array([[1, 255, 1, 0]], np.uint8), 0.5) == pytest.approx(
        1 / 3
    )
    assert error_frac(probability, np.full((1, 4), 255, np.uint8), 0.5) == 0


def test_weakness_is_lent_to_what_looks_alike():
    known = Weakness(np.array([[0.0], [10.0]]), np.array([0.25, 0.0]))
    found = known.near(np.array([[0.0], [1.0], [9.0], [10.0]]))
    # Distances to the nearest labelled picture are 0, 1, 1, 0: the reach is 0.5 of them.
    assert found[0] == pytest.approx(0.5)
    assert found[1] == pytest.approx(0.5 * np.exp(-0.5 * (1 / 0.5) ** 2))
    assert found[2] < 1e-9


def test_weakness_needs_labels():
    with pytest.raises(AnnotationError, match="holds no labelled still"):
        Weakness(np.empty((0, 3)), np.empty(0))
    with pytest.raises(ValueError, match="2 pictures with 1 errors"):
        Weakness(np.zeros((2, 3)), np.zeros(1))


def test_what_reviews_show_to_be_weakest_is_asked_for_first(stills, tmp_path):
    """The model calls all red blood; a person said of a picture like the third: no blood."""
    clear = tmp_path / "reviewed.png"
    clear.write_bytes(stills[2].read_bytes())
    labelled = Still("reviewed", clear, None, None, "C001", "zero")
    weak = weakness_of([labelled], RED)
    assert weak.error_frac[0] == pytest.approx(0.5 * 36 / 60, abs=0.03)
    before = propose(stills, RED, 4, tmp_path / "a").candidates
    after = propose(stills, RED, 4, tmp_path / "b", reviewed=[labelled]).candidates
    assert before[0].name != stills[2].stem
    assert after[0].name == stills[2].stem
    assert {c.name: c.uncertainty for c in before} == {c.name: c.uncertainty for c in after}


def test_a_sheet_brings_the_fonts_that_its_words_need(stills, tmp_path):
    def faces_of(tag):
        with speaking(translator(find_language(tag))):
            sheet = propose(stills, RED, 1, tmp_path / tag).sheet.read_text(encoding="utf-8")
        return set(re.findall(r'font-family: "([^"]+)"; font-weight', sheet)), sheet

    assert faces_of("en")[0] == {"Inter Ubereport"}
    families, sheet = faces_of("ja")
    assert families == {"Inter Ubereport", "BIZ UDPGothic Ubereport"}
    assert "font-src data:" in sheet
    assert "/* style sheets */" not in sheet
