"""What runs in the decoding process; started by `ubereport.video.guarded_child`, never imported.

Messages on standard input are tasks, ``{"task": "load" | "scan" | "read" | "moments", …}``, which
are run one after the other, and ``{"free": n}``, which frees slots of the shared ring of pictures;
"moments" takes what follows as asks for single pictures. Answers go to standard output as messages;
standard error is FFmpeg's, see `ubereport.video.ffmpeg_complaints`. After a task that failed the
process ends: nobody knows what the failure left behind.
"""

from __future__ import annotations

import importlib
import os
import queue
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ubereport.core.errors import DependencyError, RecordingFormatError, UbereportError
from ubereport.video.ffmpeg_complaints import ErrorLog
from ubereport.video.process_messages import Header, MessageReader, pack
from ubereport.video.shared_pictures import map_ring

_BEAT_S = 0.5
_PIECE = 1 << 16
Arrays = Mapping[str, NDArray[Any]]


class _Channel:
    """The child's ends of both pipes."""

    def __init__(self) -> None:
        self._out = os.dup(1)
        os.dup2(2, 1)  # a library that prints must not break into the messages
        self._last_beat_s = time.monotonic()
        self.tasks: queue.SimpleQueue[tuple[Header, dict[str, NDArray[Any]]]] = queue.SimpleQueue()
        self.free_slots = threading.Semaphore(0)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        """Take tasks and free slots as the parent says; end this process when it is gone."""
        reader = MessageReader()
        while True:
            piece = os.read(0, _PIECE)
            if not piece:
                # The parent is gone. A normal exit would wait for decoder threads that nobody will
                # feed again.
                os._exit(3)
            reader.feed(piece)
            while (message := reader.next()) is not None:
                header = message[0]
                if "free" in header:
                    self.free_slots.release(header["free"])
                else:  # the task before is over: its slots are forgotten
                    self.free_slots = threading.Semaphore(header.get("n_slots", 0))
                    self.tasks.put(message)

    def send(self, header: Mapping[str, Any], arrays: Arrays | None = None) -> None:
        view = memoryview(pack(header, arrays))
        while view:
            view = view[os.write(self._out, view) :]

    def beat(self) -> None:
        """Give a sign of life, not too often."""
        now_s = time.monotonic()
        if now_s - self._last_beat_s >= _BEAT_S:
            self._last_beat_s = now_s
            self.send({"beat": 1})


def _limit_memory(extra_mib: int, has_driver_mappings: bool = False) -> None:
    """Bound the address space at what is mapped now plus `extra_mib`, where Linux tells it.

    A graphics driver maps its device's memory too, which is no memory of this machine: then only
    what is private and writable counts.
    """
    try:
        resource = importlib.import_module("resource")
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 -- not a file
            # The libraries that are loaded already map gigabytes they never touch, so a fixed bound
            # would mean something else on every machine; what a task may take is added to what is
            # there.
            n_pages = int(statm.read().split()[5 if has_driver_mappings else 0])
    except (ImportError, OSError):
        return
    limit = n_pages * resource.getpagesize() + extra_mib * 2**20
    bounded = resource.RLIMIT_DATA if has_driver_mappings else resource.RLIMIT_AS
    resource.setrlimit(bounded, (limit, resource.getrlimit(bounded)[1]))


def _scan(task: Header, channel: _Channel, log: ErrorLog) -> None:
    from ubereport.video import pyav, source
    from ubereport.video.scan import scan

    pyav.speak_on_stderr()
    _limit_memory(task["memory_mib"])
    thread = ThreadPoolExecutor(1)
    hashing = thread.submit(source.sha256_of, task["path"])
    thread.shutdown(wait=False)  # what is no recording is refused before it is hashed
    facts, table = scan(source.open_source(task["path"]), task["max_pixels"], channel.beat)
    # Hashing a large file on a slow disk outlasts the scan: without a sign of life the parent would
    # take it for a stall.
    while wait([hashing], _BEAT_S).not_done:
        channel.beat()
    columns = {name: getattr(table, name) for name in table.__slots__}
    plain = {name: getattr(facts, name) for name in facts.__slots__}
    if facts.width_px == 0:  # the decoder refused the size before it told anyone
        plain["width_px"], plain["height_px"] = log.refused_size()
    try:
        channel.send({"facts": plain, "sha256": hashing.result()}, columns)
    except OSError as error:
        channel.send({"error": "disk", "text": os.strerror(error.errno or 0)})


def _read(task: Header, arrays: Arrays, channel: _Channel, log: ErrorLog) -> None:
    from ubereport.video.reader import PictureReader, ReadRequest

    pictures: PictureReader = _loaded(task["reader"])
    request = ReadRequest.from_message(task["request"], arrays)
    channel.beat()
    decoded = pictures(request, log.take, channel.beat)
    _limit_memory(task["memory_mib"], has_driver_mappings=request.device is not None)
    n_slots = task["n_slots"]
    shape = (n_slots, request.height_px, request.width_px, 3)
    ring = np.frombuffer(map_ring(task["ring"], int(np.prod(shape))), np.uint8).reshape(shape)
    # A slot of the ring is written again only after the parent has said that it took the picture.
    for sample, picture in enumerate(decoded):
        channel.free_slots.acquire()
        if picture is not None:
            ring[sample % n_slots] = picture.rgb
        is_corrupt = picture is not None and picture.is_corrupt
        channel.send({"sample": sample, "ok": picture is not None, "corrupt": is_corrupt})
    channel.send({"done": 1})


def _loaded(reader: str) -> Any:  # noqa: ANN401 -- whichever function the name stands for
    module, _, name = reader.partition(":")
    return getattr(importlib.import_module(module), name)


def _run(task: Header, arrays: Arrays, channel: _Channel, log: ErrorLog) -> None:
    log.take()
    if task["task"] == "load":
        _loaded(task["reader"])
    elif task["task"] == "moments":
        from ubereport.video.moment_child import serve_moments

        _limit_memory(task["memory_mib"])
        serve_moments(task, channel)
    elif task["task"] == "scan":
        _scan(task, channel, log)
    else:
        _read(task, arrays, channel, log)


def _clean(text: str, path: str) -> str:
    """Take the path and the file's name out of a library's message: they may name a patient."""
    for name in (path, os.path.basename(path)):  # noqa: PTH119 -- a string from outside
        text = text.replace(name, "the recording") if name else text
    return " ".join(text.split())[:300]


def _is_done(task: Header, arrays: Arrays, channel: _Channel, log: ErrorLog) -> bool:
    """Run a task; return whether it succeeded, after telling the parent why not."""
    path = task.get("path") or task.get("request", {}).get("path", "")
    try:
        _run(task, arrays, channel, log)
        return True
    except RecordingFormatError as error:
        channel.send({"error": "format", "text": str(error)})
    except MemoryError:
        # Told as such and not as a crash, so that the sentence can name the setting that helps.
        channel.send({"error": "memory", "text": "needed more memory than decode.memory_mib"})
    except DependencyError as error:
        channel.send({"error": "dependency", "text": str(error)})
    except UbereportError as error:
        channel.send({"error": "error", "text": str(error)})
    except Exception as error:  # noqa: BLE001 -- carried over to the parent with its text
        text = f"{type(error).__name__}: {_clean(str(error), path)}"
        channel.send({"error": "error", "text": text})
    return False


def main() -> None:
    """Run the tasks that standard input names; end without tearing libraries down.

    FFmpeg's frame threads can deadlock while they are torn down; the kernel does it faster.
    """
    channel, log = _Channel(), ErrorLog()
    while _is_done(*channel.tasks.get(), channel, log):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
