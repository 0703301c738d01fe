"""Cut BIZ UDPGothic down to what reports need; run it again where the source is newer.

    apt-get install fonts-morisawa-bizud-gothic
    python templates/fonts/subset.py /usr/share/fonts/truetype/bizud-gothic

Kept are kana, the kanji of JIS X 0208 (levels 1 and 2), full-width forms, punctuation and the signs
of JIS X 0208, and no Latin letters: those are Inter's. Hinting goes, and the family gets a name of
its own, so that a BIZ UDPGothic of the reader's machine can never change the line breaks of a
report.
"""

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

HERE = Path(__file__).parent
FAMILY = "BIZ UDPGothic Ubereport"
STYLES = ("Regular", "Bold")
NAME_IDS = {1: FAMILY, 3: FAMILY, 4: FAMILY, 6: FAMILY.replace(" ", ""), 16: FAMILY}


def jis_x_0208(rows: range) -> set[int]:
    """Return the characters in these rows of JIS X 0208."""
    found = set()
    for row in rows:
        for cell in range(1, 95):
            try:
                found.add(ord(bytes((0xA0 + row, 0xA0 + cell)).decode("euc_jp")))
            except UnicodeDecodeError:
                continue
    return found


KEPT = (
    jis_x_0208(range(1, 9))
    | jis_x_0208(range(16, 85))
    | set(range(0x3000, 0x3100))
    | set(range(0xFF01, 0xFFA0))
    | {0x2460 + k for k in range(20)}
    | {0x2014, 0x2015, 0x2025, 0x2026, 0x301C, 0x5265, 0x9830, 0x586B}
) - set(range(0x20, 0x530))


def main(source: Path) -> None:
    """Write one TrueType file a style beside this script."""
    for style in STYLES:
        font = TTFont(source / f"BIZUDPGothic-{style}.ttf")
        options = subset.Options(hinting=False, layout_features=["kern", "ccmp", "locl", "palt"])
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=KEPT)
        cutter.subset(font)
        for record in font["name"].names:
            if record.nameID in NAME_IDS:
                record.string = NAME_IDS[record.nameID]
        font.save(HERE / f"BizUdpGothic-{style}.ttf")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
