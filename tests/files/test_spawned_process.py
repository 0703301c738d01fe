"""A process that is started is never left behind."""

import os
import time

import pytest
from tests_support import stay_whatever_is_asked

from ubereport.files import spawned_process
from ubereport.files.spawned_process import SpawnedProcess


def test_a_process_that_does_not_end_when_asked_is_killed_and_reaped(monkeypatch):
    monkeypatch.setattr(spawned_process, "_PATIENCE_S", 0.5)
    with SpawnedProcess(stay_whatever_is_asked) as process:
        assert process.pipe.recv() == "here"
        number = process.process_id
        os.kill(number, 0)
        started = time.monotonic()
    assert 0.4 < time.monotonic() - started < 10
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_a_process_that_ended_is_waited_for_and_closed_like_any_other():
    with SpawnedProcess(print) as process:  # prints its pipe and ends
        process.wait()
        with pytest.raises(EOFError):
            process.pipe.recv()
