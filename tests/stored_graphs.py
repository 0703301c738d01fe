"""Networks that are written as ONNX once for all workers: it takes torch 12 s each time.

What is stored is torch's translation alone. Every caller still points it into its own weights and
compares what another runtime then answers with torch.
"""

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import pytest

from ubereport.segmentation import onnx_graph


@contextmanager
def graphs_translated_once(folder: Path) -> Iterator[None]:
    """Translate each kind of network and input size once; `folder` belongs to all workers."""
    translate = onnx_graph._translated

    def stored(network, size):
        kind = hashlib.sha256(f"{network}{size}".encode()).hexdigest()
        path = folder / f"{kind}.onnx"
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                proto, late_inputs = translate(network, size)
                path.with_suffix(".json").write_text(json.dumps(late_inputs))
                path.write_bytes(proto.SerializeToString())
        late_inputs = json.loads(path.with_suffix(".json").read_text())
        return onnx.load_model_from_string(path.read_bytes()), tuple(late_inputs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(onnx_graph, "_translated", stored)
        yield
