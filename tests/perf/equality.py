"""How much the area of a recording depends on reader, batch size and precision.

    python tests/perf/equality.py RECORDING... --model ube-blood --rate 1

Prints one table: largest and mean difference of area in percentage points against PyAV, batches of
8 and full precision, over all samples that are valid in both.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from ubereport.analysis.checkpoint import Checkpoint
from ubereport.analysis.opened_case import open_case
from ubereport.analysis.pipeline import analyze_case
from ubereport.core.config import AnalysisConfig, ReaderChoice, SamplingMode
from ubereport.core.progress import silent
from ubereport.core.series import AreaSeries
from ubereport.files.kept_files import KeptFiles

# Name: reader, batch size, low precision.
SETTINGS = {
    "PyAV, batches of 8, fp32": (ReaderChoice.PYAV, 8, False),
    "decord": (ReaderChoice.DECORD, 8, False),
    "batches of 1": (ReaderChoice.PYAV, 1, False),
    "batches of 32": (ReaderChoice.PYAV, 32, False),
    "low precision": (ReaderChoice.PYAV, 8, True),
}


def measured(parts: list[Path], model: str, rate_hz: float, setting: str, work: Path):
    """Return the series of one setting, and what it ran with."""
    reader, batch_size, is_low = SETTINGS[setting]
    config = AnalysisConfig()
    config = replace(
        config,
        sampling=replace(config.sampling, mode=SamplingMode.UNIFORM, rate_hz=rate_hz),
        decode=replace(config.decode, reader=reader),
        segmentation=replace(
            config.segmentation,
            model=model,
            batch_size=batch_size,
            is_low_precision_allowed=is_low,
        ),
        records=replace(config.records, is_frames_kept=False),
    )
    with open_case(parts, config, silent) as opened:
        chunks = KeptFiles(work, opened.fingerprint)
        record = analyze_case(opened, "equality", Checkpoint(chunks), silent).record
    chunks.discard()
    how = record.provenance
    return record.series, f"{how.readers[0].reader}, {how.precision}"


def difference_points(series: AreaSeries, other: AreaSeries) -> np.ndarray:
    """Return |difference of area| in percentage points where both are valid."""
    assert np.array_equal(series.time_s, other.time_s)
    both = series.is_valid & other.is_valid
    return 100 * np.abs(series.area_frac - other.area_frac)[both]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", type=Path)
    parser.add_argument("--model", default="ube-blood")
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--work", type=Path, default=Path("out/equality"))
    options = parser.parse_args()
    first = None
    for setting in SETTINGS:
        series, how = measured(options.parts, options.model, options.rate, setting, options.work)
        first = series if first is None else first
        points = difference_points(first, series)
        n_other = int((first.is_valid != series.is_valid).sum())
        print(
            f"{setting:26} {how:16} n {len(points):4}  max {points.max():.4f}  "
            f"mean {points.mean():.4f}  validity differs in {n_other}",
            flush=True,
        )


if __name__ == "__main__":
    main()
