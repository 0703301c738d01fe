"""A run's state on disk: tensors as safetensors, the rest as JSON, published in one rename."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ubereport.core.errors import BundleError

__all__ = ["RunState", "load_weights", "read_checkpoint", "write_checkpoint"]

_PARTS = ("network", "average", "moments")


@dataclass(frozen=True, slots=True, eq=False)
class RunState:
    """All that a run needs to go on bit for bit: weights, their average, AdamW's moments."""

    step: int
    config_sha256: str
    network: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]
    history: tuple[Mapping[str, Any], ...]


def write_checkpoint(state: RunState, folder: Path) -> None:
    """Write `folder` whole or not at all; a former checkpoint stays until the new one is there."""
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for part in _PARTS:
        tensors = {k: v.detach().cpu().contiguous() for k, v in getattr(state, part).items()}
        save_file(tensors, fresh / f"{part}.safetensors")
    table = {"step": state.step, "config_sha256": state.config_sha256, "history": state.history}
    (fresh / "state.json").write_text(json.dumps(table), encoding="utf-8")
    former = folder.with_name(f".{folder.name}.former")
    shutil.rmtree(former, ignore_errors=True)
    if folder.exists():
        folder.rename(former)
    fresh.rename(folder)
    shutil.rmtree(former, ignore_errors=True)


def read_checkpoint(folder: Path) -> RunState | None:
    """Return the state of a run, or None where there is none; a torn write falls back.

    Raises
    ------
    BundleError
        If the checkpoint cannot be read.
    """
    former = folder.with_name(f".{folder.name}.former")
    place = folder if folder.is_dir() else former
    if not place.is_dir():
        return None
    try:
        table = json.loads((place / "state.json").read_text(encoding="utf-8"))
        tensors = {part: load_file(place / f"{part}.safetensors") for part in _PARTS}
        return RunState(
            int(table["step"]),
            str(table["config_sha256"]),
            tensors["network"],
            tensors["average"],
            tensors["moments"],
            tuple(table["history"]),
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise BundleError(
            f"The checkpoint in {folder.parent.name!r} is damaged ({error}). Delete the folder "
            "to start the run anew."
        ) from None


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a safetensors file.

    Raises
    ------
    BundleError
        If the file is a pickle or no safetensors file.
    """
    if not path.is_file():
        raise BundleError(f"There are no weights at {path.name!r}. Name a safetensors file.")
    with path.open("rb") as stream:
        head = stream.read(2)
    if head[:1] == b"\x80" or head == b"PK":
        raise BundleError(
            f"{path.name} is a pickle, which can run code. Convert it to safetensors first."
        )
    try:
        state: dict[str, torch.Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path.name} is no safetensors file ({error}).") from None
    return state
