"""What leaves: runs of packets, gathered for each interface and sent.

A message is a run of a stream's packets for one destination.  What the kernel
refuses is seen to message by message (`refused`), so that counts and gates are
those of packets that were sent one by one.
"""

from libc cimport errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from anychat.media._linux cimport *
from anychat.media._packet cimport View
from anychat.media._relay cimport *
from anychat.media._ring cimport *
from anychat.media._stream cimport *


cdef inline size_t name_source(uint8_t *control, Entry *entry) noexcept nogil:
    """Put our address beside a datagram; returns the bytes taken."""
    cdef cmsghdr *item = <cmsghdr *>control
    cdef in_pktinfo *info
    if entry.pinned == 4:
        memset(control, 0, CMSG_SPACE(sizeof(in_pktinfo)))
        item.cmsg_level = IPPROTO_IP
        item.cmsg_type = IP_PKTINFO
        item.cmsg_len = CMSG_LEN(sizeof(in_pktinfo))
        info = <in_pktinfo *>CMSG_DATA(item)
        memcpy(&info.ipi_spec_dst, entry.local, 4)
        return CMSG_SPACE(sizeof(in_pktinfo))
    memset(control, 0, CMSG_SPACE(sizeof(in6_pktinfo)))
    item.cmsg_level = IPPROTO_IPV6
    item.cmsg_type = IPV6_PKTINFO
    item.cmsg_len = CMSG_LEN(sizeof(in6_pktinfo))
    memcpy(&(<in6_pktinfo *>CMSG_DATA(item)).ipi6_addr, entry.local, 16)
    return CMSG_SPACE(sizeof(in6_pktinfo))


cdef inline size_t name_segments(uint8_t *control, size_t size) noexcept nogil:
    """Say how long the datagrams are into which one send is cut."""
    cdef cmsghdr *item = <cmsghdr *>control
    cdef uint16_t length = <uint16_t>size
    memset(control, 0, CMSG_SPACE(sizeof(uint16_t)))
    item.cmsg_level = SOL_UDP
    item.cmsg_type = UDP_SEGMENT
    item.cmsg_len = CMSG_LEN(sizeof(uint16_t))
    memcpy(CMSG_DATA(item), &length, sizeof(length))
    return CMSG_SPACE(sizeof(uint16_t))


cdef inline void fit(Lane *lane, Outbox *box, int place) noexcept nogil:
    """Make the header of a message."""
    cdef Message *message = &box.messages[place]
    cdef msghdr *header = &box.headers[place].msg_hdr
    cdef Entry *entry = message.entry
    cdef uint8_t *control
    header.msg_name = &entry.address
    header.msg_namelen = entry.length
    header.msg_iov = &lane.pieces[message.start]
    header.msg_iovlen = message.count
    header.msg_flags = 0
    if entry.pinned:
        control = box.control[message.slot]
        header.msg_control = control
        header.msg_controllen = name_source(control, entry)
        if message.count > 1:
            header.msg_controllen += name_segments(
                control + header.msg_controllen, lane.pieces[message.start].iov_len
            )
    elif message.count > 1:
        # The same for all destinations of the run.
        header.msg_control = lane.segments[message.start]
        header.msg_controllen = name_segments(
            lane.segments[message.start], lane.pieces[message.start].iov_len
        )
    else:
        header.msg_control = NULL
        header.msg_controllen = 0


cdef inline void strip(
    Lane *lane, Outbox *box, int place, Stream *stream, Target *target
) noexcept nogil:
    """A target has begun to skip: take what it does not want any more out of
    the messages from that place on."""
    cdef int each, end = place
    cdef Message *message
    cdef int start
    for each in range(place, box.count):
        message = &box.messages[each]
        if message.entry.target == target and not message.report:
            start = message.start
            while message.count and not wanted(lane, stream, target, message.start):
                message.bytes -= <uint32_t>lane.pieces[message.start].iov_len
                message.start += 1
                message.count -= 1
            if message.count == 0:
                continue
            if message.start != start:
                fit(lane, box, each)
        if end != each:
            box.messages[end] = box.messages[each]
            box.headers[end] = box.headers[each]
        end += 1
    box.count = end


cdef inline int send_piece(Lane *lane, Entry *entry, iovec *piece) noexcept nogil:
    """Send one datagram now; returns the error, 0 for none."""
    cdef mmsghdr header
    cdef uint8_t[CONTROL] control
    memset(&header, 0, sizeof(header))
    header.msg_hdr.msg_name = &entry.address
    header.msg_hdr.msg_namelen = entry.length
    header.msg_hdr.msg_iov = piece
    header.msg_hdr.msg_iovlen = 1
    if entry.pinned:
        header.msg_hdr.msg_control = control
        header.msg_hdr.msg_controllen = name_source(control, entry)
    while lane.send(lane, lane.outboxes[entry.interface].fd, &header, 1) != 1:
        if errno.errno != errno.EINTR:
            return errno.errno
    return 0


cdef inline int refused(Lane *lane, Outbox *box, int place, int error) noexcept nogil:
    """The kernel does not take a message; returns the place to go on at."""
    cdef Message *message = &box.messages[place]
    cdef Stream *stream = message.stream
    cdef Target *target = message.entry.target
    cdef int piece
    if message.report:
        drop_copies(lane, target, reason_of(error), 1)
        return place + 1
    if message.count > 1 and error in (errno.EIO, errno.EINVAL, errno.EMSGSIZE):
        # Not in one piece, then: no such kernel, device or path.
        store_int(&target.plain, 1, __ATOMIC_RELAXED)
        store_int(&lane.shared.refused, 1, __ATOMIC_RELAXED)
        add(&lane.unsegmented, 1)
        for piece in range(message.start, message.start + message.count):
            if wanted(lane, stream, target, piece):
                error = send_piece(lane, message.entry, &lane.pieces[piece])
                if error:
                    count_failed(lane, stream, target, error, 1)
                else:
                    count_sent(
                        lane, target, 1, <uint32_t>lane.pieces[piece].iov_len, False
                    )
        if state_of(target) == SKIPPING:
            strip(lane, box, place + 1, stream, target)
        return place + 1
    if error == errno.EAGAIN and stream.video:
        count_failed(lane, stream, target, error, 1)
        message.bytes -= <uint32_t>lane.pieces[message.start].iov_len
        message.start += 1
        message.count -= 1
        if message.count:
            fit(lane, box, place)
        strip(lane, box, place, stream, target)
        return place
    count_failed(lane, stream, target, error, message.count)
    return place + 1


cdef inline void flush(Lane *lane, Outbox *box) noexcept nogil:
    """Send what is in an outbox."""
    cdef int place = 0, sent, each
    cdef Message *message
    while place < box.count:
        sent = lane.send(lane, box.fd, &box.headers[place], box.count - place)
        if sent > 0:
            for each in range(place, place + sent):
                message = &box.messages[each]
                count_sent(
                    lane,
                    message.entry.target,
                    message.count,
                    message.bytes,
                    message.report,
                )
            place += sent
        elif sent == 0 or errno.errno != errno.EINTR:
            place = refused(lane, box, place, errno.errno if sent else errno.EIO)
    box.count = 0


cdef inline void settle(Lane *lane) noexcept nogil:
    """Send everything, and let go of the streams."""
    cdef int each
    for each in range(lane.interfaces):
        if lane.outboxes[each].count:
            flush(lane, lane.outboxes[each])
    for each in range(lane.locked_count):
        pthread_mutex_unlock(&lane.locked[each].lock)
    lane.locked_count = 0


cdef inline void own(Lane *lane, Stream *stream) noexcept nogil:
    """Take a stream's lock, holding no other where that means to wait."""
    if pthread_mutex_trylock(&stream.lock) != 0:
        settle(lane)
        pthread_mutex_lock(&stream.lock)
    lane.locked[lane.locked_count] = stream
    lane.locked_count += 1


cdef inline void post(
    Lane *lane, Stream *stream, Entry *entry, int start, int count, uint32_t size, int report
) noexcept nogil:
    """Put a message into its outbox, which has room."""
    cdef Outbox *box = lane.outboxes[entry.interface]
    cdef Message *message = &box.messages[box.count]
    message.stream = stream
    message.entry = entry
    message.start = start
    message.count = count
    message.bytes = size
    message.report = report
    message.slot = box.count
    fit(lane, box, box.count)
    box.count += 1


cdef inline void make_room(Lane *lane, Entry *entry) noexcept nogil:
    if lane.outboxes[entry.interface].count == OUTBOX:
        flush(lane, lane.outboxes[entry.interface])


cdef inline int lift(Lane *lane, Stream *stream, Entry *entry, iovec *piece) noexcept nogil:
    """Put a copy into the ring of media; an error when that is full."""
    cdef uint32_t size = <uint32_t>piece.iov_len
    cdef Note *note = <Note *>malloc(sizeof(Note) + size)
    if note == NULL:
        return errno.EAGAIN
    note.now = lane.now
    note.ssrc = stream.ssrc
    note.leg = entry.leg
    note.size = size
    memcpy(note + 1, piece.iov_base, size)
    if not ring_push(&lane.copies, note):
        free(note)
        return errno.EAGAIN
    wake_python(lane.shared)
    return 0


cdef inline void forward_singly(
    Lane *lane, Stream *stream, Entry *entry, int start, int count
) noexcept nogil:
    """One by one: to Python, or where runs are not taken."""
    cdef int piece, error
    cdef uint32_t size
    for piece in range(start, start + count):
        size = <uint32_t>lane.pieces[piece].iov_len
        if not entry.upward:
            # What is sent to make room may end the flow.
            make_room(lane, entry)
        if not wanted(lane, stream, entry.target, piece):
            continue
        if entry.upward:
            error = lift(lane, stream, entry, &lane.pieces[piece])
            if error:
                count_failed(lane, stream, entry.target, error, 1)
            else:
                count_sent(lane, entry.target, 1, size, False)
        else:
            post(lane, stream, entry, piece, 1, size, 0)


cdef inline void begin_run(Lane *lane, Stream *stream) noexcept nogil:
    """Make room for a run before its first packet is judged: what is refused
    now comes before that packet, as it would one by one."""
    cdef uint32_t room = stream.current.count * (
        SEGMENTS if load_int(&lane.shared.refused, __ATOMIC_RELAXED) else 1
    )
    cdef int interface
    for interface in range(lane.interfaces):
        if lane.outboxes[interface].count and (
            lane.outboxes[interface].count + <int64_t>room > OUTBOX
        ):
            flush(lane, lane.outboxes[interface])


cdef inline void end_run(Lane *lane, Stream *stream) noexcept nogil:
    """Put the packets gathered so far into the outboxes of the destinations."""
    cdef Route *route = stream.current
    cdef int start = lane.run_start, count = lane.run_count
    cdef uint32_t size = lane.run_bytes
    cdef uint32_t each
    cdef Entry *entry
    if count == 0:
        return
    lane.run_count = 0
    for each in range(route.count):
        entry = &route.entries[each]
        if state_of(entry.target) != FLOWING:
            continue
        if entry.upward or (
            count > 1 and load_int(&entry.target.plain, __ATOMIC_RELAXED)
        ):
            forward_singly(lane, stream, entry, start, count)
        else:
            make_room(lane, entry)
            post(lane, stream, entry, start, count, size, 0)


cdef inline bint joins(Lane *lane, size_t size) noexcept nogil:
    """Whether a packet may be the next one of the run."""
    cdef size_t first
    if lane.run_count == SEGMENTS or lane.run_ended:
        return False
    first = lane.pieces[lane.run_start].iov_len
    return size <= first and lane.run_bytes + size <= JOINED


cdef inline int add_piece(Lane *lane, const View *view, bint starts) noexcept nogil:
    cdef int piece = lane.piece_count
    lane.pieces[piece].iov_base = <void *>view.data
    lane.pieces[piece].iov_len = view.size
    lane.starts[piece] = starts
    lane.piece_count = piece + 1
    return piece
