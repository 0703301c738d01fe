"""One network on one device for the cases of several processes: its clients, and the server.

Every request is answered as it came, one after the other: pictures of different cases are never
looked at together, because the bytes of a case would then depend on what ran beside it.
"""

from __future__ import annotations

import multiprocessing
import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, Self

from ubereport.core.arrays import BoolArray, FloatArray, RgbArray
from ubereport.core.closing import ClosedOnExit
from ubereport.core.config import Device, SegmentationConfig
from ubereport.core.errors import NetworkLostError, PredictionError, UbereportError
from ubereport.files.spawned_process import SpawnedProcess, end_with_parent
from ubereport.files.system import IS_WINDOWS
from ubereport.segmentation.bundle import Bundle, find_bundle, load_bundle
from ubereport.segmentation.pictures import ProbabilityArray
from ubereport.segmentation.predictor import Predictor, open_predictor

N_TRIES = 3
MAX_RESTARTS = 5
RECONNECT_S = 120.0
_POLL_S = 0.1
_LOST = (
    f"The process that runs the network for all cases was lost {N_TRIES} times (killed, out of "
    "memory, or the device failed). Free memory or run without --share-network, then run again."
)


@dataclass(frozen=True, slots=True)
class NetworkAddress:
    """Where a shared network answers, the key that it asks for, and the bundle that it runs."""

    path: str
    folder: str
    key: bytes = field(repr=False)
    bundle_sha256: str


_INTRODUCTION = "facts"
_FACTS = tuple(Predictor.__annotations__)
"""What a predictor says of itself."""


class SharedPredictor:
    """`Predictor` whose network runs in another process, which others use too.

    A request whose server died is sent again to the one that takes its place. What it says of
    itself, such as its device, is as it was when the last request was answered.

    Raises
    ------
    PredictionError
        If the server cannot be reached, or the address is of another bundle.
    """

    input_height_px: int
    input_width_px: int
    thresholds: tuple[float, float, float]
    device: str
    is_accelerated: bool
    precision: str

    def __init__(self, address: NetworkAddress, bundle: Bundle) -> None:
        if address.bundle_sha256 != bundle.sha256:
            raise PredictionError(
                "The shared network runs another bundle than the case asks for. Start the batch "
                "again; do not change bundles while it runs."
            )
        self._address = address
        self._pipe: Connection | None = None
        self._ask(_INTRODUCTION)

    def areas(self, rgb: RgbArray, field_mask: BoolArray) -> FloatArray:
        """Return (n, 4) float64 area fractions of the field; raises as the network's own."""
        areas: FloatArray = self._ask("areas", rgb, field_mask)
        return areas

    def masks(self, rgb: RgbArray) -> BoolArray:
        """Return (n, H, W) bool masks at the central threshold."""
        masks: BoolArray = self._ask("masks", rgb)
        return masks

    def probabilities(self, rgb: RgbArray) -> ProbabilityArray:
        """Return (n, H, W) float32 probability maps."""
        probabilities: ProbabilityArray = self._ask("probabilities", rgb)
        return probabilities

    def _ask(self, what: str, *arguments: object) -> Any:  # noqa: ANN401 -- one door for all answers
        # A request is a pure question, so that asking again is safe; what the dead server had
        # answered is asked for once more.
        for _ in range(N_TRIES):
            pipe = self._connected()
            try:
                pipe.send((what, arguments))
                is_good, content, facts = pipe.recv()
            except (EOFError, OSError):
                pipe.close()
                self._pipe = None
                continue
            for name, fact in facts.items():
                setattr(self, name, fact)
            if is_good:
                return content
            raise content
        raise NetworkLostError(_LOST)

    def _connected(self) -> Connection:
        started = time.monotonic()
        while self._pipe is None:
            try:
                self._pipe = Client(self._address.path, authkey=self._address.key)
            except (EOFError, OSError):
                # While a server is started again its socket is away; its folder stays.
                is_over = not Path(self._address.folder).is_dir()
                if is_over or time.monotonic() - started > RECONNECT_S:
                    raise NetworkLostError(_LOST) from None
                time.sleep(_POLL_S)
        return self._pipe


class SharedNetwork(ClosedOnExit):
    """The server process of one bundle on one device, started again when it dies.

    A context manager; `address` is what clients need. It is None where the network would run on
    the CPU and `is_forced` is false: there each case is faster with a network of its own.

    Raises
    ------
    UbereportError
        On entering, as `open_predictor` does.
    """

    def __init__(self, bundle: Bundle, config: SegmentationConfig, *, is_forced: bool) -> None:
        self._bundle, self._config, self._is_forced = bundle, config, is_forced
        self._folder = Path(tempfile.mkdtemp(prefix="ubereport-network-"))
        # Requests are unpickled, which can run anything: the key is asked for before the first one
        # is read, so that nobody else on this machine can send any.
        self._key = secrets.token_bytes(32)
        self._is_over = threading.Event()
        self._is_changing = threading.Lock()
        self._server: SpawnedProcess | None = None
        # A thread waits for the server's end, because clients in other processes cannot start one:
        # they only wait for the socket to come back.
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self.address: NetworkAddress | None = None

    def __enter__(self) -> Self:
        try:
            is_serving = self._start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        if is_serving:
            self.address = NetworkAddress(
                self._socket, str(self._folder), self._key, self._bundle.sha256
            )
            self._watcher.start()
        return self

    def close(self) -> None:
        """End the server process and remove what it answered from."""
        self._is_over.set()
        with self._is_changing:
            self._stop()
        if self._watcher.is_alive():
            self._watcher.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def process_id(self) -> int | None:
        """Of the server now; None where there is none."""
        return None if self._server is None else self._server.process_id

    @property
    def _socket(self) -> str:
        """A socket in the own folder; on Windows a pipe of its name, known by its form."""
        pipe = rf"\\.\pipe\{self._folder.name}"
        return pipe if IS_WINDOWS else str(self._folder / "socket")

    def _start(self) -> bool:
        # A server that was killed leaves the file of its socket behind, and no other can listen at
        # a name that is taken.
        if not IS_WINDOWS:
            Path(self._socket).unlink(missing_ok=True)
        if self._server is not None:
            self._server.close()
        what = (self._bundle, self._config, self._is_forced)
        self._server = SpawnedProcess(_serve, self._socket, self._key, *what)
        try:
            state, content = self._server.pipe.recv()
        except EOFError:
            raise NetworkLostError(_LOST) from None
        if isinstance(content, BaseException):
            raise content
        return bool(state)

    def _watch(self) -> None:
        for _ in range(MAX_RESTARTS):
            if self._server is not None:
                self._server.wait()
            with self._is_changing:
                if self._is_over.is_set():
                    return
                try:
                    self._start()
                except UbereportError:
                    break
        if self._server is not None and not self._is_over.is_set():
            self._server.wait()
        # Clients that see no folder know that no server will come back.
        shutil.rmtree(self._folder, ignore_errors=True)

    def _stop(self) -> None:
        if self._server is not None:
            self._server.close()


@contextmanager
def shared_network(
    config: SegmentationConfig, n_jobs: int, is_asked_for: bool | None
) -> Iterator[NetworkAddress | None]:
    """Run one network for all cases of a batch on this machine; yield where, or None.

    `is_asked_for` None shares where it helps: several cases at once on one accelerator, where
    each network of its own would load its copy and fight for the device. On the CPU every case
    has its own network and its share of the cores, unless asked for.

    Raises
    ------
    ModelError
        If the bundle is missing or altered.
    DependencyError
        If the device asked for is absent.
    """
    is_pointless = n_jobs == 1 or config.device is Device.CPU
    if is_asked_for is False or (is_asked_for is None and is_pointless):
        yield None
        return
    bundle = load_bundle(find_bundle(config.model))
    # Color thresholds take no memory and no device: sending pictures to another process would cost
    # more than counting them.
    if bundle.metadata.hsv is not None and not is_asked_for:
        yield None
        return
    with SharedNetwork(bundle, config, is_forced=bool(is_asked_for)) as network:
        yield network.address


def _serve(
    lifeline: Connection,
    socket: str,
    key: bytes,
    bundle: Bundle,
    config: SegmentationConfig,
    is_forced: bool,
) -> None:
    # Ctrl-C reaches the whole group: the process that started this one decides when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    try:
        predictor = open_predictor(bundle, config)
    except Exception as error:  # noqa: BLE001 -- told to the process that asked for the server
        lifeline.send((False, error))
        return
    if not predictor.is_accelerated and not is_forced:
        lifeline.send((False, None))
        return
    with Listener(socket, backlog=64, authkey=key) as listener:
        lifeline.send((True, None))
        turn = threading.Lock()
        while True:
            try:
                pipe = listener.accept()
            # Somebody else on this machine who tries the socket must not end the server.
            except (multiprocessing.AuthenticationError, EOFError, OSError):
                continue
            threading.Thread(target=_answer, args=(pipe, predictor, turn), daemon=True).start()


def _answer(pipe: Connection, predictor: Predictor, turn: threading.Lock) -> None:
    while True:
        try:
            what, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        # One request at a time: the device has one queue anyway, and answers then do not depend on
        # what other cases ask.
        with turn:
            answer = _answer_to(predictor, what, arguments)
        try:
            pipe.send(answer)
        except OSError:
            return


def _answer_to(
    predictor: Predictor, what: str, arguments: tuple[Any, ...]
) -> tuple[bool, Any, dict[str, Any]]:
    try:
        content = None if what == _INTRODUCTION else getattr(predictor, what)(*arguments)
        is_good = True
    except Exception as error:  # noqa: BLE001 -- raised again where the request came from
        is_good, content = False, error
    # Told with every answer: the device may have failed over this one.
    return is_good, content, {name: getattr(predictor, name) for name in _FACTS}
