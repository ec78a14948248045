# cython: language_level=3, boundscheck=True, wraparound=False
"""The native ends of ``anychat-load``; `portable` has the same in Python.

Thin: the loops are in ``_wire.h``, here they get their arguments and give
their counts.  ``run`` of both classes is to be called in a thread of its own,
which has no GIL until it returns.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from anychat.load.tally import Arrivals, Flow


cdef extern from "_wire.h" nogil:
    enum:
        WIRE_BURST
        WIRE_BUCKETS
        WIRE_DATAGRAM
        WIRE_RING

    ctypedef struct wire_flow:
        int fd
        uint32_t ssrc
        uint16_t sequence
        int key_asked
        uint64_t sent, failed, key_frames

    ctypedef struct wire_plan:
        int64_t period, duration
        int size, fragments, key_fragments, key_every
        int marking, payload_type
        uint32_t ticks
        int segment

    ctypedef struct wire_sender:
        wire_plan plan
        wire_flow *flows
        int count, stop
        int64_t slipped, took
        uint8_t *buffer

    ctypedef struct wire_place:
        uint64_t packets, bytes, doubles, late

    ctypedef struct wire_item:
        uint32_t user, length
        uint8_t *data

    ctypedef struct wire_receiver:
        int event, stop, place_count
        wire_place *places
        wire_item *ring
        uint32_t head, tail
        uint64_t *latency
        uint64_t packets, unknown, strangers, malformed, ring_full

    int wire_bucket(int64_t ns)
    void wire_send(wire_sender *s)
    void wire_receive(wire_receiver *r)
    int wire_open(wire_receiver *r, uint32_t ssrc, int room, uint32_t first_place)
    int wire_add(wire_receiver *r, int fd, int number, int room, int slot)
    void wire_receiver_free(wire_receiver *r)
    wire_receiver *wire_receiver_new(int users, int streams, int places)


cdef extern from *:
    """
    #define wire_load(at) __atomic_load_n(at, __ATOMIC_ACQUIRE)
    #define wire_store(at, value) __atomic_store_n(at, value, __ATOMIC_RELEASE)
    """
    uint32_t load32 "wire_load"(uint32_t *at) nogil
    uint64_t load64 "wire_load"(uint64_t *at) nogil
    void store32 "wire_store"(uint32_t *at, uint32_t value) nogil
    void store_flag "wire_store"(int *at, int value) nogil


def bucket_of(int64_t nanoseconds):
    """As `histogram.bucket_of`."""
    return wire_bucket(nanoseconds)


cdef class Sender:
    """Sends the bursts of all flows, in turn."""

    cdef wire_sender *_sender
    cdef list _sockets

    def __cinit__(self, flows, pattern, double seconds, bytes payload, bint segment):
        cdef int number
        cdef int length = WIRE_BURST * WIRE_DATAGRAM
        self._sender = <wire_sender *>PyMem_Calloc(1, sizeof(wire_sender))
        if self._sender == NULL:
            raise MemoryError
        if not 44 <= pattern.size <= WIRE_DATAGRAM:
            raise ValueError(f"packets of {pattern.size} bytes")
        if not 1 <= pattern.fragments <= WIRE_BURST or not (
            0 <= pattern.key_fragments <= WIRE_BURST
        ):
            raise ValueError("too many packets in a burst")
        self._sockets = [flow[0] for flow in flows]
        self._sender.count = len(self._sockets)
        if not self._sockets:
            raise ValueError("nothing to send")
        self._sender.flows = <wire_flow *>PyMem_Calloc(
            len(self._sockets), sizeof(wire_flow)
        )
        if self._sender.flows == NULL:
            raise MemoryError
        for number, (socket, ssrc, sequence) in enumerate(flows):
            self._sender.flows[number].fd = socket.fileno()
            self._sender.flows[number].ssrc = ssrc
            self._sender.flows[number].sequence = sequence
        plan = &self._sender.plan
        plan.period = max(1, round(pattern.period * 1e9))
        plan.duration = round(seconds * 1e9)
        plan.size = pattern.size
        plan.fragments = pattern.fragments
        plan.key_fragments = pattern.key_fragments
        plan.key_every = pattern.key_every
        plan.marking = pattern.key_every > 0
        plan.payload_type = pattern.format.payload_type
        plan.ticks = pattern.ticks
        plan.segment = segment
        if not payload:
            raise ValueError("payload is empty")
        for number in range(length):
            self._sender.buffer[number] = payload[number % len(payload)]

    def __dealloc__(self):
        if self._sender != NULL:
            PyMem_Free(self._sender.flows)
            PyMem_Free(self._sender)

    def run(self):
        """Send until the time is over or `stop`."""
        with nogil:
            wire_send(self._sender)

    def stop(self):
        """End `run` soon."""
        store_flag(&self._sender.stop, 1)

    def ask_key_frame(self, int flow):
        """The next burst of that flow is a key frame."""
        if not 0 <= flow < self._sender.count:
            raise IndexError(flow)
        store_flag(&self._sender.flows[flow].key_asked, 1)

    def flows(self):
        """What was sent so far, a `Flow` for each."""
        return [
            Flow(
                load64(&self._sender.flows[i].sent),
                load64(&self._sender.flows[i].failed),
                load64(&self._sender.flows[i].key_frames),
            )
            for i in range(self._sender.count)
        ]

    @property
    def took(self):
        """Seconds that `run` took, once it has ended."""
        return self._sender.took / 1e9

    @property
    def slipped(self):
        """Seconds by which the schedule was given up for lack of CPU."""
        return self._sender.slipped / 1e9


cdef class Receiver:
    """Takes what comes at all users' sockets."""

    cdef wire_receiver *_receiver
    cdef list _sockets

    def __cinit__(self, int users, int streams, int places):
        if users < 0 or streams < 0 or places < 0:
            raise ValueError("less than none")
        self._sockets = []
        self._receiver = wire_receiver_new(users, streams, places)
        if self._receiver == NULL:
            raise MemoryError

    def __dealloc__(self):
        wire_receiver_free(self._receiver)

    def fileno(self):
        """Readable when there is something to `take`."""
        return self._receiver.event

    def add(self, socket, int user, int room, int slot):
        """Listen at that user's socket.

        :raise OSError: it cannot be watched.
        """
        if wire_add(self._receiver, socket.fileno(), user, room, slot) != 0:
            raise OSError("cannot watch the socket")
        self._sockets.append(socket)

    def open(self, uint32_t ssrc, int room, uint32_t first_place):
        """Count that stream from now on; before its media flows.

        :raise ValueError: there is no room for it, or it is open.
        """
        if not wire_open(self._receiver, ssrc, room, first_place):
            raise ValueError(f"stream {ssrc:#010x}")

    def run(self):
        """Receive until `stop`."""
        with nogil:
            wire_receive(self._receiver)

    def stop(self):
        """End `run` soon."""
        store_flag(&self._receiver.stop, 1)

    def take(self):
        """STUN and RTCP that came, as (user, bytes)."""
        items = []
        cdef uint32_t head = self._receiver.head
        cdef uint32_t tail = load32(&self._receiver.tail)
        while head != tail:
            item = &self._receiver.ring[head % WIRE_RING]
            items.append((item.user, item.data[: item.length]))
            head += 1
        store32(&self._receiver.head, head)
        return items

    def received(self, int first, int count):
        """Packets at each of these places."""
        if first < 0 or count < 0 or first + count > self._receiver.place_count:
            raise IndexError(first)
        return [
            load64(&self._receiver.places[i].packets)
            for i in range(first, first + count)
        ]

    def arrivals(self):
        """Everything counted, as `Arrivals`."""
        cdef uint64_t doubles = 0, late = 0, bytes = 0
        cdef int i
        for i in range(self._receiver.place_count):
            doubles += load64(&self._receiver.places[i].doubles)
            late += load64(&self._receiver.places[i].late)
            bytes += load64(&self._receiver.places[i].bytes)
        return Arrivals(
            packets=load64(&self._receiver.packets),
            bytes=bytes,
            doubles=doubles,
            late=late,
            unknown=load64(&self._receiver.unknown),
            strangers=load64(&self._receiver.strangers),
            malformed=load64(&self._receiver.malformed),
            ring_full=load64(&self._receiver.ring_full),
            latency=[load64(&self._receiver.latency[i]) for i in range(WIRE_BUCKETS)],
        )
