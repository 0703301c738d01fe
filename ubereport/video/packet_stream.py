"""Walk through the packets of a stream and find the way to a keyframe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ubereport.core.closing import ClosedOnExit
from ubereport.video.packets import NO_PTS, ClockUnwrapper
from ubereport.video.pyav import OpenStream, Packet, VideoStream
from ubereport.video.reader import ReadRequest
from ubereport.video.source import open_source

# Reading on costs bytes and no decoding; a seek asks the container's index, often lands elsewhere,
# and is then tried again further back.
_NEAR_S = 10.0
# A seek may land behind the keyframe, since containers look for decoding times: try further back.
STEPS_BACK_S = (0.0, 1.0, 5.0, 20.0)


@dataclass(frozen=True, slots=True, eq=False)
class WalkedPacket:
    """A packet with its ticks as the index counts them.

    `offset` is what was added to the container's own ticks; `is_reset` whether the clock was set
    back just before this packet.
    """

    packet: Packet[VideoStream]
    pts: int
    offset: int
    is_reset: bool


class PacketWalk(ClosedOnExit):
    """The packets of one stream in file order, with jumps to keyframes.

    Parameters
    ----------
    request
        Which file, and its index.
    on_progress
        Called for every packet.
    """

    def __init__(self, request: ReadRequest, on_progress: Callable[[], None]) -> None:
        self._request = request
        self._on_progress = on_progress
        self._ticks_per_s = float(1 / request.time_base_s)
        self._is_forward_only = request.is_counted or request.has_resets
        self.opened = self._open()

    def _open(self) -> OpenStream:
        request = self._request
        opened = OpenStream(
            open_source(request.path),
            request.stream_index,
            request.max_pixels,
            request.n_threads,
            request.device,
        )
        self._packets = opened.packets()
        self._clock = ClockUnwrapper(self._ticks_per_s)
        self._held: WalkedPacket | None = None
        self._n_counted = -1
        self._passed: int | None = None
        self._is_at_start = True
        return opened

    def packets(self) -> Iterator[WalkedPacket]:
        """Yield packets from here on."""
        while True:
            entry = self._next()
            if entry is None:
                return
            yield entry

    def to_key(self, key: int) -> bool:
        """Make the packet of keyframe `key` (frame index; -1 for the file's start) the next one.

        Returns
        -------
        bool
            False if it cannot be found.
        """
        if key < 0:
            self._reopen()
            return True
        target = key if self._request.is_counted else int(self._request.pts[key])
        # Three ways to a keyframe, cheapest first: read on, if it is near; seek, if the container
        # can; open the file again and read up to it, which always works.
        if self._is_ahead(target, key) and self._find(target):
            return True
        if not self._is_forward_only and self._seek(target):
            return True
        self._reopen()
        return self._find(target)

    def _is_ahead(self, target: int, key: int) -> bool:
        """Whether the keyframe comes soon enough to read on instead of seeking."""
        if self._passed is None:
            return self._is_at_start and (self._is_forward_only or key == 0)
        ahead = target - self._passed
        return ahead > 0 and (self._is_forward_only or ahead <= _NEAR_S * self._ticks_per_s)

    def _seek(self, target: int) -> bool:
        for back_s in STEPS_BACK_S:
            if not self.opened.seek(target - round(back_s * self._ticks_per_s)):
                continue
            self._packets = self.opened.packets()
            self._held, self._passed, self._is_at_start = None, None, False
            if self._find(target):
                return True
        return False

    def _find(self, target: int) -> bool:
        while True:
            entry = self._next()
            if entry is None:
                return False
            if entry.packet.is_keyframe and entry.pts != NO_PTS:
                if entry.pts == target:
                    self._held = entry
                    return True
                if entry.pts > target:
                    return False

    def _next(self) -> WalkedPacket | None:
        if self._held is not None:
            held, self._held = self._held, None
            return held
        packet = next(self._packets, None)
        self._on_progress()
        if packet is None:
            return None
        self._is_at_start = False
        entry = self._numbered(packet)
        if packet.is_keyframe and entry.pts != NO_PTS:
            self._passed = entry.pts
        return entry

    def _numbered(self, packet: Packet[VideoStream]) -> WalkedPacket:
        # The number that the index gave this picture: without times pictures are counted from the
        # first keyframe on; where the clock is set back, an offset makes it one that only grows;
        # else it is the file's own time.
        if self._request.is_counted:
            self._n_counted += 1 if self._n_counted >= 0 or packet.is_keyframe else 0
            return WalkedPacket(packet, self._n_counted, 0, is_reset=False)
        pts = NO_PTS if packet.pts is None else packet.pts
        if not self._request.has_resets:
            return WalkedPacket(packet, pts, 0, is_reset=False)
        dts = NO_PTS if packet.dts is None else packet.dts
        is_reset = self._clock.feed(pts, dts, packet.duration or 0)
        offset = self._clock.offset
        return WalkedPacket(packet, pts if pts == NO_PTS else pts + offset, offset, is_reset)

    def close(self) -> None:
        """Let go of the file; what is forgotten unclosed keeps its index and decoder in memory."""
        self.opened.close()

    def _reopen(self) -> None:
        self.opened.close()
        self.opened = self._open()
