"""The native forwarder: what `routes` specifies, in threads without the GIL.

A *lane* is one thread's share: its sockets, its buffers, its rings, its counts.
All lanes forward by one table of streams, which Python alone alters.  A lane
receives a batch, sorts it by stream, and sends what it gathered: packets of one
stream, of equal size (the last may be shorter), as one UDP_SEGMENT send to each
destination that takes it.

**Who owns what.**

=====================  =====================================================
table, routes          written by Python, read by lanes.  A route is never
                       altered: a change makes a new one and publishes it by
                       one store; a packet is forwarded by the old or the new
                       one as a whole
a stream's window,     the lane that holds the stream's lock.  A flow comes to
cache, gates, counts,  one lane, so the lock is nearly always free; it is for
its targets' states    the moment when a flow moves from one lane to another.
                       A lane that waits for a lock holds no other.  Python
                       takes it as a lane only, one that no thread runs, and
                       without the GIL (`admit`); else it reads single words
rings upward           one writer (the lane), one reader (Python)
orders                 one writer (Python), one reader (the lane)
counts of a lane       written by the lane, read by Python word by word
receivers              Python alone
=====================  =====================================================

**Memory.**  What Python takes out of the table (a stream, a route, a target) may
still be in use by a lane.  There is one number, the *epoch*, and each lane has a
word, *seen*.  Python (1) stores the pointer that no longer leads there, (2) adds
one to the epoch, which is the age of what it took out, and (3) frees it when
every lane's *seen* is that age or more.  A lane, whenever it holds no pointer,
copies the epoch into *seen*, and only then loads pointers; before it sleeps it
stores `ASLEEP`, the greatest number, and it copies the epoch again when it wakes,
before anything else.  All these loads and stores are sequentially consistent, so
that there is one order of them all.  If Python reads a *seen* of that age or
more, the lane's store of it stands after (2), hence its next load of the pointer
after (1): it cannot find the old one.  If Python reads `ASLEEP`, the lane's next
store to *seen* comes later still.  A lane that is neither asleep nor done with
its batch holds up the freeing, and nothing else.

Slots of the table are filled and emptied by one store each; a removed one is
marked, not emptied, so that a search goes past it; a table that is half full is
replaced like a route.

**Where.**  `_relay.pxd` has the structures, `_ring.pxd` the rings, `_stream.pxd` a
stream's state, `_send.pxd` what leaves, `_packet.pxd` the reader of bytes; here
are receiving, the threads, and what Python sees.

**Bytes.**  A byte of a datagram is read by `_packet.number` alone, which checks
the bounds; whole datagrams are copied by their size.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc cimport errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memmove, memset

from anychat.media._linux cimport *
from anychat.media._packet cimport MALFORMED, View, header_length, marking, number
from anychat.media._ring cimport *
from anychat.media._send cimport *
from anychat.media._stream cimport *

import socket

from anychat.codes import StreamKind
from anychat.errors import LocalError
from anychat.media.counters import (
    DestinationCounters,
    Drop,
    ForwarderCounters,
    StreamCounters,
)
from anychat.media.demux import Kind
from anychat.media.path import UPWARD, Path
from anychat.media.ring import (
    ARRIVALS,
    COPIES,
    RING_SIZES,
    Copy,
    Datagram,
    Filled,
    Missing,
)
from anychat.media.rtp import MAX_DATAGRAM, SRTP_TAG
from anychat.media.source_limit import LIMIT, UNLIMITED
from anychat.media.stream import ARRIVALS_KEPT, CACHE_TIME, MAX_JUMP, PacketArrival
from anychat.media.stream import CACHE_BYTES as _CACHE_BYTES
from anychat.media.stream import CACHE_PACKETS as _CACHE_PACKETS
from anychat.media.stream import WINDOW as _WINDOW

# What the C code has in its own words.
if (
    _WINDOW, _CACHE_PACKETS, _CACHE_BYTES, CACHE_TIME, MAX_DATAGRAM, SRTP_TAG, MAX_JUMP
) != (
    WINDOW, CACHE, CACHE_BYTES, KEPT_SECONDS, LONGEST, TAG, FARTHEST
):
    raise ImportError("the compiled relay is older than the program around it")

cdef uint64_t ASLEEP = <uint64_t>-1
cdef void *REMOVED = <void *>1

#: In the order of the enums in `_relay.pxd`.
_DROPS = (
    Drop.EMPTY,
    Drop.NOISE,
    Drop.UNWANTED,
    Drop.OVERSIZED,
    Drop.MALFORMED_RTCP,
    Drop.UNKNOWN_SSRC,
    Drop.MALFORMED_RTP,
    Drop.UNBOUND,
    Drop.WRONG_SOURCE,
    Drop.DUPLICATE,
    Drop.LATE,
    Drop.LIMITED,
    Drop.NOT_A_REPORT,
    Drop.STUN_FULL,
    Drop.CONTROL_FULL,
    Drop.DTLS_FULL,
    Drop.RTCP_FULL,
    Drop.ARRIVAL_FULL,
    Drop.CONGESTED,
    Drop.SKIPPED,
    Drop.UNREACHABLE,
    Drop.RETRANSMIT_FULL,
)
_KINDS = (Kind.STUN, Kind.CONTROL, Kind.DTLS, Kind.RTCP)

cdef enum:
    A_TABLE
    A_ROUTE
    A_RECEIVER
    A_STREAM

cdef double NO_LIMIT = UNLIMITED
#: Orders that may wait.
cdef int ORDERS = 1024


# The table.

cdef inline uint32_t place_of(Table *table, uint32_t ssrc) noexcept nogil:
    return (ssrc * <uint32_t>2654435761) & table.mask


cdef Stream *find(Table *table, uint32_t ssrc) noexcept nogil:
    cdef uint32_t place = place_of(table, ssrc)
    cdef void *found
    while True:
        found = load_pointer(&table.slots[place], __ATOMIC_SEQ_CST)
        if found == NULL:
            return NULL
        if found != REMOVED and (<Stream *>found).ssrc == ssrc:
            return <Stream *>found
        place = (place + 1) & table.mask


cdef Table *make_table(uint32_t size) noexcept nogil:
    """Of a power of two of slots."""
    cdef Table *table = <Table *>calloc(1, sizeof(Table))
    if table == NULL:
        return NULL
    table.slots = <void **>calloc(size, sizeof(void *))
    if table.slots == NULL:
        free(table)
        return NULL
    table.mask = size - 1
    return table


cdef void free_table(Table *table) noexcept nogil:
    free(table.slots)
    free(table)


cdef void insert(Table *table, Stream *stream) noexcept nogil:
    """Into a table that has room."""
    cdef uint32_t place = place_of(table, stream.ssrc)
    cdef void *found
    while True:
        found = load_pointer(&table.slots[place], __ATOMIC_SEQ_CST)
        if found == NULL or found == REMOVED:
            break
        place = (place + 1) & table.mask
    if found == NULL:
        table.used += 1
    store_pointer(&table.slots[place], stream, __ATOMIC_SEQ_CST)


cdef void take_out(Table *table, Stream *stream) noexcept nogil:
    cdef uint32_t place = place_of(table, stream.ssrc)
    while load_pointer(&table.slots[place], __ATOMIC_SEQ_CST) != stream:
        place = (place + 1) & table.mask
    store_pointer(&table.slots[place], REMOVED, __ATOMIC_SEQ_CST)


# Addresses.

cdef bint same_address(sockaddr_in6 *one, sockaddr_in6 *other) noexcept nogil:
    cdef sockaddr_in *first = <sockaddr_in *>one
    cdef sockaddr_in *second = <sockaddr_in *>other
    if first.sin_family != second.sin_family or first.sin_port != second.sin_port:
        return False
    if first.sin_family == AF_INET:
        return first.sin_addr.s_addr == second.sin_addr.s_addr
    return (
        memcmp(&one.sin6_addr, &other.sin6_addr, sizeof(in6_addr)) == 0
        and one.sin6_scope_id == other.sin6_scope_id
        and one.sin6_flowinfo == other.sin6_flowinfo
    )


cdef bint is_source(Route *route, Packet *packet) noexcept nogil:
    """Whether a packet is the publisher's; one without a source is known to be."""
    if packet.source == NULL:
        return True
    return route.bound and same_address(packet.source, &route.source)


cdef uint32_t find_local(msghdr *header, uint8_t *local) noexcept nogil:
    """Which of our addresses a datagram was sent to; 0 bytes if it is not told."""
    cdef cmsghdr *item = CMSG_FIRSTHDR(header)
    while item != NULL:
        if item.cmsg_level == IPPROTO_IP and item.cmsg_type == IP_PKTINFO:
            memcpy(local, &(<in_pktinfo *>CMSG_DATA(item)).ipi_spec_dst, 4)
            return 4
        if item.cmsg_level == IPPROTO_IPV6 and item.cmsg_type == IPV6_PKTINFO:
            memcpy(local, &(<in6_pktinfo *>CMSG_DATA(item)).ipi6_addr, 16)
            return 16
        item = CMSG_NXTHDR(header, item)
    return 0


# Receiving.

cdef void forward_report(Lane *lane, Stream *stream, Packet *packet) noexcept nogil:
    """Pass a sender report on to all destinations that have an address."""
    cdef Route *route = stream.current
    cdef uint32_t each
    cdef int piece
    cdef Entry *entry
    if not is_source(route, packet):
        drop_of(lane, stream, WRONG_SOURCE if route.bound else UNBOUND)
        return
    if number(&packet.view, 1, 1) != SENDER_REPORT:
        drop_of(lane, stream, NOT_A_REPORT)
        return
    add(&stream.reports, 1)
    piece = add_piece(lane, &packet.view, False)
    for each in range(route.count):
        entry = &route.entries[each]
        if entry.upward:
            if lift(lane, stream, entry, &lane.pieces[piece]):
                drop_copies(lane, entry.target, CONGESTED, 1)
            else:
                count_sent(
                    lane, entry.target, 1, <uint32_t>packet.view.size, True
                )
        else:
            make_room(lane, entry)
            post(lane, stream, entry, piece, 1, <uint32_t>packet.view.size, 1)


cdef void forward_packet(Lane *lane, Stream *stream, Packet *packet) noexcept nogil:
    """As `Forwarder.receive`, for RTP of a known stream."""
    cdef Route *route = stream.current
    cdef View *view = &packet.view
    cdef int64_t length, index
    cdef int bits = -1
    cdef bint starts
    if not is_source(route, packet):
        drop_of(lane, stream, WRONG_SOURCE if route.bound else UNBOUND)
        return
    if number(view, 0, 1) != 0x80:
        length = header_length(view)
        if length >= 0 and stream.video:
            bits = marking(view, length)
        if length < 0 or bits == MALFORMED or view.size < <size_t>length + TAG:
            drop_of(lane, stream, MALFORMED_RTP)
            return
    starts = bits >= 0 and bits & 8
    index = locate(lane, stream, number(view, 2, 2))
    if index < 0:
        return
    if not allows(lane, stream, view.size, starts):
        drop_of(lane, stream, LIMITED)
        return
    store_double(&stream.last_seen, &lane.now, __ATOMIC_RELAXED)
    note_arrival(lane, stream, index, view.size, bits >= 0 and bits & 1)
    add(&stream.packets, 1)
    add(&stream.bytes, view.size)
    if lane.run_count and (
        not joins(lane, view.size) or (starts and (stream.held or stream.sparing))
    ):
        end_run(lane, stream)
    if lane.run_count == 0:
        begin_run(lane, stream)
    if starts:
        add(&stream.key_frames, (bits & 2) >> 1)
        if stream.held or stream.sparing:
            start_frame(stream, bits)
    if route.listeners == 0:
        return
    keep(stream, index, view, lane.now)
    if stream.skipping:
        count_skipped(lane, stream)
    if lane.run_count == 0:
        lane.run_start = lane.piece_count
        lane.run_bytes = 0
    add_piece(lane, view, starts)
    lane.run_count += 1
    lane.run_bytes += <uint32_t>view.size
    lane.run_ended = view.size < lane.pieces[lane.run_start].iov_len


cdef int classify(const View *view) noexcept nogil:
    """As `demux.classify`."""
    cdef int64_t first = number(view, 0, 1)
    cdef int64_t second
    if first < 0:
        return OTHER
    if first <= 3:
        return STUN
    if first <= 15:
        return CONTROL_KIND
    if 20 <= first <= 63:
        return DTLS
    if 128 <= first <= 191:
        second = number(view, 1, 1)
        if second < 0:
            return OTHER
        return RTCP if 192 <= second <= 223 else RTP
    return OTHER


cdef void put_aside(Lane *lane, int kind, Packet *packet) noexcept nogil:
    """Give a datagram to Python."""
    cdef Note *note
    cdef uint32_t size = <uint32_t>packet.view.size
    if lane.kinds[kind].capacity == 0 or packet.source == NULL:
        drop(lane, UNWANTED, 1)
        return
    note = <Note *>malloc(sizeof(Note) + size)
    if note != NULL:
        note.now = lane.now
        note.source = packet.source[0]
        if packet.header != NULL:
            packet.local_length = find_local(packet.header, packet.local)
        note.local_length = packet.local_length
        memcpy(note.local, packet.local, sizeof(note.local))
        note.size = size
        memcpy(note + 1, packet.view.data, size)
        if ring_push(&lane.kinds[kind], note):
            wake_python(lane.shared)
            return
        free(note)
    drop(lane, STUN_FULL + kind, 1)


cdef bint comes_from_source(Lane *lane, Stream *stream, Packet *packet) noexcept nogil:
    """Whether it may be the publisher's; asked before the stream's lock is taken,
    which strangers must not be able to hold."""
    cdef Route *route = <Route *>load_pointer(&stream.route, __ATOMIC_SEQ_CST)
    if is_source(route, packet):
        return True
    drop_of(lane, stream, WRONG_SOURCE if route.bound else UNBOUND)
    return False


cdef Stream *sort_out(Lane *lane, Table *table, Packet *packet) noexcept nogil:
    """The stream that a datagram is of; NULL: it has been seen to."""
    cdef View *view = &packet.view
    cdef int kind = classify(view)
    cdef Stream *stream
    packet.report = 0
    if kind == RTP:
        if view.size > LONGEST:
            drop(lane, OVERSIZED, 1)
            return NULL
        if view.size < SHORTEST_RTP:
            drop(lane, MALFORMED_RTP, 1)
            return NULL
        stream = find(table, <uint32_t>number(view, 8, 4))
        if stream == NULL:
            drop(lane, UNKNOWN_SSRC, 1)
        elif not comes_from_source(lane, stream, packet):
            return NULL
        return stream
    if kind == OTHER:
        drop(lane, NOISE if view.size > 1 else EMPTY, 1)
        return NULL
    if view.size > LONGEST:
        drop(lane, OVERSIZED, 1)
        return NULL
    if kind == RTCP:
        if view.size < SHORTEST_RTCP:
            drop(lane, MALFORMED_RTCP, 1)
            return NULL
        stream = find(table, <uint32_t>number(view, 4, 4))
        if stream != NULL:
            packet.report = 1
            return stream if comes_from_source(lane, stream, packet) else NULL
    put_aside(lane, kind, packet)
    return NULL


cdef Bucket *bucket_of(Lane *lane, Stream *stream) noexcept nogil:
    """The one of a stream in this batch; a new one has no packets."""
    cdef uint32_t at = (stream.ssrc * <uint32_t>2654435761) & (PLACES - 1)
    cdef Place *place = &lane.places[at]
    cdef Bucket *bucket
    while place.batch == lane.batch:
        bucket = &lane.buckets[place.bucket]
        if bucket.stream == stream:
            return bucket
        at = (at + 1) & (PLACES - 1)
        place = &lane.places[at]
    place.batch = lane.batch
    place.bucket = lane.bucket_count
    bucket = &lane.buckets[lane.bucket_count]
    bucket.stream = stream
    bucket.first = -1
    lane.bucket_count += 1
    return bucket


cdef void begin_batch(Lane *lane, double now) noexcept nogil:
    lane.now = now
    lane.piece_count = lane.run_count = lane.bucket_count = 0
    lane.batch += 1
    if lane.batch == 0:
        # Places of batches long ago would seem to be of the next ones.
        memset(lane.places, 0, sizeof(lane.places))
        lane.batch = 1


cdef void process(Lane *lane, int count, double now) noexcept nogil:
    """A batch: `count` packets are in the lane."""
    cdef Table *table = <Table *>load_pointer(&lane.shared.table, __ATOMIC_SEQ_CST)
    cdef int each, place
    cdef Packet *packet
    cdef Stream *stream
    cdef Bucket *bucket
    begin_batch(lane, now)
    for each in range(count):
        packet = &lane.packets[each]
        add(&lane.received, 1)
        add(&lane.received_bytes, packet.view.size)
        stream = sort_out(lane, table, packet)
        if stream == NULL:
            continue
        packet.next = -1
        bucket = bucket_of(lane, stream)
        if bucket.first < 0:
            bucket.first = each
        else:
            lane.packets[bucket.last].next = each
        bucket.last = each
    for place in range(lane.bucket_count):
        stream = lane.buckets[place].stream
        own(lane, stream)
        adopt(lane, stream)
        each = lane.buckets[place].first
        while each >= 0:
            packet = &lane.packets[each]
            if packet.report:
                end_run(lane, stream)
                forward_report(lane, stream, packet)
            else:
                forward_packet(lane, stream, packet)
            each = packet.next
        end_run(lane, stream)
    settle(lane)


cdef int receive(Lane *lane, Outbox *box, double now) noexcept nogil:
    """Read and process a batch; how many datagrams there were."""
    cdef int each, count
    cdef Packet *packet
    cdef msghdr *header
    for each in range(lane.inbox_used):
        header = &lane.inbox[each].msg_hdr
        header.msg_namelen = sizeof(sockaddr_in6)
        header.msg_controllen = CONTROL
    lane.inbox_used = 0
    count = recvmmsg(box.fd, lane.inbox, BATCH, MSG_DONTWAIT, NULL)
    if count < 0:
        if errno.errno not in (errno.EAGAIN, errno.EINTR):
            add(&lane.receive_errors, 1)
        return 0
    lane.inbox_used = count
    for each in range(count):
        packet = &lane.packets[each]
        packet.view.data = lane.buffers + each * BUFFER
        packet.view.size = lane.inbox[each].msg_len
        packet.source = &lane.sources[each]
        packet.header = NULL if box.local_length else &lane.inbox[each].msg_hdr
        packet.local_length = box.local_length
        memcpy(packet.local, box.local, sizeof(packet.local))
    process(lane, count, now)
    return count


cdef int retransmit(Lane *lane, Order *order) noexcept nogil:
    """As `Forwarder.retransmit`; how many packets were sent."""
    cdef Table *table = <Table *>load_pointer(&lane.shared.table, __ATOMIC_SEQ_CST)
    cdef Stream *stream = find(table, order.ssrc)
    cdef int sent = 0
    if stream == NULL:
        return 0
    lane.now = order.now
    own(lane, stream)
    adopt(lane, stream)
    sent = send_again(lane, stream, order)
    settle(lane)
    return sent


cdef int send_again(Lane *lane, Stream *stream, Order *order) noexcept nogil:
    cdef uint16_t *sequences = <uint16_t *>(order + 1)
    cdef Entry *entry = NULL
    cdef uint32_t each, age
    cdef int64_t index
    cdef Kept *kept
    cdef iovec piece
    cdef int error, sent = 0
    for each in range(stream.current.count):
        if stream.current.entries[each].leg == order.leg:
            entry = &stream.current.entries[each]
    if entry == NULL or state_of(entry.target) != FLOWING:
        return 0
    for each in range(order.count):
        index = extend(sequences[each], stream.highest)
        kept = NULL
        for age in range(stream.kept_count):
            kept = kept_at(stream, stream.kept_count - 1 - age)
            if kept.index == index:
                break
            kept = NULL
        if kept == NULL or kept.when < order.now - KEPT_SECONDS:
            continue
        piece.iov_base = stream.store + kept.offset
        piece.iov_len = kept.size
        if entry.upward:
            error = lift(lane, stream, entry, &piece)
        else:
            error = send_piece(lane, entry, &piece)
        if error:
            drop_copies(lane, entry.target, reason_of(error), 1)
            break
        sent += 1
        add(&lane.forwarded, 1)
        add(&lane.forwarded_bytes, kept.size)
    add(&entry.target.tally.retransmitted, sent)
    add(&lane.retransmitted, sent)
    return sent


# The thread.

cdef inline void quiet(Lane *lane) noexcept nogil:
    """No pointer is held here."""
    store_u64(
        &lane.seen,
        load_u64(&lane.shared.epoch, __ATOMIC_SEQ_CST),
        __ATOMIC_SEQ_CST,
    )


cdef double clock() noexcept nogil:
    """As ``time.monotonic``."""
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <double>now.tv_sec + <double>now.tv_nsec * 1e-9


cdef void follow_orders(Lane *lane) noexcept nogil:
    cdef Order *order
    while True:
        order = <Order *>ring_take(&lane.orders)
        if order == NULL:
            return
        retransmit(lane, order)
        free(order)
        quiet(lane)


cdef void run(Lane *lane, int epoll, int wake, long coalesce) noexcept nogil:
    """Forward until the lane is stopped."""
    cdef epoll_event[16] events
    cdef timespec pause
    cdef uint64_t counted
    cdef int ready, each, place
    cdef bint busy
    pause.tv_sec = 0
    pause.tv_nsec = coalesce * 1000
    while True:
        store_u64(&lane.seen, ASLEEP, __ATOMIC_SEQ_CST)
        ready = epoll_wait(epoll, events, 16, -1)
        quiet(lane)
        if load_int(&lane.stopping, __ATOMIC_SEQ_CST):
            break
        busy = False
        for each in range(ready):
            if events[each].data.fd == wake:
                read(wake, &counted, sizeof(counted))
                continue
            for place in range(lane.interfaces):
                if lane.outboxes[place].fd == events[each].data.fd:
                    receive(lane, lane.outboxes[place], clock())
                    quiet(lane)
                    busy = True
        follow_orders(lane)
        if busy and coalesce:
            store_u64(&lane.seen, ASLEEP, __ATOMIC_SEQ_CST)
            nanosleep(&pause, NULL)
    store_u64(&lane.seen, ASLEEP, __ATOMIC_SEQ_CST)


cdef int to_kernel(Lane *lane, int fd, mmsghdr *headers, int count) noexcept nogil:
    return sendmmsg(fd, headers, count, MSG_DONTWAIT)


cdef int to_python(Lane *lane, int fd, mmsghdr *headers, int count) noexcept nogil:
    """In the place of ``sendmmsg`` in tests."""
    cdef int sent = 0, error = 0
    with gil:
        try:
            network = <object>lane.network
            while sent < count and error == 0:
                error = network(*read_message(&headers[sent].msg_hdr))
                if error == 0:
                    sent += 1
        except BaseException as problem:
            # It has nowhere to go from here but into the test's eyes.
            network.problems.append(problem)
            error = errno.EIO
    if sent:
        return sent
    errno.errno = error
    return -1


cdef object read_message(msghdr *header):
    """Datagrams, address and our address of what would have been sent."""
    cdef cmsghdr *item = CMSG_FIRSTHDR(header)
    cdef uint16_t segment = 0
    cdef size_t each
    cdef in_pktinfo *info
    local = b""
    while item != NULL:
        if item.cmsg_level == SOL_UDP and item.cmsg_type == UDP_SEGMENT:
            memcpy(&segment, CMSG_DATA(item), sizeof(segment))
        elif item.cmsg_level == IPPROTO_IP:
            info = <in_pktinfo *>CMSG_DATA(item)
            local = (<char *>&info.ipi_spec_dst)[:4]
        else:
            local = (<char *>CMSG_DATA(item))[:16]
        item = CMSG_NXTHDR(header, item)
    data = b"".join([
        (<char *>header.msg_iov[each].iov_base)[: header.msg_iov[each].iov_len]
        for each in range(header.msg_iovlen)
    ])
    datagrams = [data]
    if segment:
        datagrams = [
            data[place : place + segment] for place in range(0, len(data), segment)
        ]
    return datagrams, address_of(<sockaddr_in6 *>header.msg_name), local


# What Python sees.

cdef object address_of(sockaddr_in6 *address):
    """As the socket module has it."""
    cdef sockaddr_in *four = <sockaddr_in *>address
    if four.sin_family == AF_INET:
        host = (<char *>&four.sin_addr)[:4]
        return socket.inet_ntop(AF_INET, host), ntohs(four.sin_port)
    host = (<char *>&address.sin6_addr)[:16]
    return (
        socket.inet_ntop(AF_INET6, host),
        ntohs(address.sin6_port),
        ntohl(address.sin6_flowinfo),
        address.sin6_scope_id,
    )


cdef socklen_t set_address(sockaddr_in6 *address, tuple given) except 0:
    """The reverse."""
    cdef sockaddr_in *four = <sockaddr_in *>address
    cdef bytes host
    cdef uint32_t flow
    memset(address, 0, sizeof(sockaddr_in6))
    if len(given) == 2:
        host = socket.inet_pton(AF_INET, given[0])
        four.sin_family = AF_INET
        four.sin_port = htons(given[1])
        memcpy(&four.sin_addr, <char *>host, 4)
        return sizeof(sockaddr_in)
    host = socket.inet_pton(AF_INET6, given[0].partition("%")[0])
    flow = given[2]
    address.sin6_family = AF_INET6
    address.sin6_port = htons(given[1])
    address.sin6_flowinfo = htonl(flow)
    address.sin6_scope_id = given[3]
    memcpy(&address.sin6_addr, <char *>host, 16)
    return sizeof(sockaddr_in6)


cdef void free_receiver(Receiver *receiver) noexcept nogil:
    cdef Target *target
    while receiver.former != NULL:
        target = receiver.former
        receiver.former = target.next
        free(target)
    free(receiver.target)
    free(receiver)


cdef Allowance *make_allowance() noexcept nogil:
    cdef Allowance *allowance = <Allowance *>calloc(1, sizeof(Allowance))
    if allowance != NULL:
        pthread_mutex_init(&allowance.lock, NULL)
        # Cut down to the limit when it is first asked.
        allowance.packets = allowance.bytes = NO_LIMIT
    return allowance


cdef void let_go(Allowance *allowance) noexcept nogil:
    """One stream fewer shares it."""
    allowance.streams -= 1
    if allowance.streams == 0:
        pthread_mutex_destroy(&allowance.lock)
        free(allowance)


cdef void free_stream(Stream *stream) noexcept nogil:
    cdef Receiver *receiver
    while stream.first_receiver != NULL:
        receiver = stream.first_receiver
        stream.first_receiver = receiver.after
        free_receiver(receiver)
    free(stream.route)
    free(stream.came)
    forget_packets(stream)
    let_go(stream.allowance)
    pthread_mutex_destroy(&stream.lock)
    free(stream)


cdef void add_tally(Tally *tally, Tally *more) noexcept nogil:
    cdef double last_sent
    cdef int reason
    # Before the time, which is there once there is a packet.
    tally.packets += peek(&more.packets)
    tally.bytes += peek(&more.bytes)
    load_double(&more.last_sent, &last_sent, __ATOMIC_RELAXED)
    if last_sent > tally.last_sent:
        tally.last_sent = last_sent
    tally.retransmitted += peek(&more.retransmitted)
    for reason in range(COPY_DROPS):
        tally.drops[reason] += peek(&more.drops[reason])


cdef dict name_drops(uint64_t *counts, int first, int number):
    """The reasons that occurred, with their counts.

    :param first: the reason that the first count is of.
    """
    cdef int each
    return {
        _DROPS[first + each]: counts[each] for each in range(number) if counts[each]
    }


@cython.final
cdef class _Destination:
    """Python's side of a receiver."""

    cdef Receiver *receiver
    cdef object path


@cython.final
cdef class _Publication:
    """Python's side of a stream."""

    cdef Stream *stream
    cdef object kind
    cdef object publisher
    cdef dict destinations


@cython.final
cdef class _Publisher:
    """What the open streams of one publisher share."""

    cdef Allowance *allowance
    cdef int streams


@cython.final
cdef class Forwarder:
    """As `routes.Forwarder`, with lanes in the place of ``receive``.

    :param locate: says of a path which interface it goes over, and which of our
        addresses must be named (b"": none).
    :param rings: the kinds of datagram that somebody will `take`, and how many
        may wait in each lane.
    :param limit: what each publisher may bring.
    :param lanes: how many there are.
    """

    cdef Shared shared
    cdef Lane **lanes
    cdef int lane_count
    cdef int turn
    cdef Retired *oldest
    cdef Retired *youngest
    cdef uint64_t orders_refused
    cdef object locate
    cdef dict publications
    cdef dict publishers
    cdef dict networks

    def __cinit__(self, locate, rings=RING_SIZES, limit=LIMIT, int lanes=1):
        cdef Table *table
        cdef int each
        self.locate = locate
        self.publications = {}
        self.publishers = {}
        self.networks = {}
        self.shared.wake_fd = -1
        self.shared.most_packets = limit.packets or NO_LIMIT
        self.shared.most_bytes = limit.bytes or NO_LIMIT
        table = make_table(64)
        self.lanes = <Lane **>calloc(lanes, sizeof(Lane *))
        if table == NULL or self.lanes == NULL:
            raise MemoryError
        self.shared.table = table
        for each in range(lanes):
            self._add_lane(rings)

    cdef int _add_lane(self, rings) except -1:
        cdef Lane *lane = <Lane *>calloc(1, sizeof(Lane))
        cdef int each
        cdef bint made
        if lane == NULL:
            raise MemoryError
        lane.shared = &self.shared
        lane.index = self.lane_count
        lane.seen = ASLEEP
        lane.send = to_kernel
        self.lanes[self.lane_count] = lane
        self.lane_count += 1
        lane.buffers = <uint8_t *>malloc(BATCH * BUFFER)
        made = lane.buffers != NULL
        for each in range(KINDS):
            if _KINDS[each] in rings:
                made = made and ring_make(&lane.kinds[each], rings[_KINDS[each]])
        made = made and ring_make(&lane.arrivals, ARRIVALS)
        made = made and ring_make(&lane.copies, COPIES)
        made = made and ring_make(&lane.orders, ORDERS)
        if not made:
            raise MemoryError
        for each in range(BATCH):
            lane.inbox_parts[each].iov_base = lane.buffers + each * BUFFER
            lane.inbox_parts[each].iov_len = BUFFER
            lane.inbox[each].msg_hdr.msg_iov = &lane.inbox_parts[each]
            lane.inbox[each].msg_hdr.msg_iovlen = 1
            lane.inbox[each].msg_hdr.msg_name = &lane.sources[each]
            lane.inbox[each].msg_hdr.msg_control = lane.inbox_control[each]
        lane.inbox_used = BATCH
        return 0

    def __dealloc__(self):
        cdef Table *table = <Table *>self.shared.table
        cdef uint32_t place
        cdef int each
        cdef Lane *lane
        self._free_retired(True)
        if table != NULL:
            for place in range(table.mask + 1):
                if table.slots[place] != NULL and table.slots[place] != REMOVED:
                    free_stream(<Stream *>table.slots[place])
            free_table(table)
        for each in range(self.lane_count):
            lane = self.lanes[each]
            for place in range(KINDS):
                ring_free(&lane.kinds[place])
            ring_free(&lane.arrivals)
            ring_free(&lane.copies)
            ring_free(&lane.orders)
            for place in range(INTERFACES):
                free(lane.outboxes[place])
            free(lane.buffers)
            free(lane)
        free(self.lanes)

    # Memory.

    cdef bint _is_quiet(self, uint64_t epoch) noexcept:
        """Whether no lane can know what was taken out at that age."""
        cdef int each
        for each in range(self.lane_count):
            if load_u64(&self.lanes[each].seen, __ATOMIC_SEQ_CST) < epoch:
                return False
        return True

    cdef uint64_t _next_epoch(self) noexcept:
        cdef uint64_t epoch = self.shared.epoch + 1
        store_u64(&self.shared.epoch, epoch, __ATOMIC_SEQ_CST)
        return epoch

    cdef int _retire(self, int kind, void *what) except -1:
        """Free something later; no pointer of the table leads there any more."""
        cdef Retired *retired = <Retired *>malloc(sizeof(Retired))
        if retired == NULL:
            raise MemoryError
        retired.epoch = self._next_epoch()
        retired.kind = kind
        retired.what = what
        retired.next = NULL
        if self.youngest == NULL:
            self.oldest = retired
        else:
            self.youngest.next = retired
        self.youngest = retired
        self._free_retired(False)
        return 0

    cdef void _free_retired(self, bint all) noexcept:
        cdef Retired *retired
        while self.oldest != NULL:
            retired = self.oldest
            if not all and not self._is_quiet(retired.epoch):
                return
            self.oldest = retired.next
            if self.oldest == NULL:
                self.youngest = NULL
            if retired.kind == A_TABLE:
                free_table(<Table *>retired.what)
            elif retired.kind == A_ROUTE:
                free(retired.what)
            elif retired.kind == A_RECEIVER:
                free_receiver(<Receiver *>retired.what)
            else:
                free_stream(<Stream *>retired.what)
            free(retired)

    cdef void _fold(self, Receiver *receiver) noexcept:
        """Free the former targets that no lane can know, keep their counts."""
        cdef Target **link = &receiver.former
        cdef Target *target
        while link[0] != NULL:
            target = link[0]
            if self._is_quiet(target.retired):
                add_tally(&receiver.past, &target.tally)
                link[0] = target.next
                free(target)
            else:
                link = &target.next

    # Routes.

    def open_stream(self, ssrc, kind, source=None, publisher=None):
        """See `routes.Forwarder.open_stream`."""
        cdef _Publication publication
        cdef _Publisher sharing
        cdef Stream *stream
        cdef Route *route
        cdef Allowance *allowance
        cdef sockaddr_in6 address
        cdef uint64_t *came
        cdef uint32_t number = ssrc, kept
        if ssrc in self.publications:
            raise LocalError(f"stream {ssrc:#010x} opened twice")
        memset(&address, 0, sizeof(address))
        if source is not None:
            set_address(&address, source)
        self._make_place()
        sharing = self.publishers.get(publisher)
        allowance = make_allowance() if sharing is None else sharing.allowance
        stream = <Stream *>calloc(1, sizeof(Stream))
        route = <Route *>calloc(1, sizeof(Route))
        kept = ARRIVALS_KEPT[kind]
        came = <uint64_t *>calloc(kept, sizeof(uint64_t))
        if stream == NULL or route == NULL or allowance == NULL or came == NULL:
            free(came)
            free(stream)
            free(route)
            if sharing is None:
                free(allowance)
            raise MemoryError
        pthread_mutex_init(&stream.lock, NULL)
        route.bound = source is not None
        route.source = address
        allowance.streams += 1
        stream.allowance = allowance
        stream.route = route
        stream.ssrc = number
        stream.video = kind is StreamKind.VIDEO
        stream.highest = -1
        stream.came = came
        stream.came_mask = kept - 1
        if publisher is not None:
            if sharing is None:
                sharing = _Publisher.__new__(_Publisher)
                sharing.allowance = allowance
                self.publishers[publisher] = sharing
            sharing.streams += 1
        publication = _Publication.__new__(_Publication)
        publication.stream = stream
        publication.kind = kind
        publication.publisher = publisher
        publication.destinations = {}
        self.publications[ssrc] = publication
        insert(<Table *>self.shared.table, stream)

    cdef int _make_place(self) except -1:
        """Replace the table when it is half full."""
        cdef Table *table = <Table *>self.shared.table
        cdef Table *wider
        cdef uint32_t size = 64, place
        if 2 * (table.used + 1) <= table.mask + 1:
            return 0
        while size < 4 * (len(self.publications) + 1):
            size *= 2
        wider = make_table(size)
        if wider == NULL:
            raise MemoryError
        for place in range(table.mask + 1):
            if table.slots[place] != NULL and table.slots[place] != REMOVED:
                insert(wider, <Stream *>table.slots[place])
        store_pointer(&self.shared.table, wider, __ATOMIC_SEQ_CST)
        self._retire(A_TABLE, table)
        return 0

    def move_source(self, ssrc, source):
        """See `routes.Forwarder.move_source`."""
        cdef _Publication publication = self._publication(ssrc)
        cdef Route *route
        cdef sockaddr_in6 address
        memset(&address, 0, sizeof(address))
        if source is not None:
            set_address(&address, source)
        route = self._copy_route(publication.stream, 0)
        route.bound = source is not None
        route.source = address
        self._publish(publication.stream, route)

    def close_stream(self, ssrc):
        """See `routes.Forwarder.close_stream`."""
        cdef _Publication publication = self.publications.pop(ssrc, None)
        cdef _Publisher sharing
        if publication is None:
            return
        if publication.publisher is not None:
            sharing = self.publishers[publication.publisher]
            sharing.streams -= 1
            if sharing.streams == 0:
                # Who publishes again begins anew.  The old one is freed with
                # the last stream that had it.
                del self.publishers[publication.publisher]
        take_out(<Table *>self.shared.table, publication.stream)
        self._retire(A_STREAM, publication.stream)

    def add_destination(self, ssrc, leg, path, gated):
        """See `routes.Forwarder.add_destination`."""
        cdef _Publication publication = self._publication(ssrc)
        cdef Stream *stream = publication.stream
        cdef Receiver *receiver
        cdef Route *route
        cdef _Destination destination
        cdef int64_t number = leg
        if leg not in publication.destinations:
            receiver = <Receiver *>calloc(1, sizeof(Receiver))
            if receiver == NULL:
                raise MemoryError
            receiver.leg = number
            receiver.gated = gated
            receiver.before = stream.last_receiver
            if stream.last_receiver == NULL:
                stream.first_receiver = receiver
            else:
                stream.last_receiver.after = receiver
            stream.last_receiver = receiver
            destination = _Destination.__new__(_Destination)
            destination.receiver = receiver
            destination.path = None
            publication.destinations[leg] = destination
            if path is None:
                route = self._copy_route(stream, 0)
                route.listeners = <uint32_t>len(publication.destinations)
                self._publish(stream, route)
                return
        self._move(publication, publication.destinations[leg], path)

    def move_destination(self, ssrc, leg, path):
        """See `routes.Forwarder.move_destination`."""
        cdef _Publication publication = self._publication(ssrc)
        destination = publication.destinations.get(leg)
        if destination is None:
            raise LocalError(f"leg {leg} does not receive stream {ssrc:#010x}")
        self._move(publication, destination, path)

    cdef int _move(
        self, _Publication publication, _Destination destination, path
    ) except -1:
        cdef Receiver *receiver = destination.receiver
        cdef Stream *stream = publication.stream
        cdef Target *target = receiver.target
        cdef Route *route
        cdef Entry entry
        if path == destination.path:
            return 0
        if path is None:
            self._remove_target(publication, destination)
            destination.path = None
            return 0
        memset(&entry, 0, sizeof(entry))
        self._fill(&entry, path)
        entry.leg = receiver.leg
        route = self._copy_route(stream, 1)
        if target == NULL:
            target = <Target *>calloc(1, sizeof(Target))
            if target == NULL:
                free(route)
                raise MemoryError
            target.state = GATED if receiver.gated else FLOWING
            target.sparing = receiver.sparing
            receiver.target = target
            entry.target = target
            route.entries[route.count] = entry
            route.count += 1
        else:
            entry.target = target
            self._entry(route, target)[0] = entry
            # The new way may take runs though the old one did not.
            store_int(&target.plain, 0, __ATOMIC_RELAXED)
        route.listeners = <uint32_t>len(publication.destinations)
        destination.path = path
        self._publish(stream, route)
        return 0

    cdef int _fill(self, Entry *entry, path) except -1:
        """Where a path leads, and how."""
        cdef bytes local
        if path == UPWARD:
            entry.upward = 1
            return 0
        interface, local = self.locate(path)
        entry.interface = interface
        entry.length = set_address(&entry.address, path.remote)
        entry.pinned = <uint8_t>len(local)
        if entry.pinned not in (0, 4, 16):
            raise LocalError(f"no address of ours: {local!r}")
        memcpy(entry.local, <char *>local, entry.pinned)
        return 0

    cdef Entry *_entry(self, Route *route, Target *target) noexcept:
        cdef uint32_t each = 0
        while route.entries[each].target != target:
            each += 1
        return &route.entries[each]

    def spare_destination(self, ssrc, leg, sparing):
        """See `routes.Forwarder.spare_destination`."""
        cdef _Publication publication = self._publication(ssrc)
        cdef _Destination destination = publication.destinations.get(leg)
        cdef Receiver *receiver
        if destination is None:
            raise LocalError(f"leg {leg} does not receive stream {ssrc:#010x}")
        receiver = destination.receiver
        receiver.sparing = bool(sparing)
        if receiver.target != NULL:
            store_int(&receiver.target.sparing, receiver.sparing, __ATOMIC_RELAXED)
            # The lane counts anew with the next route.
            self._publish(
                publication.stream, self._copy_route(publication.stream, 0)
            )

    def remove_destination(self, ssrc, leg):
        """See `routes.Forwarder.remove_destination`."""
        cdef _Publication publication = self.publications.get(ssrc)
        cdef _Destination destination
        cdef Receiver *receiver
        cdef Stream *stream
        if publication is None:
            return
        destination = publication.destinations.pop(leg, None)
        if destination is None:
            return
        stream = publication.stream
        receiver = destination.receiver
        if not publication.destinations:
            stream.cache_versions += 1
        self._remove_target(publication, destination)
        if receiver.before == NULL:
            stream.first_receiver = receiver.after
        else:
            receiver.before.after = receiver.after
        if receiver.after == NULL:
            stream.last_receiver = receiver.before
        else:
            receiver.after.before = receiver.before
        self._retire(A_RECEIVER, receiver)

    cdef int _remove_target(
        self, _Publication publication, _Destination destination
    ) except -1:
        """Send it nothing more; its counts stay with the receiver."""
        cdef Stream *stream = publication.stream
        cdef Receiver *receiver = destination.receiver
        cdef Target *target = receiver.target
        cdef Route *route = self._copy_route(stream, 0)
        cdef Entry *entry
        route.listeners = <uint32_t>len(publication.destinations)
        if target != NULL:
            entry = self._entry(route, target)
            route.count -= 1
            memmove(
                entry,
                entry + 1,
                (route.count - (entry - route.entries)) * sizeof(Entry),
            )
        self._publish(stream, route)
        if target != NULL:
            receiver.target = NULL
            target.retired = self.shared.epoch
            target.next = receiver.former
            receiver.former = target
            self._fold(receiver)
        return 0

    cdef Route *_copy_route(self, Stream *stream, uint32_t more) except NULL:
        """The present route, to be altered, with room for that many more."""
        cdef Route *old = <Route *>stream.route
        cdef size_t size = sizeof(Route) + (old.count + more) * sizeof(Entry)
        cdef Route *route = <Route *>malloc(size)
        if route == NULL:
            raise MemoryError
        route[0] = old[0]
        route.entries = <Entry *>(route + 1)
        if old.count:
            memcpy(route.entries, old.entries, old.count * sizeof(Entry))
        return route

    cdef int _publish(self, Stream *stream, Route *route) except -1:
        cdef Route *old = <Route *>stream.route
        stream.versions += 1
        route.version = stream.versions
        route.cache_version = stream.cache_versions
        store_pointer(&stream.route, route, __ATOMIC_SEQ_CST)
        self._retire(A_ROUTE, old)
        return 0

    cdef _Publication _publication(self, ssrc):
        publication = self.publications.get(ssrc)
        if publication is None:
            raise LocalError(f"no stream {ssrc:#010x}")
        return publication

    # Datagrams.

    cdef int _take_turns(self) noexcept:
        """The lane to begin with: each in turn, so that a flood of one keeps no
        other waiting."""
        self.turn = (self.turn + 1) % self.lane_count
        return self.turn

    def take(self, kind, Py_ssize_t most):
        """See `routes.Forwarder.take`."""
        cdef int place = _KINDS.index(kind)
        cdef int each
        cdef Lane *lane
        cdef Note *note
        taken = []
        cdef int first = self._take_turns()
        for each in range(self.lane_count):
            lane = self.lanes[(first + each) % self.lane_count]
            if lane.kinds[place].capacity == 0:
                raise KeyError(kind)
            while len(taken) < most:
                note = <Note *>ring_take(&lane.kinds[place])
                if note == NULL:
                    break
                taken.append(Datagram(
                    PyBytes_FromStringAndSize(<char *>(note + 1), note.size),
                    Path(
                        address_of(&note.source),
                        PyBytes_FromStringAndSize(
                            <char *>note.local, note.local_length
                        ),
                    ),
                    note.now,
                ))
                free(note)
        return taken

    def take_arrivals(self, Py_ssize_t most):
        """See `routes.Forwarder.take_arrivals`."""
        cdef int each
        cdef Lane *lane
        cdef Note *note
        taken = []
        cdef int first = self._take_turns()
        for each in range(self.lane_count):
            lane = self.lanes[(first + each) % self.lane_count]
            while len(taken) < most:
                note = <Note *>ring_take(&lane.arrivals)
                if note == NULL:
                    break
                if note.number == MISSING:
                    taken.append(Missing(note.ssrc, note.leg, note.size, note.now))
                else:
                    taken.append(Filled(note.ssrc, note.leg, note.now))
                free(note)
        return taken

    def take_copies(self, Py_ssize_t most):
        """See `routes.Forwarder.take_copies`."""
        cdef int each
        cdef Lane *lane
        cdef Note *note
        taken = []
        cdef int first = self._take_turns()
        for each in range(self.lane_count):
            lane = self.lanes[(first + each) % self.lane_count]
            while len(taken) < most:
                note = <Note *>ring_take(&lane.copies)
                if note == NULL:
                    break
                taken.append(Copy(
                    note.ssrc,
                    note.leg,
                    PyBytes_FromStringAndSize(<char *>(note + 1), note.size),
                    note.now,
                ))
                free(note)
        return taken

    def waiting(self):
        """See `routes.Forwarder.waiting`."""
        cdef int each, kind
        cdef Lane *lane
        self._free_retired(False)
        for each in range(self.lane_count):
            lane = self.lanes[each]
            if ring_waiting(&lane.arrivals):
                return True
            for kind in range(KINDS):
                if lane.kinds[kind].capacity and ring_waiting(&lane.kinds[kind]):
                    return True
        return False

    def retransmit(self, ssrc, leg, sequences, double now):
        """See `routes.Forwarder.retransmit`; a thread that runs does it later."""
        cdef _Publication publication = self.publications.get(ssrc)
        cdef size_t count = len(sequences)
        cdef Order *order
        cdef uint16_t *numbers
        cdef Lane *lane
        cdef size_t each
        cdef int sent
        cdef int number
        if publication is None or leg not in publication.destinations:
            return 0
        order = <Order *>malloc(sizeof(Order) + count * sizeof(uint16_t))
        if order == NULL:
            raise MemoryError
        order.ssrc = ssrc
        order.leg = leg
        order.count = <uint32_t>count
        order.now = now
        numbers = <uint16_t *>(order + 1)
        try:
            for each in range(count):
                number = sequences[each]
                numbers[each] = <uint16_t>number
        except BaseException:
            free(order)
            raise
        lane = self.lanes[load_int(&publication.stream.lane, __ATOMIC_RELAXED)]
        if not lane.running:
            sent = retransmit(lane, order)
            free(order)
            return sent
        if not ring_push(&lane.orders, order):
            free(order)
            self.orders_refused += count
            return 0
        return count

    # What signalling and feedback ask.

    def position(self, ssrc):
        """See `routes.Forwarder.position`."""
        cdef _Publication publication = self._publication(ssrc)
        cdef int64_t highest = load_i64(&publication.stream.highest, __ATOMIC_RELAXED)
        if highest < 0:
            highest = 0
        return highest >> 16, highest & 0xFFFF

    def gated(self, ssrc):
        """See `routes.Forwarder.gated`."""
        cdef _Publication publication = self.publications.get(ssrc)
        cdef Route *route
        cdef uint32_t each, gated = 0
        if publication is None:
            return 0
        route = <Route *>publication.stream.route
        for each in range(route.count):
            gated += state_of(route.entries[each].target) == GATED
        return gated

    def is_gated(self, ssrc, leg):
        """See `routes.Forwarder.is_gated`."""
        cdef _Publication publication = self.publications.get(ssrc)
        cdef _Destination destination
        if publication is None:
            return False
        destination = publication.destinations.get(leg)
        if destination is None or destination.receiver.target == NULL:
            return False
        return state_of(destination.receiver.target) == GATED

    def arrivals(self, ssrc, start, double now, end=None):
        """See `routes.Forwarder.arrivals`."""
        cdef _Publication publication = self.publications.get(ssrc)
        cdef Stream *stream
        cdef int64_t highest, index, elapsed, after, first = start
        cdef uint64_t word, present = <uint64_t>(now * TICKS) & TICKS_MASK
        if publication is None:
            return []
        stream = publication.stream
        highest = load_i64(&stream.highest, __ATOMIC_RELAXED)
        if first < highest - stream.came_mask:
            first = highest - stream.came_mask
        after = highest + 1
        if end is not None and end < after:
            after = end
        came = []
        for index in range(first if first > 0 else 0, after):
            word = load_u64(&stream.came[index & stream.came_mask], __ATOMIC_RELAXED)
            if word == 0 or (word & 0xFFFF) != <uint64_t>(index & 0xFFFF):
                continue
            # The shorter way round: it may have come after `now` was read.
            elapsed = <int64_t>((present - (word >> 29)) & TICKS_MASK)
            if elapsed > <int64_t>TICKS_MASK >> 1:
                elapsed -= <int64_t>TICKS_MASK + 1
            came.append(PacketArrival(
                index,
                now - elapsed / <double>TICKS,
                (word >> 16) & 0x7FF,
                bool((word >> 27) & 1),
                bool((word >> 28) & 1),
            ))
        return came

    def key_frames(self, ssrc):
        """See `routes.Forwarder.key_frames`."""
        cdef _Publication publication = self.publications.get(ssrc)
        return peek(&publication.stream.key_frames) if publication is not None else 0

    def counters(self):
        """See `routes.Forwarder.counters`; each count is right, and they are
        read one after the other while the threads go on."""
        cdef uint64_t[6] sums
        cdef uint64_t[DROPS] drops
        cdef int each, reason
        cdef Lane *lane
        memset(sums, 0, sizeof(sums))
        memset(drops, 0, sizeof(drops))
        drops[RETRANSMIT_FULL] = self.orders_refused
        for each in range(self.lane_count):
            lane = self.lanes[each]
            sums[0] += peek(&lane.received)
            sums[1] += peek(&lane.received_bytes)
            sums[2] += peek(&lane.forwarded)
            sums[3] += peek(&lane.forwarded_bytes)
            sums[4] += peek(&lane.retransmitted)
            sums[5] += peek(&lane.unsegmented)
            for reason in range(DROPS):
                drops[reason] += peek(&lane.drops[reason])
        return ForwarderCounters(
            sums[0],
            sums[1],
            sums[2],
            sums[3],
            sums[4],
            sums[5],
            name_drops(drops, 0, len(_DROPS)),
            tuple([
                self._stream_counters(publication)
                for publication in self.publications.values()
            ]),
        )

    cdef object _stream_counters(self, _Publication publication):
        cdef Stream *stream = publication.stream
        cdef uint64_t packets = peek(&stream.packets)
        cdef uint64_t[STREAM_DROPS] drops
        cdef double last_seen
        cdef int reason
        for reason in range(STREAM_DROPS):
            drops[reason] = peek(&stream.drops[reason])
        load_double(&stream.last_seen, &last_seen, __ATOMIC_RELAXED)
        return StreamCounters(
            ssrc=stream.ssrc,
            kind=publication.kind,
            packets=packets,
            bytes=peek(&stream.bytes),
            missing=load_i64(&stream.missing, __ATOMIC_RELAXED),
            drops=name_drops(drops, MALFORMED_RTP, STREAM_DROPS),
            key_frames=peek(&stream.key_frames),
            reports=peek(&stream.reports),
            last_seen=last_seen if packets else None,
            destinations=tuple([
                self._destination_counters(destination)
                for destination in publication.destinations.values()
            ]),
        )

    cdef object _destination_counters(self, _Destination destination):
        cdef Receiver *receiver = destination.receiver
        cdef Target *target = receiver.former
        cdef Tally tally
        self._fold(receiver)
        tally = receiver.past
        target = receiver.former
        while target != NULL:
            add_tally(&tally, &target.tally)
            target = target.next
        target = receiver.target
        if target != NULL:
            add_tally(&tally, &target.tally)
        return DestinationCounters(
            leg=receiver.leg,
            packets=tally.packets,
            bytes=tally.bytes,
            last_sent=tally.last_sent if tally.packets else None,
            retransmitted=tally.retransmitted,
            drops=name_drops(tally.drops, CONGESTED, COPY_DROPS),
            gated=target != NULL and state_of(target) == GATED,
            bound=target != NULL,
        )

    def receive_errors(self):
        """Receives that failed."""
        cdef int each
        cdef uint64_t errors = 0
        for each in range(self.lane_count):
            errors += peek(&self.lanes[each].receive_errors)
        return errors

    # Lanes.

    def signal(self, int wake_fd):
        """Write to this eventfd when something is there to be taken; -1: none."""
        self.shared.wake_fd = wake_fd
        store_u64(&self.shared.signalled, 0, __ATOMIC_SEQ_CST)

    def heard(self):
        """Python is going to look: what comes from now on signals again."""
        store_u64(&self.shared.signalled, 0, __ATOMIC_SEQ_CST)

    def attach(self, int index, sockets):
        """Give a lane its sockets; it may not run.

        :param sockets: of each interface (file descriptor, its only address as
            bytes or b"").
        """
        cdef Lane *lane = self._lane(index)
        cdef bytes local
        cdef Outbox *box
        if lane.running or len(sockets) > INTERFACES:
            raise LocalError("lane cannot have these sockets")
        lane.interfaces = 0
        for fd, local in sockets:
            box = lane.outboxes[lane.interfaces]
            if box == NULL:
                box = <Outbox *>calloc(1, sizeof(Outbox))
                if box == NULL:
                    raise MemoryError
                lane.outboxes[lane.interfaces] = box
            box.fd = fd
            box.local_length = <uint32_t>len(local)
            if box.local_length not in (0, 4, 16):
                raise LocalError(f"no address of ours: {local!r}")
            memcpy(box.local, <char *>local, box.local_length)
            lane.interfaces += 1

    def detach(self):
        """The sockets are closed: what still wants to send finds none, and not
        whatever got their numbers."""
        cdef int each, place
        for each in range(self.lane_count):
            for place in range(self.lanes[each].interfaces):
                self.lanes[each].outboxes[place].fd = -1

    def start(self, int index):
        """A thread is going to `run` this lane."""
        cdef Lane *lane = self._lane(index)
        lane.running = 1
        store_int(&lane.stopping, 0, __ATOMIC_SEQ_CST)

    def run(self, int index, int epoll_fd, int wake_fd, long coalesce):
        """Forward, without the GIL, until `stop`.

        :param epoll_fd: watches the lane's sockets and ``wake_fd``.
        :param wake_fd: an eventfd, written to after `stop` and `retransmit`.
        :param coalesce: microseconds to wait for more before each batch.
        """
        cdef Lane *lane = self._lane(index)
        with nogil:
            run(lane, epoll_fd, wake_fd, coalesce)

    def stop(self, int index):
        """Make `run` return, once it is woken."""
        store_int(&self._lane(index).stopping, 1, __ATOMIC_SEQ_CST)

    def stopped(self, int index):
        """The thread has ended."""
        cdef Lane *lane = self._lane(index)
        lane.running = 0
        ring_clear(&lane.orders)

    def ordered(self):
        """The lanes that have something to do besides their sockets."""
        cdef int each
        return [
            each
            for each in range(self.lane_count)
            if ring_waiting(&self.lanes[each].orders)
        ]

    def read(self, int index, int interface, double now):
        """Read one batch in the calling thread; how many datagrams there were."""
        cdef Lane *lane = self._lane(index)
        if lane.running or not 0 <= interface < lane.interfaces:
            raise LocalError("lane cannot be read")
        return receive(lane, lane.outboxes[interface], now)

    def admit(self, bytes data, double now):
        """See `routes.Forwarder.admit`; done here and now, in the last lane."""
        cdef Lane *lane = self._lane(self.lane_count - 1)
        cdef Packet *packet = &lane.packets[0]
        if lane.running:
            raise LocalError("the last lane is not Python's own")
        memset(packet, 0, sizeof(Packet))
        packet.view.data = <const uint8_t *><char *>data
        packet.view.size = len(data)
        with nogil:
            process(lane, 1, now)

    def inject(self, int index, datagrams, double now):
        """Let a batch arrive that no socket brought.

        :param datagrams: of each its bytes, source and our address.
        """
        cdef Lane *lane = self._lane(index)
        cdef int count = 0
        cdef Packet *packet
        cdef bytes data, local
        cdef uint8_t *copy
        if lane.running or len(datagrams) > BATCH:
            raise LocalError("lane cannot take these datagrams")
        try:
            for data, source, local in datagrams:
                packet = &lane.packets[count]
                memset(packet, 0, sizeof(Packet))
                set_address(&lane.sources[count], source)
                packet.source = &lane.sources[count]
                if len(local) not in (0, 4, 16):
                    raise ValueError(f"no address of ours: {local!r}")
                packet.local_length = <uint32_t>len(local)
                memcpy(packet.local, <char *>local, len(local))
                # Of the very size, so that a byte too far is noticed.
                packet.view.size = len(data)
                copy = <uint8_t *>malloc(len(data) or 1)
                if copy == NULL:
                    raise MemoryError
                memcpy(copy, <char *>data, len(data))
                packet.view.data = copy
                count += 1
            with nogil:
                process(lane, count, now)
        finally:
            while count:
                count -= 1
                free(<void *>lane.packets[count].view.data)

    def connect(self, int index, network):
        """Send what a lane sends to a callable instead of the kernel.

        :param network: called with the datagrams of one send, the address and
            our address; returns an error number, 0 for none.  What goes wrong
            in it is put into its ``problems``.
        """
        cdef Lane *lane = self._lane(index)
        self.networks[index] = network
        lane.network = <void *>network
        lane.send = to_python

    cdef Lane *_lane(self, int index) except NULL:
        if not 0 <= index < self.lane_count:
            raise LocalError(f"no lane {index}")
        return self.lanes[index]


def short_slice(int nanoseconds):
    """Ask for a short scheduler slice for the calling thread (Linux 6.12).

    :return: whether the kernel has granted it.
    """
    cdef uint8_t[48] attributes
    cdef uint64_t *runtime = <uint64_t *>(<uint8_t *>attributes + 24)
    memset(attributes, 0, sizeof(attributes))
    # struct sched_attr: size, policy, flags, nice, priority, runtime, ...
    if syscall(SYS_sched_getattr, 0, <uint8_t *>attributes, <int>sizeof(attributes), 0):
        return False
    runtime[0] = nanoseconds
    if syscall(SYS_sched_setattr, 0, <uint8_t *>attributes, 0):
        return False
    memset(attributes, 0, sizeof(attributes))
    if syscall(SYS_sched_getattr, 0, <uint8_t *>attributes, <int>sizeof(attributes), 0):
        return False
    return runtime[0] == <uint64_t>nanoseconds
