"""What labelled stills of each technique say of the model there."""

from __future__ import annotations

import numpy as np
import pytest

from ubereport.cohort.device import read_group_errors
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.evaluation.group_errors import errors_by_group_json
from ubereport.laboratory.evaluation.load import read_groups
from ubereport.laboratory.evaluation.results import StillScore


def score(name, group, true, found, painted):
    """A still of which `found` of the blood and `painted` of the clean view is called blood."""
    hit, false = found * true, painted * (1 - true)
    dice = 2 * hit / (true + hit + false) if true else None
    return StillScore(
        name=name, group=group, n_annotators=1, agreement=None, true_frac=true,
        predicted_frac=hit + false, is_positive=true > 0, is_called=True, dice=dice, iou=dice,
        surface_dice=dice, surface_distance_frac=None,
    )  # fmt: skip


def stills(technique, found, painted, n=12, seed=1):
    rng = np.random.default_rng(seed)
    return [
        score(f"{technique}-{i}", f"{technique}-{i % 4}", 0.2 * (i % 3), found + jitter, painted)
        for i, jitter in enumerate(rng.normal(0, 0.02, n))
    ]


def test_errors_are_those_of_the_pixels_and_feed_a_comparison(tmp_path):
    scores = stills("wax", 0.8, 0.02) + stills("RF", 0.6, 0.0, seed=2)
    technique_of = {s.name: s.name.split("-")[0] for s in scores}
    path = tmp_path / "errors_by_group.json"
    path.write_bytes(errors_by_group_json(scores, technique_of, seed=3))
    found = read_group_errors(path)
    for technique, expected in (("wax", 0.8), ("RF", 0.6)):
        own = [s for s in scores if technique_of[s.name] == technique]
        hits = sum((s.dice or 0) * (s.true_frac + s.predicted_frac) / 2 for s in own)
        assert found[technique].blood_found_share == pytest.approx(
            hits / sum(s.true_frac for s in own)
        )
        assert found[technique].blood_found_share == pytest.approx(expected, abs=0.03)
        assert 0 < found[technique].found_se < 0.05
        assert (found[technique].n_stills, found[technique].n_recordings) == (12, 4)
    assert found["wax"].painted_clean_frac == pytest.approx(0.02)
    assert found["RF"].painted_clean_frac == pytest.approx(0.0)


def test_too_few_recordings_and_no_blood_are_refused():
    few = [s for s in stills("wax", 0.8, 0.0) if s.group != "wax-3" and s.group != "wax-2"]
    with pytest.raises(AnnotationError, match="wax has labelled stills of 2 recordings"):
        errors_by_group_json(few, {s.name: "wax" for s in few}, 1)
    clean = [score(f"w{i}", f"g{i}", 0.0, 0.0, 0.01) for i in range(5)]
    with pytest.raises(AnnotationError, match="0 of them with blood"):
        errors_by_group_json(clean, {s.name: "wax" for s in clean}, 1)
    with pytest.raises(AnnotationError, match="No still of the table of techniques was scored"):
        errors_by_group_json(clean, {}, 1)


def test_a_table_of_techniques_is_read_or_refused(tmp_path):
    path = tmp_path / "techniques.csv"
    path.write_text("name,group\na-1, bone wax\na-2,\n")
    techniques = read_groups(path)
    assert techniques == {"a-1": "bone wax", "a-2": ""}
    with pytest.raises(AnnotationError, match="No still of the table of techniques was scored"):
        errors_by_group_json([score("a-2", "g", 0.1, 0.1, 0.9)], techniques, 1)
    path.write_text("still,technique\na,b\n")
    with pytest.raises(AnnotationError, match="needs the columns name, group"):
        read_groups(path)
