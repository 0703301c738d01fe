"""`make bench`: how long a case takes, beside what a user would write, with the floors.

    python -m tests.perf.bench [--minutes 30] [--work DIR] [--sources RECORDING...]
                               [--recordings real shots simulated] [--rows adaptive ...]
                               [--options "--decode cuda" ...] [--runs 3]

Recordings are made once and kept in --work. The row adaptive is run once more with each of the
--options, which name devices, decoders and readers; one that is not there is skipped and says why.
Rows that are run again replace those of an earlier
run, so that a long table can be made in pieces; results.json in --work holds them all.
"""

import argparse
import itertools
from pathlib import Path

from tests.perf.bench import recordings, rows, table
from ubereport.core.config import SamplingMode, SegmentationConfig

ROWS = (*rows.OURS, "again", *rows.REFERENCES, *rows.FLOORS)
OPTIONS = ("--device cuda", "--decode cuda", "--reader decord")
RECORDINGS = ("real", "shots", "simulated")
DEFAULT_WORK = Path.home() / ".cache" / "ubereport-bench"
SOURCES = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "recordings"


def main() -> None:
    given = _options()
    given.work.mkdir(parents=True, exist_ok=True)
    results = given.work / f"results-{given.minutes:g}min.json"
    found = table.load(results)
    for name in given.recordings:
        recording = _recording(name, given)
        if recording is None:
            print(f"{name}: left out; name --sources, none lie beside the checkout")
            continue
        if not given.unverified:
            print(rows.verify(given.work, recording, given.model), flush=True)
        wanted_rows = [(row, "") for row in given.rows]
        if "adaptive" in given.rows:
            wanted_rows += [("adaptive", options) for options in given.options]
        for number, (wanted, options) in itertools.product(range(given.runs), wanted_rows):
            row = _row(wanted, options, recording, given)
            print(f"{row.recording}, {row.name}: {row.wall_s:.1f} s", flush=True)
            same = [r for r in found if (r.recording, r.name) == (row.recording, row.name)]
            found = [r for r in found if r not in same]
            found.append(row.after(same[0] if number and same else None))
            table.save(results, found, given.minutes)
    print(table.text(found, given.minutes))
    print(f"JSON: {results}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK)
    beside = sorted(p for p in SOURCES.rglob("*") if p.suffix in (".mp4", ".avi"))
    parser.add_argument("--sources", type=Path, nargs="*", default=beside)
    parser.add_argument(
        "--recordings", nargs="+", choices=RECORDINGS, default=["real", "simulated"]
    )
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--options", nargs="*", default=OPTIONS, help="of further adaptive rows")
    parser.add_argument("--model", default=SegmentationConfig().model)
    parser.add_argument(
        "--slice", type=float, help="time references on so many seconds, scaled and said so"
    )
    parser.add_argument("--runs", type=int, default=1, help="so many runs of all rows, in turn")
    parser.add_argument("--unverified", action="store_true", help="skip the check of outputs")
    return parser.parse_args()


def _recording(name: str, given: argparse.Namespace) -> recordings.BenchRecording | None:
    if name == "simulated":
        return recordings.simulated_recording(given.work, given.minutes)
    if not given.sources:
        return None
    make = recordings.real_recording if name == "real" else recordings.shots_recording
    return make(given.work, given.sources, given.minutes)


def _row(
    wanted: str, options: str, recording: recordings.BenchRecording, given: argparse.Namespace
) -> rows.Row:
    if options:
        return rows.ours_or_why_not(given.work, recording, wanted, given.model, options)
    if wanted in list(SamplingMode):
        return rows.ours(given.work, recording, wanted, given.model)
    if wanted == "again":
        return rows.second_run(given.work, recording)
    if wanted in rows.REFERENCES:
        return rows.reference(given.work, recording, wanted, given.model, given.slice)
    return rows.floor(given.work, recording, wanted, given.model, "adaptive")


if __name__ == "__main__":
    main()
