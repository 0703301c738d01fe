from __future__ import annotations

import pytest
import torch

from ubereport.core.config import Device
from ubereport.core.errors import DependencyError
from ubereport.segmentation.devices import choose_device, cpu_gains_from_bf16


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without accelerators whose processor has no bf16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "amx_bf16": False})
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    return monkeypatch


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("device", [Device.CUDA, Device.MPS])
def test_an_absent_device_is_never_replaced_silently(device: Device) -> None:
    with pytest.raises(DependencyError, match=f"--device {device} was asked for"):
        choose_device(device, True)


@pytest.mark.usefixtures("machine")
def test_auto_falls_to_the_cpu_in_full_precision() -> None:
    choice = choose_device(Device.AUTO, True)
    assert (choice.device.type, choice.title, choice.precision) == ("cpu", "cpu", "fp32")


@pytest.mark.parametrize("key", ["avx512_bf16", "amx_bf16"])
def test_bf16_on_the_cpu_needs_the_processor_and_the_permission(
    machine: pytest.MonkeyPatch, key: str
) -> None:
    machine.setattr(torch.cpu, "get_capabilities", lambda: {key: True})
    assert choose_device(Device.CPU, True).precision == "fp32, late stages bf16"
    assert choose_device(Device.CPU, False).precision == "fp32"


@pytest.mark.parametrize(
    ("has_bf16", "precision"), [(True, "fp32, late stages bf16"), (False, "fp32, late stages fp16")]
)
def test_cuda_is_preferred_and_named(
    machine: pytest.MonkeyPatch, has_bf16: bool, precision: str
) -> None:
    machine.setattr(torch.cuda, "is_available", lambda: True)
    machine.setattr(torch.cuda, "get_device_name", lambda: "Test GPU")
    machine.setattr(torch.cuda, "is_bf16_supported", lambda _: has_bf16)
    choice = choose_device(Device.AUTO, True)
    assert choice.device == torch.device("cuda")
    assert choice.title == "cuda (Test GPU)"
    assert choice.precision == precision
    assert choose_device(Device.CUDA, False).precision == "fp32"
    assert choose_device(Device.CPU, True).device.type == "cpu"


def test_apple_gpus_run_in_full_precision(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(torch.backends.mps, "is_available", lambda: True)
    choice = choose_device(Device.AUTO, True)
    assert (choice.title, choice.precision) == ("mps", "fp32")


@pytest.mark.parametrize(
    ("limit", "is_gain"), [("AVX2", False), ("avx512_core", False), ("", True)]
)
def test_a_processor_held_to_older_instructions_counts_in_fp32(
    machine: pytest.MonkeyPatch, limit: str, is_gain: bool
) -> None:
    machine.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    machine.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert cpu_gains_from_bf16() is is_gain
