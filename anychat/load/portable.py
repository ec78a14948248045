"""The ends of the load in Python, for where nothing could be compiled.

The same interface, counts and packets as `_wire`, at a tenth of its speed: the
sender and the receiver share one GIL with signalling, so latencies are partly
their own.
"""

import os
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from socket import MSG_DONTWAIT

from anychat.errors import PeerError
from anychat.load.histogram import BUCKETS, bucket_of
from anychat.load.pattern import Pattern
from anychat.load.tally import Arrivals, Flow
from anychat.media.demux import Kind, classify
from anychat.media.rtp import FrameMarking, RtpPacket, header_length

_STAMP = struct.Struct("=Q")
_SEQUENCE_AND_SSRC = struct.Struct("!2xH4xI")
_TIMESPEC = struct.Struct("=qq")
_SO_TIMESTAMPNS = 35
#: Datagrams that may wait for the reactor's thread.
_RING = 2048
#: Packets that one is known for a double within, and late beyond.
_WINDOW = 1024
#: Seconds behind which the schedule is given up.
_SLIP = 0.2
#: Datagrams of one socket taken in a row.
_BATCH = 64


class _Flow:
    """One stream that is being sent."""

    def __init__(self, socket: socket.socket, ssrc: int, sequence: int):
        self.socket = socket
        self.ssrc = ssrc
        self.sequence = sequence
        self.timestamp = self.bursts = self.next_key = 0
        self.key_asked = False
        self.sent = self.failed = self.key_frames = 0


class Sender:
    """Sends the bursts of all flows, in turn.

    :param flows: socket, SSRC and first sequence number of each.
    :param payload: what the packets hold after the stamp, over and over.
    :param segment: of the native sender; here packets always go one by one.
    """

    def __init__(
        self,
        flows: Sequence[tuple[socket.socket, int, int]],
        pattern: Pattern,
        seconds: float,
        payload: bytes,
        segment: bool,
    ):
        if not flows:
            raise ValueError("nothing to send")
        self._flows = [_Flow(*flow) for flow in flows]
        self._pattern = pattern
        self._seconds = seconds
        self._payload = payload * (pattern.size // len(payload) + 1)
        self._stop = threading.Event()
        self.took = 0.0
        """Seconds that `run` took, once it has ended."""
        self.slipped = 0.0
        """Seconds by which the schedule was given up for lack of CPU."""

    def run(self) -> None:
        """Send until the time is over or `stop`."""
        begin = time.monotonic()
        period, count = self._pattern.period, len(self._flows)
        turn = 0
        while not self._stop.is_set():
            # From the beginning: a difference of clock readings is never exact,
            # and the last burst would come or not by the computer's uptime.
            due = self.slipped + turn * period / count
            now = time.monotonic() - begin
            if due >= self._seconds:
                # The last burst has its period too.
                self._stop.wait(max(0.0, self._seconds - now))
                break
            if now - due > _SLIP:
                self.slipped += now - due
            elif due > now and self._stop.wait(due - now):
                break
            self._burst(self._flows[turn % count])
            turn += 1
        self.took = time.monotonic() - begin

    def stop(self) -> None:
        """End `run` soon."""
        self._stop.set()

    def ask_key_frame(self, flow: int) -> None:
        """The next burst of that flow is a key frame."""
        self._flows[flow].key_asked = True

    def flows(self) -> list[Flow]:
        """What was sent so far, a `Flow` for each."""
        return [Flow(flow.sent, flow.failed, flow.key_frames) for flow in self._flows]

    def _burst(self, flow: _Flow) -> None:
        pattern = self._pattern
        fragments, key = pattern.fragments, False
        if pattern.key_every and (flow.key_asked or flow.bursts >= flow.next_key):
            flow.key_asked, key = False, True
            fragments = pattern.key_fragments
            flow.next_key = flow.bursts + pattern.key_every
            flow.key_frames += 1
        for number in range(fragments):
            last = number == fragments - 1
            marking = None
            if pattern.key_every:
                marking = FrameMarking(number == 0, last, key)
            stamp = _STAMP.pack(time.time_ns())
            header = RtpPacket(
                pattern.format.payload_type,
                flow.sequence,
                flow.timestamp,
                flow.ssrc,
                marking is not None and last,
                stamp,
                marking,
            ).build()
            flow.sequence = flow.sequence + 1 & 0xFFFF
            try:
                flow.socket.send(header + self._payload[: pattern.size - len(header)])
                flow.sent += 1
            except OSError:
                flow.failed += 1
        flow.bursts += 1
        flow.timestamp = flow.timestamp + pattern.ticks & 0xFFFFFFFF


class _Place:
    """What one user received of one stream."""

    __slots__ = ("bytes", "doubles", "highest", "late", "packets", "seen")

    def __init__(self) -> None:
        self.packets = self.bytes = self.doubles = self.late = 0
        self.highest = -1
        self.seen: set[int] = set()

    def is_new(self, sequence: int) -> bool:
        """Whether this packet is to be counted."""
        if self.highest < 0:
            # One turn ahead, so that what came before the first one is no less.
            self.highest = 0x10000 | sequence
            self.seen.add(self.highest)
            return True
        ahead = (sequence - self.highest + 0x8000 & 0xFFFF) - 0x8000
        index = self.highest + ahead
        if ahead <= -_WINDOW:
            self.late += 1
            return False
        if index in self.seen:
            self.doubles += 1
            return False
        self.seen.add(index)
        self.highest = max(self.highest, index)
        if len(self.seen) > 2 * _WINDOW:
            self.seen = {seen for seen in self.seen if seen > self.highest - _WINDOW}
        return True


class Receiver:
    """Takes what comes at all users' sockets.

    :param users: how many there will be at most, and so on.
    """

    def __init__(self, users: int, streams: int, places: int):
        self._users: dict[int, tuple[socket.socket, int, int, int]] = {}
        self._streams: dict[int, tuple[int, int]] = {}
        self._places = [_Place() for _ in range(places)]
        self._epoll = select.epoll()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._stop = False
        self._ring: deque[tuple[int, bytes]] = deque()
        self._latency = [0] * BUCKETS
        self._unknown = self._strangers = self._malformed = self._ring_full = 0

    def __del__(self) -> None:
        self._epoll.close()
        os.close(self._event)

    def fileno(self) -> int:
        """Readable when there is something to `take`."""
        return self._event

    def add(self, socket: socket.socket, user: int, room: int, slot: int) -> None:
        """Listen at that user's socket.

        :raise OSError: it cannot be watched.
        """
        self._users[socket.fileno()] = socket, user, room, slot
        self._epoll.register(socket.fileno(), select.EPOLLIN)

    def open(self, ssrc: int, room: int, first_place: int) -> None:
        """Count that stream from now on; before its media flows.

        :raise ValueError: it is open.
        """
        if ssrc in self._streams:
            raise ValueError(f"stream {ssrc:#010x}")
        self._streams[ssrc] = room, first_place

    def run(self) -> None:
        """Receive until `stop`."""
        while not self._stop:
            for descriptor, _ in self._epoll.poll(0.1):
                self._read(*self._users[descriptor])

    def stop(self) -> None:
        """End `run` soon."""
        self._stop = True

    def take(self) -> list[tuple[int, bytes]]:
        """STUN and RTCP that came, as (user, bytes)."""
        return [self._ring.popleft() for _ in range(len(self._ring))]

    def received(self, first: int, count: int) -> list[int]:
        """Packets at each of these places."""
        return [place.packets for place in self._places[first : first + count]]

    def arrivals(self) -> Arrivals:
        """Everything counted."""
        places = self._places
        return Arrivals(
            packets=sum(place.packets for place in places),
            bytes=sum(place.bytes for place in places),
            doubles=sum(place.doubles for place in places),
            late=sum(place.late for place in places),
            unknown=self._unknown,
            strangers=self._strangers,
            malformed=self._malformed,
            ring_full=self._ring_full,
            latency=list(self._latency),
        )

    def _read(self, socket: socket.socket, user: int, room: int, slot: int) -> None:
        for _ in range(_BATCH):
            try:
                data, ancillary, _, _ = socket.recvmsg(2048, 128, MSG_DONTWAIT)
            except OSError:
                return  # nothing more; an ICMP error is told by the sender
            arrived = time.time_ns()
            for _, kind, value in ancillary:
                if kind == _SO_TIMESTAMPNS:
                    seconds, nanoseconds = _TIMESPEC.unpack_from(value)
                    arrived = seconds * 1_000_000_000 + nanoseconds
            self._take(data, user, room, slot, arrived)

    def _take(self, data: bytes, user: int, room: int, slot: int, arrived: int) -> None:
        kind = classify(data)
        if kind in (Kind.STUN, Kind.RTCP):
            if len(self._ring) >= _RING:
                self._ring_full += 1
                return
            self._ring.append((user, data))
            with suppress(BlockingIOError):
                os.eventfd_write(self._event, 1)
            return
        try:
            start = header_length(data)
            (stamp,) = _STAMP.unpack_from(data, start)
        except (PeerError, struct.error):
            self._malformed += 1
            return
        sequence, ssrc = _SEQUENCE_AND_SSRC.unpack_from(data)
        stream = self._streams.get(ssrc)
        if stream is None:
            self._unknown += 1
            return
        stream_room, first_place = stream
        if stream_room != room:
            self._strangers += 1
            return
        place = self._places[first_place + slot]
        if place.is_new(sequence):
            place.packets += 1
            place.bytes += len(data)
            self._latency[bucket_of(arrived - stamp)] += 1
