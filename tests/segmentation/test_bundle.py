from __future__ import annotations

import json
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ubereport.core.errors import BundleError
from ubereport.segmentation.bundle import (
    CARD_NAME,
    GRAPH_NAME,
    METADATA_NAME,
    WEIGHTS_NAME,
    Bundle,
    check_weights,
    find_bundle,
    graph_of,
    list_bundles,
    load_bundle,
    verify_bundle,
)

MakeBundle = Callable[..., Bundle]


class _Payload:
    """Unpickling it makes a file: the trace of executed code."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.trace,)  # type: ignore[return-value]


def test_a_sound_bundle_loads_with_its_summary(make_bundle: MakeBundle) -> None:
    folder = make_bundle().folder
    bundle = load_bundle(folder)
    summary = bundle.summary()
    assert summary.name == "tiny"
    assert summary.sha256 == bundle.sha256 == bundle.metadata.weights_sha256
    assert summary.architecture == "unetplusplus (tu-tf_efficientnet_lite0)"
    assert summary.thresholds == (0.3, 0.5, 0.7)
    assert verify_bundle(folder) == ()


@pytest.mark.parametrize("name", [METADATA_NAME, WEIGHTS_NAME, CARD_NAME])
def test_a_missing_file_is_named(make_bundle: MakeBundle, name: str) -> None:
    folder = make_bundle().folder
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_bundle(folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle folder"):
        load_bundle(tmp_path / "absent")


@pytest.mark.parametrize("position", [0, 9, 60, -1, -5000])
def test_one_flipped_bit_anywhere_in_the_weights_is_refused(
    make_bundle: MakeBundle, position: int
) -> None:
    folder = make_bundle().folder
    content = bytearray((folder / WEIGHTS_NAME).read_bytes())
    content[position] ^= 1
    (folder / WEIGHTS_NAME).write_bytes(content)
    with pytest.raises(BundleError, match=r"sha256|no sound safetensors"):
        load_bundle(folder)
    assert len(verify_bundle(folder)) == 1


@pytest.mark.parametrize("n_bytes", [0, 5, 8, 200, -1])
def test_truncated_weights_are_refused(make_bundle: MakeBundle, n_bytes: int) -> None:
    folder = make_bundle().folder
    content = (folder / WEIGHTS_NAME).read_bytes()
    (folder / WEIGHTS_NAME).write_bytes(content[:n_bytes])
    with pytest.raises(BundleError, match="no sound safetensors"):
        load_bundle(folder)


def test_a_pickle_is_refused_with_the_reason_and_never_run(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    trace = tmp_path / "executed"
    payload = pickle.dumps(_Payload(trace))
    pickle.loads(payload)
    assert trace.exists(), "the payload itself must work, or this test shows nothing"
    trace.unlink()
    stray = tmp_path / "weights.pt"
    stray.write_bytes(payload)
    disguised = make_bundle("tiny-2").folder
    (disguised / WEIGHTS_NAME).write_bytes(payload)
    zipped = make_bundle("tiny-3").folder
    torch.save({"w": torch.zeros(2)}, zipped / WEIGHTS_NAME)
    assert zipfile.is_zipfile(zipped / WEIGHTS_NAME)
    beside = make_bundle("tiny-4").folder
    (beside / "extra.pth").write_bytes(payload)
    renamed = tmp_path / "weights"
    renamed.write_bytes(payload)
    for path in (stray, disguised, zipped, beside, renamed):
        with pytest.raises(BundleError, match="pickle"):
            load_bundle(path)
    with pytest.raises(BundleError, match="pickle"):
        find_bundle(str(stray), tmp_path / "models")
    assert not trace.exists()


def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path: Path) -> None:
    path = tmp_path / WEIGHTS_NAME
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    length = 0x010280
    path.write_bytes(struct.pack("<Q", length) + header.ljust(length) + b"\0\0\0\0")
    check_weights(path)


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"w": {"dtype": "Q4", "shape": [1], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": [1]}},
        {"w": {"dtype": "F32", "shape": ["a"], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}},
        {
            "v": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        },
        {"w": 3},
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, header: object) -> None:
    path = tmp_path / WEIGHTS_NAME
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0\0\0\0")
    with pytest.raises(BundleError, match="no sound safetensors"):
        check_weights(path)


def test_a_header_that_is_no_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / WEIGHTS_NAME
    path.write_bytes(struct.pack("<Q", 4) + b"{{{{" + b"\0\0\0\0")
    with pytest.raises(BundleError, match="no sound safetensors"):
        check_weights(path)


def test_metadata_that_cannot_be_read_is_refused(make_bundle: MakeBundle) -> None:
    folder = make_bundle().folder
    (folder / METADATA_NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleError, match="UTF-8"):
        load_bundle(folder)
    (folder / METADATA_NAME).write_bytes(b" " * (5 * 2**20))
    with pytest.raises(BundleError, match="larger than"):
        load_bundle(folder)


def test_a_bare_name_resolves_to_the_newest_version(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    for version in ("1", "2", "10", "9.5"):
        make_bundle(f"tiny-{version}", version=version)
    make_bundle("tiny-other-99", name="tiny-other", version="99")
    assert find_bundle("tiny", models).name == "tiny-10"
    assert find_bundle("tiny-2", models).name == "tiny-2"
    assert find_bundle(str(models / "tiny-9.5"), models / "empty") == models / "tiny-9.5"


def test_a_broken_newest_version_is_not_replaced_by_an_older_one(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    make_bundle("tiny-1")
    newest = make_bundle("tiny-2", version="2").folder
    (newest / METADATA_NAME).write_text("{")
    assert find_bundle("tiny", tmp_path / "models") == newest
    with pytest.raises(BundleError):
        load_bundle(newest)


def test_an_unknown_name_lists_what_there_is(make_bundle: MakeBundle, tmp_path: Path) -> None:
    make_bundle()
    with pytest.raises(BundleError, match=r"Did you mean tiny\?.*Bundles here: tiny, tiny-1"):
        find_bundle("tinny", tmp_path / "models")
    with pytest.raises(BundleError, match="none is installed"):
        find_bundle("tiny", tmp_path / "nowhere")


def test_the_list_is_sorted_by_age_and_shows_broken_bundles(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    make_bundle("tiny-10", version="10")
    make_bundle("tiny-9", version="9")
    broken = make_bundle("a-1", name="a").folder
    (broken / METADATA_NAME).write_text('{"name": "a"}')
    (tmp_path / "models" / "notes").mkdir()
    entries = list_bundles(tmp_path / "models")
    assert [entry.folder.name for entry in entries] == ["tiny-9", "tiny-10", "a-1"]
    assert entries[0].problem is None
    assert entries[2].metadata is None
    assert "version is missing" in str(entries[2].problem)
    assert list_bundles(tmp_path / "nowhere") == ()


def test_verify_names_a_wrong_folder_and_an_empty_card(make_bundle: MakeBundle) -> None:
    folder = make_bundle().folder
    moved = folder.with_name("something")
    shutil.move(folder, moved)
    (moved / CARD_NAME).write_text("\n")
    problems = verify_bundle(moved)
    assert len(problems) == 2
    assert "tiny-1/" in problems[0]
    assert "card" in problems[1].lower()


def test_listing_and_verifying_load_no_torch(make_bundle: MakeBundle) -> None:
    folder = make_bundle().folder
    program = (
        "import sys; from pathlib import Path\n"
        "from ubereport.segmentation.bundle import list_bundles, verify_bundle\n"
        "import ubereport.segmentation.predictor\n"
        f"assert verify_bundle(Path({str(folder)!r})) == ()\n"
        f"assert len(list_bundles(Path({str(folder.parent)!r}))) == 1\n"
        "heavy = {'torch', 'cv2', 'timm'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_graph_is_checked_like_weights(sure: Bundle, tmp_path: Path) -> None:
    folder = shutil.copytree(sure.folder, tmp_path / "tiny-1")
    content = bytearray((folder / GRAPH_NAME).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / GRAPH_NAME).write_bytes(content)
    with pytest.raises(BundleError, match=r"graph of bundle 'tiny-1' .* altered"):
        load_bundle(folder)
    (folder / GRAPH_NAME).unlink()
    with pytest.raises(BundleError, match=r"has no model\.onnx"):
        load_bundle(folder)


def test_a_graph_that_the_metadata_does_not_know_is_not_used(
    written: Bundle, tmp_path: Path
) -> None:
    folder = shutil.copytree(written.folder, tmp_path / "tiny-1")
    (folder / GRAPH_NAME).write_bytes(b"anything")
    bundle = load_bundle(folder)
    with pytest.raises(BundleError, match=r"has no model\.onnx.*models prepare"):
        graph_of(bundle)
