import dataclasses
import json
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.laboratory.training.conftest import write_set
from ubereport.core.errors import AnnotationError
from ubereport.laboratory.training.capsule import capsule_stills
from ubereport.laboratory.training.collections import (
    collections_of,
    read_collections,
)
from ubereport.laboratory.training.finetune import mixed_pools, split_indices
from ubereport.laboratory.training.labelled_stills import (
    BLOOD,
    CLEAN,
    IGNORE,
    Collection,
    cache_stills,
    fold_of_groups,
    never_on_instruments,
    read_label,
    read_manifest,
)

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "training"
SETS = """
[[collections]]
name = "squares"
path = "set/MANIFEST.csv"
licence = "MIT"
share = 3.0

[[collections]]
name = "capsule"
path = "capsule"
layout = "capsule"
licence = "CC BY 4.0"
use = "academic"
is_split = false
is_ground = false
"""


def write_capsule(folder):
    """Six stills: 1 to 4 bleed, 1310 and 1311 do not; 1 is a test still, 2 its near duplicate."""
    for name in ("images", "masks", "masks_full"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(3)
    for number in (1, 2, 3, 4, 1310, 1311):
        rgb = rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"img{number}.jpg"), rgb)
        if number <= 4:
            mask = np.zeros((32, 32), np.uint8)
            mask[4:20, 4:20] = 255
            cv2.imwrite(str(folder / "masks_full" / f"img{number}.png"), mask)
    cv2.imwrite(str(folder / "masks" / "img1.png"), np.full((32, 32), 255, np.uint8))
    clusters = {"a": [1, 2], "b": [3, 4], "c": [1310], "d": [1311]}
    (folder / "near_duplicate_clusters.json").write_text(json.dumps(clusters))
    return folder


@pytest.fixture
def sets(tmp_path, manifest):
    write_capsule(tmp_path / "capsule")
    path = tmp_path / "sets.toml"
    path.write_text(SETS)
    return path


def test_sets_are_read_with_their_terms(sets):
    stills = read_collections(sets)
    squares, capsule = collections_of(stills)
    assert (squares.licence, squares.share, squares.use) == ("MIT", 3.0, "any")
    assert (capsule.licence, capsule.use, capsule.is_split) == ("CC BY 4.0", "academic", False)
    assert sum(s.collection == squares for s in stills) == 24


def test_a_manifest_alone_is_one_set_without_a_licence(manifest):
    (only,) = collections_of(read_collections(manifest))
    assert only == Collection()
    assert only.licence == ""


def test_clusters_of_the_test_stills_are_left_out(sets):
    stills = capsule_stills(sets.parent / "capsule")
    assert [s.name for s in stills] == [f"capsule_img{n}" for n in (3, 4, 1310, 1311)]
    assert [s.kind for s in stills] == ["blood", "blood", "zero", "zero"]
    assert len({s.group for s in stills}) == 3
    assert (read_label(stills[0], 32, 32) == BLOOD).sum() == 256
    assert (read_label(stills[2], 32, 32) == CLEAN).all()


def test_a_collection_without_folds_is_never_held_out_and_moves_no_other(sets, tiny_config):
    stills = read_collections(sets)
    alone = [s for s in stills if s.collection.name == "squares"]
    folds = fold_of_groups(alone, 3, tiny_config.data.split_seed)
    _, out = split_indices(stills, tiny_config)
    assert {stills[i].group for i in out} == {g for g, fold in folds.items() if fold == 0}
    everything = dataclasses.replace(tiny_config.data, fold=-1)
    inside, out = split_indices(stills, dataclasses.replace(tiny_config, data=everything))
    assert (len(inside), len(out)) == (28, 0)


def test_a_collection_that_is_only_looked_at_is_held_out_whole_and_never_trained_on(
    sets, tiny_config
):
    sets.write_text(SETS.replace("is_split = false", "is_trained = false"))
    stills = read_collections(sets)
    inside, out = split_indices(stills, tiny_config)
    assert not any(stills[i].collection.name == "capsule" for i in inside)
    assert sum(stills[i].collection.name == "capsule" for i in out) == 4
    everything = dataclasses.replace(tiny_config.data, fold=-1)
    inside, out = split_indices(stills, dataclasses.replace(tiny_config, data=everything))
    assert (len(inside), len(out)) == (24, 0)


def test_a_doubtful_label_is_never_trained_on_and_looked_at_where_it_is_held_out(sets, tiny_config):
    inside, out = split_indices(read_collections(sets), tiny_config)
    names = [still.name for still in read_collections(sets)]
    doubted = {names[inside[0]], names[out[0]]}
    rows = "".join(f"{name},edges\n" for name in sorted(doubted))
    (sets.parent / "doubtful.csv").write_text(f"name,why\n{rows}")
    sets.write_text(SETS.replace("share = 3.0", 'share = 3.0\ndoubtful = "doubtful.csv"'))
    stills = read_collections(sets, sets.parent)
    assert {still.name for still in stills if still.is_doubtful} == doubted
    kept, held_out = split_indices(stills, tiny_config)
    assert set(kept) == set(inside[1:])
    assert list(held_out) == list(out)


def test_draws_are_divided_by_share_and_blood_is_laid_on_ground_alone(sets, tmp_path, tiny_config):
    stills = read_collections(sets)
    data = dataclasses.replace(tiny_config.data, composite_share=0.2, n_composites=8)
    config = dataclasses.replace(tiny_config, data=data)
    cache = cache_stills(stills, 64, tmp_path / "cache")
    pools = mixed_pools(config, cache, np.arange(28), (), tmp_path / "cache")
    assert [pool.share for pool in pools] == pytest.approx([0.6, 0.2, 0.2])
    capsule_only = np.arange(24, 28)
    with pytest.raises(AnnotationError, match="zero masks to composite"):
        mixed_pools(config, cache, capsule_only, (), tmp_path / "cache")


def test_a_set_of_which_nothing_is_drawn_gets_no_share(sets, tmp_path, tiny_config):
    """A third set: of stills that nobody labelled yet, or of zero masks that are not asked for."""
    manifest = write_set(tmp_path / "third", prefix="third", seed=11)
    rows = [row for row in manifest.read_text().splitlines(True) if not row.endswith(",blood\n")]
    for kind, has_zero_masks in (("unlabelled", True), ("zero", False), ("unlabelled", False)):
        text = "".join(rows).replace(",zero", f",{kind}")
        manifest.write_text(text)
        entry = '[[collections]]\nname = "third"\npath = "third/MANIFEST.csv"\nshare = 6.0\n'
        sets.write_text(SETS + entry)
        stills = read_collections(sets)
        data = dataclasses.replace(tiny_config.data, fold=-1, has_zero_masks=has_zero_masks)
        config = dataclasses.replace(tiny_config, data=data)
        cache = cache_stills(stills, 64, tmp_path / "cache")
        inside, _ = split_indices(stills, config)
        assert len(inside) == 28 + 12
        pools = mixed_pools(config, cache, inside, (), tmp_path / "cache")
        assert [pool.share for pool in pools] == pytest.approx([0.75, 0.25])
        rng = np.random.default_rng(0)
        kinds = {cache.stills[pool.pick(rng)[0]].kind for pool in pools for _ in range(40)}
        assert kinds == ({"blood", "zero"} if has_zero_masks else {"blood"})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.replace('name = "capsule"', 'name = "squares"'), "collection 'squares'"),
        (lambda t: t.replace('path = "capsule"\n', ""), r"lacks \['path'\]"),
        (lambda t: t.replace('layout = "capsule"', 'layout = "folders"'), "'folders'"),
        (lambda t: t.replace("is_split", "is_splitt"), "'is_splitt'"),
        (lambda t: t.replace('"academic"', '"private"'), "allowed: any, academic"),
        (lambda t: t.replace("3.0", "0"), "allowed: above 0"),
        (lambda t: t.replace("3.0", '"much"'), "cannot be used"),
        (lambda t: t.replace("[[collections]]", "[[sets]]"), "lists no"),
        (lambda t: t + "]", "cannot be read"),
        (lambda t: t + 'doubtful = "no.csv"\n', r"no\.csv cannot be read"),
        (lambda t: t + 'doubtful = "set/MANIFEST.csv"\n', "which 'capsule' does not hold"),
        (lambda t: t.replace('"capsule"\nlay', '"set"\nlay'), "clusters.json cannot be read"),
        (lambda t: t + '[[collections]]\nname = "more"\npath = "set/MANIFEST.csv"\n', "group 'op"),
    ],
)  # fmt: skip
def test_sets_that_cannot_be_used_are_refused_in_one_sentence(sets, change, words):
    sets.write_text(change(SETS))
    with pytest.raises(AnnotationError, match=words):
        read_collections(sets)


def test_a_capsule_folder_with_nothing_to_train_on_is_refused(sets):
    for path in (sets.parent / "capsule" / "images").glob("*"):
        path.unlink()
    with pytest.raises(AnnotationError, match="no capsule still"):
        capsule_stills(sets.parent / "capsule")


def instrument_over_blood(folder):
    """Mark the left half of a bleeding still as an instrument."""
    still = read_manifest(write_set(folder))[0]
    path = folder / "instrument.png"
    mask = np.zeros((64, 64), np.uint8)
    mask[:, :32] = 255
    cv2.imwrite(str(path), mask)
    return dataclasses.replace(still, instrument_path=path)


def test_no_blood_is_trained_on_instruments_and_what_is_held_out_stays(tmp_path):
    still = instrument_over_blood(tmp_path / "set")
    cache = cache_stills([still], 256, tmp_path / "cache")
    before = np.array(cache.label[0])
    assert (before[:, :120] == BLOOD).any()
    after = never_on_instruments(cache, np.array([0])).label[0]
    assert not (after[:, :128] == BLOOD).any()
    assert (after[:, :124] == CLEAN).all()
    assert np.array_equal(after[:, 128:], before[:, 128:])
    rim = before[:, 126:128] == BLOOD
    assert rim.any()
    assert (after[:, 126:128][rim] == IGNORE).all()
    assert np.array_equal(cache.label[0], before)
    assert never_on_instruments(cache, np.array([], np.int64)) is cache


def test_a_mask_of_instruments_of_another_size_is_refused(tmp_path):
    still = instrument_over_blood(tmp_path / "set")
    cache = cache_stills([still], 64, tmp_path / "cache")
    cv2.imwrite(str(still.instrument_path), np.zeros((8, 8), np.uint8))
    with pytest.raises(AnnotationError, match="8 × 8 px"):
        never_on_instruments(cache, np.array([0]))


@pytest.mark.parametrize("name", ["all-sets", "four-sets", "open-sets"])
def test_every_shipped_list_of_sets_states_its_terms(name):
    entries = tomllib.loads((FOLDER / f"{name}.toml").read_text())["collections"]
    assert all(e["licence"] and e["use"] in ("any", "academic") and e["role"] for e in entries)
    if name == "open-sets":
        assert {e["use"] for e in entries if e.get("is_trained", True)} == {"any"}


def test_sets_are_found_under_a_root(sets, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = elsewhere / "sets.toml"
    moved.write_text(SETS)
    assert len(read_collections(moved, root=tmp_path)) == 28
