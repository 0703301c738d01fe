"""Train and compare choices: python choices.py CHOICES.toml SETS.toml LABELLED RUNS OUT.json.

Every row of CHOICES has the same budget and holds out the same stills, or those of the fold it
names; thresholds and the rule of presence of each are calibrated on these in the same way. `--only`
names rows; a row that OUT holds already is not trained again, and one that was interrupted goes on.
`--table` prints what OUT holds and trains nothing.
"""

import argparse
import dataclasses
import json
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from cross_validate import counted, described, found_in
from torch import Tensor
from train import run_config, show

from ubereport.core.config import config_from_toml
from ubereport.files.atomic import write_file
from ubereport.laboratory.training.calibrate import Calibration, CalibrationAims
from ubereport.laboratory.training.collections import read_collections
from ubereport.laboratory.training.config import TrainConfig
from ubereport.laboratory.training.export import HeldOutMaps, look_at_held_out
from ubereport.laboratory.training.finetune import finetune, split_indices
from ubereport.laboratory.training.labelled_stills import Still, StillCache, cache_stills
from ubereport.laboratory.training.scoring import score_still
from ubereport.laboratory.training.specification import FoldLook
from ubereport.segmentation.pictures import shown_blood

HERE = Path(__file__).parent
AIMS = CalibrationAims(0.003, is_presence_ruled=True, min_sensitivity=0.88)
HANDMADE = "handmade masks on surgical_area and desmoke_lap"
GYNSURG = "handmade masks on GynSurg"
CAPSULE = "WCEBleedGen masks"
COLUMNS = (
    ("Dice, median", "dice_median", ".2f"),
    ("mean", "dice_mean", ".2f"),
    ("sens.", "sensitivity", ".2f"),
    ("spec.", "specificity", ".2f"),
    ("painted", "negative_area_mean_frac", ".2%"),
    ("area error", "area_mae_frac", ".2%"),
)


def row_config(row: dict[str, Any]) -> TrainConfig:
    config = run_config(HERE / "choice.toml", row.get("fold"), row.get("seed"), row.get("px"))
    shares = {k: row[k] for k in ("composite_share", "simulated_share") if k in row}
    return dataclasses.replace(
        config,
        name="choice-" + row["name"].replace(",", "").replace(" ", "-"),
        encoder=row.get("encoder", config.encoder),
        data=dataclasses.replace(config.data, **shares),
    )


def left_out(stills: Sequence[Still], names: Sequence[str]) -> tuple[Still, ...]:
    """Return the stills, those of the named sets to be looked at and never trained on."""
    return tuple(
        dataclasses.replace(
            still, collection=dataclasses.replace(still.collection, is_trained=False)
        )
        if still.collection.name in names
        else still
        for still in stills
    )


def look_at_set(
    config: TrainConfig, state: Mapping[str, Tensor], cache: StillCache, name: str
) -> FoldLook:
    """Look at what `config` holds out of a set, whether or not the row was trained on others."""
    out = split_indices(cache.stills, config)[1]
    index = np.array([i for i in out if cache.stills[int(i)].collection.name == name], np.int64)
    return FoldLook(config.data.fold, (name,), look_at_held_out(config, state, cache, index))


def capsule_dice(look: HeldOutMaps, found: Calibration) -> tuple[float, float]:
    """Return median and mean over clusters of near duplicates of their mean Dice."""
    clusters: dict[str, list[float]] = {}
    shown = shown_blood(look.maps.copy(), found.presence)
    for probability, label, group in zip(shown, look.labels, look.groups, strict=True):
        dice = score_still(probability, label, found.thresholds[1]).dice
        if dice is not None:
            clusters.setdefault(group, []).append(dice)
    means = [float(np.mean(each)) for each in clusters.values()]
    return float(np.median(means)), float(np.mean(means))


def trained_row(
    row: dict[str, Any], stills: Sequence[Still], cache: StillCache, runs: Path
) -> dict[str, Any]:
    config = row_config(row)
    begin = time.monotonic()
    state = finetune(config, left_out(stills, row.get("without", ())), runs / config.name, show)
    handmade, gynsurg, capsule = (
        look_at_set(config, state, cache, name) for name in (HANDMADE, GYNSURG, CAPSULE)
    )
    found = found_in([handmade, gynsurg], AIMS)
    return {
        **described(found),
        "handmade": counted(handmade, found, AIMS),
        "gynsurg": counted(gynsurg, found, AIMS),
        "capsule_by_cluster": capsule_dice(capsule.held_out, found),
        "n_weights": sum(tensor.numel() for tensor in state.values()),
        "seconds_of_this_call": time.monotonic() - begin,
    }


def print_table(answers: dict[str, Any]) -> None:
    heads = ["row", *(title for title, _, _ in COLUMNS)]
    print("|", " | ".join([*heads, "handmade", "GynSurg", "capsule, by cluster"]), "|")
    print("|", " | ".join("---" for _ in range(len(heads) + 3)), "|")
    for name, answer in answers.items():
        figures = [f"{answer['figures'][key]:{form}}" for _, key, form in COLUMNS]
        sets = [
            f"{answer[key]['dice_median']:.2f} / {answer[key]['dice_mean']:.2f}"
            for key in ("handmade", "gynsurg")
        ]
        capsule = " / ".join(f"{value:.2f}" for value in answer["capsule_by_cluster"])
        print("|", " | ".join([name, *figures, *sets, capsule]), "|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("choices", "sets", "labelled", "runs", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    answers = json.loads(given.out.read_text()) if given.out.exists() else {}
    if given.table:
        return print_table(answers)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    stills = read_collections(given.sets, given.labelled)
    side_px = config_from_toml(HERE / "choice.toml", TrainConfig).data.cache_side_px
    cache = cache_stills(stills, side_px, given.runs / "cache")
    for row in tomllib.loads(given.choices.read_text())["rows"]:
        if row["name"] in answers or (given.only and row["name"] not in given.only):
            continue
        print(row["name"], flush=True)
        answers[row["name"]] = trained_row(row, stills, cache, given.runs)
        write_file(given.out, json.dumps(answers, indent=1).encode())
    print_table(answers)
    return None


if __name__ == "__main__":
    main()
