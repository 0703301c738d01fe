"""Draw a reliability diagram: python reliability.py OUT.svg EVALUATION.json...

Each EVALUATION.json is what `ubereport evaluate stills` writes. The first model of each is drawn,
the groups of all together: folds of one recipe, each on what it never saw.
"""

import json
import sys
from pathlib import Path

from ubereport.laboratory.evaluation.reliability import GroupReliability, over_groups
from ubereport.laboratory.evaluation.stills_sections import reliability_drawing

WIDTH_MM = 120


def main() -> None:
    out, *sources = (Path(a) for a in sys.argv[1:])
    evaluations = [json.loads(path.read_text(encoding="utf-8")) for path in sources]
    groups = [
        GroupReliability(**group) for e in evaluations for group in e["reliability"]["groups"]
    ]
    drawing = reliability_drawing(over_groups(groups))
    out.write_text(drawing.svg("reliability", evaluations[0]["model"], WIDTH_MM), "utf-8")


if __name__ == "__main__":
    main()
