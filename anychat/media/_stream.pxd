"""The state of one stream: window, position, cache, limits, gates.

Whoever calls holds the stream's lock.  What is to be done is what
`routes.Forwarder` does.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from anychat.media._linux cimport *
from anychat.media._packet cimport View
from anychat.media._relay cimport *
from anychat.media._ring cimport *


cdef inline void forget_packets(Stream *stream) noexcept nogil:
    free(stream.store)
    free(stream.kept)
    stream.store = NULL
    stream.kept = NULL
    stream.store_size = stream.store_end = 0
    stream.kept_first = stream.kept_count = stream.kept_bytes = 0


cdef inline void adopt(Lane *lane, Stream *stream) noexcept nogil:
    """Go by the latest route."""
    cdef Route *route = <Route *>load_pointer(&stream.route, __ATOMIC_SEQ_CST)
    cdef uint32_t each
    cdef int state
    stream.current = route
    store_int(&stream.lane, lane.index, __ATOMIC_RELAXED)
    if route.version == stream.version:
        return
    stream.version = route.version
    if route.cache_version != stream.cache_version:
        # There was nobody for a while: what was kept is nobody's.
        stream.cache_version = route.cache_version
        forget_packets(stream)
    stream.held = stream.skipping = stream.sparing = 0
    for each in range(route.count):
        stream.sparing += load_int(&route.entries[each].target.sparing, __ATOMIC_RELAXED)
        state = state_of(route.entries[each].target)
        stream.held += state != FLOWING
        stream.skipping += state == SKIPPING


cdef inline Kept *kept_at(Stream *stream, uint32_t number) noexcept nogil:
    """The packet kept that many after the oldest."""
    return &stream.kept[(stream.kept_first + number) & (CACHE - 1)]


cdef inline bint has_room(Stream *stream, uint32_t size) noexcept nogil:
    """Find a place for that many bytes: at `store_end`, or at the beginning."""
    cdef uint32_t oldest
    if stream.kept_count == 0:
        stream.store_end = 0
        return size <= stream.store_size
    oldest = kept_at(stream, 0).offset
    if stream.store_end > oldest:
        if size <= stream.store_size - stream.store_end:
            return True
        if size <= oldest:
            stream.store_end = 0
            return True
        return False
    return size <= oldest - stream.store_end


cdef inline bint grow_store(Stream *stream) noexcept nogil:
    """Twice the room; the packets move close together."""
    cdef uint32_t size = 2 * stream.store_size if stream.store_size else CACHE_LEAST
    cdef uint32_t end = 0, each
    cdef uint8_t *store
    cdef Kept *kept
    if size > CACHE_MOST:
        return False
    if stream.kept == NULL:
        stream.kept = <Kept *>malloc(CACHE * sizeof(Kept))
        if stream.kept == NULL:
            return False
    store = <uint8_t *>malloc(size)
    if store == NULL:
        return False
    for each in range(stream.kept_count):
        kept = kept_at(stream, each)
        memcpy(store + end, stream.store + kept.offset, kept.size)
        kept.offset = end
        end += kept.size
    free(stream.store)
    stream.store = store
    stream.store_size = size
    stream.store_end = end
    return True


cdef inline void keep(Stream *stream, int64_t index, const View *view, double now) noexcept nogil:
    """Put a packet into the cache, and the too old ones out."""
    cdef uint32_t size = <uint32_t>view.size
    cdef double oldest = now - KEPT_SECONDS
    cdef Kept *kept
    while stream.kept_count and (
        kept_at(stream, 0).when < oldest
        or stream.kept_count == CACHE
        or stream.kept_bytes + size > CACHE_BYTES
    ):
        stream.kept_bytes -= kept_at(stream, 0).size
        stream.kept_first = (stream.kept_first + 1) & (CACHE - 1)
        stream.kept_count -= 1
    while not has_room(stream, size):
        if not grow_store(stream):
            # No memory: the packet cannot be sent again.
            return
    kept = kept_at(stream, stream.kept_count)
    kept.when = now
    kept.index = index
    kept.offset = stream.store_end
    kept.size = size
    memcpy(stream.store + stream.store_end, view.data, size)
    stream.store_end += size
    stream.kept_count += 1
    stream.kept_bytes += size


cdef inline int64_t extend(int64_t sequence, int64_t reference) noexcept nogil:
    """As `sequence.extend`."""
    cdef int64_t index = reference + ((sequence - reference + 0x8000) & 0xFFFF) - 0x8000
    return index if index >= 0 else index + 0x10000


cdef inline void arrived(
    Lane *lane, Stream *stream, int what, int64_t sequence, int64_t count
) noexcept nogil:
    """Tell Python of a gap, or of a packet that came into one."""
    cdef Note *note = <Note *>malloc(sizeof(Note))
    if note != NULL:
        note.now = lane.now
        note.ssrc = stream.ssrc
        note.number = what
        note.leg = sequence & 0xFFFF
        note.size = <uint32_t>count
        if ring_push(&lane.arrivals, note):
            wake_python(lane.shared)
            return
        free(note)
    drop(lane, ARRIVAL_FULL, 1)


cdef inline void forget_arrivals(Stream *stream) noexcept nogil:
    """Of all packets so far."""
    cdef uint32_t each
    for each in range(stream.came_mask + 1):
        store_u64(&stream.came[each], 0, __ATOMIC_RELAXED)


cdef inline int64_t locate(Lane *lane, Stream *stream, int64_t sequence) noexcept nogil:
    """Index of a packet; -1 when it is dropped.  As `Forwarder._place`."""
    cdef int64_t highest = stream.highest
    cdef int64_t index = highest + 1
    cdef int64_t ahead, skipped
    cdef uint8_t *seen = stream.seen
    # Nearly always it is the packet after the latest one.
    if index and (index & 0xFFFF) == sequence:
        store_i64(&stream.highest, index, __ATOMIC_RELAXED)
        seen[index & (WINDOW - 1)] = 1
        return index
    if highest < 0:
        # The ROC of a publication starts at 0.
        seen[sequence & (WINDOW - 1)] = 1
        stream.first = sequence
        store_i64(&stream.highest, sequence, __ATOMIC_RELAXED)
        return sequence
    index = extend(sequence, highest)
    ahead = index - highest
    if ahead > 0:
        if ahead >= FARTHEST:
            drop_of(lane, stream, LATE)
            return -1
        if ahead >= WINDOW:
            memset(seen, 0, WINDOW)
        else:
            for skipped in range(highest + 1, index):
                seen[skipped & (WINDOW - 1)] = 0
        if ahead > stream.came_mask:
            # The lower bits of indexes to come may be those of old ones.
            forget_arrivals(stream)
        seen[index & (WINDOW - 1)] = 1
        store_i64(&stream.highest, index, __ATOMIC_RELAXED)
        store_i64(&stream.missing, stream.missing + ahead - 1, __ATOMIC_RELAXED)
        arrived(lane, stream, MISSING, highest + 1, ahead - 1)
        return index
    if ahead <= -WINDOW:
        drop_of(lane, stream, LATE)
        return -1
    if seen[index & (WINDOW - 1)]:
        drop_of(lane, stream, DUPLICATE)
        return -1
    seen[index & (WINDOW - 1)] = 1
    # What came before the first packet was never missed.
    if index > stream.first:
        store_i64(&stream.missing, stream.missing - 1, __ATOMIC_RELAXED)
        arrived(lane, stream, FILLED, sequence, 0)
    return index


cdef inline void note_arrival(
    Lane *lane, Stream *stream, int64_t index, size_t size, bint discardable
) noexcept nogil:
    """Write down when a packet came; see `stream.PacketArrival` and `arrivals`."""
    cdef uint64_t ticks = <uint64_t>(lane.now * TICKS) & TICKS_MASK
    store_u64(
        &stream.came[index & stream.came_mask],
        ticks << 29
        | <uint64_t>discardable << 28
        | <uint64_t>(index != stream.highest) << 27
        | <uint64_t>size << 16
        | <uint64_t>(index & 0xFFFF),
        __ATOMIC_RELAXED,
    )


cdef inline bint take_allowance(Lane *lane, Allowance *allowance, size_t size) noexcept nogil:
    """One packet of that many bytes, if there is so much left."""
    cdef double most_packets = lane.shared.most_packets
    cdef double most_bytes = lane.shared.most_bytes
    cdef double elapsed = lane.now - allowance.counted
    if elapsed > 0:
        allowance.counted = lane.now
        allowance.packets += elapsed * most_packets
        allowance.bytes += elapsed * most_bytes
    if allowance.packets > most_packets:
        allowance.packets = most_packets
    if allowance.bytes > most_bytes:
        allowance.bytes = most_bytes
    if allowance.packets < 1 or allowance.bytes < size:
        return False
    allowance.packets -= 1
    allowance.bytes -= size
    return True


cdef inline bint allows(Lane *lane, Stream *stream, size_t size, bint starts) noexcept nogil:
    """Whether a packet is within the limits of its publisher."""
    cdef Allowance *allowance = stream.allowance
    cdef bint allowed
    if stream.over and not starts:
        return False
    pthread_mutex_lock(&allowance.lock)
    allowed = take_allowance(lane, allowance, size)
    pthread_mutex_unlock(&allowance.lock)
    stream.over = stream.video and not allowed
    return allowed


cdef inline void start_frame(Stream *stream, int bits) noexcept nogil:
    """Let flow what waited for this frame, and hold back those that are spared
    a discardable one."""
    cdef Route *route = stream.current
    cdef uint32_t each
    cdef Target *target
    cdef int state
    for each in range(route.count):
        target = route.entries[each].target
        state = state_of(target)
        if bits & 1 and state != GATED and load_int(&target.sparing, __ATOMIC_RELAXED):
            if state == FLOWING:
                stream.held += 1
                stream.skipping += 1
                set_state(target, SKIPPING)
        elif state == SKIPPING or (state == GATED and bits & 2):
            stream.held -= 1
            stream.skipping -= state == SKIPPING
            set_state(target, FLOWING)


cdef inline void count_skipped(Lane *lane, Stream *stream) noexcept nogil:
    cdef Route *route = stream.current
    cdef uint32_t each
    for each in range(route.count):
        if state_of(route.entries[each].target) == SKIPPING:
            drop_copies(lane, route.entries[each].target, SKIPPED, 1)


cdef inline bint wanted(Lane *lane, Stream *stream, Target *target, int piece) noexcept nogil:
    """Whether a target that was flowing when the run began takes this packet:
    not if it began to skip since, until a frame starts."""
    if state_of(target) == FLOWING:
        return True
    if lane.starts[piece]:
        stream.held -= 1
        stream.skipping -= 1
        set_state(target, FLOWING)
        return True
    drop_copies(lane, target, SKIPPED, 1)
    return False


cdef inline void count_sent(
    Lane *lane, Target *target, int count, uint32_t size, bint report
) noexcept nogil:
    add(&lane.forwarded, count)
    add(&lane.forwarded_bytes, size)
    if not report:
        # First, for who sees the count to find a time.
        store_double(&target.tally.last_sent, &lane.now, __ATOMIC_RELAXED)
        add(&target.tally.packets, count)
        add(&target.tally.bytes, size)


cdef inline int reason_of(int error) noexcept nogil:
    """Which drop a refused send is."""
    return CONGESTED if error == errno.EAGAIN else UNREACHABLE


cdef inline void count_failed(
    Lane *lane, Stream *stream, Target *target, int error, uint64_t count
) noexcept nogil:
    """Copies were refused; a full buffer makes a video target skip."""
    drop_copies(lane, target, reason_of(error), count)
    if error == errno.EAGAIN and stream.video:
        set_state(target, SKIPPING)
        stream.held += 1
        stream.skipping += 1
