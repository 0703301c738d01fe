"""Parts without a pause are found by lengths or sizes and by pictures; events then cross them."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import RATE_HZ, scene, write_recording
from tests_support import plain_reports

from ubereport.analysis.part_joins import compare_ends, recorder_cuts
from ubereport.batch.case import CaseRequest, rerender_case, run_case
from ubereport.core.case import CutEvidence, EndPictures
from ubereport.core.config import AnalysisConfig, EventConfig, SegmentationConfig
from ubereport.core.events import CensorReason
from ubereport.core.progress import silent
from ubereport.core.recording import PartIndex, VideoFormat
from ubereport.documents.case.recording_notes import recording_notes
from ubereport.files.records.store import read_case

CONFIG = AnalysisConfig(segmentation=SegmentationConfig(model="hsv-red", batch_size=4))
FORMAT = VideoFormat(
    "mp4",
    "h264",
    "yuv420p",
    1920,
    1080,
    8,
    0,
    False,
    "bt709",
    "tv",
    Fraction(1),
    Fraction(25),
)
BLACK_LEVEL = 14.0


def part(duration_s: float, size_bytes: int = 1, *, declared_s=None, **video) -> PartIndex:
    return PartIndex(
        path=Path("unread"),
        sha256="0" * 64,
        size_bytes=size_bytes,
        video=dataclasses.replace(FORMAT, **video),
        time_base_s=Fraction(1, 25),
        pts=np.array([0]),
        time_s=np.array([0.0]),
        is_key=np.array([True]),
        duration_s=duration_s,
        declared_duration_s=declared_s,
        declared_n_frames=None,
        gaps=(),
    )


def lengths(*durations_s: float) -> list[PartIndex]:
    """Parts whose sizes say nothing: each is half as large as the one before."""
    return [part(s, 2 ** (50 - k)) for k, s in enumerate(durations_s)]


@pytest.mark.parametrize(
    ("parts", "cut"),
    [
        pytest.param(lengths(700), {}, id="one part has no joint"),
        pytest.param(
            lengths(423, 423.9, 422.5, 200), dict.fromkeys(range(3), "equal_lengths"), id="equal"
        ),
        pytest.param(lengths(423, 423, 423), {0: "equal_lengths", 1: "equal_lengths"}, id="all"),
        pytest.param(
            lengths(423, 423, 90, 423, 12),
            {0: "equal_lengths", 1: "equal_lengths", 3: "equal_lengths"},
            id="a short part in between was ended by a person",
        ),
        pytest.param(lengths(423, 200), {}, id="one long part proves nothing"),
        pytest.param(lengths(200, 423), {}, id="the last part is the longest"),
        pytest.param(lengths(423, 418, 200), {}, id="five seconds apart"),
        pytest.param(lengths(601.2, 200), {0: "usual_length"}, id="ten minutes"),
        pytest.param(lengths(607, 200), {}, id="nearly ten minutes"),
        pytest.param(
            [part(500, 1_000_000), part(420, 990_000), part(80, 130_000)],
            {0: "equal_sizes", 1: "equal_sizes"},
            id="equal sizes",
        ),
        pytest.param([part(500, 2**32 - 9), part(80, 9)], {0: "usual_size"}, id="4 GiB"),
        pytest.param([part(500, 3 * 10**9), part(80, 9)], {}, id="3 GB"),
        pytest.param([part(423), part(423, width_px=1280), part(423)], {}, id="another size"),
        pytest.param([part(423), part(423, codec="hevc"), part(423)], {}, id="another codec"),
        pytest.param(
            [part(423), part(423, average_rate_hz=Fraction(30)), part(423)], {}, id="another rate"
        ),
        pytest.param(
            [part(423), part(423, average_rate_hz=None)], {0: "equal_lengths"}, id="no rate stated"
        ),
        pytest.param([part(423, declared_s=440), part(423)], {}, id="the end of the part is lost"),
    ],
)
def test_a_recorder_that_cuts_is_told_from_a_person(parts, cut):
    assert recorder_cuts(parts) == cut


def ramp(first: float, n: int = 6, *, step: float = 2.0, level: float = 60.0) -> np.ndarray:
    """Pictures of a slope that get brighter by `step` levels from one to the next."""
    slope = level + np.arange(64)[None, None, :] * level / 60
    gray = slope + (first + step * np.arange(n))[:, None, None] * np.ones((1, 48, 1))
    return np.repeat(gray[..., None], 3, axis=3).astype(np.uint8)


@pytest.mark.parametrize(
    ("n_lost", "verdict"),
    [(0, "join"), (1, "join"), (2, "differ"), (25, "differ")],
)
def test_the_view_may_change_by_little_more_than_in_a_fifth_of_a_second(n_lost, verdict):
    after = ramp(2.0 * (6 + n_lost))
    assert compare_ends(ramp(0), after, BLACK_LEVEL) == (verdict, 2.0 * (1 + n_lost), 4.0)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(ramp(0, level=8), ramp(12, level=8), id="black"),
        pytest.param(ramp(0), np.zeros_like(ramp(0)), id="black after"),
        pytest.param(ramp(0, step=0), ramp(0), id="frozen before"),
        pytest.param(ramp(0), ramp(10, step=0), id="frozen after"),
        pytest.param(ramp(0) // 32 + 100, ramp(12) // 32 + 100, id="nothing to see"),
        pytest.param(ramp(0, 2), ramp(12, 2), id="too few pictures"),
    ],
)
def test_alike_because_nothing_is_seen_is_no_evidence(before, after):
    assert compare_ends(before, after, BLACK_LEVEL) == (EndPictures.UNTOLD, None, None)


def pieces(
    tmp_path: Path, *ranges: range, change=lambda picture, _frame: picture
) -> tuple[Path, ...]:
    """Write a part for each range of frames of the known scene."""
    return tuple(
        write_recording(
            tmp_path / f"part{k}.mp4",
            (change(scene(frame), frame) for frame in frames),
            options={"crf": "12", "g": "10"},
        )
        for k, frames in enumerate(ranges)
    )


def analyzed(tmp_path: Path, parts: tuple[Path, ...], config: AnalysisConfig = CONFIG):
    return run_case(CaseRequest(parts, tmp_path / "out", "C1", config), silent)


CUT_S = 10.0
CUT = int(CUT_S * RATE_HZ)
JOINING = (range(CUT), range(CUT, 2 * CUT), range(2 * CUT, 2 * CUT + 40))
"""Blood from 6 to 14 s lies across the first cut."""


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    plain_reports(monkeypatch)


@pytest.mark.slow
def test_an_event_crosses_parts_that_join_and_is_seen_to_clear(tmp_path):
    published = analyzed(tmp_path, pieces(tmp_path, *JOINING))
    record = read_case(published.folder)
    assert [(j.part_index, j.evidence, j.pictures) for j in record.joins] == [
        (0, CutEvidence.EQUAL_LENGTHS, EndPictures.JOIN),
        (1, CutEvidence.EQUAL_LENGTHS, EndPictures.JOIN),
    ]
    (event,) = record.events
    assert event.onset_s == pytest.approx(6.0, abs=0.6)
    assert event.clear_s == pytest.approx(14.0, abs=0.6)
    (note,) = recording_notes(record, CONFIG.events)
    assert note == (
        "Parts 1 to 3 were recorded without a pause (found by equal lengths and joining pictures): "
        "events cross from one into the next."
    )


@pytest.mark.slow
def test_what_is_said_goes_before_what_is_found(tmp_path):
    paused = dataclasses.replace(CONFIG, events=EventConfig(is_continuous=False))
    published = analyzed(tmp_path, pieces(tmp_path, *JOINING), paused)
    assert published.record.joins == ()
    assert [e.censor_reason for e in published.record.events] == [
        CensorReason.PART_ENDED,
        CensorReason.NONE,
    ]
    again = rerender_case(
        analyzed(tmp_path / "found", pieces(tmp_path, *JOINING)).folder,
        lambda events: dataclasses.replace(events, is_continuous=False),
        tmp_path / "again",
    )
    assert len(again.record.events) == 2
    (note,) = recording_notes(again.record, EventConfig(is_continuous=False))
    assert note.startswith("No event crosses from one part into the next")


@pytest.mark.slow
def test_equal_lengths_with_a_pause_between_are_not_joined(tmp_path):
    later = 2 * CUT + 3  # half a period of the moving pattern off
    ranges = (range(CUT), range(later, later + CUT), range(later + CUT, later + CUT + 40))
    published = analyzed(tmp_path, pieces(tmp_path, *ranges))
    assert [j.pictures for j in published.record.joins] == [EndPictures.DIFFER, EndPictures.JOIN]
    (event,) = published.record.events
    assert event.censor_reason is CensorReason.PART_ENDED
    found, not_found = recording_notes(published.record, CONFIG.events)
    assert found.startswith("Parts 2 to 3 were recorded without a pause")
    assert not_found.startswith("Between parts 1 and 2 no event crosses")


@pytest.mark.slow
def test_a_black_end_is_no_evidence(tmp_path):
    def black_at_the_cut(picture, frame):
        return picture * (abs(frame - CUT) > 5)

    published = analyzed(tmp_path, pieces(tmp_path, *JOINING, change=black_at_the_cut))
    assert published.record.joins[0].pictures is EndPictures.UNTOLD
    told = recording_notes(published.record, CONFIG.events)
    assert told[1].startswith("Whether the recording was paused between parts 1 and 2 cannot be")


@pytest.mark.slow
def test_a_single_part_looks_for_nothing(bleeding_recording, tmp_path):
    published = analyzed(tmp_path, (bleeding_recording,))
    assert published.record.joins == ()
    assert "joins" not in (published.folder / "case.json").read_text(encoding="utf-8")
    assert recording_notes(published.record, CONFIG.events) == ()
