"""What the narrowing rule leaves out on real recordings: adaptive sampling beside the uniform plan.

    python -m tests.perf.narrowing RECORDING [RECORDING,NEXT_PART...] ... --model ube-blood

Prints one row a case: how many pictures the uniform plan looks at, which share of them adaptive
sampling does, how far each headline is from the uniform plan's, and whose events are the same.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.perf.bench.rows import HEADLINES, Row, event_differences
from ubereport.analysis.checkpoint import Checkpoint
from ubereport.analysis.opened_case import open_case
from ubereport.analysis.pipeline import analyze_case
from ubereport.core.config import AnalysisConfig, SamplingMode
from ubereport.core.progress import silent
from ubereport.files.kept_files import KeptFiles

SHARES = ("impaired_share_5", "impaired_share_20", "area_mean_frac", "closing_area_mean_frac")


def measured(parts: list[Path], mode: SamplingMode, model: str) -> Row:
    """Analyze one case in this process, without a report."""
    config = AnalysisConfig()
    config = replace(
        config,
        sampling=replace(config.sampling, mode=mode),
        segmentation=replace(config.segmentation, model=model),
        records=replace(config.records, is_frames_kept=False),
    )
    with tempfile.TemporaryDirectory() as work:
        with open_case(parts, config, silent) as opened:
            chunks = KeptFiles(Path(work), opened.fingerprint)
            record = analyze_case(opened, "narrowing", Checkpoint(chunks), silent).record
        chunks.discard()
    return Row(
        parts[0].stem,
        mode,
        n_pictures=len(record.series),
        headlines={m.key: m.value for m in record.metrics if m.key in (*SHARES, *HEADLINES)},
        events=[(event.onset_s, event.clear_s) for event in record.events],
    )


def told(row: Row, base: Row) -> str:
    """Return the row: headlines of the uniform plan, and how far adaptive ones are from them."""
    cells = [f"{base.n_pictures}", f"{100 * row.n_pictures / base.n_pictures:.0f} %"]
    for key in SHARES:
        value, other = base.headlines[key], row.headlines[key]
        cells.append("–" if value is None else f"{100 * value:.2f} ({100 * (other - value):+.2f})")
    return " | ".join([*cells, event_differences(row, base)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="+", help="files; parts of one case joined by commas")
    parser.add_argument("--model", default=AnalysisConfig().segmentation.model)
    given = parser.parse_args()
    print(" | ".join(["case", "pictures", "looked at", *SHARES, "events"]))
    for case in given.cases:
        parts = [Path(part) for part in case.split(",")]
        base, row = (
            measured(parts, mode, given.model)
            for mode in (SamplingMode.UNIFORM, SamplingMode.ADAPTIVE)
        )
        print(f"{row.recording} | {told(row, base)}", flush=True)


if __name__ == "__main__":
    main()
