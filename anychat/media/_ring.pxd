"""Words that others read while they are written, and rings of them.

A ring has one who fills it and one who empties it.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from anychat.media._linux cimport *
from anychat.media._relay cimport (
    CONGESTED,
    MALFORMED_RTP,
    Lane,
    Ring,
    Shared,
    Stream,
    Target,
)


cdef inline void add(uint64_t *count, uint64_t more) noexcept nogil:
    """Add to a count of which this is the only writer."""
    store_u64(count, count[0] + more, __ATOMIC_RELAXED)


cdef inline uint64_t peek(uint64_t *count) noexcept nogil:
    return load_u64(count, __ATOMIC_RELAXED)


cdef inline int state_of(Target *target) noexcept nogil:
    return load_int(&target.state, __ATOMIC_RELAXED)


cdef inline void set_state(Target *target, int state) noexcept nogil:
    store_int(&target.state, state, __ATOMIC_RELAXED)


cdef inline void drop(Lane *lane, int reason, uint64_t count) noexcept nogil:
    add(&lane.drops[reason], count)


cdef inline void drop_of(Lane *lane, Stream *stream, int reason) noexcept nogil:
    """A datagram of a stream; the stream's lock need not be held."""
    drop(lane, reason, 1)
    add_u64(&stream.drops[reason - MALFORMED_RTP], 1, __ATOMIC_RELAXED)


cdef inline void drop_copies(
    Lane *lane, Target *target, int reason, uint64_t count
) noexcept nogil:
    """What was for a destination."""
    drop(lane, reason, count)
    add(&target.tally.drops[reason - CONGESTED], count)


cdef inline bint ring_make(Ring *ring, uint32_t capacity) noexcept nogil:
    ring.items = <void **>calloc(capacity, sizeof(void *))
    ring.capacity = capacity
    return ring.items != NULL


cdef inline bint ring_push(Ring *ring, void *item) noexcept nogil:
    """False when it is full."""
    cdef uint64_t head = ring.head
    if head - load_u64(&ring.tail, __ATOMIC_ACQUIRE) >= ring.capacity:
        return False
    ring.items[head % ring.capacity] = item
    store_u64(&ring.head, head + 1, __ATOMIC_RELEASE)
    return True


cdef inline void *ring_take(Ring *ring) noexcept nogil:
    """NULL when it is empty."""
    cdef uint64_t tail = ring.tail
    cdef void *item
    if tail == load_u64(&ring.head, __ATOMIC_ACQUIRE):
        return NULL
    item = ring.items[tail % ring.capacity]
    store_u64(&ring.tail, tail + 1, __ATOMIC_RELEASE)
    return item


cdef inline bint ring_waiting(Ring *ring) noexcept nogil:
    return load_u64(&ring.tail, __ATOMIC_ACQUIRE) != load_u64(
        &ring.head, __ATOMIC_ACQUIRE
    )


cdef inline void ring_clear(Ring *ring) noexcept nogil:
    cdef void *item
    while ring.capacity:
        item = ring_take(ring)
        if item == NULL:
            return
        free(item)


cdef inline void ring_free(Ring *ring) noexcept nogil:
    ring_clear(ring)
    free(ring.items)
    ring.capacity = 0


cdef inline void wake_python(Shared *shared) noexcept nogil:
    """Make the reactor look at the rings, unless it is going to anyway."""
    cdef uint64_t one = 1
    if exchange_u64(&shared.signalled, 1, __ATOMIC_SEQ_CST) == 0:
        if shared.wake_fd >= 0:
            # It fails only when the counter is full, and then it is readable.
            write(shared.wake_fd, &one, sizeof(one))
