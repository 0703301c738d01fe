"""Draw a reliability diagram: python reliability.py EVALUATION.json OUT.svg.

EVALUATION.json is what `ubereport evaluate stills` writes; the first model of it is drawn.
"""

import json
import sys
from pathlib import Path

from ubereport.laboratory.evaluation.reliability import GroupReliability, Reliability
from ubereport.laboratory.evaluation.stills_sections import reliability_drawing
from ubereport.report.document_figures import drawing_svg

WIDTH_MM = 120


def main() -> None:
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    evaluation = json.loads(source.read_text(encoding="utf-8"))
    table = evaluation["reliability"]
    groups = tuple(GroupReliability(**group) for group in table["groups"])
    found = Reliability(groups, tuple(table["told"]), tuple(table["seen"]), table["error"])
    drawing = reliability_drawing(found)
    out.write_text(drawing_svg("reliability", evaluation["model"], drawing, WIDTH_MM), "utf-8")


if __name__ == "__main__":
    main()
