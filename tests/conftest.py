"""What tests of several rooms share: a tiny recording with known blood, quiet where it counts."""

import fcntl
import gc
import os
from pathlib import Path

import numpy as np
import pytest

from ubereport.video.pyav import EncoderSpec
from ubereport.video.writer import VideoWriter

SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
WIDTH_PX, HEIGHT_PX, RATE_HZ = 160, 120, 10
DURATION_S = 24
BLEED_START_S, BLEED_END_S = 6.0, 14.0
BLEED_FRAC = 0.25
IS_ONE_OF_SEVERAL = "PYTEST_XDIST_WORKER" in os.environ
HELD_LOCK = pytest.StashKey[int | None]()


def tissue_picture(frame: int) -> np.ndarray:
    """Pale, textured and moving, so that it is neither blurred nor frozen, and never red."""
    rng = np.random.default_rng(frame)
    rows, columns = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX]
    wave = 30 * np.sin(columns / 5 + frame / 3) * np.cos(rows / 4)
    noise = rng.integers(-12, 12, (HEIGHT_PX, WIDTH_PX))
    base = np.stack([190 + wave + noise, 180 + wave + noise, 165 + wave + noise], axis=2)
    return np.clip(base, 0, 255).astype(np.uint8)


def scene(frame: int) -> np.ndarray:
    """Blood over the lower quarter of the picture while it bleeds."""
    picture = tissue_picture(frame)
    if BLEED_START_S <= frame / RATE_HZ < BLEED_END_S:
        rows = round(HEIGHT_PX * BLEED_FRAC)
        picture[-rows:] = (150, 18, 20)
    return picture


def write_recording(path: Path, pictures, codec="libx264", **options) -> Path:
    with VideoWriter(
        path, EncoderSpec(WIDTH_PX, HEIGHT_PX, RATE_HZ, codec=codec, **options)
    ) as writer:
        for picture in pictures:
            writer.write(picture)
    return path


def pytest_collection_finish():
    """Libraries and tests stay: looking for garbage among them took a tenth of all time."""
    gc.freeze()
    gc.set_threshold(20_000, 10, 50)


def pytest_collection_modifyitems(items):
    """Quiet tests run first and in a row: each would wait for what runs beside it to end."""
    items.sort(key=lambda item: not _is_quiet(item))


def _is_quiet(item) -> bool:
    return item.get_closest_marker("quiet") is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """Where several workers run tests, a test marked `quiet` runs while the others wait.

    A lock on this file, shared by ordinary tests, taken alone by quiet ones, for all of a row;
    whoever waits for it holds the gate, so that a quiet test is not overtaken for ever.
    """
    if not IS_ONE_OF_SEVERAL:
        return (yield)
    lock = item.config.stash.get(HELD_LOCK, None)
    if lock is None:
        lock = _locked(fcntl.LOCK_EX if _is_quiet(item) else fcntl.LOCK_SH)
    is_held_on = _is_quiet(item) and nextitem is not None and _is_quiet(nextitem)
    item.config.stash[HELD_LOCK] = lock if is_held_on else None
    try:
        return (yield)
    finally:
        if not is_held_on:
            # Said, not left to the closing: a child that a test forked holds the same descriptor.
            fcntl.flock(lock, fcntl.LOCK_UN)
            os.close(lock)


def _locked(wanted: int) -> int:
    """Return the descriptor that the lock is held by."""
    lock = os.open(__file__, os.O_RDONLY)
    with Path(__file__).with_name("tests_support.py").open("rb") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(lock, wanted)
        fcntl.flock(gate, fcntl.LOCK_UN)
    return lock


def write_scene(path: Path, duration_s: int, **options) -> Path:
    pictures = (scene(i) for i in range(duration_s * RATE_HZ))
    return write_recording(path, pictures, options={"crf": "12", "g": "10"}, **options)


@pytest.fixture(scope="session")
def bleeding_recording(tmp_path_factory) -> Path:
    """24 s at 160 × 120 px; 25 % of the view is blood from 6 s to 14 s."""
    path = tmp_path_factory.mktemp("recording") / "SECRET-patient-name.mp4"
    return write_scene(path, DURATION_S)


@pytest.fixture(scope="session")
def short_recording(tmp_path_factory) -> Path:
    """The first ten seconds of the bleeding recording, for whoever waits for a network."""
    path = tmp_path_factory.mktemp("recording") / "SECRET-patient-name.mp4"
    return write_scene(path, 10)


@pytest.fixture(scope="session")
def streamable_recording(tmp_path_factory) -> Path:
    """The bleeding recording with its table of contents in front, so that a cut one is read."""
    path = tmp_path_factory.mktemp("recording") / "streamable.mp4"
    return write_scene(path, DURATION_S, container_options={"movflags": "faststart"})


@pytest.fixture(scope="session")
def graphs_folder(tmp_path_factory) -> Path:
    """Where all workers find the graphs that one of them has made (`stored_graphs`)."""
    mine = tmp_path_factory.getbasetemp()
    folder = (mine.parent if IS_ONE_OF_SEVERAL else mine) / "graphs"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The recordings and stills beside the checkout; skips where they are absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real recordings and stills are not beside this checkout")
    return SHARED_DATA


@pytest.fixture
def required():
    """Skip where an optional part is absent, fail where `UBEREPORT_REQUIRE` names it."""

    def check(name: str, is_present: bool) -> None:
        if is_present:
            return
        if name in os.environ.get("UBEREPORT_REQUIRE", "").split(","):
            pytest.fail(f"{name} is required here (UBEREPORT_REQUIRE) and not installed")
        pytest.skip(f"{name} is not installed")

    return check
