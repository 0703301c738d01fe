from __future__ import annotations

import dataclasses
import itertools
import re

import numpy as np
import pytest

from ubereport.core.events import CensorReason
from ubereport.core.series import AreaSeries, LossReason
from ubereport.files.records.subtitles import (
    Cue,
    area_cues,
    event_cues,
    srt_bytes,
    subtitle_files,
)

TIME = re.compile(r"(\d{2,}):(\d\d):(\d\d),(\d{3}) --> (\d{2,}):(\d\d):(\d\d),(\d{3})")


def _parse(content: bytes) -> list[tuple[int, float, float, str]]:
    cues = []
    for block in content.decode("utf-8").split("\n\n"):
        if not block.strip():
            continue
        number, times, *text = block.strip().split("\n")
        match = TIME.fullmatch(times)
        assert match
        h1, m1, s1, f1, h2, m2, s2, f2 = map(int, match.groups())
        start_s = 3600 * h1 + 60 * m1 + s1 + f1 / 1000
        cues.append((int(number), start_s, 3600 * h2 + 60 * m2 + s2 + f2 / 1000, "\n".join(text)))
    return cues


def _series(area, duration_s, reasons=None, part_index=None):
    n = len(area)
    reasons = reasons or [LossReason.NONE] * n
    duration_s = np.full(n, duration_s)
    return AreaSeries(
        np.cumsum(duration_s) - duration_s,
        duration_s,
        np.zeros(n) if part_index is None else part_index,
        area,
        area,
        area,
        [r is LossReason.NONE for r in reasons],
        tuple(reasons),
    )


def test_the_format_is_srt():
    content = srt_bytes([Cue(0.0, 1.0004, "one"), Cue(3661.5, 360000.0, "two\nlines")])
    assert content == (
        b"1\n00:00:00,000 --> 00:00:01,000\none\n\n2\n01:01:01,500 --> 100:00:00,000\ntwo\nlines\n"
    )


def test_cues_without_length_are_left_out_and_numbers_stay_dense():
    content = srt_bytes([Cue(1.0, 1.0002, "no"), Cue(2.0, 3.0, "yes"), Cue(-1.0, 1.0, "no")])
    assert _parse(content) == [(1, 2.0, 3.0, "yes")]
    assert srt_bytes([]) == b""


def test_events_say_what_was_seen(record):
    first, second = event_cues(record.events)
    assert (first.start_s, first.end_s) == (1.5, 7.25)
    assert first.text == "Event 1: peak 33 % of the view\nclear after 6 s"
    assert (second.start_s, second.end_s) == (40.0, 59.5)
    assert second.text == (
        "Re-bleed 2: peak 60 % of the view, onset not seen\nclearing not seen: recording ended"
    )


def test_every_reason_to_censor_has_words(record):
    for reason in CensorReason:
        if reason is not CensorReason.NONE:
            event = dataclasses.replace(record.events[1], censor_reason=reason)
            assert "clearing not seen" in event_cues([event])[0].text


def test_the_area_is_told_second_by_second():
    cues = area_cues(_series([0.10, 0.20, 0.30, 0.30, 0.30, 0.30, 0.4], 0.5))
    assert [(c.start_s, c.end_s, c.text) for c in cues] == [
        (0.0, 1.0, "Blood in view 15 %"),
        (1.0, 3.0, "Blood in view 30 %"),
        (3.0, 3.5, "Blood in view 40 %"),
    ]


def test_a_second_ends_with_its_part():
    cues = area_cues(_series([0.1, 0.5, 0.5], 0.5, part_index=[0, 1, 1]))
    assert [(c.start_s, c.end_s, c.text) for c in cues] == [
        (0.0, 0.5, "Blood in view 10 %"),
        (0.5, 1.5, "Blood in view 50 %"),
    ]


def test_long_samples_keep_their_time():
    cues = area_cues(_series([0.1, 0.2], 4.0))
    assert [(c.start_s, c.end_s) for c in cues] == [(0.0, 4.0), (4.0, 8.0)]


def test_lost_view_says_why_and_never_zero():
    reasons = [LossReason.NONE, LossReason.OUT_OF_BODY, LossReason.PAUSE, LossReason.NONE]
    cues = area_cues(_series([0.0, np.nan, np.nan, 0.0], 2.0, reasons))
    assert [c.text for c in cues] == [
        "Blood in view 0 %",
        "View not evaluable: out of body",
        "Recording paused",
        "Blood in view 0 %",
    ]


@pytest.mark.parametrize("seed", range(3))
def test_cues_never_overlap_and_cover_the_rows(seed):
    rng = np.random.default_rng(seed)
    lost = rng.random(300) < 0.2
    reasons = [LossReason.BLURRED if is_lost else LossReason.NONE for is_lost in lost]
    series = _series(np.where(lost, np.nan, rng.random(300)), 0.1, reasons)
    cues = area_cues(series)
    assert cues[0].start_s == 0.0
    assert cues[-1].end_s == pytest.approx(30.0)
    for before, after in itertools.pairwise(cues):
        assert after.start_s == pytest.approx(before.end_s)


def test_one_part_has_two_files(record):
    files = subtitle_files(record.series, record.events, record.parts[:1])
    assert sorted(files) == ["area.srt", "events.srt"]


def test_every_part_has_its_own_clock(record):
    files = subtitle_files(record.series, record.events, record.parts)
    assert sorted(files) == [
        "area.part1.srt",
        "area.part2.srt",
        "area.srt",
        "events.part1.srt",
        "events.part2.srt",
        "events.srt",
    ]
    # The second part starts at 40 s of the case clock, and so does its event.
    assert _parse(files["events.srt"])[1][1:3] == (40.0, 59.5)
    assert [cue[1:3] for cue in _parse(files["events.part1.srt"])] == [(1.5, 7.25)]
    assert [cue[1:3] for cue in _parse(files["events.part2.srt"])] == [(0.0, 19.5)]
    area = _parse(files["area.part2.srt"])
    assert area[0][1] == 0.0
    assert area[-1][2] == 20.0
    assert not any("paused" in cue[3] for cue in area)


def test_an_event_across_a_seamless_change_of_parts_is_in_both(record):
    first, second = record.parts
    parts = (
        dataclasses.replace(first, duration_s=5.0),
        dataclasses.replace(second, start_s=5.0, duration_s=5.0),
    )
    files = subtitle_files(record.series, record.events[:1], parts)
    assert [cue[1:3] for cue in _parse(files["events.part1.srt"])] == [(1.5, 5.0)]
    assert [cue[1:3] for cue in _parse(files["events.part2.srt"])] == [(0.0, 2.25)]
