"""`train` on the command line: labelled folders, and bad input in one sentence before any work."""

import csv
import json
import pickle
import shutil

import cv2
import numpy as np
import pytest
from tests_support import TINY_TRAINING

from ubereport.cli.main import main
from ubereport.cli.training_progress import Count, Steps
from ubereport.core.errors import AnnotationError
from ubereport.files.resources import models_dir
from ubereport.laboratory.evaluation.load import load_stills
from ubereport.laboratory.training.loop import Progress

SIDE = 64


def run(capsys, *argv):
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in argv])
    out, err = capsys.readouterr()
    return (0 if end.value.code is None else end.value.code), out, err


def refused(capsys, *argv, code=2):
    """Run a command that must fail with one sentence and nothing on stdout; return the sentence."""
    got, out, err = run(capsys, *argv)
    assert (got, out) == (code, "")
    assert err.startswith("ubereport: ")
    assert err.count("\n") == 1
    return err


@pytest.fixture
def drawn(tmp_path):
    """Stills of three recordings, a blood and a zero mask each, as a person's PNG files."""
    rng = np.random.default_rng(5)
    for name in ("masks", "ignore"):
        (tmp_path / "drawn" / name).mkdir(parents=True)
    for recording in ("A", "B", "C"):
        (tmp_path / "stills" / recording).mkdir(parents=True)
        for i in range(4):
            picture = rng.integers(90, 160, (SIDE, SIDE, 3), dtype=np.uint8)
            mask = np.zeros((SIDE, SIDE), np.uint8)
            if i % 2 == 0:
                mask[8:40, 8:40] = 255
                picture[mask > 0] = (12, 10, 120)
            name = f"{recording}_{i:06d}.png"
            cv2.imwrite(str(tmp_path / "stills" / recording / name), picture)
            cv2.imwrite(str(tmp_path / "drawn" / "masks" / name), mask)
    return tmp_path


@pytest.fixture
def labelled(drawn, capsys):
    code, _, err = run(
        capsys, "train", "import", drawn / "drawn", "--stills", drawn / "stills",
        "--out", drawn / "labelled",
    )  # fmt: skip
    assert code == 0, err
    (drawn / "tiny.toml").write_text(TINY_TRAINING)
    return drawn


def finetune(root, *more):
    manifest = root / "labelled" / "MANIFEST.csv"
    return ("train", "finetune", root / "tiny.toml", "--manifest", manifest,
            "--runs", root / "runs", *more)  # fmt: skip


def test_import_convert_and_import_again(drawn, capsys):
    stills = ("--stills", drawn / "stills", "--json")
    code, out, _ = run(
        capsys, "train", "import", drawn / "drawn", *stills, "--out", drawn / "one",
        "--annotator", "s1",
    )  # fmt: skip
    told = json.loads(out)
    assert code == 0
    assert (told["n_blood"], told["n_zero"], told["n_groups"]) == (6, 6, 3)
    assert told["annotators"] == ["s1"]
    for kind, name in (("cvat", "m.xml"), ("labelme", "m"), ("coco", "m.json.gz")):
        code, out, _ = run(
            capsys, "train", "convert", drawn / "one", "--to", kind, "--out", drawn / name, "--json"
        )
        assert (code, json.loads(out)["n_annotations"]) == (0, 12)
        code, out, _ = run(
            capsys, "train", "import", drawn / name, *stills, "--out", drawn / f"again-{kind}"
        )
        assert (code, json.loads(out)["n_blood"]) == (0, 6)
    masks = [drawn / folder / "masks" / "A_000000.png" for folder in ("one", "again-coco")]
    assert masks[0].read_bytes() == masks[1].read_bytes()


def test_a_labelled_folder_is_trained_on_and_evaluated_as_it_is(labelled, capsys):
    code, out, err = run(capsys, *finetune(labelled, "--json"))
    assert code == 0, err
    told = json.loads(out)
    assert told["held_out"]["n_positive"] == 2
    assert "step 2 of 2" in err
    assert "held out (2 with blood, 2 without)" in err
    with (labelled / "runs" / "tiny" / "held_out.csv").open() as stream:
        held_out = list(csv.DictReader(stream))
    assert len(held_out) == 4
    assert len({row["group"] for row in held_out}) == 1
    folder = labelled / "labelled"
    found = load_stills(labelled / "stills", folder / "masks", folder / "ignore")
    assert (len(found.stills), {s.group for s in found.stills}) == (12, {"A", "B", "C"})
    assert found.grouping == "as listed in MANIFEST.csv beside the masks"
    names = frozenset(row["name"] for row in held_out)
    alone = load_stills(labelled / "stills", folder / "masks", only=names)
    assert {s.name for s in alone.stills} == names
    assert alone.n_without_mask == 0
    with pytest.raises(AnnotationError, match="None of the stills"):
        load_stills(labelled / "stills", folder / "masks", only=frozenset({"other"}))
    # Run again: the run is done, nothing is trained twice.
    code, out, err = run(capsys, *finetune(labelled))
    assert code == 0
    assert "step" not in err


def test_masks_that_do_not_fit_are_refused(drawn, capsys):
    command = ("train", "import", drawn / "drawn", "--stills", drawn / "stills",
               "--out", drawn / "labelled")  # fmt: skip
    mask = drawn / "drawn" / "masks" / "A_000000.png"
    good = mask.read_bytes()
    for content, words in (
        (np.zeros((SIDE, SIDE // 2), np.uint8), "32 × 64 px, the still 64 × 64 px"),
        (np.full((SIDE, SIDE), 128, np.uint8), "values such as 128; allowed are 0 and 255"),
    ):
        cv2.imwrite(str(mask), content)
        assert words in refused(capsys, *command)
    mask.write_bytes(good)
    (drawn / "stills" / "B" / "B_000002.png").unlink()
    assert "1 annotated stills are not in the folder, such as B_000002" in refused(capsys, *command)
    assert not (drawn / "labelled").exists()


def test_a_labelled_folder_gone_bad_is_refused_before_training(labelled, capsys):
    mask = labelled / "labelled" / "masks" / "A_000000.png"
    good = mask.read_bytes()
    cv2.imwrite(str(mask), np.full((SIDE, SIDE), 77, np.uint8))
    assert "values other than 0 and 255" in refused(capsys, *finetune(labelled))
    cv2.imwrite(str(mask), np.zeros((8, SIDE), np.uint8))
    assert "64 × 8 px, its still 64 × 64 px" in refused(capsys, *finetune(labelled))
    mask.unlink()
    assert "A_000000 has no mask" in refused(capsys, *finetune(labelled))
    mask.write_bytes(good)
    assert not (labelled / "runs" / "tiny").exists()


def rows_of(root):
    with (root / "labelled" / "MANIFEST.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def write_rows(root, rows):
    with (root / "labelled" / "MANIFEST.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_recording_in_both_splits_is_refused(labelled, capsys):
    rows = rows_of(labelled)
    write_rows(labelled, [*rows[:-1], {**rows[-1], "group": "D"}])
    words = refused(capsys, *finetune(labelled))
    assert "recording C are listed under two groups, C and D" in words
    # The same picture under another name and group.
    twin = {**rows[0], "name": "other", "group": "B"}
    for kind in ("masks", "ignore"):
        folder = labelled / "labelled" / kind
        shutil.copy(folder / "A_000000.png", folder / "other.png")
    write_rows(labelled, [*rows, twin])
    errors = set()
    for fold in range(3):
        text = TINY_TRAINING.replace("fold = 0", f"fold = {fold}").replace("steps = 2", "steps = 1")
        (labelled / "tiny.toml").write_text(text.replace('"tiny"', f'"tiny{fold}"'))
        errors.add(run(capsys, *finetune(labelled))[2].partition(" are the same picture")[0])
    assert "ubereport: other (group B) and A_000000 (group A)" in errors or (
        "ubereport: A_000000 (group A) and other (group B)" in errors
    )


@pytest.mark.parametrize(
    ("kept", "words"),
    [("blood", "No training still is a zero mask"), ("zero", "No training still shows blood")],
)
def test_an_empty_class_is_refused(labelled, capsys, kept, words):
    write_rows(labelled, [row for row in rows_of(labelled) if row["kind"] == kept])
    assert words in refused(capsys, *finetune(labelled))


def test_what_a_configuration_asks_for_must_be_given(labelled, capsys):
    (labelled / "tiny.toml").write_text(TINY_TRAINING + "box_share = 0.1\n")
    assert "no stills with boxes are given" in refused(capsys, *finetune(labelled))
    words = refused(capsys, *finetune(labelled, "--boxes", labelled / "stills"))
    assert "boxes_multi.json cannot be read" in words
    (labelled / "tiny.toml").write_text(TINY_TRAINING)
    words = refused(capsys, *finetune(labelled, "--boxes", labelled / "stills"))
    assert "would not be used" in words
    assert not (labelled / "runs").exists()


class Payload:
    """What a pickle may carry; nothing may ever run it."""

    def __reduce__(self):
        return (print, ("EXECUTED",))


def weights(path, kind):
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Payload()))
    elif kind == "text":
        path.write_text("no weights")
    else:
        from safetensors.numpy import save_file

        save_file({"encoder.conv.weight": np.zeros((2, 2), np.float32)}, path)


WEIGHTS = [
    ("pickle", "starts like a pickle"),
    ("text", "is no sound safetensors file"),
    ("other", "does not fit|architecture|missing"),
]


@pytest.mark.parametrize(("kind", "words"), WEIGHTS)
def test_initial_weights_that_cannot_be_used(labelled, capsys, kind, words):
    (labelled / "runs").mkdir()
    weights(labelled / "runs" / "start.safetensors", kind)
    text = TINY_TRAINING.replace('initial = "random"', 'initial = "start.safetensors"')
    (labelled / "tiny.toml").write_text(text)
    told = refused(capsys, *finetune(labelled), code=4)
    assert any(word in told for word in words.split("|"))
    # Refused before stills are decoded.
    assert not (labelled / "runs" / "cache").exists()


@pytest.mark.parametrize(("kind", "words"), WEIGHTS)
def test_weights_of_a_specification_that_cannot_be_used(labelled, capsys, kind, words):
    (labelled / "runs").mkdir()
    weights(labelled / "runs" / "w.safetensors", kind)
    (labelled / "card.md").write_text("# {version}\n{figures}")
    (labelled / "spec.toml").write_text(
        'version = "1"\nname = "own"\nconfig = "tiny.toml"\nweights = ["w.safetensors"]\n'
        'card = "card.md"\ntitle = "t"\ntraining_population = "p"\nlimits = "l"\n'
        'intended_use = "i"\nevaluated_on = "e"\nlicence = "l"\n'
        '[[training_data]]\nname = "n"\nlicence = "l"\n'
        'n_stills = 12\nrole = "masks"\n'
    )
    command = ("train", "export", labelled / "spec.toml", "--manifest",
               labelled / "labelled" / "MANIFEST.csv", "--models", labelled / "models",
               "--runs", labelled / "runs")  # fmt: skip
    told = refused(capsys, *command, code=4)
    assert any(word in told for word in words.split("|"))
    assert not (labelled / "runs" / "cache").exists()
    assert not (labelled / "models").exists()


def test_a_corrupt_bundle_is_refused(labelled, capsys):
    (source,) = [p for p in models_dir().iterdir() if p.name.startswith("ube-blood")][-1:]
    bundle = labelled / "bundle"
    shutil.copytree(source, bundle)
    content = bytearray((bundle / "weights.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "weights.safetensors").write_bytes(bytes(content))
    for command in (
        ("train", "propose", labelled / "stills", "--out", labelled / "p", "--model", bundle),
        ("evaluate", "stills", "--images", labelled / "stills", "--out", labelled / "e",
         "--masks", labelled / "labelled" / "masks", "--model", bundle),
    ):  # fmt: skip
        assert "sha256" in refused(capsys, *command, code=4)
    assert not (labelled / "p").exists()
    assert not (labelled / "e").exists()


def test_a_run_of_another_configuration_is_refused(labelled, capsys):
    assert run(capsys, *finetune(labelled))[0] == 0
    (labelled / "tiny.toml").write_text(TINY_TRAINING.replace("steps = 2", "steps = 3"))
    assert "a run of another configuration" in refused(capsys, *finetune(labelled))


def test_a_run_that_goes_on_says_so_and_counts_its_own_steps(capsys):
    tell = Steps()
    tell(Progress(60, 100, 0.5, 1e-3, 5.0, None, 50))
    tell(Progress(100, 100, 0.25, 1e-3, 25.0, None, 50))
    assert capsys.readouterr().err.splitlines() == [
        "going on after step 50",
        "step 60 of 100: loss 0.5000, 2.00 steps/s, 0:00:20 left",
        "step 100 of 100: loss 0.2500, 2.00 steps/s",
    ]
    assert tell.last is None


def test_progress_counts_only_what_was_done_now(capsys, monkeypatch):
    now = iter([0.0, 10.0, 20.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    count = Count("pictures")
    count(100, 200)
    count(150, 200)
    count(200, 200)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["150 of 200 pictures, 5.0 a second, 0:00:10 left", "200 of 200 pictures"]
