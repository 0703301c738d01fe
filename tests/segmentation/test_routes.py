"""Which library runs a network, and that torch stays away where it counts nothing."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ubereport.core.config import Device, Route, SegmentationConfig
from ubereport.core.errors import BundleError, DependencyError
from ubereport.segmentation import openvino, routes
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.metadata import GraphSpec
from ubereport.segmentation.predictor import open_predictor

WITHOUT_TORCH = """
import json, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "timm", "segmentation_models_pytorch"}:
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
import ubereport
case = ubereport.analyze(sys.argv[1], out=sys.argv[2], device="cpu")
heavy = {"torch", "onnx", "onnxscript", "timm"} & set(sys.modules)
print(json.dumps([case.record.provenance.device, sorted(heavy)]))
"""


@pytest.fixture
def old(make_bundle: Callable[..., Bundle]) -> Bundle:
    return make_bundle()


@pytest.fixture
def graphed(old: Bundle) -> Bundle:
    """A bundle that says it has a graph; which library runs it does not look at the file."""
    spec = GraphSpec("0" * 64, ("late",))
    return dataclasses.replace(old, metadata=dataclasses.replace(old.metadata, graph=spec))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """OpenVINO is installed, and no driver of an accelerator is here."""
    monkeypatch.setattr(routes, "is_openvino_present", lambda: True)
    monkeypatch.setattr(openvino, "is_openvino_present", lambda: True)
    monkeypatch.setattr(routes, "is_accelerator_likely", lambda: False)
    return monkeypatch


def _config(route: Route, device: Device = Device.AUTO) -> SegmentationConfig:
    return SegmentationConfig(route=route, device=device)


@pytest.mark.usefixtures("machine")
def test_auto_takes_openvino_on_a_processor_for_bundles_with_a_graph(
    old: Bundle, graphed: Bundle
) -> None:
    assert routes.takes_openvino(graphed, _config(Route.AUTO))
    assert routes.takes_openvino(graphed, _config(Route.AUTO, Device.CPU))
    assert not routes.takes_openvino(graphed, _config(Route.AUTO, Device.CUDA))
    assert not routes.takes_openvino(graphed, _config(Route.TORCH))
    assert not routes.takes_openvino(old, _config(Route.AUTO))


def test_where_a_driver_is_torch_says_which_device(
    machine: pytest.MonkeyPatch, graphed: Bundle
) -> None:
    machine.setattr(routes, "is_accelerator_likely", lambda: True)
    machine.setattr(torch.cuda, "is_available", lambda: True)
    machine.setattr(torch.cuda, "get_device_name", lambda: "Test GPU")
    machine.setattr(torch.cuda, "is_bf16_supported", lambda _: True)
    assert not routes.takes_openvino(graphed, _config(Route.AUTO))
    with pytest.raises(DependencyError, match=r"the device is cuda.*--device cpu"):
        routes.takes_openvino(graphed, _config(Route.OPENVINO))
    machine.setattr(torch.cuda, "is_available", lambda: False)
    machine.setattr(torch.backends.mps, "is_available", lambda: False)
    assert routes.takes_openvino(graphed, _config(Route.AUTO))


def test_openvino_that_cannot_run_is_never_replaced_silently(
    machine: pytest.MonkeyPatch, old: Bundle, graphed: Bundle
) -> None:
    with pytest.raises(BundleError, match=r"has no model\.onnx.*models prepare"):
        routes.takes_openvino(old, _config(Route.OPENVINO))
    with pytest.raises(DependencyError, match="the device is cuda"):
        routes.takes_openvino(graphed, _config(Route.OPENVINO, Device.CUDA))
    for module in (routes, openvino):
        machine.setattr(module, "is_openvino_present", lambda: False)
    with pytest.raises(DependencyError, match="pip install openvino"):
        routes.takes_openvino(graphed, _config(Route.OPENVINO))
    assert open_predictor(graphed, _config(Route.AUTO, Device.CPU)).device == "cpu"


@pytest.mark.skipif(sys.platform != "linux", reason="looks at files of Linux")
def test_drivers_are_looked_for_without_loading_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert not routes.is_accelerator_likely(tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidiactl").touch()
    assert routes.is_accelerator_likely(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not routes.is_accelerator_likely(tmp_path)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert routes.is_accelerator_likely(tmp_path)


def test_on_windows_the_driver_is_looked_for_on_the_drive_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path without a drive lies on the drive of the current folder."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    assert not routes.is_accelerator_likely()
    (tmp_path / "System32").mkdir()
    (tmp_path / "System32" / "nvcuda.dll").touch()
    assert routes.is_accelerator_likely()
    monkeypatch.delenv("SYSTEMROOT")
    assert str(routes._system_root()) == r"C:\Windows"


def test_what_holds_onednn_back_holds_openvino_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")
    if importlib.util.find_spec("openvino") is not None:
        assert not openvino.openvino_gains_from_bf16()
    assert openvino.is_held_to_older_instructions()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_AMX")
    assert not openvino.is_held_to_older_instructions()


@pytest.mark.slow
def test_a_case_on_a_processor_needs_no_torch(
    short_recording: Path, tmp_path: Path, required: Callable[[str, bool], None]
) -> None:
    """The shipped bundle analyzes a case in a Python where torch cannot be imported."""
    required("openvino", importlib.util.find_spec("openvino") is not None)
    argv = [sys.executable, "-c", WITHOUT_TORCH, str(short_recording), str(tmp_path / "out")]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    device, heavy = json.loads(done.stdout.splitlines()[-1])
    assert device.startswith("cpu (OpenVINO")
    assert heavy == []


def test_batches_are_larger_where_a_graphics_device_counts(machine: pytest.MonkeyPatch) -> None:
    assert routes.batch_size_for(_config(Route.AUTO)) == 16
    assert routes.batch_size_for(_config(Route.AUTO, Device.CUDA)) == 64
    machine.setattr(routes, "is_accelerator_likely", lambda: True)
    assert routes.batch_size_for(_config(Route.AUTO)) == 64
    assert routes.batch_size_for(_config(Route.AUTO, Device.CPU)) == 16
    given = dataclasses.replace(_config(Route.AUTO), batch_size=5)
    assert routes.batch_size_for(given) == 5
