"""The structures of the native forwarder; see `_relay.pyx` for who owns what."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from anychat.media._linux cimport (
    in6_pktinfo,
    iovec,
    mmsghdr,
    msghdr,
    pthread_mutex_t,
    sockaddr_in6,
    socklen_t,
)
from anychat.media._packet cimport View

cdef enum:
    #: Datagrams read at a time.  Few wait while there is time; when there is
    #: none, so many are from the same streams again that they can be joined.
    BATCH = 1024
    #: A power of two, at least twice as many.
    PLACES = 2048
    #: The most datagrams that one send joins.
    SEGMENTS = 64
    #: Longer datagrams are cut off; they are too long for anything we take.  An
    #: odd number of cache lines, so that headers do not share a few sets.
    BUFFER = 2112
    #: Copies gathered before they are sent.
    OUTBOX = 256
    #: Room for IP_PKTINFO or IPV6_PKTINFO, and UDP_SEGMENT beside it.
    CONTROL = 80
    SEGMENT_CONTROL = 32
    #: As `stream.WINDOW`, `stream.CACHE_PACKETS`.
    WINDOW = 1024
    CACHE = 512
    #: As `stream.CACHE_BYTES`.
    CACHE_BYTES = 500000
    #: What a cache begins with and may grow to, bytes: a power of two that has
    #: room for one more packet, wherever the others are.
    CACHE_LEAST = 1 << 14
    CACHE_MOST = 1 << 19
    #: Addresses that a port may listen on.
    INTERFACES = 64
    KINDS = 4
    DROPS = 32
    #: Of these, what a stream counts, from `MALFORMED_RTP` on, and a destination,
    #: from `CONGESTED` on.
    STREAM_DROPS = 7
    COPY_DROPS = 3

cdef enum:
    SENDER_REPORT = 200
    #: As `rtp.MAX_DATAGRAM` and `rtp.SRTP_TAG`.
    LONGEST = 1200
    TAG = 16
    SHORTEST_RTP = 12 + 16
    SHORTEST_RTCP = 8 + 16 + 4
    #: As `stream.MAX_JUMP` and `stream.CACHE_TIME`.
    FARTHEST = 1 << 15
    KEPT_SECONDS = 1
    #: Bytes that one UDP_SEGMENT send may join.
    JOINED = 64000
    #: In a second, of the times of arrivals.
    TICKS = 16384

cdef enum:
    TICKS_MASK = 0x7FFFFFFFF

#: How a target stands.
cdef enum:
    GATED
    SKIPPING
    FLOWING

#: Kinds of datagram; the first four may have rings.
cdef enum:
    STUN
    CONTROL_KIND
    DTLS
    RTCP
    RTP
    OTHER

cdef enum:
    EMPTY
    NOISE
    UNWANTED
    OVERSIZED
    MALFORMED_RTCP
    UNKNOWN_SSRC
    MALFORMED_RTP
    UNBOUND
    WRONG_SOURCE
    DUPLICATE
    LATE
    LIMITED
    NOT_A_REPORT
    STUN_FULL
    CONTROL_FULL
    DTLS_FULL
    RTCP_FULL
    ARRIVAL_FULL
    CONGESTED
    SKIPPED
    UNREACHABLE
    RETRANSMIT_FULL

#: A sequence number that was jumped over, or came after all.
cdef enum:
    MISSING
    FILLED

cdef struct Tally:
    #: What one destination was sent.
    uint64_t packets
    uint64_t bytes
    double last_sent
    uint64_t retransmitted
    uint64_t drops[COPY_DROPS]

cdef struct Target:
    #: Where a destination stands while it has an address.
    int state
    #: It would not take a run in one piece.
    int plain
    #: Discardable frames are left out.
    int sparing
    Tally tally
    #: Among the former ones of its receiver.
    Target *next
    uint64_t retired

cdef struct Receiver:
    #: A destination; Python's alone.
    int64_t leg
    int gated
    int sparing
    Target *target
    #: Of addresses it had before, until no thread can know them.
    Target *former
    #: And their counts after that.
    Tally past
    Receiver *before
    Receiver *after

cdef struct Entry:
    #: A destination in a route.
    sockaddr_in6 address
    socklen_t length
    uint16_t interface
    uint8_t upward
    #: Bytes of `local`; 0: the kernel chooses.
    uint8_t pinned
    uint8_t local[16]
    int64_t leg
    Target *target

cdef struct Route:
    #: Never altered once it is published.
    uint64_t version
    uint64_t cache_version
    int bound
    sockaddr_in6 source
    uint32_t listeners
    uint32_t count
    Entry *entries

cdef struct Kept:
    double when
    int64_t index
    uint32_t offset
    uint32_t size

cdef struct Allowance:
    #: What a publisher may still bring; the lock is for the moment when its
    #: streams come to two lanes, and nobody waits for another one holding it.
    pthread_mutex_t lock
    double packets
    double bytes
    double counted
    #: How many streams share it: Python's alone.
    uint32_t streams

cdef struct Stream:
    uint32_t ssrc
    int video
    void *route
    #: Python's: the receivers, in the order they came.
    Receiver *first_receiver
    Receiver *last_receiver
    uint64_t versions
    uint64_t cache_versions
    Allowance *allowance
    #: Any lane adds to these: strangers' datagrams are dropped without the lock.
    uint64_t drops[STREAM_DROPS]
    #: Whoever holds the lock owns all that follows.
    pthread_mutex_t lock
    int lane
    Route *current
    uint64_t version
    uint64_t cache_version
    uint32_t held
    uint32_t skipping
    int64_t highest
    int64_t first
    int over
    uint64_t packets
    uint64_t bytes
    int64_t missing
    uint64_t key_frames
    uint64_t reports
    double last_seen
    uint8_t seen[WINDOW]
    uint8_t *store
    uint32_t store_size
    uint32_t store_end
    Kept *kept
    uint32_t kept_first
    uint32_t kept_count
    #: How many targets are sparing.
    uint32_t sparing
    #: When which packet came, one word each, by the lower bits of its index.
    uint64_t *came
    uint32_t came_mask
    uint32_t kept_bytes

cdef struct Table:
    uint32_t mask
    #: Slots that are not empty.
    uint32_t used
    void **slots

cdef struct Ring:
    uint32_t capacity
    uint64_t head
    uint64_t tail
    void **items

cdef struct Note:
    #: Something that goes up to Python; its bytes follow.
    double now
    uint32_t ssrc
    int number
    int64_t leg
    sockaddr_in6 source
    uint8_t local[16]
    uint32_t local_length
    uint32_t size

cdef struct Order:
    #: Something for a lane to do; the sequence numbers follow.
    uint32_t ssrc
    uint32_t count
    int64_t leg
    double now

cdef struct Shared:
    #: What all lanes read.
    void *table
    uint64_t epoch
    uint64_t signalled
    int wake_fd
    int refused
    double most_packets
    double most_bytes

cdef struct Packet:
    View view
    sockaddr_in6 *source
    msghdr *header
    uint8_t local[16]
    uint32_t local_length
    int report
    int next

cdef struct Bucket:
    Stream *stream
    int first
    int last

cdef struct Place:
    #: Where the bucket of a stream is, if it is of this batch.
    uint32_t batch
    int bucket

cdef struct Message:
    Stream *stream
    Entry *entry
    int start
    int count
    uint32_t bytes
    int report
    int slot

cdef struct Outbox:
    int fd
    #: Our address, where the socket has but one.
    uint8_t local[16]
    uint32_t local_length
    int count
    mmsghdr headers[OUTBOX]
    Message messages[OUTBOX]
    uint8_t control[OUTBOX][CONTROL]

ctypedef int (*Sender)(Lane *, int, mmsghdr *, int) noexcept nogil

cdef struct Lane:
    #: One thread's own, but for what is named.
    uint64_t seen
    int stopping
    uint8_t apart[64]
    Shared *shared
    int index
    int running
    Sender send
    #: Python's network, in tests.
    void *network
    int interfaces
    Outbox *outboxes[INTERFACES]
    uint8_t *buffers
    mmsghdr inbox[BATCH]
    #: Headers that the kernel has written since they were prepared.
    int inbox_used
    iovec inbox_parts[BATCH]
    sockaddr_in6 sources[BATCH]
    uint8_t inbox_control[BATCH][CONTROL]
    Packet packets[BATCH]
    Bucket buckets[BATCH]
    int bucket_count
    #: Streams of this batch, by SSRC.
    Place places[PLACES]
    uint32_t batch
    Stream *locked[BATCH]
    int locked_count
    iovec pieces[BATCH]
    uint8_t starts[BATCH]
    uint8_t segments[BATCH][SEGMENT_CONTROL]
    int piece_count
    int run_start
    int run_count
    uint32_t run_bytes
    int run_ended
    double now
    #: Filled here, emptied by Python.
    Ring kinds[KINDS]
    Ring arrivals
    Ring copies
    #: Filled by Python, emptied here.
    Ring orders
    uint64_t received
    uint64_t received_bytes
    uint64_t forwarded
    uint64_t forwarded_bytes
    uint64_t retransmitted
    uint64_t unsegmented
    uint64_t receive_errors
    uint64_t drops[DROPS]

cdef struct Retired:
    uint64_t epoch
    int kind
    void *what
    Retired *next
