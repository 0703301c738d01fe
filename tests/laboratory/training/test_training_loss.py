import numpy as np
import pytest
import torch

from ubereport.core.errors import ConfigError
from ubereport.laboratory.training.config import LossConfig
from ubereport.laboratory.training.labelled_stills import BLOOD, CLEAN, IGNORE
from ubereport.laboratory.training.loss import segmentation_loss


def batch():
    rng = np.random.default_rng(0)
    label = torch.from_numpy(rng.choice([CLEAN, BLOOD, IGNORE], (3, 8, 8)).astype(np.uint8))
    label[2][label[2] == BLOOD] = CLEAN
    logit = torch.from_numpy(rng.normal(size=(3, 1, 8, 8)).astype(np.float32))
    return logit, label


def test_undecided_pixels_have_no_gradient_and_all_others_have():
    logit, label = batch()
    logit.requires_grad_()
    segmentation_loss(logit, label, LossConfig()).backward()
    gradient = logit.grad[:, 0]
    assert torch.all(gradient[label == IGNORE] == 0)
    assert torch.all(gradient[label != IGNORE] != 0)


def test_a_wild_logit_under_an_undecided_pixel_changes_nothing():
    logit, label = batch()
    wild = logit.clone()
    wild[:, 0][label == IGNORE] = float("inf")
    config = LossConfig()
    assert segmentation_loss(wild, label, config) == segmentation_loss(logit, label, config)


def test_the_loss_is_the_formula():
    logit, label = batch()
    config = LossConfig(false_negative_weight=0.7, positive_weight=2.0, overlap_weight=0.5)
    p = 1 / (1 + np.exp(-logit.numpy()[:, 0].astype(np.float64)))
    lab = label.numpy()
    decided, target = lab != IGNORE, lab == BLOOD
    cross = np.where(target, -2 * np.log(p), -np.log(1 - p))[decided].sum() / decided.sum()
    overlap = 0.0
    for i in range(2):  # the third still has no blood
        both = p[i][target[i]].sum()
        missed, extra = (1 - p[i])[target[i]].sum(), p[i][decided[i] & ~target[i]].sum()
        overlap += 1 - (both + 16) / (both + 0.7 * missed + 0.3 * extra + 16)
    expected = cross + 0.5 * overlap / 3
    assert float(segmentation_loss(logit, label, config)) == pytest.approx(expected, rel=1e-5)


def test_a_right_answer_costs_almost_nothing():
    _, label = batch()
    logit = torch.where(label == BLOOD, 20.0, -20.0)[:, None]
    assert float(segmentation_loss(logit, label, LossConfig())) < 1e-5


def test_a_batch_nobody_decided_costs_nothing():
    label = torch.full((1, 4, 4), IGNORE, dtype=torch.uint8)
    assert float(segmentation_loss(torch.ones(1, 1, 4, 4), label, LossConfig())) == 0


@pytest.mark.parametrize("wrong", [{"false_negative_weight": 1.0}, {"cross_entropy_weight": 0.0}])
def test_weights_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="allowed"):
        LossConfig(**wrong)
