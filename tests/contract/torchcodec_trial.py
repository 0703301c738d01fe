"""Read recordings with torchcodec in this process; write down what became of the pictures.

Run by `test_torchcodec.py` as a program of its own, since torchcodec brings another FFmpeg than
PyAV's and standard error must be FFmpeg's alone. Both files are pickles: a name → (reader, request)
goes in; a name → (n_pictures, height_px, width_px, 3) array and the error that ended it or None
comes out.
"""

from __future__ import annotations

import importlib
import pickle
import sys
from pathlib import Path

import numpy as np

from ubereport.errors import UbereportError
from ubereport.video.messages import ErrorLog
from ubereport.video.reader import READERS, ReadRequest


def read(reader: str, request: ReadRequest, log: ErrorLog) -> tuple[np.ndarray, str | None]:
    """Read one request as far as it goes."""
    module, _, name = READERS[reader].partition(":")
    pictures = []
    error = None
    try:
        for picture in getattr(importlib.import_module(module), name)(
            request, log.take, lambda: None
        ):
            pictures.append(picture.rgb)  # noqa: PERF401 -- what came before an error is kept
    except (UbereportError, RuntimeError) as ended:
        error = f"{type(ended).__name__}: {ended}"
    shape = (0, request.height_px, request.width_px, 3)
    return np.stack(pictures) if pictures else np.empty(shape, dtype=np.uint8), error


def main() -> None:
    wanted = pickle.loads(Path(sys.argv[1]).read_bytes())
    log = ErrorLog()
    found = {name: read(reader, request, log) for name, (reader, request) in wanted.items()}
    Path(sys.argv[2]).write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main()
