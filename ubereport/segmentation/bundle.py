"""Model bundles on disk: find, list, load and verify them without torch and without pickle.

A bundle is a folder ``<name>-<version>/`` with metadata.json, README.md (the model card) and, for
a network, weights.safetensors and model.onnx, the graph that takes its weights from there. Older
bundles have no graph; torch runs them. Where the network also marks instruments, what does lies in
instruments.safetensors, and the weights that find blood keep their digest.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ubereport.core.case import ModelSummary
from ubereport.core.errors import BundleError
from ubereport.files.resources import models_dir
from ubereport.segmentation.metadata import (
    BundleMetadata,
    GraphSpec,
    metadata_from_json,
    metadata_to_json,
    version_key,
)

METADATA_NAME = "metadata.json"
WEIGHTS_NAME = "weights.safetensors"
INSTRUMENTS_NAME = "instruments.safetensors"
GRAPH_NAME = "model.onnx"
CARD_NAME = "README.md"

_WHAT = {
    WEIGHTS_NAME: "The weights",
    GRAPH_NAME: "The graph",
    INSTRUMENTS_NAME: "The weights of instruments",
}
_MAX_METADATA_BYTES = 4 * 2**20
_PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib")
_PICKLE_WHY = (
    "Such files are pickles: reading one can run any program hidden in it, so ubereport never "
    "opens them. Convert the weights on a machine you can lose (safetensors.torch.save_file) and "
    "export a bundle with `ubereport train export`."
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files were checked when it was loaded.

    Parameters
    ----------
    folder
        Where it lies.
    metadata
        What it says about itself.
    sha256
        Digest of the weights, or of the metadata where there are none: what a report prints.
    """

    folder: Path
    metadata: BundleMetadata
    sha256: str

    @property
    def weights_path(self) -> Path:
        """Where the weights lie (kind "network" only)."""
        return self.folder / WEIGHTS_NAME

    @property
    def graph_path(self) -> Path:
        """Where the graph lies, if the metadata says that there is one."""
        return self.folder / GRAPH_NAME

    @property
    def instruments_path(self) -> Path:
        """Where the weights of the second output lie, if the metadata says that there is one."""
        return self.folder / INSTRUMENTS_NAME

    @property
    def instruments_sha256(self) -> str:
        """Digest of the weights of the second output; empty where there is none."""
        instruments = self.metadata.instruments
        return "" if instruments is None else instruments.sha256

    def summary(self) -> ModelSummary:
        """Return the model as a report names it."""
        own: dict[str, Any] = {
            "sha256": self.sha256,
            "architecture": describe_architecture(self.metadata),
            "instruments_sha256": self.instruments_sha256,
        }
        names = [field.name for field in fields(ModelSummary) if field.name not in own]
        copied = {name: getattr(self.metadata, name) for name in names}
        return ModelSummary(**own, **copied)


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """One folder of a models folder: its metadata, or why that cannot be read."""

    folder: Path
    metadata: BundleMetadata | None
    problem: str | None


def describe_architecture(metadata: BundleMetadata) -> str:
    """Return the architecture in words, such as ``unetplusplus (tu-tf_efficientnet_lite0)``."""
    if metadata.network is not None:
        return f"{metadata.network.architecture} ({metadata.network.encoder})"
    return "HSV thresholds"


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle and check every byte of it; no weights are loaded and no code is run.

    Raises
    ------
    BundleError
        If the folder or a file of it is missing, is a pickle, has another sha256 than the
        metadata says, is no sound safetensors file, or the metadata cannot be used.
    """
    _refuse_pickles(folder)
    if not folder.is_dir():
        raise BundleError(
            f"There is no bundle folder {folder.name!r}. Name a folder with {METADATA_NAME}, "
            f"{CARD_NAME} and {WEIGHTS_NAME}, or a bundle of `ubereport models list`."
        )
    text = _read_metadata_text(folder)
    metadata = metadata_from_json(text)
    if not (folder / CARD_NAME).is_file():
        raise BundleError(
            f"Bundle {folder.name!r} has no model card ({CARD_NAME}). A model without a card is "
            "not used; write one or get the whole bundle."
        )
    # Without weights the settings are the model: its digest is that of the metadata in one fixed
    # spelling.
    if metadata.kind != "network":
        digest = hashlib.sha256(metadata_to_json(metadata).encode()).hexdigest()
        return Bundle(folder, metadata, digest)
    bundle = Bundle(folder, metadata, str(metadata.weights_sha256))
    if not bundle.weights_path.is_file():
        raise BundleError(
            f"Bundle {folder.name!r} has no {WEIGHTS_NAME}. Get the whole bundle again."
        )
    # The form is checked before the hash, so that a pickle under a wrong name is refused for what
    # it is, and its hash is never asked.
    check_weights(bundle.weights_path)
    check_files(bundle)
    return bundle


def check_files(bundle: Bundle) -> None:
    """Check weights and graph, all that there are, against the sha256 of the metadata.

    Raises
    ------
    BundleError
        If one is missing or was altered.
    """
    graph = bundle.metadata.graph
    wanted = [
        (bundle.weights_path, bundle.metadata.weights_sha256),
        (bundle.graph_path, graph.sha256 if graph is not None else None),
        (bundle.instruments_path, bundle.instruments_sha256),
    ]
    for path, expected in wanted:
        if not expected:
            continue
        try:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            raise BundleError(
                f"Bundle {bundle.folder.name!r} has no {path.name} that can be read. "
                "Get the whole bundle again."
            ) from None
        if digest != expected:
            what = _WHAT[path.name]
            raise BundleError(
                f"{what} of bundle {bundle.folder.name!r} were altered or damaged: their "
                f"sha256 is {digest}, the metadata says {expected}. Get the bundle again."
            )


def graph_of(bundle: Bundle) -> GraphSpec:
    """Return what the metadata says of the graph.

    Raises
    ------
    BundleError
        If the bundle has none.
    """
    if bundle.metadata.graph is None:
        raise BundleError(
            f"Bundle {bundle.folder.name!r} has no {GRAPH_NAME}, which OpenVINO runs. Make one "
            "with `ubereport models prepare`, or use segmentation.route = auto or torch."
        )
    return bundle.metadata.graph


def verify_bundle(folder: Path) -> tuple[str, ...]:
    """Return what is wrong with a bundle, one sentence each; empty when it is sound."""
    try:
        bundle = load_bundle(folder)
    except BundleError as error:
        return (str(error),)
    problems = []
    metadata = bundle.metadata
    if folder.name not in (metadata.name, f"{metadata.name}-{metadata.version}"):
        problems.append(
            f"The folder is called {folder.name!r}; a bundle {metadata.name} of version "
            f"{metadata.version} belongs in {metadata.name}-{metadata.version}/."
        )
    if not (folder / CARD_NAME).read_text(encoding="utf-8", errors="replace").strip():
        problems.append(f"The model card {CARD_NAME} is empty.")
    return tuple(problems)


def list_bundles(models: Path | None = None) -> tuple[BundleEntry, ...]:
    """Return the bundles of a models folder by name and age, broken ones last with the reason.

    Weights are not read; `verify_bundle` does that.
    """
    entries = [_read_entry(folder) for folder in _bundle_folders(models)]
    return tuple(sorted(entries, key=_entry_order))


def find_bundle(name: str, models: Path | None = None) -> Path:
    """Return the folder of the bundle called `name`.

    `name` is the name of a folder in `models` (None: the shipped ones), the bare name of a family
    (its newest version answers, broken or not: an old one never steps in silently), or the path of
    a bundle folder.

    Raises
    ------
    BundleError
        If there is none; the message lists what there is.
    """
    # Names first and paths last: a folder of the same name where a command happens to run must not
    # take the place of an installed bundle.
    folders = _bundle_folders(models)
    for folder in folders:
        if folder.name == name:
            return folder
    family = [folder for folder in folders if _belongs(folder, name)]
    if family:
        return max(family, key=_folder_version)
    _refuse_pickles(Path(name))
    if Path(name).is_dir() and (Path(name) / METADATA_NAME).is_file():
        return Path(name)
    raise BundleError(_not_found(name, folders))


def check_weights(path: Path) -> None:
    """Check the header of a safetensors file, without loading any tensor.

    Raises
    ------
    BundleError
        If the file is no sound safetensors file or is a pickle.
    """
    with path.open("rb") as stream:
        _refuse_pickle_bytes(stream.read(9), path.name)
    try:
        with safe_open(path, "np"):
            return
    except (OSError, SafetensorError) as error:
        raise BundleError(
            f"{path.name} is no sound safetensors file ({error}). Get the bundle again or export "
            "it anew."
        ) from None


def _read_metadata_text(folder: Path) -> str:
    path = folder / METADATA_NAME
    if not path.is_file():
        raise BundleError(
            f"Bundle {folder.name!r} has no {METADATA_NAME}. Get the whole bundle again."
        )
    # Asked before it is read: a bundle may come from anywhere.
    if path.stat().st_size > _MAX_METADATA_BYTES:
        raise BundleError(
            f"The {METADATA_NAME} of bundle {folder.name!r} is larger than "
            f"{_MAX_METADATA_BYTES} bytes and is not read. Get the bundle again."
        )
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise BundleError(
            f"The {METADATA_NAME} of bundle {folder.name!r} cannot be read as UTF-8 text. "
            "Get the bundle again."
        ) from None


def _refuse_pickles(path: Path) -> None:
    if path.suffix.lower() in _PICKLE_SUFFIXES and not path.is_dir():
        raise BundleError(f"{path.name!r} is not a bundle. {_PICKLE_WHY}")
    if path.is_file():
        with path.open("rb") as stream:
            _refuse_pickle_bytes(stream.read(9), path.name)
    elif path.is_dir():
        for child in sorted(path.iterdir()):
            if child.suffix.lower() in _PICKLE_SUFFIXES:
                raise BundleError(f"Bundle {path.name!r} holds {child.name!r}. {_PICKLE_WHY}")


def _refuse_pickle_bytes(start: bytes, name: str) -> None:
    # The length of a safetensors header may start with the same two bytes; its JSON tells.
    is_pickle = len(start) >= 2 and start[0] == 0x80 and 2 <= start[1] <= 5
    if is_pickle and start[8:9] != b"{":
        raise BundleError(f"{name!r} starts like a pickle. {_PICKLE_WHY}")
    if start.startswith(b"PK\x03\x04"):
        raise BundleError(f"{name!r} is a zip archive, as torch.save writes. {_PICKLE_WHY}")


def _bundle_folders(models: Path | None) -> list[Path]:
    models = models_dir() if models is None else models
    if not models.is_dir():
        return []
    return sorted(path for path in models.iterdir() if (path / METADATA_NAME).is_file())


def _read_entry(folder: Path) -> BundleEntry:
    try:
        return BundleEntry(folder, metadata_from_json(_read_metadata_text(folder)), None)
    except BundleError as error:
        return BundleEntry(folder, None, str(error))


def _entry_order(entry: BundleEntry) -> tuple[bool, str, tuple[int, int, int]]:
    if entry.metadata is None:
        return True, entry.folder.name, (0, 0, 0)
    return False, entry.metadata.name, version_key(entry.metadata.version)


def _belongs(folder: Path, family: str) -> bool:
    metadata = _read_entry(folder).metadata
    if metadata is not None:
        return metadata.name == family
    return re.fullmatch(re.escape(family) + r"-\d+(\.\d+)*", folder.name) is not None


def _folder_version(folder: Path) -> tuple[int, int, int]:
    metadata = _read_entry(folder).metadata
    if metadata is not None:
        return version_key(metadata.version)
    return version_key(folder.name.rpartition("-")[2])


def _not_found(name: str, folders: list[Path]) -> str:
    names = {folder.name for folder in folders}
    names |= {e.metadata.name for e in map(_read_entry, folders) if e.metadata is not None}
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]}?" if near else ""
    there = ", ".join(sorted(names)) if names else "none is installed"
    return f"There is no model bundle {name!r}.{hint} Bundles here: {there}."
