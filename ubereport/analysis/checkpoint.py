"""What an interrupted case had already measured, kept until the case is published.

Every chunk is one file, written whole or not at all, so a kill at any moment loses at most the
chunk in work. The folder belongs to one fingerprint (recording, bundle, configuration); chunks of
another are thrown away, never mixed in.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ubereport.analysis.decode_report import DecodeReport
from ubereport.analysis.measurement import COLUMNS, Measurement
from ubereport.core.series import LossReason
from ubereport.core.validation import adapter_of

REASONS = tuple(LossReason)


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """A measured run of samples and what the next one needs to know of it.

    `memory` holds the arrays that carry state from sample to sample: the last readable picture,
    with which the next one is compared.
    """

    measurement: Measurement
    memory: Mapping[str, NDArray[Any]]
    decoded: DecodeReport


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """Where a chunk belongs: pass over the case, stretch of view, first sample of that stretch."""

    pass_index: int
    stretch_index: int
    start: int

    @property
    def file_name(self) -> str:
        """Of the chunk."""
        # The first sample and not a running number: another batch size, as on another machine,
        # gives other chunks, and an interrupted case still goes on where it was.
        return f"pass-{self.pass_index:03d}-{self.stretch_index:04d}-{self.start:09d}.npz"


class ChunkFiles(Protocol):
    """Where the chunks of a case are kept, such as `ubereport.files.kept_files.KeptFiles`."""

    def read(self, name: str) -> bytes:
        """Return the content of a file; raise OSError where it is missing or cannot be read."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Keep a file, whole or not at all."""
        ...


class Checkpoint:
    """The chunks of one case in work."""

    def __init__(self, files: ChunkFiles) -> None:
        self._files = files

    def load(self, place: ChunkPlace) -> Chunk | None:
        """Return the chunk at `place`, if it was finished."""
        try:
            content = io.BytesIO(self._files.read(place.file_name))
            with np.load(content, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            reason = tuple(REASONS[int(i)] for i in arrays.pop("reason"))
            columns = {name: arrays.pop(name) for name in COLUMNS}
            measurement = Measurement(reason=reason, **columns)
            decoded = adapter_of(DecodeReport).validate_json(str(arrays.pop("decoded")))
        # A chunk that cannot be read is a chunk that was not measured: it is measured again, and
        # nobody is asked what broke it.
        except (OSError, KeyError, ValueError, IndexError, EOFError, zipfile.BadZipFile):
            return None
        memory = {name.removeprefix("memory_"): array for name, array in arrays.items()}
        return Chunk(measurement, memory, decoded)

    def save(self, place: ChunkPlace, chunk: Chunk) -> None:
        """Keep a finished chunk; raise OutputError where the disk is full or read-only."""
        measured = chunk.measurement
        buffer = io.BytesIO()
        np.savez(
            buffer,
            allow_pickle=False,
            reason=np.array([REASONS.index(r) for r in measured.reason], dtype=np.uint8),
            decoded=np.array(adapter_of(DecodeReport).dump_json(chunk.decoded).decode()),
            **{name: getattr(measured, name) for name in COLUMNS},
            **{f"memory_{name}": array for name, array in chunk.memory.items()},
        )
        self._files.write(place.file_name, buffer.getvalue())
