"""Export a bundle: python export.py SPEC.toml LABELLED_DIR RUNS_DIR MODELS_DIR.

SPEC names the version, the configuration, the weights under RUNS_DIR to average, and what the card
says beside the measured figures.
"""

import dataclasses
import sys
import tomllib
from pathlib import Path

from ubereport.config import config_from_toml
from ubereport.segmentation.metadata import TrainingSet
from ubereport.training.checkpoint import load_weights
from ubereport.training.config import TrainConfig
from ubereport.training.export import BundleText, export_bundle
from ubereport.training.finetune import split_indices
from ubereport.training.stills import cache_stills, read_manifest

HERE = Path(__file__).parent


def main() -> None:
    spec_path, labelled, runs, models = (Path(a) for a in sys.argv[1:5])
    spec = tomllib.loads(spec_path.read_text(encoding="utf-8"))
    config = config_from_toml(HERE / spec["config"], TrainConfig)
    config = dataclasses.replace(config, input_px=spec.get("input_px", config.input_px))
    stills = read_manifest(labelled / "handmade" / "MANIFEST.csv")
    inside, out = split_indices(stills, config)
    cache = cache_stills(stills, config.data.cache_side_px, runs / "cache")
    sets = [TrainingSet(**s) for s in spec["training_data"]]
    rows = [f"| {s.name} | {s.licence} | {s.n_stills} | {s.role} |" for s in sets]
    is_flip = bool(spec.get("flip", False))
    card = (HERE / "card.md").read_text(encoding="utf-8")
    words = {
        "version": spec["version"],
        "input_px": str(config.input_px),
        "test_time_words": "picture and mirror image averaged" if is_flip else "one look a picture",
        "soup": spec.get("soup", ""),
        "sets": "\n".join(rows),
        "training": spec["training"],
        "evaluated": spec["evaluated_on"],
        "limits": spec["limits"],
        "more": spec.get("more", ""),
    }
    for key, text in words.items():
        card = card.replace("{" + key + "}", text)
    text = BundleText(
        name="ube-blood",
        version=spec["version"],
        title=spec["title"],
        training_population=spec["training_population"],
        limits=spec["limits"],
        intended_use=spec["intended_use"],
        evaluated_on=spec["evaluated_on"],
    )
    states = [load_weights(runs / path) for path in spec["weights"]]
    bundle = export_bundle(
        models / f"ube-blood-{spec['version']}",
        config,
        states,
        cache,
        inside,
        out,
        text,
        sets,
        card,
        flip=is_flip,
    )
    print(bundle.metadata.thresholds)
    for name, value in bundle.metadata.operating_characteristics:
        print(name, value)


if __name__ == "__main__":
    main()
