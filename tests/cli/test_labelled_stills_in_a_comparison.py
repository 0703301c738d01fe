"""Stills that a department labelled, by technique, go into its comparison: two commands in turn."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest
from made_up_library import make_library

from ubereport.cli.main import main

BLOOD_BGR, CLEAN_BGR = (20, 18, 150), (165, 180, 190)


def run(capsys, *argv):
    with pytest.raises(SystemExit) as end:
        main([str(word) for word in argv])
    out, err = capsys.readouterr()
    return (0 if end.value.code is None else end.value.code), out, err


def write_labelled_stills(root, techniques=("wax", "RF"), n_recordings=4):
    """Pictures with blood above; with RF the label has a third more that is pale and not found."""
    for name in ("images", "masks"):
        (root / name).mkdir()
    groups, by = ["name,group"], ["name,group"]
    rng = np.random.default_rng(3)
    for technique in techniques:
        for k in range(2 * n_recordings):
            height = int(rng.integers(40, 90))
            picture = np.full((256, 256, 3), CLEAN_BGR, dtype=np.uint8)
            picture[:height] = BLOOD_BGR
            mask = np.zeros((256, 256), dtype=np.uint8)
            mask[: height + (height // 3 if technique == "RF" else 0)] = 255
            name = f"{technique}{k}"
            cv2.imwrite(str(root / "images" / f"{name}.png"), picture)
            cv2.imwrite(str(root / "masks" / f"{name}.png"), mask)
            groups.append(f"{name},{technique}-recording-{k // 2}")
            by.append(f"{name},{technique}")
    (root / "groups.csv").write_text("\n".join(groups) + "\n")
    (root / "by.csv").write_text("\n".join(by) + "\n")


def evaluate(capsys, root):
    write = root / "evaluation"
    code, _, err = run(
        capsys, "evaluate", "stills", "--images", root / "images", "--masks", root / "masks",
        "--groups", root / "groups.csv", "--by", root / "by.csv", "--model", "hsv-red",
        "--out", write, "--pdf", "never", "--json",
    )  # fmt: skip
    assert code == 0, err
    return write / "errors_by_group.json"


def compare(capsys, root, *more):
    code, out, err = run(
        capsys, "compare", root / "library", "--by", "technique", "--reference", "wax",
        "--out", root / "comparison", "--pdf", "never", "--json", *more,
    )  # fmt: skip
    return code, out, err


def interval(root):
    lead = json.loads((root / "comparison" / "comparison.json").read_text())["leads"][0]
    return lead["with_error"]


def test_what_the_stills_say_moves_the_interval_of_the_comparison(capsys, tmp_path):
    write_labelled_stills(tmp_path)
    shares = np.random.default_rng(2).uniform(0.05, 0.3, (2, 12)).round(3)
    make_library(tmp_path / "library", {"wax": shares[0].tolist(), "RF": shares[1].tolist()})
    errors = evaluate(capsys, tmp_path)
    told = json.loads(errors.read_text())["groups"]
    assert told["wax"]["blood_found_share"] > 0.97
    assert told["RF"]["blood_found_share"] == pytest.approx(0.75, abs=0.03)
    assert (told["RF"]["n_stills"], told["RF"]["n_recordings"]) == (8, 4)
    assert compare(capsys, tmp_path)[0] == 0
    before = interval(tmp_path)
    assert compare(capsys, tmp_path, "--errors", errors)[0] == 0
    after = interval(tmp_path)
    # With RF a quarter of the blood is missed: read as wax is, RF has more.
    assert after["value"] > before["value"] + 0.02


def test_stills_of_one_group_only_are_one_sentence(capsys, tmp_path):
    write_labelled_stills(tmp_path, techniques=("wax",))
    make_library(tmp_path / "library", {"wax": [0.1, 0.2] * 4, "RF": [0.15, 0.1] * 4})
    code, out, err = compare(capsys, tmp_path, "--errors", evaluate(capsys, tmp_path))
    assert (code, out) == (2, "")
    assert re.match(r"ubereport: The labelled stills do not fit the groups: .*RF.*\n$", err)
