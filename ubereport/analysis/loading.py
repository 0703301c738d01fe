"""A network that loads in a thread of its own while the recording is read and decoded."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from ubereport.segmentation.predictor import Predictor


class PredictorLoading:
    """The promise of a predictor; its libraries take four seconds of one core.

    Parameters
    ----------
    load
        Loads the predictor.
    """

    def __init__(self, load: Callable[[], Predictor]) -> None:
        self._load = load
        self._loading: Future[Predictor] | None = None

    def begin(self) -> Future[Predictor]:
        """Begin to load, the first time; return the promise, which raises as `load` does.

        Nobody waits for a thread whose predictor is not needed after all.
        """
        if self._loading is None:
            thread = ThreadPoolExecutor(1)
            self._loading = thread.submit(self._load)
            thread.shutdown(wait=False)
        return self._loading
