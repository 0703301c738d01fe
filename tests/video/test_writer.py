from __future__ import annotations

import hashlib
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from ubereport.core.errors import OutputError
from ubereport.video.pyav import ColorTag, EncoderSpec
from ubereport.video.writer import VideoWriter


def _picture(level: int = 90) -> np.ndarray:
    return np.full((48, 64, 3), level, dtype=np.uint8)


def _write(path: Path, n: int = 12, **options: object) -> None:
    with VideoWriter(path, EncoderSpec(64, 48, 25, **options)) as writer:  # type: ignore[arg-type]
        for step in range(n):
            writer.write(_picture(20 * step))


def test_same_pictures_give_the_same_bytes(tmp_path: Path) -> None:
    _write(tmp_path / "a.mp4")
    _write(tmp_path / "b.mp4")
    first, second = (
        hashlib.sha256((tmp_path / name).read_bytes()).digest() for name in ("a.mp4", "b.mp4")
    )
    assert first == second


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts", ".avi"])
def test_container_follows_the_suffix_and_holds_every_picture(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"made{suffix}"
    _write(path, codec="mpeg4" if suffix == ".avi" else "libx264")
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 12
        tags = {**container.metadata, **container.streams.video[0].metadata}
    assert not {"title", "creation_time", "comment", "artist"} & {tag.lower() for tag in tags}


def test_explicit_times_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "variable.mkv"
    ticks = [0, 33, 70, 250, 251]
    with VideoWriter(path, EncoderSpec(64, 48, 25, time_base_s=Fraction(1, 1000))) as writer:
        for pts in ticks:
            writer.write(_picture(), pts=pts)
    with av.open(str(path)) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert times == pytest.approx([t / 1000 for t in ticks])


def test_color_tag_is_written(tmp_path: Path) -> None:
    path = tmp_path / "full.mp4"
    _write(path, color=ColorTag("bt601", "full"))
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_range) == (6, 2)


def test_next_picture_follows_an_explicit_time(tmp_path: Path) -> None:
    path = tmp_path / "next.mkv"
    with VideoWriter(path, EncoderSpec(64, 48, 25, time_base_s=Fraction(1, 1000))) as writer:
        writer.write(_picture(), pts=100)
        writer.write(_picture())
    with av.open(str(path)) as container:
        assert [frame.pts for frame in container.decode(video=0)] == [100, 140]


def test_wrong_shape_is_refused(tmp_path: Path) -> None:
    with (
        VideoWriter(tmp_path / "a.mp4", EncoderSpec(64, 48, 25)) as writer,
        pytest.raises(ValueError, match="takes"),
    ):
        writer.write(np.zeros((10, 10, 3), dtype=np.uint8))


def test_time_that_does_not_increase_is_refused(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", EncoderSpec(64, 48, 25)) as writer:
        writer.write(_picture(), pts=5)
        with pytest.raises(ValueError, match="must increase"):
            writer.write(_picture(), pts=5)


def test_rate_of_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="positive"):
        VideoWriter(tmp_path / "a.mp4", EncoderSpec(64, 48, 0))


@pytest.mark.parametrize("codec", ["libx264", "no_such_codec"])
def test_unwritable_output_names_the_reason_and_not_the_path(tmp_path: Path, codec: str) -> None:
    folder = tmp_path if codec == "no_such_codec" else tmp_path / "absent"
    with pytest.raises(OutputError) as caught:
        VideoWriter(folder / "patient.mp4", EncoderSpec(64, 48, 25, codec))
    assert "patient" not in str(caught.value)
    assert os.fspath(tmp_path) not in str(caught.value)


def test_unfit_size_is_an_output_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError),
        VideoWriter(tmp_path / "odd.mp4", EncoderSpec(63, 47, 25)) as writer,
    ):
        writer.write(np.zeros((47, 63, 3), dtype=np.uint8))
