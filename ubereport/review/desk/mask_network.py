"""The network that draws masks for reviewers: a process of its own while it is used."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

from ubereport.core.arrays import BoolArray, RgbArray
from ubereport.core.closing import ClosedOnExit
from ubereport.core.config import SegmentationConfig
from ubereport.core.errors import NetworkLostError, PredictionError
from ubereport.segmentation.bundle import Bundle
from ubereport.segmentation.pictures import ProbabilityArray
from ubereport.segmentation.shared_network import SharedNetwork, SharedPredictor

Answer = TypeVar("Answer", BoolArray, ProbabilityArray)
_IDLE_S = 120.0
_LOST = (
    "The process that draws masks was lost again and again (killed, out of memory, or the device"
    " failed). Free memory and ask for the mask again; everything else goes on without it."
)


class MaskNetwork(ClosedOnExit):
    """Draws masks of one case after the other; a context manager.

    What runs networks takes up to a gigabyte and gives nothing back while its process lives. So one
    process serves all cases, is ended after `idle_s` without a mask, and is started again when the
    next one is asked for. Masks by color alone need no network and come from here too.

    Parameters
    ----------
    idle_s
        Seconds after the last mask until the process ends.
    """

    def __init__(self, idle_s: float = _IDLE_S) -> None:
        self._idle_s = idle_s
        self._turn = threading.Lock()
        self._running = ExitStack()
        self._predictor: SharedPredictor | None = None
        self._bundle: Bundle | None = None
        self._rest: threading.Timer | None = None

    def masks(self, bundle: Bundle, rgb: RgbArray) -> BoolArray:
        """Return (n, H, W) bool masks at the central threshold of `bundle`.

        Raises
        ------
        UbereportError
            If the bundle cannot be run here, or its process was lost again and again.
        """
        return self._asked(bundle, lambda predictor: predictor.masks(rgb))

    def probabilities(self, bundle: Bundle, rgb: RgbArray) -> ProbabilityArray:
        """Return (n, H, W) float32 probability maps; raises as `masks`."""
        return self._asked(bundle, lambda predictor: predictor.probabilities(rgb))

    def _asked(self, bundle: Bundle, ask: Callable[[SharedPredictor], Answer]) -> Answer:
        with self._turn:
            self._stay()
            try:
                return ask(self._predictor_of(bundle))
            except NetworkLostError:
                self._end()
                raise NetworkLostError(_LOST) from None
            except PredictionError:
                self._end()
                raise
            finally:
                # Set anew after every mask, also after one that failed: the process ends in any
                # case when nobody asks.
                self._rest = threading.Timer(self._idle_s, self.close)
                self._rest.daemon = True
                self._rest.start()

    def close(self) -> None:
        """End the process; the next mask starts another."""
        with self._turn:
            self._stay()
            self._end()

    def _predictor_of(self, bundle: Bundle) -> SharedPredictor:
        if self._predictor is None or self._bundle != bundle:
            self._end()
            shared = self._running.enter_context(
                SharedNetwork(bundle, SegmentationConfig(), is_forced=True)
            )
            if shared.address is None:
                raise ValueError("a network that is forced to be shared has an address")
            self._predictor = SharedPredictor(shared.address, bundle)
            self._bundle = bundle
        return self._predictor

    def _stay(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _end(self) -> None:
        self._predictor = None
        self._running.close()
