from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from ubereport.core.errors import OutputError, ReviewError, UsageError
from ubereport.review.journal import (
    JOURNAL_NAME,
    append_stroke,
    parse_journal,
    read_journal,
)
from ubereport.review.strokes import Action, check_reviewer, line_of_stroke, stroke_of_line

FIRST = (60.0, 90.0)


@pytest.fixture
def case_folder(tmp_path):
    folder = tmp_path / "c001-1234"
    folder.mkdir()
    return folder


def _append(folder, stroke, case_id="C001"):
    return append_stroke(folder, case_id, lambda _: stroke)[0]


def test_strokes_come_back_as_they_were_said(case_folder, stroke_of):
    strokes = [
        stroke_of(Action.CONFIRM, event=FIRST, after=()),
        stroke_of(Action.BLOOD, stretch=(1.1, 2.3000000000000003), area_frac=0.1),
        stroke_of(Action.UNDO, undoes=1),
    ]
    for stroke in strokes:
        grown = _append(case_folder, stroke)
    journal = read_journal(case_folder, "C001")
    assert journal == grown
    assert journal.strokes == tuple(strokes)
    assert [line for line, _ in journal.standing("KT")] == [2]


def test_no_journal_is_an_empty_one(case_folder):
    assert read_journal(case_folder, "C001").strokes == ()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_changed_line_is_named(case_folder, stroke_of, number):
    for _ in range(3):
        _append(case_folder, stroke_of(Action.CONFIRM, event=FIRST))
    path = case_folder / JOURNAL_NAME
    lines = path.read_bytes().split(b"\n")
    lines[number - 1] = (
        lines[number - 1].replace(b"confirm", b"strike ").replace(b"strike ", b"strike")
    )
    path.write_bytes(b"\n".join(lines))
    named = min(number + 1, 3)
    if number == 3:  # the last line has no line after it that seals it
        assert read_journal(case_folder, "C001").strokes[2].action is Action.STRIKE
        return
    with pytest.raises(ReviewError, match=f"Line {named} of the review"):
        read_journal(case_folder, "C001")


def test_a_line_cut_out_is_told(case_folder, stroke_of):
    for _ in range(3):
        _append(case_folder, stroke_of(Action.CONFIRM, event=FIRST))
    path = case_folder / JOURNAL_NAME
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], *lines[2:]]))
    with pytest.raises(ReviewError, match="Line 2 of the review does not follow"):
        read_journal(case_folder, "C001")


def test_a_journal_of_another_case_is_told(case_folder, stroke_of):
    _append(case_folder, stroke_of(Action.CONFIRM, event=FIRST), case_id="C002")
    with pytest.raises(ReviewError, match="Line 1 of the review belongs to another case"):
        read_journal(case_folder, "C001")


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"null", b"[" * 5000, b'{"action":"confirm"}', b"\xff"]
)
def test_what_is_no_stroke_is_told(line):
    with pytest.raises(ReviewError, match="Line 1 of the review cannot be read"):
        parse_journal(line + b"\n", "C001")


def test_a_line_cut_off_by_a_dying_machine_is_dropped_and_written_over(case_folder, stroke_of):
    _append(case_folder, stroke_of(Action.CONFIRM, event=FIRST))
    path = case_folder / JOURNAL_NAME
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    assert len(read_journal(case_folder, "C001").strokes) == 1
    _append(case_folder, stroke_of(Action.STRIKE, event=FIRST))
    assert [s.action for s in read_journal(case_folder, "C001").strokes] == ["confirm", "strike"]


def test_a_full_disk_leaves_the_journal_as_it_was(case_folder, stroke_of, monkeypatch):
    _append(case_folder, stroke_of(Action.CONFIRM, event=FIRST))
    before = (case_folder / JOURNAL_NAME).read_bytes()
    real = os.write

    def full(descriptor, content):
        if len(content) > 100 and b'"strike"' in bytes(content):
            real(descriptor, bytes(content)[:30])
            raise OSError(28, "No space left on device")
        return real(descriptor, content)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match=r"cannot be kept \(No space left"):
        _append(case_folder, stroke_of(Action.STRIKE, event=FIRST))
    assert (case_folder / JOURNAL_NAME).read_bytes() == before


def _append_many(folder, n, reviewer, series):
    from ubereport.core.intervals import Interval
    from ubereport.review.strokes import Stroke

    for _ in range(n):
        stroke = Stroke(Action.CONFIRM, reviewer, "2026", series, event=Interval(*FIRST))
        append_stroke(folder, "C001", lambda _, stroke=stroke: stroke)


def test_two_reviewers_at_once_lose_nothing(case_folder):
    context = multiprocessing.get_context("spawn")
    people = [
        context.Process(target=_append_many, args=(case_folder, 40, name, "a" * 64))
        for name in ("KT", "MS")
    ]
    for person in people:
        person.start()
    for person in people:
        person.join(60)
    journal = read_journal(case_folder, "C001")
    assert [person.exitcode for person in people] == [0, 0]
    assert sorted(s.reviewer for s in journal.strokes) == ["KT"] * 40 + ["MS"] * 40


_WRITER = """
import sys
from pathlib import Path
from ubereport.core.intervals import Interval
from ubereport.review.journal import append_stroke
from ubereport.review.strokes import Action, Stroke
folder = Path(sys.argv[1])
n = 0
while True:
    stroke = Stroke(Action.CONFIRM, "KT", str(n), "a" * 64, event=Interval(60.0, 90.0))
    append_stroke(folder, "C001", lambda _: stroke)
    n += 1
    sys.stdout.write(f"{n}\\n")
    sys.stdout.flush()
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_at_most_the_stroke_in_hand(case_folder):
    """Ten times in the suite; `UBEREPORT_KILLS=100` as often as one likes."""
    chance = random.Random(5)
    n_kept = 0
    for _ in range(int(os.environ.get("UBEREPORT_KILLS", "10"))):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(case_folder)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        with writer.stdout as told:
            n_told = int(told.readline())
            time.sleep(chance.random() * 0.05)
            writer.send_signal(signal.SIGKILL)
            n_told = max([n_told, *(int(line) for line in told.read().split("\n")[:-1])])
        writer.wait()
        journal = read_journal(case_folder, "C001")
        assert n_told <= len(journal.strokes) - n_kept <= n_told + 1
        n_kept = len(journal.strokes)


def test_a_line_is_one_json_object(stroke_of):
    line = line_of_stroke(stroke_of(Action.CONFIRM, event=FIRST), 1, "0" * 64)
    assert json.loads(line)["event"] == [60.0, 90.0]
    assert stroke_of_line(line)[1:] == (1, "0" * 64)


@pytest.mark.parametrize("name", ["", "Dr. Ito Kenji", "a" * 13, "<b>", "../x", "\n"])
def test_a_reviewer_is_initials(name):
    with pytest.raises(UsageError, match="initials or a pseudonym"):
        check_reviewer(name)


@pytest.mark.parametrize(
    ("action", "content", "why"),
    [
        (Action.CONFIRM, {}, "needs event"),
        (Action.CONFIRM, {"event": FIRST, "time_s": 3.0}, "takes no time_s"),
        (Action.ADD, {"stretch": (3.0, 3.0)}, "longer than nothing"),
        (Action.BLOOD, {"stretch": FIRST, "area_frac": 12.0}, "0..1"),
        (Action.SET_ONSET, {"event": FIRST, "time_s": float("nan")}, "finite"),
        (Action.UNDO, {"undoes": 0}, "numbered from 1"),
    ],
)
def test_a_stroke_has_what_its_action_needs(stroke_of, action, content, why):
    with pytest.raises(ValueError, match=why):
        stroke_of(action, **content)
