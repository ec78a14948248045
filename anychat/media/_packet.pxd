"""Clear headers, read within their bounds: the relay's half of `rtp`.

`number` is the only place where a byte of a datagram is looked at.
"""

from libc.stdint cimport int64_t, uint8_t


cdef struct View:
    const uint8_t *data
    size_t size


#: What `marking` says of a packet without frame marking, and of a bad one.
cdef enum:
    UNMARKED = -1
    MALFORMED = -2


cdef inline int64_t number(const View *view, size_t position, size_t width) noexcept nogil:
    """The big-endian number of that many bytes (1 to 4) there; -1 when they
    are not all inside."""
    cdef int64_t value = 0
    cdef size_t step
    if width > view.size or position > view.size - width:
        return -1
    for step in range(width):
        value = value << 8 | view.data[position + step]
    return value


cdef inline int64_t header_length(const View *view) noexcept nogil:
    """As `rtp.header_length`; -1 for a header that is malformed."""
    cdef int64_t first = number(view, 0, 1)
    cdef int64_t length, words
    if view.size < 12 or first >> 6 != 2:
        return -1
    length = 12 + 4 * (first & 0x0F)
    if first & 0x10:
        words = number(view, <size_t>length + 2, 2)
        if words < 0:
            return -1
        length += 4 + 4 * words
    if <int64_t>view.size < length:
        return -1
    return length


cdef inline int marking(const View *view, int64_t end) noexcept nogil:
    """As `rtp.marking_of`: the four bits of the frame marking.

    :param end: what `header_length` says.
    """
    cdef int64_t first = number(view, 0, 1)
    cdef int64_t position, element, size
    if not first & 0x10:
        return UNMARKED
    position = 12 + 4 * (first & 0x0F)
    if number(view, <size_t>position, 2) != 0xBEDE:
        return UNMARKED
    position += 4
    while position < end:
        element = number(view, <size_t>position, 1)
        position += 1
        if element == 0:
            continue
        size = (element & 0x0F) + 1
        element >>= 4
        if element == 0 or element == 15:
            # RFC 8285 section 4.2: what follows is not to be read.
            return UNMARKED
        if position + size > end:
            return MALFORMED
        if element == 1:
            return <int>(number(view, <size_t>position, 1) >> 4)
        position += size
    return UNMARKED
