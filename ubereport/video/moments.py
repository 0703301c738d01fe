"""Any picture of a case on demand: what a reviewer looks at, one moment after the other."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ubereport.core.arrays import RgbArray
from ubereport.core.closing import ClosedOnExit
from ubereport.core.config import DecodeConfig
from ubereport.core.errors import DecodeError
from ubereport.video.guarded_child import ChildFailure, GuardedChild
from ubereport.video.moment_part import MomentPart

_TRIES = 2


class SupersededError(Exception):
    """Another moment was asked for before this one was found."""


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One picture: its time in the part, as JPEG, and perhaps as the model sees it.

    `seen` is (height, width, 3) uint8 RGB.
    """

    time_s: float
    jpeg: bytes
    seen: RgbArray | None


class MomentReader(ClosedOnExit):
    """Pictures of one case by part and time, from a process of its own; a context manager.

    The newest ask wins: whoever asks while another ask is being worked on makes that one raise
    `SupersededError`, so that dragging along a timeline never waits for what was passed over. A
    process that stalls or dies is started again once for the moment in hand.

    Parameters
    ----------
    parts
        In the order of the case.
    config
        Bounds for memory and silence.
    """

    def __init__(self, parts: Sequence[MomentPart], config: DecodeConfig) -> None:
        self._parts = tuple(parts)
        self._config = config
        self._child: GuardedChild | None = None
        self._numbers = itertools.count()
        self._newest = -1
        self._turn = threading.Lock()
        self._noting = threading.Lock()

    def moment(
        self,
        part_index: int,
        time_s: float,
        *,
        is_exact: bool,
        width_px: int,
        seen_px: tuple[int, int] | None = None,
        is_patient: bool = False,
    ) -> Moment:
        """Return the picture that stands at `time_s` of a part, or the keyframe before it.

        Parameters
        ----------
        part_index, time_s
            0-based part, seconds from its first picture.
        is_exact
            False takes the keyframe at or before the moment, which is there much sooner.
        width_px
            Width to show it at, at most.
        seen_px
            (height, width) that a model sees; also returns the picture at that size.
        is_patient
            Waits for its turn and gives way to nobody (small pictures for a strip).

        Raises
        ------
        SupersededError
            If another moment was asked for meanwhile.
        DecodeError
            If the part gives no picture there.
        """
        # Numbers are given in the order of asking and outside of the turn, so that an ask that
        # waits sees that a newer one has come.
        with self._noting:
            number = next(self._numbers)
            if not is_patient:
                self._newest = number
        ask = {
            "id": number,
            "part": part_index,
            "time_s": time_s,
            "is_exact": is_exact,
            "width_px": width_px,
            "seen_px": seen_px,
        }
        # Whoever waited here may have been overtaken: the person has moved on, and decoding an old
        # moment would only delay the one asked for last.
        with self._turn:
            if not is_patient and number != self._newest:
                raise SupersededError
            header, arrays = self._answer(ask)
        if "superseded" in header:
            raise SupersededError
        if "refused" in header:
            raise DecodeError(f"Part {part_index + 1} of the case {header['refused']}")
        picture = None
        if seen_px is not None:
            picture = np.asarray(arrays["seen"], dtype=np.uint8).reshape(*seen_px, 3)
        return Moment(float(header["time_s"]), arrays["jpeg"].tobytes(), picture)

    def _answer(self, ask: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        failure: ChildFailure | None = None
        for _ in range(_TRIES):
            try:
                child = self._running()
                child.give(ask)
                return child.receive()
            except ChildFailure as caught:
                failure = caught
                self.close()
        raise DecodeError(
            f"Part {ask['part'] + 1} of the case gives no picture there: the decoding process"
            f" {failure}. Look at another moment, or try a fresh copy of the recording."
        )

    def _running(self) -> GuardedChild:
        if self._child is None:
            task = {
                "task": "moments",
                "parts": [asdict(part) for part in self._parts],
                "memory_mib": self._config.memory_mib,
            }
            child = GuardedChild(task, stall_timeout_s=self._config.stall_timeout_s)
            child.receive()
            self._child = child
        return self._child

    def rest(self) -> None:
        """End the process once it has answered what it is at; the next moment starts another."""
        with self._turn:
            self.close()

    def close(self) -> None:
        """End the process, whatever it is at."""
        if self._child is not None:
            self._child.close()
            self._child = None
