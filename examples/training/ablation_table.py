"""The ablation table: python ablation_table.py LABELLED RUNS OUT.json MODEL... [--simulated JSON].

Scores bundles (names or folders) on the held-out fold of the hand-labelled stills and on the final
test sets, which counts as one look at these, and prints the table as Markdown. `--simulated` takes
what ``tests/perf/simulated_accuracy.py`` wrote about the same bundles.
"""

import argparse
import csv
import json
import tempfile
from pathlib import Path
from typing import Any

from final_figures import final_figures, opened, scored

from ubereport.laboratory.evaluation.load import load_stills
from ubereport.laboratory.training.labelled_stills import read_manifest
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.predictor import Predictor

HEAD = (
    "row", "Dice, held out", "sens.", "spec.", "clean painted", "surgblood Dice",
    "its clean frames painted", "21 masks Dice", "cholecseg8k Dice", "simulated MAE, points",
    "event F1",
)  # fmt: skip


def held_out_figures(
    bundle: Bundle, predictor: Predictor, labelled: Path, held_out: Path
) -> dict[str, Any]:
    """Score a bundle on the stills that every row held out."""
    with held_out.open(newline="", encoding="utf-8") as stream:
        groups = {row["name"]: row["group"] for row in csv.DictReader(stream)}
    folder = labelled / "handmade"
    with tempfile.TemporaryDirectory() as temporary:
        for still in read_manifest(folder / "MANIFEST.csv"):
            (Path(temporary) / f"{still.name}{still.image_path.suffix}").symlink_to(
                still.image_path.absolute()
            )
        stills = load_stills(
            Path(temporary), folder / "masks", folder / "ignore", groups, frozenset(groups)
        )
        return scored(bundle, predictor, stills)


def interval(answer: dict[str, Any], key: str) -> str:
    figure = next(f for f in answer["figures"] if f["key"] == key)["over_stills"]
    if figure["low"] is None:
        return f"{figure['value']:.2f}"
    return f"{figure['value']:.2f} [{figure['low']:.2f}, {figure['high']:.2f}]"


def cells(name: str, answers: dict[str, Any], simulated: dict[str, Any] | None) -> list[str]:
    held_out, blood = answers["handmade_fold0"], answers["surgblood_dev"]
    row = [
        name,
        interval(held_out, "dice_median"),
        f"{held_out['sensitivity']:.2f}",
        f"{held_out['specificity']:.2f}",
        f"{held_out['negative_area_mean_frac']:.1%}",
        f"{blood['dice_median']:.2f}",
        f"{blood['negative_area_mean_frac']:.1%}",
        f"{answers['wcebleedgen']['dice_median']:.2f}",
        f"{answers['cholecseg8k_blood']['dice_median']:.2f}",
    ]
    if simulated is None:
        return [*row, "", ""]
    mae = simulated["mean_over_recordings"]["area_mae_frac"]["value"]
    return [*row, f"{100 * mae:.1f}", f"{simulated['events_together']['f1'] or 0:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labelled", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--simulated", type=Path)
    given = parser.parse_args()
    answers = json.loads(given.out.read_text()) if given.out.exists() else {}
    for model in given.models:
        if model not in answers:
            bundle, predictor = opened(model)
            held_out = given.runs / "ablation-hand" / "held_out.csv"
            found = held_out_figures(bundle, predictor, given.labelled, held_out)
            answers[model] = {
                "handmade_fold0": found,
                **final_figures(bundle, predictor, given.labelled),
            }
            given.out.write_text(json.dumps(answers, indent=1), encoding="utf-8")
    simulated = json.loads(given.simulated.read_text()) if given.simulated else {}
    print("|", " | ".join(HEAD), "|")
    print("|", " | ".join("---" for _ in HEAD), "|")
    for model in given.models:
        name = Path(model).name
        print("|", " | ".join(cells(name, answers[model], simulated.get(name))), "|")


if __name__ == "__main__":
    main()
