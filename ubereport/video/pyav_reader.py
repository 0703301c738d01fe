"""The PyAV reader: exact pictures by presentation time stamp, from any recording.

Pictures are read group by group: a group is what decodes from one keyframe. Decoding starts at
the group's keyframe, leaves out what is not wanted and no other picture builds on, ends as soon
as its last wanted picture is in the decoder, and what lies between two groups is skipped
undecoded. Nothing is carried from one group to the next, so damage ends with its group.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from ubereport.core.arrays import IntArray
from ubereport.core.errors import DecodeError
from ubereport.video.packet_stream import PacketWalk, WalkedPacket
from ubereport.video.packets import NO_PTS
from ubereport.video.picture_scaling import fit_picture
from ubereport.video.process_shares import groups_of
from ubereport.video.pyav import FieldPicker, VideoFrame, speak_on_stderr, to_rgb
from ubereport.video.reader import Picture, ReadRequest

# H.264 and HEVC never hold three zeros in a row but between units; a lost sector is full of them.
_HOLE = bytes(32)


def read_pictures(
    request: ReadRequest,
    take_complaints: Callable[[], int],
    on_progress: Callable[[], None],
) -> Iterator[Picture | None]:
    """Yield each picture wanted, in order; None where it cannot be decoded.

    A picture is marked corrupt if FFmpeg marks it, or complained about anything since the
    group's keyframe: later pictures of the group build on the damaged one.

    Raises
    ------
    RecordingFormatError
        If the file can no longer be opened as it was indexed.
    MemoryError
        If the decoder needs more than it may have.
    """
    cv2.setNumThreads(1)
    speak_on_stderr()
    with PacketWalk(request, on_progress) as walk:
        reader = _GroupReader(request, walk, take_complaints)
        for key, wanted in _groups(request):
            yield from reader.read(key, wanted)


def read_on_device(
    request: ReadRequest,
    take_complaints: Callable[[], int],
    on_progress: Callable[[], None],
) -> Iterator[Picture]:
    """As `read_pictures`, decoded by `request.device`, and only for as long as nothing is damaged.

    A graphics device paints over damage without a word, so that every sign of it ends the reading.
    The device is opened before this returns: what its driver takes for that does not count as
    memory that decoding takes.

    Raises
    ------
    DecodeError
        If the device cannot be opened; while iterating, if it met damage or gave no picture.
    MemoryError
        While iterating: if the decoder needs more than it may have.
    """
    cv2.setNumThreads(1)
    speak_on_stderr()
    return _trusted(request, PacketWalk(request, on_progress), take_complaints)


def _trusted(
    request: ReadRequest, walk: PacketWalk, take_complaints: Callable[[], int]
) -> Iterator[Picture]:
    """Yield what a device decodes for as long as there is no sign of damage."""
    reader = _GroupReader(request, walk, take_complaints)
    with walk:
        for key, wanted in _groups(request):
            for picture in reader.read(key, wanted):
                if picture is None:
                    raise DecodeError(f"gave no picture on {request.device}")
                if picture.is_corrupt:
                    raise DecodeError("met damage, which a graphics device hides")
                yield picture


def _groups(request: ReadRequest) -> Iterator[tuple[int, IntArray]]:
    """Yield (frame index of the keyframe or -1, frame indices wanted from it)."""
    keys = np.flatnonzero(request.is_key)
    owner = groups_of(request.is_key, request.wanted) - 1
    starts = np.flatnonzero(np.diff(owner, prepend=-2))
    for start, end in itertools.pairwise([*starts.tolist(), len(owner)]):
        key = int(keys[owner[start]]) if owner[start] >= 0 else -1
        yield key, request.wanted[start:end]


class _Group:
    """What is wanted from one keyframe on, and how far it has come."""

    def __init__(self, request: ReadRequest, start: int, key: int, wanted: IntArray) -> None:
        self._is_counted = request.is_counted
        self._next_rank = max(start, 0)
        at = wanted if request.is_counted else request.pts[wanted]
        self._pending: deque[int] = deque(int(pts) for pts in at)
        self._unfed = set(self._pending)
        self._first = NO_PTS if start < 0 else int(request.pts[start])
        self.trusted_pts = None if key == start else int(request.pts[key])
        self._last = self._pending[-1]
        self._n_keys_beyond = 0

    def is_leading(self, pts: int) -> bool:
        """Whether a packet precedes the keyframe in time and so builds on what was not read."""
        return not self._is_counted and pts != NO_PTS and pts < self._first

    def may_skip(self, pts: int) -> bool:
        """Whether a packet holds no wanted picture for certain."""
        return not self._is_counted and pts != NO_PTS and pts not in self._unfed

    def is_fed(self, pts: int, is_key: bool) -> bool:
        """Note a packet that the decoder took; return whether that was the last one needed."""
        if self._is_counted:
            return not self._pending
        self._unfed.discard(pts)
        self._n_keys_beyond += is_key and pts > self._last
        # The second keyframe beyond the last wanted picture ends the search in recordings whose
        # packets do not carry the times that the index saw; one is not enough, since pictures
        # before it may still be stored behind it.
        return not self._unfed or self._n_keys_beyond > 1

    def take(self, pts: int | None) -> tuple[int, bool]:
        """Note a decoded picture; return (wanted ones passed over, whether it is wanted)."""
        at = pts
        if self._is_counted:
            at = self._next_rank
            self._next_rank += 1
        # Pictures come in presentation order: what is wanted and lies before this one will not
        # come.
        n_lost = 0
        while at is not None and self._pending and self._pending[0] < at:
            self._pending.popleft()
            n_lost += 1
        is_wanted = bool(self._pending) and self._pending[0] == at
        if is_wanted:
            self._pending.popleft()
        return n_lost, is_wanted

    @property
    def n_left(self) -> int:
        """How many wanted pictures have not come."""
        return len(self._pending)


class _GroupReader:
    def __init__(
        self, request: ReadRequest, walk: PacketWalk, take_complaints: Callable[[], int]
    ) -> None:
        self._request = request
        self._keys = np.flatnonzero(request.is_key)
        self._take_complaints = take_complaints
        self._walk = walk
        self._fields = FieldPicker(self._walk.opened.is_bottom_first)
        # Of a picture in two fields nothing may build on the second, which the first yet needs.
        self._is_whole = not self._walk.opened.has_single_pictures
        self._is_damaged = False
        self._n_keys_ahead = 0

    def read(self, key: int, wanted: IntArray) -> Iterator[Picture | None]:
        """Yield the pictures wanted from one keyframe.

        With periodic intra refresh a "keyframe" is only where recovery begins. Where the first
        picture wanted does not come, decoding starts once more from the keyframe before, and
        from then on does so at once.
        """
        # Try from the keyframe itself. If its picture does not come, one keyframe earlier may be
        # where the decoder really can begin; a recording that needs this once needs it throughout.
        start = self._earlier(key, self._n_keys_ahead)
        pictures = self._from(start, key, wanted)
        first = next(pictures)
        earlier = self._earlier(start, 1)
        # Only the first picture of a group tells: with intra refresh what is missing is always the
        # beginning, and damage further on has another reason.
        if first is None and earlier != start:
            pictures = self._from(earlier, key, wanted)
            first = next(pictures)
            if first is not None:
                # Every step back decodes one more group for nothing, in every group from here on;
                # the bound keeps a bad recording from being decoded many times over.
                self._n_keys_ahead = min(2, self._n_keys_ahead + 1)
        yield first
        yield from pictures

    def _earlier(self, key: int, n_keys: int) -> int:
        """Return the keyframe `n_keys` before `key`, at least the first one."""
        at = int(np.searchsorted(self._keys, key))
        return key if key < 0 else int(self._keys[max(0, at - n_keys)])

    def _from(self, start: int, key: int, wanted: IntArray) -> Iterator[Picture | None]:
        """Yield what is wanted from `key`, decoding from `start`; damage before `key` is over."""
        group = _Group(self._request, start, key, wanted)
        if self._walk.to_key(start):
            # Order matters: complaints about what lies before belong to nobody, the decoder forgets
            # its reference pictures, and only then does damage count for this group.
            self._take_complaints()  # about what was skipped
            self._walk.opened.flush()
            self._is_damaged = False
            for frames, offset in self._decoded(group):
                for frame in frames:
                    n_lost, is_wanted = group.take(
                        None if frame.pts is None else frame.pts + offset
                    )
                    yield from itertools.repeat(None, n_lost)
                    if is_wanted:
                        yield self._picture(frame)
        yield from itertools.repeat(None, group.n_left)

    def _decoded(self, group: _Group) -> Iterator[tuple[list[VideoFrame], int]]:
        """Feed the decoder as far as the group needs; yield what comes, with the tick offset."""
        offset = 0
        # A decoder hands pictures out late and in another order than packets go in. So it is fed
        # until every wanted packet is in, and what it still holds is drained once, at the end.
        for entry in self._walk.packets():
            if group.is_leading(entry.pts):
                continue
            if entry.is_reset:
                yield self._drained(), offset
            # What was drained above was fed before the restart and has the old shift; everything
            # from here on has the new one.
            offset = entry.offset
            frames = self._fed(entry, is_wanted=self._is_whole or not group.may_skip(entry.pts))
            # Where decoding had to start earlier, pictures before the group's own keyframe are
            # thrown away, and so is what was wrong with them.
            if entry.pts == group.trusted_pts:
                self._is_damaged = False
            yield frames, offset
            if group.is_fed(entry.pts, entry.packet.is_keyframe):
                break
        yield self._drained(), offset

    def _fed(self, walked: WalkedPacket, is_wanted: bool) -> list[VideoFrame]:
        frames, is_refused = self._walk.opened.decode(walked.packet, is_wanted)
        self._is_damaged |= is_refused or walked.packet.is_corrupt
        # The processor complains about holes by itself; a device fills them with something
        # plausible, so they are looked for in the packet.
        self._is_damaged |= self._request.device is not None and _HOLE in bytes(walked.packet)
        self._is_damaged |= self._take_complaints() > 0
        return frames

    def _drained(self) -> list[VideoFrame]:
        frames, is_refused = self._walk.opened.decode(None)
        self._is_damaged |= is_refused or self._take_complaints() > 0
        self._walk.opened.flush()
        return frames

    def _picture(self, frame: VideoFrame) -> Picture:
        is_corrupt = self._is_damaged or frame.is_corrupt
        shown = self._fields.first_field(frame) if frame.interlaced_frame else frame
        rgb = to_rgb(shown, self._request.color_matrix, self._request.color_range)
        return Picture(fit_picture(rgb, self._request), is_corrupt)
