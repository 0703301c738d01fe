"""Evaluation of stills whose every number can be counted by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ubereport.core.errors import AnnotationError, ConfigError
from ubereport.laboratory.evaluation.config import Consensus, StillsConfig
from ubereport.laboratory.evaluation.load import LoadedStill, load_stills
from ubereport.laboratory.evaluation.results import StillScore, Stratum
from ubereport.laboratory.evaluation.stills import evaluate_stills, reference_of, with_presence_rule
from ubereport.laboratory.evaluation.summary import paired_difference, summarize
from ubereport.laboratory.evaluation.writing import (
    json_bytes,
    models_csv,
    stills_summary,
    stills_table,
)
from ubereport.statistics.estimates import Estimate

N = 64 * 64
CONFIG = StillsConfig(n_resamples=200)


@pytest.fixture
def evaluated(tmp_path, write_still, box, predictor):
    """Six stills in three groups.

    name   reference       called               decided     Dice
    a_1    32×32 = 1024    the same             all         1
    a_2    none            8×8 = 64             all         -
    b_1    16×16 = 256     16×32 = 512, over it all         2·256/768 = 2/3
    b_2    none            none                 all         -
    c_1    8×8 = 64        none                 all         0
    c_2    32×64 = 2048    16×64, inside it     lower half  2·1024/…, see below
    """
    nothing = box(0, 0, 0, 0)
    write_still("a_1", box(0, 0, 32, 32), {"": box(0, 0, 32, 32)})
    write_still("a_2", box(0, 0, 8, 8), {"": nothing})
    write_still("b_1", box(0, 0, 16, 32), {"": box(0, 0, 16, 16)})
    write_still("b_2", nothing, {"": nothing})
    write_still("c_1", nothing, {"": box(0, 0, 8, 8)})
    # The upper 8 rows are undecided: 24×64 of the reference and 8×64 of the call remain.
    write_still("c_2", box(0, 0, 16, 64), {"": box(0, 0, 32, 64)}, ignore=box(0, 0, 8, 64))
    stills = load_stills(tmp_path / "images", tmp_path / "masks", tmp_path / "ignore")
    return evaluate_stills(stills, predictor, "red 1", CONFIG)


DICE_C2 = 2 * (8 * 64) / (24 * 64 + 8 * 64)
DICE = [1.0, 2 / 3, 0.0, DICE_C2]
DECIDED_C2 = 56 * 64
DIFFERENCES = [0.0, 64 / N, 256 / N, 0.0, -64 / N, -(16 * 64) / DECIDED_C2]


def test_the_agreed_keys_have_the_counted_values(evaluated):
    summary = stills_summary(evaluated)
    assert list(summary) == [
        "n",
        "n_positive",
        "n_negative",
        "dice_median",
        "dice_mean",
        "iou_median",
        "accuracy",
        "sensitivity",
        "specificity",
        "negative_area_mean_frac",
        "area_mae_frac",
        "area_bias_frac",
    ]
    expected = {
        "n": 6,
        "n_positive": 4,
        "n_negative": 2,
        "dice_median": (2 / 3 + 0.5) / 2,
        "dice_mean": np.mean(DICE),
        "iou_median": (0.5 + DICE_C2 / (2 - DICE_C2)) / 2,
        "accuracy": 4 / 6,
        "sensitivity": 3 / 4,
        "specificity": 1 / 2,
        "negative_area_mean_frac": (64 / N) / 2,
        "area_mae_frac": np.mean(np.abs(DIFFERENCES)),
        "area_bias_frac": np.mean(DIFFERENCES),
    }
    assert DICE_C2 == 0.5
    assert summary == pytest.approx(expected)


def test_presence_intervals_are_wilson_s(evaluated):
    found = evaluated.figure("sensitivity").over_stills
    # Of 3 in 4: (p + z² / 2n ± z √(p (1 - p) / n + z² / 4n²)) / (1 + z² / n), z = 1.96.
    assert (found.low, found.high) == pytest.approx((0.300642, 0.954413), abs=1e-6)


def test_confusion(evaluated):
    c = evaluated.confusion
    counts = (c.true_positive, c.false_negative, c.false_positive, c.true_negative)
    assert counts == (3, 1, 1, 1)


def test_groups_come_first_then_their_mean(evaluated):
    figure = evaluated.figure("dice_median")
    # Group medians: a 1, b 2/3, c (0 + 1/2) / 2
    assert figure.over_groups.value == pytest.approx((1 + 2 / 3 + 0.25) / 3)
    assert (figure.n, figure.n_groups) == (4, 3)
    assert evaluated.figure("negative_area_mean_frac").n_groups == 2
    assert [g.group for g in evaluated.groups] == ["a", "b", "c"]
    assert evaluated.groups[2].dice_median == pytest.approx(0.25)
    assert evaluated.groups[2].negative_area_mean_frac is None


def test_limits_of_agreement(evaluated):
    bias, spread = np.mean(DIFFERENCES), np.std(DIFFERENCES, ddof=1)
    assert evaluated.area_limits_frac == pytest.approx((bias - 1.96 * spread, bias + 1.96 * spread))


def test_area_strata(evaluated):
    # true areas: a_1 25 %, b_1 6.25 %, c_1 1.6 %, c_2 24·64 / 56·64 = 43 %
    small, medium, large = evaluated.strata
    assert (small.n, medium.n, large.n) == (1, 1, 2)
    assert small.dice_median == 0
    assert small.called_share == 0
    assert medium.dice_median == pytest.approx(2 / 3)
    assert medium.area_bias_frac == pytest.approx(256 / N)
    assert large.dice_mean == pytest.approx((1 + 0.5) / 2)


def test_an_empty_stratum_has_no_numbers(tmp_path, write_still, box, predictor):
    write_still("a_1", box(0, 0, 32, 32), {"": box(0, 0, 32, 32)})
    stills = load_stills(tmp_path / "images", tmp_path / "masks")
    found = evaluate_stills(stills, predictor, "red 1", CONFIG)
    assert found.strata[0].n == 0
    assert found.strata[0].dice_median is None
    assert stills_summary(found)["specificity"] is None
    assert found.figure("dice_median").over_stills.low is None
    assert json.loads(json_bytes(stills_table(found)))["specificity"] is None


def test_a_still_is_called_from_the_presence_share_on(tmp_path, write_still, box, predictor):
    write_still("a_1", box(0, 0, 1, 4), {"": box(0, 0, 0, 0)})
    stills = load_stills(tmp_path / "images", tmp_path / "masks")
    for presence_frac, is_called in ((0.0, True), (4 / N, True), (5 / N, False)):
        config = StillsConfig(n_resamples=100, presence_frac=presence_frac)
        assert evaluate_stills(stills, predictor, "m", config).scores[0].is_called is is_called


def test_what_a_configuration_leaves_open_comes_from_the_bundle_then_from_the_default():
    open_rule = StillsConfig()
    found = with_presence_rule(open_rule, 0.6, {"presence_area_frac": 0.01, "dice_mean": 0.5})
    assert (found.presence_frac, found.presence_probability) == (0.01, 0.6)
    found = with_presence_rule(open_rule, 0.6, {"presence_probability": 0.8})
    assert (found.presence_frac, found.presence_probability) == (0.001, 0.8)
    own = StillsConfig(presence_frac=0.0, presence_probability=0.3)
    found = with_presence_rule(own, 0.6, {"presence_area_frac": 0.01, "presence_probability": 0.8})
    assert found == own


def test_presence_has_a_probability_of_its_own(tmp_path, write_still, box):
    class Half:
        input_height_px = input_width_px = 64
        thresholds = (0.3, 0.4, 0.6)

        def probabilities(self, rgb):
            return np.full((len(rgb), 64, 64), 0.5, np.float32)

    write_still("a_1", box(0, 0, 64, 64), {"": box(0, 0, 64, 64)})
    stills = load_stills(tmp_path / "images", tmp_path / "masks")
    for probability, is_called in ((None, True), (0.5, True), (0.55, False)):
        config = StillsConfig(n_resamples=100, presence_probability=probability)
        score = evaluate_stills(stills, Half(), "m", config).scores[0]
        assert (score.predicted_frac, score.is_called) == (1.0, is_called)


def test_masks_are_compared_at_the_still_s_own_size(tmp_path, write_still, predictor):
    wide = np.zeros((90, 200), bool)
    wide[:, :100] = True
    write_still("a_1", wide, {"": wide})
    stills = load_stills(tmp_path / "images", tmp_path / "masks")
    score = evaluate_stills(stills, predictor, "m", CONFIG).scores[0]
    assert score.dice > 0.98
    assert score.true_frac == 0.5


def test_progress_is_reported(tmp_path, write_still, box, predictor):
    for i in range(3):
        write_still(f"a_{i}", box(0, 0, 4, 4), {"": box(0, 0, 4, 4)})
    seen = []
    stills = load_stills(tmp_path / "images", tmp_path / "masks")
    config = StillsConfig(n_resamples=100, batch_size=2)
    evaluate_stills(stills, predictor, "m", config, lambda done, n: seen.append((done, n)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.fixture
def annotated(tmp_path, write_still, box, predictor):
    """Three annotators on four stills; the model draws what annotator p draws."""
    nothing, square, shifted = box(0, 0, 0, 0), box(0, 0, 20, 20), box(0, 10, 20, 30)
    for name, p, q, r in (
        ("a_1", square, square, square),
        ("b_1", square, square, shifted),
        ("c_1", square, shifted, nothing),
        ("d_1", nothing, nothing, nothing),
    ):
        write_still(name, p, {"p": p, "q": q, "r": r})
    return load_stills(tmp_path / "images", tmp_path / "masks"), predictor


def test_annotators_are_compared_pair_by_pair(annotated):
    found = evaluate_stills(*annotated, "m", CONFIG)
    agreement = found.agreement
    assert agreement.annotators == ("p", "q", "r")
    by_pair = {(p.first, p.second): p for p in agreement.pairs}
    # p and q: 1, 1, 1/2 where drawn; presence the same on all four.
    assert by_pair["p", "q"].n == 4
    assert by_pair["p", "q"].n_drawn == 3
    assert by_pair["p", "q"].dice_mean == pytest.approx((1 + 1 + 0.5) / 3)
    assert by_pair["p", "q"].presence_agreement == 1.0
    # q and r: 1, 1/2, 0
    assert by_pair["q", "r"].dice_median == pytest.approx(0.5)
    assert by_pair["q", "r"].presence_agreement == pytest.approx(0.75)
    assert by_pair["q", "r"].n_both == 2
    assert by_pair["q", "r"].both_dice_mean == pytest.approx((1 + 0.5) / 2)
    # Answers yes: 3, 3, 2, 0 of 3. Observed (1 + 1 + 1/3 + 1) / 4; shares 8/12 and 4/12.
    expected = (8 / 12) ** 2 + (4 / 12) ** 2
    assert agreement.presence_kappa == pytest.approx((10 / 12 - expected) / (1 - expected))
    assert agreement.n_kappa == 4


def test_agreement_of_a_still_is_the_mean_over_pairs(annotated):
    found = evaluate_stills(*annotated, "m", CONFIG)
    assert [s.agreement for s in found.scores] == [
        1.0,
        pytest.approx((1 + 0.5 + 0.5) / 3),
        pytest.approx((0.5 + 0 + 0) / 3),
        None,
    ]
    keys = [s.key for s in found.strata]
    assert keys[3:] == ["agreement_high", "agreement_low", "agreement_high_area_large"]
    assert found.strata[3].n == 1


def test_the_reference_of_several_is_their_majority_or_staple(annotated):
    found = evaluate_stills(*annotated, "m", CONFIG)
    # c_1: square, shifted, nothing: the majority is where the two overlap, 20×10.
    assert found.scores[2].true_frac == pytest.approx(200 / N)
    assert found.scores[2].dice == pytest.approx(2 * 200 / (200 + 400))
    assert found.agreement.dice_agreement_correlation.value == pytest.approx(
        # Dice 1, 1, 2/3 with agreement 1, 2/3, 1/6: ranks 2.5 2.5 1 and 3 2 1
        np.corrcoef([2.5, 2.5, 1], [3, 2, 1])[0, 1]
    )
    config = StillsConfig(n_resamples=100, consensus=Consensus.STAPLE)
    assert evaluate_stills(*annotated, "m", config).agreement.consensus == "staple"


def test_an_even_split_is_undecided(box):
    masks = np.stack([box(0, 0, 10, 10), box(0, 5, 10, 15)])
    loaded = LoadedStill(np.zeros((64, 64, 3), np.uint8), masks, np.ones((64, 64), bool))
    blood, is_decided = reference_of(loaded, Consensus.MAJORITY)
    assert blood.sum() == 50
    assert (~is_decided).sum() == 100


def test_two_models_are_compared_still_by_still(evaluated):
    difference = paired_difference(evaluated, evaluated, CONFIG)
    assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)
    other = summarize(evaluated.scores[:3], "m", "", evaluated.reliability, None, CONFIG)
    with pytest.raises(ValueError, match="same stills"):
        paired_difference(evaluated, other, CONFIG)


def test_no_still_is_refused(evaluated):
    with pytest.raises(AnnotationError, match="no still"):
        summarize([], "m", "", evaluated.reliability, None, CONFIG)


def test_json_is_complete(evaluated):
    table = json.loads(json_bytes(stills_table(evaluated)))
    assert table["model"] == "red 1"
    assert len(table["stills"]) == 6
    assert {f["key"] for f in table["figures"]} >= {"dice_median", "negative_called_share"}
    assert table["figures"][0]["over_stills"]["method"]


def test_csv_has_a_row_a_still_and_empty_cells_for_what_is_missing(evaluated):
    lines = models_csv(StillScore, {"m": evaluated.scores}).decode().splitlines()
    assert lines[0].split(",")[:4] == ["model", "name", "group", "n_annotators"]
    row = dict(zip(lines[0].split(","), lines[2].split(","), strict=True))
    assert (row["name"], row["dice"], row["is_called"]) == ("a_2", "", "1")
    assert len(models_csv(Stratum, {"m": evaluated.strata}).decode().splitlines()) == 4


def test_csv_runs_no_formula(evaluated):
    score = evaluated.scores[0]
    evil = StillScore("=1+1", "@x", *[getattr(score, n) for n in score.__slots__[2:]])
    assert models_csv(StillScore, {"m": [evil]}).decode().splitlines()[1].startswith("m,'=1+1,'@x,")


def test_scores_that_contradict_themselves_are_refused():
    with pytest.raises(ValueError, match="exactly where it has blood"):
        StillScore("a", "a", 1, None, 0.0, 0.0, False, False, 1.0, None, None, None)


def test_an_unknown_figure_is_refused(evaluated):
    with pytest.raises(KeyError):
        evaluated.figure("f2")


@pytest.mark.parametrize(
    "bad",
    [
        {"presence_frac": 1.0},
        {"surface_tolerance_frac": 0.0},
        {"area_edges": (0.2, 0.05)},
        {"high_agreement": 0.0},
        {"n_resamples": 1},
        {"confidence": 1.0},
        {"batch_size": 0},
    ],
)
def test_configuration_out_of_range_is_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        StillsConfig(**bad)


def test_every_figure_has_an_estimate_with_a_method(evaluated):
    for figure in evaluated.figures:
        for estimate in (figure.over_stills, figure.over_groups):
            assert isinstance(estimate, Estimate)
            assert estimate.method
