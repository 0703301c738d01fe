from __future__ import annotations

import errno
import itertools
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ubereport.core.errors import OutputError
from ubereport.files import atomic
from ubereport.files.atomic import (
    check_can_be_folder,
    check_relative_name,
    publish_folder,
    publish_staged,
    recover_folder,
    staged_for,
    write_file,
)

OLD = {"case.json": b"old", "frames/1.png": b"old picture", "gone.txt": b"x"}
ALL = ("*",)
STEPS = ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove")
NEW = {"case.json": b"new", "frames/2.png": b"new picture"}


def _content(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_whole_and_leaves_nothing_beside_it(tmp_path):
    target = tmp_path / "deep" / "case"
    publish_folder(target, OLD)
    assert _content(target) == OLD
    publish_folder(target, NEW, gives_way=ALL)
    assert _content(target) == NEW
    assert _names(target.parent) == ["case"]


def test_without_exchange_the_old_folder_is_moved_aside_first(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    target = tmp_path / "case"
    publish_folder(target, OLD)
    publish_folder(target, NEW, gives_way=ALL)
    assert _content(target) == NEW
    assert _names(tmp_path) == ["case"]


def test_without_exchange_a_new_folder_held_open_brings_the_old_one_back(tmp_path, monkeypatch):
    """A scanner had a file of the new folder open: the case was gone, and "nothing was changed"."""
    rename = atomic.replace

    def held(source: Path, target: Path) -> None:
        if ".new-" in source.name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        rename(source, target)

    target = tmp_path / "case"
    publish_folder(target, OLD)
    monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    monkeypatch.setattr(atomic, "replace", held)
    with pytest.raises(OutputError, match="nothing was changed"):
        publish_folder(target, NEW, gives_way=ALL)
    assert _content(target) == OLD
    assert _names(tmp_path) == ["case"]


@pytest.mark.skipif(sys.platform != "linux", reason="names are exchanged in one step on Linux")
def test_there_is_no_moment_without_the_folder(tmp_path):
    target, other = tmp_path / "case", tmp_path / "other"
    publish_folder(target, OLD)
    publish_folder(other, NEW)
    if not atomic._exchange(target, other):
        pytest.skip("this file system cannot exchange names")
    assert (_content(target), _content(other)) == (NEW, OLD)


def test_carried_files_come_along(tmp_path):
    target = tmp_path / "case"
    publish_folder(target, OLD | {"notes/mine.txt": b"mine"})
    publish_folder(target, NEW, carried_over=["notes/mine.txt"], gives_way=ALL)
    assert _content(target) == NEW | {"notes/mine.txt": b"mine"}


def test_files_of_others_are_never_lost(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("/nowhere")
    before = _names(tmp_path)
    for gives_way in ((), ("*.json",), ("letters/*",), ("link",)):
        with pytest.raises(OutputError, match="would be lost"):
            publish_folder(tmp_path, NEW, gives_way=gives_way)
    assert _names(tmp_path) == before
    publish_folder(tmp_path, NEW, gives_way=("letters/*", "link"))
    publish_folder(tmp_path, NEW)
    assert _content(tmp_path) == NEW


def test_everything_reaches_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    seen: list[str] = []
    fsync, exchange = os.fsync, atomic._exchange

    def watched_fsync(descriptor: int) -> None:
        seen.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def watched_exchange(first: Path, second: Path) -> bool:
        seen.append("exchange")
        return exchange(first, second)

    publish_folder(tmp_path / "case", OLD)
    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(atomic, "_exchange", watched_exchange)
    publish_folder(tmp_path / "case", NEW, gives_way=ALL)
    before, after = seen[: seen.index("exchange")], seen[seen.index("exchange") + 1 :]
    assert before[:2] == ["case.json", "2.png"]
    assert before[2] == "frames"
    assert before[3].startswith(".case.new-")
    assert after == [tmp_path.name]


@pytest.mark.parametrize("failure", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("n_written", [0, 1])
def test_a_full_disk_is_told_in_bytes_and_changes_nothing(
    tmp_path, monkeypatch, failure, n_written
):
    target = tmp_path / "case"
    publish_folder(target, OLD)
    written: list[Path] = []
    write = atomic._write_through

    def full(path: Path, content: bytes, *mode: int) -> None:
        if len(written) == n_written:
            raise OSError(failure, os.strerror(failure))
        written.append(path)
        write(path, content, *mode)

    monkeypatch.setattr(atomic, "_write_through", full)
    needed = sum(map(len, NEW.values()))
    with pytest.raises(OutputError, match=rf"{needed} bytes .* are needed"):
        publish_folder(target, NEW, gives_way=ALL)
    written[:] = [target] * n_written
    with pytest.raises(OutputError, match=r"3 bytes .* are needed"):
        write_file(target / "case.json", b"new")
    assert _content(target) == OLD
    assert _names(tmp_path) == ["case"]


def test_too_little_space_is_seen_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=7)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(atomic, "_write_through", lambda *_: pytest.fail("nothing may be written"))
    with pytest.raises(OutputError, match=r"14 bytes .* are needed, 7 bytes are free"):
        publish_folder(tmp_path / "case", NEW, gives_way=ALL)
    assert _names(tmp_path) == []


def test_a_real_size_limit_of_the_system_is_survived(tmp_path):
    script = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from ubereport.core.errors import OutputError
        from ubereport.files.atomic import publish_folder
        target = Path(sys.argv[1]) / "case"
        publish_folder(target, {"a.bin": b"old"})
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            publish_folder(target, {"a.bin": b"x" * 10, "b.bin": b"y" * 100_000})
        except OutputError as error:
            print(error)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "100010 bytes (0.1 MB) are needed" in done.stdout
    assert _content(tmp_path) == {"case/a.bin": b"old"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_place_is_told(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="account may write"):
            publish_folder(tmp_path / "case", NEW, gives_way=ALL)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("failure", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_read_only_disk_is_told(tmp_path, monkeypatch, failure):
    def refuse(*_: object) -> None:
        raise OSError(failure, os.strerror(failure))

    monkeypatch.setattr(atomic, "_write_through", refuse)
    with pytest.raises(OutputError, match="account may write"):
        publish_folder(tmp_path / "case", NEW, gives_way=ALL)
    with pytest.raises(OutputError, match="account may write"):
        write_file(tmp_path / "a.txt", b"x")
    assert _names(tmp_path) == []


def test_any_other_fault_of_the_disk_is_told(tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(atomic, "_write_through", fail)
    with pytest.raises(OutputError, match="Input/output error"):
        publish_folder(tmp_path / "case", NEW, gives_way=ALL)


@pytest.mark.parametrize("kind", ["file", "link", "fifo"])
def test_only_a_folder_gives_way_to_a_folder(tmp_path, kind):
    target = tmp_path / "case"
    if kind == "file":
        target.write_bytes(b"precious")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        target.symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(target)
    before = _names(tmp_path)
    with pytest.raises(OutputError, match="a file or a link where a folder is needed"):
        publish_folder(target, NEW, gives_way=ALL)
    assert _names(tmp_path) == before


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/etc/passwd",
        "../case.json",
        "frames/../../x",
        "frames//1.png",
        "./a",
        "a/",
        "C:/x",
        "a\\b",
        "a\0b",
        "a\nb",
        "caf\u00e9.png",
        "x*",
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="no plain relative path"):
        check_relative_name(name)
    with pytest.raises(ValueError, match="no plain relative path"):
        publish_folder(tmp_path / "case", {name: b""})
    assert _names(tmp_path) == []


def test_plain_names_pass():
    for name in ("case.json", "frames/001-onset.png", "a/b/c.d"):
        assert check_relative_name(name) == name


def test_an_interrupt_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    write_file(path, b"old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic, "_sync", lambda _: None)
    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_file(path, b"new")
    assert _content(tmp_path) == {"report.html": b"old"}


def test_a_crash_between_the_two_renames_is_mended(tmp_path):
    target = tmp_path / "case"
    publish_folder(target, OLD)
    target.rename(tmp_path / ".case.old-0123456789ab")
    publish_folder(tmp_path / ".case.new-0123456789ab", NEW)
    publish_folder(tmp_path / ".case2.old-0123456789ab", NEW)
    recover_folder(target)
    assert _content(target) == OLD
    assert _names(tmp_path) == [".case2.old-0123456789ab", "case"]


def test_what_a_crash_left_beside_a_whole_folder_is_removed(tmp_path):
    target = tmp_path / "ca[s]e*"
    for name in ("ca[s]e*", ".ca[s]e*.old-1", ".ca[s]e*.new-1"):
        publish_folder(tmp_path / name, OLD)
    recover_folder(target)
    assert _names(tmp_path) == ["ca[s]e*"]


def _publish_and_die(target: Path, step: int) -> int:
    """Publish in a child process that is killed at its `step`-th step; return how it ended."""
    child = os.fork()
    if child == 0:
        steps = itertools.count(1)

        def count(event: str, _: object) -> None:
            if event in STEPS and next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        publish_folder(target, NEW, gives_way=ALL)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# Where several workers run tests, each has threads of its own that a fork does not copy.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("is_exchanging", [True, False])
def test_killed_at_any_moment_the_folder_is_the_old_or_the_new_one(
    tmp_path, monkeypatch, is_exchanging
):
    if not is_exchanging:
        monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    endings = set()
    for step in range(1, 100):
        parent = tmp_path / str(step)
        target = parent / "case"
        publish_folder(target, OLD)
        ended = _publish_and_die(target, step)
        recover_folder(target)
        assert _names(parent) == ["case"]
        content = _content(target)
        assert content in (OLD, NEW)
        endings.add((ended, content == NEW))
        if ended == 0:
            break
    assert endings == {(-signal.SIGKILL, False), (-signal.SIGKILL, True), (0, True)}


def test_the_umask_decides_permissions_not_content(tmp_path):
    for mask in (0o077, 0o002):
        before = os.umask(mask)
        try:
            publish_folder(tmp_path / f"case{mask}", NEW)
        finally:
            os.umask(before)
    assert _content(tmp_path / f"case{0o077}") == _content(tmp_path / f"case{0o002}")
    assert (tmp_path / f"case{0o077}" / "case.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / f"case{0o002}").stat().st_mode & 0o777 == 0o775


def test_what_is_built_beside_appears_whole(tmp_path):
    target = tmp_path / "deep" / "set"
    with staged_for(target) as staged:
        staged.mkdir()
        (staged / "a.txt").write_bytes(b"a")
        assert not target.exists()
    with staged_for(target) as staged:
        staged.mkdir()
        (staged / "b.txt").write_bytes(b"b")
    assert _content(target) == {"b.txt": b"b"}
    with staged_for(target / "b.txt") as staged:
        staged.write_bytes(b"new")
    assert _content(target) == {"b.txt": b"new"}
    assert _names(tmp_path / "deep") == ["set"]


def _write_half(path: Path) -> None:
    path.write_bytes(b"half")
    raise ZeroDivisionError


def test_what_fails_beside_leaves_nothing(tmp_path):
    target = tmp_path / "set"
    target.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), staged_for(target) as staged:
        _write_half(staged)
    assert _content(tmp_path) == {"set": b"old"}


def test_a_disk_that_fills_while_building_is_told(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OutputError, match="does not fit"), staged_for(tmp_path / "set") as staged:
        staged.write_bytes(b"new")
    assert _names(tmp_path) == []


def test_a_built_folder_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced: list[str] = []
    fsync, place = os.fsync, Path("/proc/self/fd")

    def watched(descriptor: int) -> None:
        synced.append((place / str(descriptor)).readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(atomic.os, "fsync", watched)
    (tmp_path / "work" / "inner").mkdir(parents=True)
    (tmp_path / "work" / "inner" / "a.txt").write_bytes(b"a")
    publish_staged(tmp_path / "work", tmp_path / "set")
    assert synced == ["a.txt", "inner", "work", tmp_path.name]
    assert _content(tmp_path) == {"set/inner/a.txt": b"a"}


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_what_is_private_is_so_before_a_byte_is_in_it(tmp_path, monkeypatch):
    modes = []
    write, fdopened = os.fsync, os.fstat
    monkeypatch.setattr(os, "fsync", lambda fd: (modes.append(fdopened(fd).st_mode), write(fd)))
    write_file(tmp_path / "keys.json", b"{}", is_private=True)
    assert modes[0] & 0o777 == 0o600
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


def test_what_is_carried_over_is_on_disk_before_the_old_folder_goes(tmp_path, monkeypatch):
    """A person's review may be among it."""
    target = tmp_path / "case"
    publish_folder(target, {"case.json": b"old", "review/1.png": b"drawn"})
    synced = []
    original = os.fsync

    def noted(descriptor):
        place = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        synced.append(place.rpartition(".new-")[2][13:])
        original(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    publish_folder(target, {"case.json": b"new"}, carried_over=["review/1.png"])
    assert _content(target) == {"case.json": b"new", "review/1.png": b"drawn"}
    assert synced.index("review/1.png") < synced.index("review")
    assert "" in synced[synced.index("review") :]


def test_windows_opens_no_folder_and_syncs_only_what_may_be_written(tmp_path, monkeypatch):
    """Its `open` refuses folders, its `fsync` descriptors that are for reading alone."""
    opened = os.open
    writable = set()

    def windows_open(path, flags, mode=0o777, **rest):
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied")
        descriptor = opened(path, flags, mode, **rest)
        (writable.add if flags & (os.O_RDWR | os.O_WRONLY) else writable.discard)(descriptor)
        return descriptor

    def windows_fsync(descriptor):
        if descriptor not in writable:
            raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(atomic, "IS_WINDOWS", True)
    monkeypatch.setattr(os, "open", windows_open)
    monkeypatch.setattr(os, "fsync", windows_fsync)
    monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    monkeypatch.setattr(atomic.shutil, "rmtree", lambda *_, **__: None)
    write_file(tmp_path / "a" / "file.json", b"1")
    publish_folder(tmp_path / "case", OLD)
    publish_folder(tmp_path / "case", NEW, carried_over=["gone.txt"], gives_way=ALL)
    with staged_for(tmp_path / "built") as staged:
        staged.mkdir()
        (staged / "inside.txt").write_bytes(b"2")
    assert (tmp_path / "a" / "file.json").read_bytes() == b"1"
    assert _content(tmp_path / "case") == NEW | {"gone.txt": b"x"}
    assert _content(tmp_path / "built") == {"inside.txt": b"2"}


def _stage(target: Path) -> None:
    with staged_for(target) as staged:
        staged.write_bytes(b"new")


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_file(path, b"new"),
        lambda path: publish_folder(path, NEW),
        _stage,
    ],
)
@pytest.mark.parametrize("below", ["taken/out", "taken/deeper/out"])
def test_a_file_in_the_place_of_a_folder_is_told_as_such(tmp_path, write, below):
    (tmp_path / "taken").write_bytes(b"old")
    with pytest.raises(OutputError, match="is a file where a folder is needed"):
        write(tmp_path / below)
    assert _content(tmp_path) == {"taken": b"old"}


def test_a_link_to_nowhere_in_the_place_of_a_folder_is_told_as_such(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(OutputError, match="a file or a link where a folder is needed"):
        check_can_be_folder(tmp_path / "link")
    check_can_be_folder(tmp_path / "new" / "deeper")
