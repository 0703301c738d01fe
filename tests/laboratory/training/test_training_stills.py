import dataclasses
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ubereport.core.errors import AnnotationError
from ubereport.laboratory.picture_files import read_rgb
from ubereport.laboratory.training.labelled_stills import (
    BLOOD,
    CLEAN,
    IGNORE,
    Still,
    StillCache,
    cache_stills,
    check_recordings,
    check_split,
    check_twins,
    fold_of_groups,
    read_label,
    read_manifest,
)


def rewrite(path, change):
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), change(mask))


def test_a_manifest_gives_every_row_with_its_masks(manifest):
    stills = read_manifest(manifest)
    assert len(stills) == 24
    assert {s.kind for s in stills} == {"blood", "zero"}
    assert len({s.group for s in stills}) == 6
    assert all(s.mask_path.is_file() and s.ignore_path.is_file() for s in stills)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.replace("kind", "sort"), "lacks kind"),
        (lambda t: t.splitlines()[0] + "\n", "lacks rows"),
        (lambda t: t + t.splitlines()[1] + "\n", "twice"),
        (lambda t: t.replace("zero", "clean", 1), "allowed: blood, zero"),
        (lambda t: t.replace("images/s0_0.png", "images/none.png"), "no picture"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused_in_one_sentence(manifest, change, words):
    manifest.write_text(change(manifest.read_text()))
    with pytest.raises(AnnotationError, match=words):
        read_manifest(manifest)


def test_a_manifest_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_manifest(tmp_path / "none.csv")


def test_a_missing_mask_is_refused(manifest):
    (manifest.parent / "masks" / "s1_0.png").unlink()
    with pytest.raises(AnnotationError, match="s1_0 has no mask"):
        read_manifest(manifest)


def test_a_label_tells_blood_from_clean_from_ignored(manifest):
    still = read_manifest(manifest)[0]
    label = read_label(still, 64, 64)
    mask = cv2.imread(str(still.mask_path), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(label[4:] == BLOOD, mask[4:] == 255)
    assert np.all(label[:4] == IGNORE)
    assert set(np.unique(label)) == {CLEAN, BLOOD, IGNORE}


def test_an_unlabelled_still_is_ignored_whole(manifest):
    still = dataclasses.replace(read_manifest(manifest)[0], mask_path=None, kind="unlabelled")
    assert np.all(read_label(still, 5, 7) == IGNORE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m[:32], "64 × 32 px, its still 64 × 64 px"),
        (lambda m: (m // 255 * 128).astype(np.uint8), "other than 0 and 255"),
        (lambda m: np.zeros_like(m), "'blood', but its mask has 0"),
        (lambda m: np.dstack([m, m, np.zeros_like(m)]), "colored"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(manifest, change, words):
    still = read_manifest(manifest)[0]
    rewrite(still.mask_path, change)
    with pytest.raises(AnnotationError, match=words):
        read_label(still, 64, 64)


def test_blood_on_a_still_listed_as_zero_is_refused(manifest):
    zero = read_manifest(manifest)[1]
    rewrite(zero.mask_path, lambda m: np.full_like(m, 255))
    with pytest.raises(AnnotationError, match=r"'zero', but its mask has 4096"):
        read_label(zero, 64, 64)


def test_a_text_file_is_no_picture(tmp_path):
    (tmp_path / "still.png").write_text("no picture")
    with pytest.raises(AnnotationError, match=r"still\.png is no picture"):
        read_rgb(tmp_path / "still.png")


GROUPS = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(["blood", "zero"])), min_size=1, max_size=60
)


@settings(max_examples=30, deadline=None)
@given(GROUPS, st.integers(2, 5), st.integers(0, 5))
def test_no_group_is_ever_in_two_folds(pairs, n_folds, seed):
    stills = [Still(f"s{i}", None, None, None, f"g{g}", k) for i, (g, k) in enumerate(pairs)]
    n_groups = len({s.group for s in stills})
    if n_groups < n_folds:
        with pytest.raises(AnnotationError, match="Use fewer folds"):
            fold_of_groups(stills, n_folds, seed)
        return
    folds = fold_of_groups(stills, n_folds, seed)
    assert set(folds) == {s.group for s in stills}
    assert set(folds.values()) <= set(range(n_folds))
    assert folds == fold_of_groups(list(reversed(stills)), n_folds, seed)


def test_folds_share_blood_and_zero_masks_evenly(manifest):
    stills = read_manifest(manifest)
    folds = fold_of_groups(stills, 3, 1)
    for fold in range(3):
        kinds = [s.kind for s in stills if folds[s.group] == fold]
        assert kinds.count("blood") == kinds.count("zero") == 4


def test_a_recording_in_both_splits_is_refused(manifest):
    stills = read_manifest(manifest)
    with pytest.raises(AnnotationError, match="op0 is in the training set and in the held-out"):
        check_split(stills, stills[:1])


def test_a_training_set_without_blood_is_refused(manifest):
    zero = [s for s in read_manifest(manifest) if s.kind == "zero"]
    with pytest.raises(AnnotationError, match="No training still shows blood"):
        check_split(zero, [])


def test_an_empty_class_is_refused(manifest):
    stills = read_manifest(manifest)
    blood = [s for s in stills if s.kind == "blood"]
    zero = [s for s in stills if s.kind == "zero"]
    with pytest.raises(AnnotationError, match="No training still is a zero mask"):
        check_split(blood, [], needs_zero=True)
    check_split(blood, [])
    first = [s for s in stills if s.group == "op0"]
    rest = [s for s in blood if s.group != "op0"]
    check_split(rest, first)
    for kept, lacking in ((blood, "zero"), (zero, "blood")):
        held_out = [s for s in kept if s.group == "op0"]
        with pytest.raises(AnnotationError, match=rf"held-out groups \(op0\) .*'{lacking}'"):
            check_split(rest, held_out)


def test_a_recording_under_two_groups_is_refused(manifest):
    one, *_ = read_manifest(manifest)
    stills = [replace(one, name=f"C7_{i:06d}", group="a") for i in range(3)]
    check_recordings(stills)
    with pytest.raises(AnnotationError, match="recording C7 are listed under two groups, a and b"):
        check_recordings([*stills, replace(one, name="C7_000090", group="b")])


def test_one_picture_on_both_sides_is_refused(manifest, tmp_path):
    stills = read_manifest(manifest)
    cache = cache_stills(stills, 64, tmp_path / "cache")
    halves = np.arange(12), np.arange(12, 24)
    check_twins(cache, *halves)
    rgb = np.array(cache.rgb)
    rgb[20] = rgb[3]
    with pytest.raises(AnnotationError, match=r"s0_3 \(group op0\) and s5_0 \(group op5\)"):
        check_twins(StillCache(cache.stills, rgb, cache.label), *halves)


def test_the_cache_holds_what_the_files_hold_and_notices_a_change(manifest, tmp_path):
    stills = read_manifest(manifest)
    cache = cache_stills(stills, 64, tmp_path / "cache")
    assert np.array_equal(cache.rgb[5], read_rgb(stills[5].image_path))
    assert np.array_equal(cache.label[0], read_label(stills[0], 64, 64))
    n_files = len(list((tmp_path / "cache").iterdir()))
    cache_stills(stills, 64, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == n_files
    stills[0].mask_path.write_bytes(stills[2].mask_path.read_bytes())
    changed = cache_stills(stills, 64, tmp_path / "cache")
    assert np.array_equal(changed.label[0][4:], changed.label[2][4:])
