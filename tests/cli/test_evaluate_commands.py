"""`evaluate` on the command line: the agreed keys, and bad input in one sentence."""

import json

import cv2
import numpy as np
import pytest

from ubereport.cli.main import main

KEYS = {
    "n", "n_positive", "n_negative", "dice_median", "dice_mean", "iou_median", "accuracy",
    "sensitivity", "specificity", "negative_area_mean_frac", "area_mae_frac", "area_bias_frac",
}  # fmt: skip


def run(capsys, *argv):
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in argv])
    out, err = capsys.readouterr()
    return (0 if end.value.code is None else end.value.code), out, err


def write_stills(root):
    """Four pictures of which two show blood in the upper quarter; the masks say the same."""
    for name in ("images", "masks"):
        (root / name).mkdir()
    for k in range(4):
        picture = np.full((256, 256, 3), (165, 180, 190), dtype=np.uint8)
        mask = np.zeros((256, 256), dtype=np.uint8)
        if k < 2:
            picture[:64], mask[:64] = (20, 18, 150), 255
        cv2.imwrite(str(root / "images" / f"still{k}.png"), picture)
        cv2.imwrite(str(root / "masks" / f"still{k}.png"), mask)
    return root / "images", root / "masks"


def test_stills_prints_the_agreed_keys(capsys, tmp_path):
    images, masks = write_stills(tmp_path)
    code, out, err = run(
        capsys, "evaluate", "stills", "--images", images, "--masks", masks, "--model", "hsv-red",
        "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert code == 0
    told = json.loads(out)
    assert set(told) >= KEYS
    assert (told["n"], told["n_positive"], told["n_negative"]) == (4, 2, 2)
    assert told["dice_median"] == pytest.approx(1.0, abs=0.01)
    assert (told["accuracy"], told["specificity"]) == (1.0, 1.0)
    assert "4 of 4 stills" in err
    # All four are called still<number>: one recording for all that is known.
    assert told["n_groups"] == 1
    assert "4 stills in 1 groups (names that differ only by a number" in err
    assert "fewer than three give no intervals" in err
    assert (tmp_path / "out" / "evaluation.pdf").is_file()


def test_stills_of_a_list_alone_with_a_staple_reference(capsys, tmp_path):
    images, masks = write_stills(tmp_path)
    for who in ("p", "q"):
        (masks / who).mkdir()
        for path in masks.glob("*.png"):
            (masks / who / path.name).write_bytes(path.read_bytes())
    for path in masks.glob("*.png"):
        path.unlink()
    listed = tmp_path / "held_out.csv"
    listed.write_text("name,group\nstill0,a\nstill2,b\nstill9,c\n")
    command = ("evaluate", "stills", "--images", images, "--masks", masks, "--model", "hsv-red",
               "--out", tmp_path / "out", "--only", listed, "--groups", "still",
               "--consensus", "staple", "--quiet", "--json")  # fmt: skip
    code, out, err = run(capsys, *command)
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["n"], told["n_positive"], told["n_groups"]) == (2, 1, 2)
    stored = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert stored["agreement"]["consensus"] == "staple"
    listed.write_text("nothing")
    code, out, err = run(capsys, *command)
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_stills_without_usable_input(capsys, tmp_path):
    images, masks = write_stills(tmp_path)
    base = ["evaluate", "stills", "--out", tmp_path / "out", "--model", "hsv-red", "--images"]
    code, out, err = run(capsys, *base, images, "--masks", tmp_path / "none")
    assert (code, out) == (2, "")
    assert "does not exist" in err
    (images / "still1.png").unlink()
    code, _, err = run(capsys, *base, images, "--masks", masks)
    assert code == 2
    assert "have no picture" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_unknown_model(capsys, tmp_path):
    images, masks = write_stills(tmp_path)
    code, out, err = run(
        capsys, "evaluate", "stills", "--images", images, "--masks", masks, "--model", "nowhere",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert (code, out) == (4, "")
    assert err.startswith("ubereport: ")


def test_recording_without_case_or_truth(capsys, tmp_path):
    code, out, err = run(
        capsys, "evaluate", "recording", "--case", tmp_path / "none", "--truth", tmp_path
    )
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert run(capsys, "evaluate", "recording", "--truth", tmp_path)[0] == 2


@pytest.mark.parametrize("command", ["evaluate", "evaluate stills", "evaluate recording"])
def test_help(capsys, command):
    code, out, _ = run(capsys, *command.split(), "--help")
    assert code == 0
    assert "Usage: ubereport" in out
