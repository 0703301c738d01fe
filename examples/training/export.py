"""Export a bundle: python export.py SPEC.toml LABELLED_DIR RUNS_DIR MODELS_DIR.

SPEC names the version, the configuration, the weights under RUNS_DIR to average, and what the card
says beside the measured figures. The same as `ubereport train export`, with the figures printed.
"""

import sys
from pathlib import Path

from ubereport.laboratory.training.specification import export_from_specification


def main() -> None:
    spec, labelled, runs, models = (Path(a) for a in sys.argv[1:5])
    bundle = export_from_specification(spec, labelled / "handmade" / "MANIFEST.csv", runs, models)
    print(bundle.metadata.thresholds)
    for name, value in bundle.metadata.operating_characteristics:
        print(name, value)


if __name__ == "__main__":
    main()
