"""A run knows what it was trained on: it goes on with that, and is looked at with the rest."""

import dataclasses
import json

import pytest

from tests.laboratory.training.conftest import write_set
from ubereport.core.errors import ConfigError, DependencyError
from ubereport.laboratory.csv_rows import read_rows
from ubereport.laboratory.training import loop
from ubereport.laboratory.training.finetune import finetune, split_indices
from ubereport.laboratory.training.hsv_targets import list_stills, pretrain
from ubereport.laboratory.training.labelled_stills import read_manifest
from ubereport.laboratory.training.run_split import (
    HELD_OUT_NAME,
    SPLIT_NAME,
    RunSplit,
    check_same_split,
    check_unseen,
    keep_split,
    split_of,
)

KEPT = (HELD_OUT_NAME, SPLIT_NAME, "average.safetensors")


@pytest.fixture
def run(tmp_path):
    return tmp_path / "runs" / "tiny"


@pytest.fixture
def larger(tmp_path):
    """The stills of `manifest` and those of three operations more."""
    return read_manifest(write_set(tmp_path / "larger", n_groups=9))


def contents(run):
    return {name: (run / name).read_bytes() for name in KEPT if (run / name).is_file()}


def stopped(config, stills, run):
    """Stop a run after its first checkpoint."""

    def stop(progress):
        raise KeyboardInterrupt

    looking = dataclasses.replace(config, steps=3, validate_every=2)
    with pytest.raises(KeyboardInterrupt):
        finetune(looking, stills, run, stop)
    assert (run / "checkpoint").is_dir()
    return looking


def groups(stills, config, side):
    return {stills[int(i)].group for i in split_indices(stills, config)[side]}


def test_a_finished_run_is_not_given_another_split(manifest, larger, run, tiny_config):
    finetune(tiny_config, read_manifest(manifest), run)
    before = contents(run)
    assert set(before) == set(KEPT)
    with pytest.raises(ConfigError, match="another split of the stills") as told:
        finetune(tiny_config, larger, run)
    assert "with the manifest that it began with, or give the new run another name" in str(
        told.value
    )
    assert contents(run) == before
    # Not even where the checkpoint was deleted: the weights of the former run are still there.
    (run / "checkpoint").rename(run.parent / "elsewhere")
    with pytest.raises(ConfigError, match="another split"):
        finetune(tiny_config, larger, run)


def test_an_interrupted_run_does_not_go_on_with_more_cases(manifest, larger, run, tiny_config):
    config = stopped(tiny_config, read_manifest(manifest), run)
    with pytest.raises(ConfigError, match="another split of the stills"):
        finetune(config, larger, run)
    # Refused before the new stills are decoded.
    assert len(list((run.parent / "cache").glob("*.rgb.npy"))) == 1
    finetune(config, read_manifest(manifest), run)
    assert (run / "average.safetensors").is_file()


def test_a_run_without_a_checkpoint_begins_with_whatever_stills(manifest, larger, run, tiny_config):
    def stop(progress):
        raise KeyboardInterrupt

    config = dataclasses.replace(tiny_config, validate_every=1, checkpoint_every=3)
    with pytest.raises(KeyboardInterrupt):
        finetune(config, read_manifest(manifest), run, stop)
    finetune(config, larger, run)
    kept = json.loads((run / SPLIT_NAME).read_text())
    assert set(kept["held_out"]) == groups(larger, config, 1)
    assert set(kept["trained"]) == groups(larger, config, 0)


def test_a_moved_and_sorted_folder_with_unlabelled_stills_is_the_same(
    manifest, tmp_path, run, tiny_config
):
    stills = read_manifest(manifest)
    config = stopped(tiny_config, stills, run)
    manifest.parent.rename(tmp_path / "moved")
    moved = read_manifest(tmp_path / "moved" / "MANIFEST.csv")
    more = dataclasses.replace(moved[0], name="new", kind="unlabelled", mask_path=None)
    finetune(config, [*reversed(moved), more], run)
    assert (run / "average.safetensors").is_file()


def test_a_still_less_in_the_same_groups_makes_another_run(manifest, run, tiny_config):
    stills = list(read_manifest(manifest))
    config = stopped(tiny_config, stills, run)
    inside = int(split_indices(stills, config)[0][1])
    # Doubted, it is no longer learned from, and moves no group to another fold.
    stills[inside] = dataclasses.replace(stills[inside], is_doubtful=True)
    with pytest.raises(ConfigError, match="added, taken out or labelled anew"):
        finetune(config, stills, run)


@pytest.mark.parametrize(
    ("trained", "held_out", "words"),
    [
        ("ac", "b", "trained on before, to be held out now: b"),
        ("abd", "c", "held out before, to be trained on now: d"),
        ("abe", "cd", "new groups: e"),
        ("a", "cd", "groups that are missing: b"),
        ("abefghi", "cd", "new groups: e, f, g and 2 more"),
    ],
)
def test_what_differs_is_said(tmp_path, trained, held_out, words):
    keep_split(RunSplit(frozenset("ab"), frozenset("cd"), "1"), (), tmp_path)
    (tmp_path / "average.safetensors").touch()
    now = RunSplit(frozenset(trained), frozenset(held_out), "2")
    with pytest.raises(ConfigError, match=words):
        check_same_split(now, tmp_path)


def test_a_run_from_before_splits_were_kept_goes_on(manifest, larger, run, tiny_config):
    stills = read_manifest(manifest)
    config = stopped(tiny_config, stills, run)
    (run / SPLIT_NAME).unlink()
    with pytest.raises(ConfigError, match="not held out before, to be held out now: op"):
        finetune(config, larger, run)
    finetune(config, stills, run)
    finetune(config, stills, run)
    # What it learned from before is not known, and so not claimed.
    assert not (run / SPLIT_NAME).exists()
    (run / HELD_OUT_NAME).unlink()
    finetune(config, larger, run)


def test_a_run_that_holds_nothing_out_leaves_no_list_of_another(manifest, run, tiny_config):
    stills = read_manifest(manifest)
    split = split_of(stills[4:], stills[:4])
    keep_split(split, stills[:4], run)
    everything = dataclasses.replace(tiny_config.data, fold=-1)
    finetune(dataclasses.replace(tiny_config, data=everything), stills, run)
    assert not (run / HELD_OUT_NAME).exists()
    with pytest.raises(ConfigError, match="holds out op0, which the run 'tiny' did not"):
        check_unseen(run / "average.safetensors", stills[:4])


@pytest.mark.parametrize("content", [b"\xff", b"[]", b"{}", b'{"schema": "other/1"}'])
def test_a_split_that_cannot_be_read_is_told(tmp_path, content):
    (tmp_path / SPLIT_NAME).write_bytes(content)
    with pytest.raises(ConfigError, match=r"split\.json of the run .* cannot be read"):
        check_unseen(tmp_path / "average.safetensors", ())


def test_weights_are_looked_at_with_what_their_run_held_out_alone(manifest, run, tiny_config):
    stills = read_manifest(manifest)
    finetune(tiny_config, stills, run)
    inside, out = ([stills[int(i)] for i in side] for side in split_indices(stills, tiny_config))
    (run / "checkpoint" / "note").touch()
    for weights in (run / "average.safetensors", run / "checkpoint" / "average.safetensors"):
        check_unseen(weights, out)
        with pytest.raises(ConfigError, match=f"holds out {inside[0].group}, which the run"):
            check_unseen(weights, [*out, inside[0]])
    unlabelled = dataclasses.replace(inside[0], kind="unlabelled")
    check_unseen(run / "average.safetensors", [unlabelled])
    check_unseen(run.parent / "b-320.safetensors", inside)
    (run / SPLIT_NAME).unlink()
    with pytest.raises(ConfigError, match="may have been trained on them"):
        check_unseen(run / "average.safetensors", inside)
    assert {row["group"] for row in read_rows(run / HELD_OUT_NAME, "group")} == {
        still.group for still in out
    }


def test_of_several_processes_the_first_alone_writes(manifest, run, tiny_config, monkeypatch):
    monkeypatch.setattr(loop, "_rank", lambda: 1)
    state = finetune(tiny_config, read_manifest(manifest), run)
    assert state
    assert not run.exists()
    pretrain(tiny_config, list_stills(manifest.parent / "images"), run)
    assert not run.exists()


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_told_before_stills_are_decoded(
    manifest, run, tiny_config, monkeypatch, device
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    config = dataclasses.replace(tiny_config, device=device)
    with pytest.raises(DependencyError, match=f"--device {device} was asked for, but torch sees"):
        finetune(config, read_manifest(manifest), run)
    assert not run.parent.exists()
