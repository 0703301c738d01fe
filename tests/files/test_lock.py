from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from ubereport.core.errors import DependencyError, OutputError
from ubereport.files import lock
from ubereport.files.atomic import publish_folder
from ubereport.files.lock import hold_lock

HOLDER = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from ubereport.files.lock import hold_lock
    with hold_lock(Path(sys.argv[1]), "case"):
        print("held", flush=True)
        time.sleep(60)
""")


@pytest.fixture
def holder(tmp_path):
    """Start another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_run_is_told_who_holds_the_output(tmp_path, holder):
    with (
        pytest.raises(OutputError, match="in use by another run") as caught,
        hold_lock(tmp_path, "case"),
    ):
        pass
    message = str(caught.value)
    assert f"process {holder.pid} on {os.uname().nodename} since 20" in message
    with hold_lock(tmp_path, "another-case"):
        pass


def test_the_lock_of_a_killed_run_holds_nobody_up(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / ".case.lock").exists(), "the killed run left its file"
    with hold_lock(tmp_path, "case"):
        signed = json.loads((tmp_path / ".case.lock").read_text())
        assert signed["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_the_lock_ends_with_an_error_inside(tmp_path):
    with pytest.raises(RuntimeError, match="inside"), hold_lock(tmp_path, "case"):
        raise RuntimeError("inside")
    with hold_lock(tmp_path, "case"):
        pass


def test_a_full_disk_is_told_and_leaves_no_lock(tmp_path, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as machine:
        machine.setattr(lock.os, "write", full)
        with pytest.raises(OutputError, match="does not fit"), hold_lock(tmp_path, "case"):
            pass
    assert list(tmp_path.iterdir()) == []
    with hold_lock(tmp_path, "case"):
        pass


def test_a_drive_whose_locks_fail_is_told_and_keeps_no_descriptor(tmp_path, monkeypatch):
    descriptors = []

    def fails(descriptor: int) -> bool:
        descriptors.append(descriptor)
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock, "try_lock", fails)
    with pytest.raises(OutputError, match="cannot be written"), hold_lock(tmp_path, "case"):
        pass
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptors[0])


def test_within_one_process_too_only_one_holds(tmp_path):
    with (
        hold_lock(tmp_path, "case"),
        pytest.raises(OutputError, match=f"process {os.getpid()}"),
        hold_lock(tmp_path, "case"),
    ):
        pass


def test_a_lock_file_removed_while_we_waited_for_it_does_not_count(tmp_path, monkeypatch):
    attempts = []
    try_lock = lock.try_lock

    def slow(descriptor: int) -> bool:
        if not attempts:
            (tmp_path / ".case.lock").unlink()  # the run before ends just now
        attempts.append(descriptor)
        return try_lock(descriptor)

    monkeypatch.setattr(lock, "try_lock", slow)
    with hold_lock(tmp_path, "case"):
        assert len(attempts) == 2
        assert (tmp_path / ".case.lock").exists()


def test_taking_the_lock_mends_what_a_crash_left(tmp_path):
    publish_folder(tmp_path / ".case.old-1", {"case.json": b"old"})
    publish_folder(tmp_path / ".case.new-1", {"case.json": b"half"})
    with hold_lock(tmp_path, "case"):
        assert (tmp_path / "case" / "case.json").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["case"]


def test_a_lock_file_without_a_name_is_no_crash(tmp_path, holder):
    (tmp_path / ".case.lock").write_bytes(b"garbage")
    with pytest.raises(OutputError, match="not yet said who it is"), hold_lock(tmp_path, "case"):
        pass


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / ".case.lock").symlink_to(tmp_path / "file")
    with pytest.raises(OutputError, match="cannot be written"), hold_lock(tmp_path, "case"):
        pass
    assert (tmp_path / "file").read_bytes() == b""


def test_a_system_without_locks_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(DependencyError, match="no file locks"), hold_lock(tmp_path, "case"):
        pass


# Where several workers run tests, each has threads of its own that a fork does not copy.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_many_racing_runs_never_hold_it_together(tmp_path):
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            os._exit(_race(tmp_path))
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert ends == [0] * 6
    assert (tmp_path / "count").read_text() == "120"


def _race(folder: Path) -> int:
    """Count to 20 under the lock, reading and writing a file that knows no locks."""
    done = 0
    while done < 20:
        try:
            with hold_lock(folder, "case"):
                count = folder / "count"
                before = int(count.read_text()) if count.exists() else 0
                count.write_text(str(before + 1))
                done += 1
        except OutputError:
            time.sleep(0.002)  # six runs that spin would starve the one that holds the lock
        except BaseException:  # noqa: BLE001 -- the child must never return into pytest
            return 1
    return 0


def test_a_file_in_the_place_of_the_folder_is_told_as_such(tmp_path):
    (tmp_path / "taken").write_text("x")
    with (
        pytest.raises(OutputError, match="is a file where a folder is needed"),
        hold_lock(tmp_path / "taken", "case"),
    ):
        pass
