from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
import torch
from torch import nn

from ubereport.core.errors import BundleError, OutputError
from ubereport.segmentation.bundle import WEIGHTS_NAME, Bundle, load_bundle, read_tensor_specs
from ubereport.segmentation.export import write_bundle
from ubereport.segmentation.metadata import BundleMetadata, HsvSpec


def _hsv(metadata: BundleMetadata) -> BundleMetadata:
    return dataclasses.replace(
        metadata, kind="hsv", network=None, hsv=HsvSpec(), weights_sha256=None
    )


def test_the_same_network_gives_the_same_bytes(
    tmp_path: Path, written: Bundle, metadata: BundleMetadata, tiny_network: nn.Module
) -> None:
    one = written.folder
    two = write_bundle(tmp_path / "b", tiny_network, metadata, "# Tiny\n").folder
    names = sorted(path.name for path in one.iterdir())
    assert names == ["README.md", "metadata.json", "weights.safetensors"]
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name


def test_the_sha256_of_the_weights_is_written(written: Bundle) -> None:
    content = (written.folder / WEIGHTS_NAME).read_bytes()
    assert written.sha256 == hashlib.sha256(content).hexdigest()
    assert load_bundle(written.folder) == written


def test_a_state_dict_with_training_counters_is_taken(
    tmp_path: Path, written: Bundle, metadata: BundleMetadata, tiny_network: nn.Module
) -> None:
    state = tiny_network.state_dict()
    assert any(key.endswith("num_batches_tracked") for key in state)
    bundle = write_bundle(tmp_path / "x", state, metadata, "card")
    assert bundle.sha256 == written.sha256


def test_half_precision_weights_are_stored_in_full(
    tmp_path: Path, metadata: BundleMetadata, tiny_network: nn.Module
) -> None:
    state = {
        key: value.half() if value.is_floating_point() else value
        for key, value in tiny_network.state_dict().items()
    }
    bundle = write_bundle(tmp_path / "x", state, metadata, "card")
    assert {spec.dtype for spec in read_tensor_specs(bundle.weights_path).values()} == {"F32"}


def test_an_existing_folder_is_never_overwritten(written: Bundle, metadata: BundleMetadata) -> None:
    with pytest.raises(OutputError, match="exists already"):
        write_bundle(written.folder, None, _hsv(metadata), "card")


@pytest.mark.parametrize("broken", ["missing", "nan"])
def test_weights_that_do_not_fit_leave_nothing_behind(
    tmp_path: Path, metadata: BundleMetadata, tiny_network: nn.Module, broken: str
) -> None:
    state = dict(tiny_network.state_dict())
    if broken == "missing":
        del state["segmentation_head.0.bias"]
    else:
        state["segmentation_head.0.bias"] = torch.tensor([float("nan")])
    with pytest.raises(BundleError):
        write_bundle(tmp_path / "models" / "x", state, metadata, "card")
    assert not (tmp_path / "models").exists()


def test_kind_and_weights_must_fit(
    tmp_path: Path, metadata: BundleMetadata, tiny_network: nn.Module
) -> None:
    with pytest.raises(BundleError, match="needs weights"):
        write_bundle(tmp_path / "x", None, metadata, "card")
    with pytest.raises(BundleError, match="has no weights"):
        write_bundle(tmp_path / "x", tiny_network, _hsv(metadata), "card")
    with pytest.raises(BundleError, match="card is empty"):
        write_bundle(tmp_path / "x", None, _hsv(metadata), " \n")
    bundle = write_bundle(tmp_path / "x", None, _hsv(metadata), "card")
    assert not bundle.weights_path.exists()
    assert len(bundle.sha256) == 64


def test_a_full_disk_leaves_nothing_and_says_so(
    tmp_path: Path, metadata: BundleMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ubereport.files.atomic.os.fsync", full)
    with pytest.raises(OutputError, match="does not fit"):
        write_bundle(tmp_path / "models" / "x", None, _hsv(metadata), "card")
    assert list((tmp_path / "models").iterdir()) == []


def test_a_file_where_the_folder_should_lie_is_named(
    tmp_path: Path, metadata: BundleMetadata
) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        write_bundle(tmp_path / "models" / "x", None, _hsv(metadata), "card")
