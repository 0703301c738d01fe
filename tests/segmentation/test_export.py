from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from ubereport.core.errors import BundleError, DependencyError, OutputError
from ubereport.segmentation import onnx_graph
from ubereport.segmentation.bundle import (
    CARD_NAME,
    GRAPH_NAME,
    METADATA_NAME,
    WEIGHTS_NAME,
    Bundle,
    load_bundle,
    verify_bundle,
)
from ubereport.segmentation.export import prepare_bundle, write_bundle
from ubereport.segmentation.metadata import BundleMetadata, HsvSpec, metadata_to_json
from ubereport.segmentation.network import load_network


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
    assert {t.dtype for t in load_file(bundle.weights_path).values()} == {torch.float32}


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
    with pytest.raises(OutputError, match="is a file where a folder is needed"):
        write_bundle(tmp_path / "models" / "x", None, _hsv(metadata), "card")


def test_a_graph_is_hashed_small_and_knows_no_place_of_this_machine(sure: Bundle) -> None:
    content = sure.graph_path.read_bytes()
    assert sure.metadata.graph is not None
    assert sure.metadata.graph.sha256 == hashlib.sha256(content).hexdigest()
    assert len(content) < 400_000, "weights lie in weights.safetensors and nowhere else"
    assert WEIGHTS_NAME.encode() in content
    for place in (str(Path(torch.__file__).parent), str(Path.cwd()), "site-packages", ".py"):
        assert place.encode() not in content
    assert load_bundle(sure.folder) == sure
    assert verify_bundle(sure.folder) == ()


@pytest.mark.slow
def test_an_older_bundle_is_prepared_with_the_same_graph(sure: Bundle, tmp_path: Path) -> None:
    """Weights, card and the rest of the metadata stay; the same network gives the same bytes."""
    folder = tmp_path / "tiny-1"
    shutil.copytree(sure.folder, folder)
    (folder / GRAPH_NAME).unlink()
    older = dataclasses.replace(sure.metadata, graph=None)
    (folder / METADATA_NAME).write_text(metadata_to_json(older), encoding="utf-8")
    assert load_bundle(folder).metadata.graph is None
    assert prepare_bundle(folder).metadata == sure.metadata
    for name in (GRAPH_NAME, WEIGHTS_NAME, CARD_NAME, METADATA_NAME):
        assert (folder / name).read_bytes() == (sure.folder / name).read_bytes(), name


def test_a_graph_that_answers_otherwise_is_not_kept(sure: Bundle) -> None:
    """Logits that all lie a thousandth of their spread apart are more than rounding explains."""
    content = sure.graph_path.read_bytes()
    weights = {WEIGHTS_NAME: sure.weights_path.read_bytes()}
    network = load_network(sure)
    onnx_graph._check_equal(network, content, weights, sure.metadata)
    with torch.no_grad():
        network.get_submodule("segmentation_head.0").bias.add_(0.05)
    with pytest.raises(BundleError, match="answers otherwise than torch"):
        onnx_graph._check_equal(network, content, weights, sure.metadata)


def test_what_onnx_has_no_word_for_is_told(
    tmp_path: Path, metadata: BundleMetadata, tiny_network: nn.Module, monkeypatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise torch.onnx.errors.UnsupportedOperatorError("aten::odd", 18, None)

    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(BundleError, match="cannot be written as ONNX"):
        write_bundle(tmp_path / "x", tiny_network, metadata, "card", has_graph=True)


def test_without_the_exporter_one_sentence_says_what_to_install(
    tmp_path: Path, metadata: BundleMetadata, tiny_network: nn.Module, monkeypatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name)
    )
    with pytest.raises(DependencyError, match=r"pip install 'ubereport\[train\]'"):
        write_bundle(tmp_path / "x", tiny_network, metadata, "card", has_graph=True)
