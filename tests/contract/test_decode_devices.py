"""The contract of the readers for the graphics devices of this machine: the processor's bytes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import color_bars as bars
import numpy as np
import pytest
import reader_recordings as made

from ubereport.core.choices import DecodeDevice
from ubereport.core.config import DecodeConfig
from ubereport.core.recording import PartIndex
from ubereport.video.decode import DecodeRequest, decode
from ubereport.video.devices import devices_here, why_no_device
from ubereport.video.index import index_part
from ubereport.video.pyav import devices_offered
from ubereport.video.reader import READERS, ReadRequest, device_reader, read_request, upright_size

HERE = devices_here(devices_offered())
KINDS = [d for d in DecodeDevice if d not in (DecodeDevice.AUTO, DecodeDevice.CPU)]
# NVDEC decodes pictures from 144 px on; the recordings of the suite are smaller.
SCALE = 4


@pytest.fixture(params=KINDS)
def device(request: pytest.FixtureRequest) -> str:
    """A device of this machine; one that `UBEREPORT_REQUIRE` names, as "decode-cuda", must be."""
    kind = str(request.param)
    name = next((name for name in HERE if name.partition(":")[0] == kind), None)
    if name is not None:
        return name
    if f"decode-{kind}" in os.environ.get("UBEREPORT_REQUIRE", "").split(","):
        pytest.fail(f"{kind} is required here (UBEREPORT_REQUIRE), and no driver for it is here")
    pytest.skip(f"no driver for {kind} is here")


def _whole(part: PartIndex) -> ReadRequest:
    width_px, height_px = upright_size(part.video)
    return read_request(part, np.arange(part.n_frames), None, (height_px, width_px), 1, 10**8)


@pytest.mark.parametrize("name", sorted(made.SPECS))
def test_a_device_gives_the_bytes_of_the_processor(name: str, device: str, tmp_path: Path) -> None:
    """Through decoding processes, as a case does; what no device takes, the processor reads."""
    spec = made.SPECS[name]
    path = made.make(spec, tmp_path / f"x{spec.suffix}", SCALE * made.WIDTH, SCALE * made.HEIGHT)
    part = index_part(path, DecodeConfig())
    rgb, readers, failures = {}, {}, {}
    for asked in (DecodeDevice.CPU, DecodeDevice(device.partition(":")[0])):
        frames = np.arange(part.n_frames)
        width_px, height_px = upright_size(part.video)
        request = DecodeRequest(part, 0, frames, frames, part.time_s, None, height_px, width_px)
        with decode(request, DecodeConfig(device=asked, n_threads=2), 16) as decoding:
            rgb[asked] = np.concatenate([batch.rgb for batch in decoding])
        readers[asked] = {use.reader for use in decoding.outcome.uses}
        failures[asked] = decoding.outcome.failures
    one, other = rgb.values()
    np.testing.assert_array_equal(one, other)
    if why_no_device(part) is None:
        assert readers[asked] == {device_reader(device)}, decoding.outcome.uses
        assert failures[asked] == ()
    else:
        assert readers[asked] == {"pyav"}


@pytest.mark.parametrize("number", range(len(bars.TAGS)))
def test_color_bars_keep_their_color_on_a_device(number: int, device: str, tmp_path: Path) -> None:
    size, tag = bars.TAGS[number]
    part = index_part(bars.write(tmp_path / "bars.mp4", size, tag), DecodeConfig())
    request = dataclasses.replace(_whole(part), device=device)
    module, _, function = READERS[device_reader(device)].partition(":")
    read = getattr(__import__(module, fromlist=[function]), function)
    for picture in read(request, lambda: 0, lambda: None):
        assert bars.largest_error(picture.rgb) <= 3


def test_every_kind_of_device_is_known(recording: Callable[[str], Path]) -> None:
    """What this PyAV offers beyond our list is known to be no decoder of recordings."""
    assert set(devices_offered()) - set(KINDS) <= {"drm", "amf", "dxva2", "vdpau", "vulkan"} | {
        "opencl",
        "mediacodec",
        "d3d12va",
        "ohcodec",
    }
