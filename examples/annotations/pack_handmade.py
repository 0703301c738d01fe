"""Pack the hand-drawn masks of a manifest folder into handmade.json.gz, without any picture.

    python examples/annotations/pack_handmade.py FOLDER

FOLDER holds MANIFEST.csv, masks/, ignore/ and second/; the stills lie where the manifest says.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ubereport.laboratory.annotation.coco import write_coco
from ubereport.laboratory.annotation.folders import read_manifest_folder

TITLE = "Visible blood in 1,014 endoscopic stills, drawn by hand"
HOW = (
    "Drawn by looking at every still, polygons refined by color, in two rounds (annotators a1–a6, "
    "then r1–r8, who used the ignore regions less); annotator b is an independent second look at "
    "48 stills. None of the annotators is a clinician. Edges are approximate; dim robotic and "
    "oversaturated red operations are the least sure. Blood is liquid or clotted blood on or in "
    "the view; red tissue without it is a zero mask; undecided pixels are ignored."
)
LICENCE = (
    "The masks: MIT, like the project. No picture is included: the stills of surgical_area are "
    "CC BY 4.0 as their uploader claims, those of desmoke_lap BSD-2; get them from their sources."
)


def main() -> None:
    annotations = read_manifest_folder(Path(sys.argv[1]))
    out = Path(__file__).with_name("handmade.json.gz")
    ordered = sorted(annotations, key=lambda a: (a.still, a.annotator))
    write_coco(ordered, out, {"description": TITLE, "how": HOW, "licence": LICENCE})
    print(f"{len(annotations)} annotations, {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
