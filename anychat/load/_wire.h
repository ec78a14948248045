/* The native ends of anychat-load: paced bursts out, stamped datagrams in.
 *
 * No Python in here: both loops run in threads without the GIL.  What they
 * share with it are counters that only one side writes, a stop flag, the table
 * of streams (filled before their media flows) and one ring from the receiver
 * to Python.  Every read of a datagram is behind a check of its length.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define WIRE_DATAGRAM 1200      /* rtp.MAX_DATAGRAM */
#define WIRE_BURST 64           /* pattern.LONGEST_BURST */
#define WIRE_BATCH 64           /* datagrams of one recvmmsg */
#define WIRE_RECEIVE 2048
#define WIRE_RING 2048          /* datagrams that may wait for Python */
#define WIRE_WINDOW 1024        /* how far behind a packet is known for a double */
#define WIRE_FINE 5             /* histogram.py */
#define WIRE_BUCKETS ((48 - WIRE_FINE) << WIRE_FINE)
#define WIRE_SLIP 200000000ll   /* ns behind which the schedule is given up */

typedef struct {
    int fd;
    uint32_t ssrc;
    uint16_t sequence;
    uint32_t timestamp;
    uint64_t bursts, next_key;
    int key_asked;              /* set by Python, taken by the sender */
    uint64_t sent, failed, key_frames;
} wire_flow;

typedef struct {
    int64_t period;             /* ns */
    int64_t duration;           /* ns */
    int size, fragments, key_fragments, key_every;
    int marking, payload_type;
    uint32_t ticks;
    int segment;                /* one UDP_SEGMENT send for a burst */
} wire_plan;

typedef struct {
    wire_plan plan;
    wire_flow *flows;
    int count, stop;
    int64_t slipped, took;      /* ns */
    uint8_t buffer[WIRE_BURST * WIRE_DATAGRAM];
    struct iovec parts[WIRE_BURST];
    struct mmsghdr messages[WIRE_BURST];
} wire_sender;

typedef struct {
    uint64_t packets, bytes, doubles, late;
    uint32_t highest;           /* sequence number, extended */
    int started;
    uint64_t seen[WIRE_WINDOW / 64];
} wire_place;

typedef struct {
    uint32_t ssrc;              /* 0: free */
    int room;
    uint32_t first_place;
} wire_stream;

typedef struct {
    int fd, room, slot;
} wire_user;

typedef struct {
    uint32_t user, length;
    uint8_t data[WIRE_DATAGRAM];
} wire_item;

typedef struct {
    int epoll, event, stop;
    int users, place_count;
    uint32_t mask;
    wire_user *user;
    wire_stream *streams;
    wire_place *places;
    wire_item *ring;
    uint32_t head, tail;        /* the receiver moves tail, Python head */
    uint64_t latency[WIRE_BUCKETS];
    uint64_t packets, unknown, strangers, malformed, ring_full;
    uint8_t buffer[WIRE_BATCH][WIRE_RECEIVE];
    uint8_t control[WIRE_BATCH][128];
    struct iovec parts[WIRE_BATCH];
    struct mmsghdr messages[WIRE_BATCH];
} wire_receiver;

static inline int64_t wire_clock(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static inline int wire_bucket(int64_t ns)
{
    int shift, bucket;
    if (ns < 1 << WIRE_FINE)
        return ns < 0 ? 0 : (int)ns;
    shift = 63 - __builtin_clzll((uint64_t)ns) - WIRE_FINE;
    bucket = (shift << WIRE_FINE) + (int)(ns >> shift);
    return bucket < WIRE_BUCKETS ? bucket : WIRE_BUCKETS - 1;
}

/* ---- sender ---- */

static inline void wire_put32(uint8_t *to, uint32_t value)
{
    value = htonl(value);
    memcpy(to, &value, 4);
}

/* One packet of a burst; its payload but for the stamp is as it was. */
static void wire_write(const wire_plan *plan, wire_flow *flow, uint8_t *to,
                       int first, int last, int key, uint64_t stamp)
{
    uint16_t sequence = htons(flow->sequence);
    int at = 12;
    to[0] = plan->marking ? 0x90 : 0x80;
    to[1] = (uint8_t)(plan->payload_type | (plan->marking && last ? 0x80 : 0));
    memcpy(to + 2, &sequence, 2);
    wire_put32(to + 4, flow->timestamp);
    wire_put32(to + 8, flow->ssrc);
    if (plan->marking) {
        static const uint8_t prefix[5] = {0xbe, 0xde, 0, 1, 0x10};
        memcpy(to + 12, prefix, 5);
        to[17] = (uint8_t)((first ? 0x80 : 0) | (last ? 0x40 : 0) | (key ? 0x20 : 0));
        to[18] = to[19] = 0;
        at = 20;
    }
    memcpy(to + at, &stamp, 8);
    flow->sequence++;
}

static void wire_burst(wire_sender *s, wire_flow *flow)
{
    const wire_plan *plan = &s->plan;
    int fragments = plan->fragments, key = 0, i, done = 0;
    uint64_t stamp;

    if (plan->key_every) {
        int asked = __atomic_exchange_n(&flow->key_asked, 0, __ATOMIC_ACQ_REL);
        if (asked || flow->bursts >= flow->next_key) {
            key = 1;
            fragments = plan->key_fragments;
            flow->next_key = flow->bursts + plan->key_every;
            flow->key_frames++;
        }
    }
    stamp = (uint64_t)wire_clock(CLOCK_REALTIME);
    for (i = 0; i < fragments; i++)
        wire_write(plan, flow, s->buffer + (size_t)i * plan->size, i == 0,
                   i == fragments - 1, key, stamp);
    flow->bursts++;
    flow->timestamp += plan->ticks;
    if (plan->segment && fragments > 1 && fragments * plan->size <= 65000) {
        struct iovec part = {s->buffer, (size_t)fragments * plan->size};
        union {
            char bytes[CMSG_SPACE(2)];
            struct cmsghdr aligned;
        } control;
        struct msghdr message;
        struct cmsghdr *header;
        uint16_t size = (uint16_t)plan->size;
        memset(&message, 0, sizeof message);
        memset(&control, 0, sizeof control);
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = &control;
        message.msg_controllen = sizeof control.bytes;
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_UDP;
        header->cmsg_type = UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(2);
        memcpy(CMSG_DATA(header), &size, 2);
        if (sendmsg(flow->fd, &message, 0) >= 0) {
            __atomic_store_n(&flow->sent, flow->sent + fragments, __ATOMIC_RELEASE);
            return;
        }
        s->plan.segment = 0;    /* not here: one by one from now on */
    }
    while (done < fragments) {
        int got = sendmmsg(flow->fd, s->messages + done, fragments - done, 0);
        if (got <= 0) {
            if (errno == EINTR)
                continue;
            flow->failed++;     /* this one is lost; an ICMP error is told once */
            done++;
            continue;
        }
        __atomic_store_n(&flow->sent, flow->sent + got, __ATOMIC_RELEASE);
        done += got;
    }
}

static void wire_send(wire_sender *s)
{
    int64_t begin, start, step;
    int64_t turn;
    int i;

    prctl(PR_SET_TIMERSLACK, 1000ul, 0, 0, 0);
    for (i = 0; i < WIRE_BURST; i++) {
        s->parts[i].iov_base = s->buffer + (size_t)i * s->plan.size;
        s->parts[i].iov_len = (size_t)s->plan.size;
        memset(&s->messages[i], 0, sizeof s->messages[i]);
        s->messages[i].msg_hdr.msg_iov = &s->parts[i];
        s->messages[i].msg_hdr.msg_iovlen = 1;
    }
    begin = start = wire_clock(CLOCK_MONOTONIC);
    step = s->plan.period;
    for (turn = 0; !__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE); turn++) {
        /* All flows in turn, evenly over the period. */
        int64_t round = turn / s->count, within = turn % s->count;
        int64_t due = start + round * step + within * step / s->count;
        int64_t now = wire_clock(CLOCK_MONOTONIC);
        int over = due - begin >= s->plan.duration;
        if (over) {
            /* The last burst has its period too. */
            due = begin + s->plan.duration;
        } else if (now - due > WIRE_SLIP) {
            /* Too slow for the rate asked: send less, rather than in a flood. */
            start += now - due;
            s->slipped += now - due;
        }
        while (now < due && !__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
            /* In steps, so that a long period ends soon when told to. */
            int64_t until = due - now > 100000000ll ? now + 100000000ll : due;
            struct timespec wake = {until / 1000000000ll, until % 1000000000ll};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL);
            now = wire_clock(CLOCK_MONOTONIC);
        }
        if (over)
            break;
        wire_burst(s, &s->flows[within]);
    }
    s->took = wire_clock(CLOCK_MONOTONIC) - begin;
}

/* ---- receiver ---- */

static inline uint32_t wire_slot(const wire_receiver *r, uint32_t ssrc)
{
    return (ssrc * 2654435761u) & r->mask;
}

/* Only before media flows; false when the table is full or has it. */
static int wire_open(wire_receiver *r, uint32_t ssrc, int room, uint32_t first_place)
{
    uint32_t at = wire_slot(r, ssrc), i;
    if (!ssrc)
        return 0;
    for (i = 0; i <= r->mask; i++, at = (at + 1) & r->mask) {
        wire_stream *stream = &r->streams[at];
        if (stream->ssrc == ssrc)
            return 0;
        if (!stream->ssrc) {
            stream->room = room;
            stream->first_place = first_place;
            __atomic_store_n(&stream->ssrc, ssrc, __ATOMIC_RELEASE);
            return 1;
        }
    }
    return 0;
}

static const wire_stream *wire_find(const wire_receiver *r, uint32_t ssrc)
{
    uint32_t at = wire_slot(r, ssrc), i;
    for (i = 0; ssrc && i <= r->mask; i++, at = (at + 1) & r->mask) {
        uint32_t there = __atomic_load_n(&r->streams[at].ssrc, __ATOMIC_ACQUIRE);
        if (there == ssrc)
            return &r->streams[at];
        if (!there)
            break;
    }
    return NULL;
}

static void wire_pass_up(wire_receiver *r, uint32_t user, const uint8_t *data,
                         uint32_t length)
{
    uint32_t tail = r->tail, head = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE);
    wire_item *item;
    uint64_t one = 1;
    if (length > WIRE_DATAGRAM || tail - head >= WIRE_RING) {
        r->ring_full++;
        return;
    }
    item = &r->ring[tail % WIRE_RING];
    item->user = user;
    item->length = length;
    memcpy(item->data, data, length);
    __atomic_store_n(&r->tail, tail + 1, __ATOMIC_RELEASE);
    if (write(r->event, &one, sizeof one) < 0)
        return;                 /* its count is at the maximum: Python is awake */
}

/* True if the packet is a new one. */
static int wire_count(wire_place *place, uint16_t sequence)
{
    uint32_t index;
    uint32_t slot;
    if (!place->started) {
        place->started = 1;
        /* One turn ahead, so that what came before the first one is no less. */
        place->highest = 0x10000u | sequence;
        memset(place->seen, 0, sizeof place->seen);
    } else {
        int16_t ahead = (int16_t)(uint16_t)(sequence - (uint16_t)place->highest);
        index = place->highest + (uint32_t)(int32_t)ahead;
        if (ahead > 0) {
            uint32_t i;
            if (ahead >= WIRE_WINDOW)
                memset(place->seen, 0, sizeof place->seen);
            else
                for (i = place->highest + 1; i != index; i++) {
                    slot = i % WIRE_WINDOW;
                    place->seen[slot / 64] &= ~(1ull << slot % 64);
                }
            place->highest = index;
        } else {
            if (-ahead >= WIRE_WINDOW) {
                place->late++;
                return 0;
            }
            slot = index % WIRE_WINDOW;
            if (place->seen[slot / 64] >> slot % 64 & 1) {
                place->doubles++;
                return 0;
            }
            place->seen[slot / 64] |= 1ull << slot % 64;
            return 1;
        }
    }
    slot = place->highest % WIRE_WINDOW;
    place->seen[slot / 64] |= 1ull << slot % 64;
    return 1;
}

static void wire_take(wire_receiver *r, uint32_t number, const uint8_t *data,
                      uint32_t length, int64_t arrived)
{
    const wire_user *user = &r->user[number];
    const wire_stream *stream;
    wire_place *place;
    uint32_t ssrc, header;
    uint16_t sequence;
    uint64_t at, stamp;

    if (length >= 1 && data[0] <= 3) {
        wire_pass_up(r, number, data, length);
        return;
    }
    if (length < 12 || data[0] >> 6 != 2) {
        r->malformed++;
        return;
    }
    if (data[1] >= 192 && data[1] <= 223) {
        wire_pass_up(r, number, data, length);
        return;
    }
    header = 12 + 4u * (data[0] & 15);
    if (data[0] & 0x10) {
        if (length < header + 4) {
            r->malformed++;
            return;
        }
        header += 4 + 4 * ((uint32_t)data[header + 2] << 8 | data[header + 3]);
    }
    if (length < header + 8) {
        r->malformed++;
        return;
    }
    memcpy(&sequence, data + 2, 2);
    memcpy(&ssrc, data + 8, 4);
    memcpy(&stamp, data + header, 8);
    stream = wire_find(r, ntohl(ssrc));
    if (!stream) {
        r->unknown++;
        return;
    }
    at = (uint64_t)stream->first_place + (uint64_t)user->slot;
    if (stream->room != user->room || at >= (uint64_t)r->place_count) {
        r->strangers++;
        return;
    }
    place = &r->places[at];
    if (!wire_count(place, ntohs(sequence)))
        return;
    place->packets++;
    place->bytes += length;
    r->packets++;
    r->latency[wire_bucket(arrived - (int64_t)stamp)]++;
}

static void wire_read(wire_receiver *r, uint32_t number)
{
    int fd = r->user[number].fd, got, i;
    do {
        int64_t now = 0;
        for (i = 0; i < WIRE_BATCH; i++) {
            r->messages[i].msg_hdr.msg_control = r->control[i];
            r->messages[i].msg_hdr.msg_controllen = sizeof r->control[i];
        }
        got = recvmmsg(fd, r->messages, WIRE_BATCH, MSG_DONTWAIT, NULL);
        for (i = 0; i < got; i++) {
            struct msghdr *message = &r->messages[i].msg_hdr;
            struct cmsghdr *header;
            int64_t arrived = 0;
            if (message->msg_flags & MSG_TRUNC) {
                r->malformed++;
                continue;
            }
            for (header = CMSG_FIRSTHDR(message); header;
                 header = CMSG_NXTHDR(message, header))
                if (header->cmsg_level == SOL_SOCKET &&
                    header->cmsg_type == SO_TIMESTAMPNS) {
                    struct timespec when;
                    memcpy(&when, CMSG_DATA(header), sizeof when);
                    arrived = when.tv_sec * 1000000000ll + when.tv_nsec;
                }
            if (!arrived)
                arrived = now ? now : (now = wire_clock(CLOCK_REALTIME));
            wire_take(r, number, r->buffer[i], r->messages[i].msg_len, arrived);
        }
    } while (got == WIRE_BATCH);
}

static void wire_receive(wire_receiver *r)
{
    struct epoll_event events[256];
    int i, ready;
    while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
        ready = epoll_wait(r->epoll, events, 256, 100);
        for (i = 0; i < ready; i++)
            wire_read(r, events[i].data.u32);
    }
}

static int wire_add(wire_receiver *r, int fd, int number, int room, int slot)
{
    struct epoll_event event;
    if (number < 0 || number >= r->users || slot < 0)
        return -1;
    r->user[number].fd = fd;
    r->user[number].room = room;
    r->user[number].slot = slot;
    memset(&event, 0, sizeof event);
    event.events = EPOLLIN;
    event.data.u32 = (uint32_t)number;
    return epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event);
}

static void wire_receiver_free(wire_receiver *r)
{
    if (!r)
        return;
    if (r->epoll >= 0)
        close(r->epoll);
    if (r->event >= 0)
        close(r->event);
    free(r->user);
    free(r->streams);
    free(r->places);
    free(r->ring);
    free(r);
}

static wire_receiver *wire_receiver_new(int users, int streams, int places)
{
    wire_receiver *r = calloc(1, sizeof *r);
    uint32_t size = 16;
    int i;
    if (!r)
        return NULL;
    r->epoll = r->event = -1;
    while (size < 2u * (uint32_t)streams)
        size *= 2;
    r->users = users;
    r->place_count = places;
    r->mask = size - 1;
    r->user = calloc((size_t)users + 1, sizeof *r->user);
    r->streams = calloc(size, sizeof *r->streams);
    r->places = calloc((size_t)places + 1, sizeof *r->places);
    r->ring = calloc(WIRE_RING, sizeof *r->ring);
    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    r->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!r->user || !r->streams || !r->places || !r->ring || r->epoll < 0 ||
        r->event < 0) {
        wire_receiver_free(r);
        return NULL;
    }
    for (i = 0; i < WIRE_BATCH; i++) {
        r->parts[i].iov_base = r->buffer[i];
        r->parts[i].iov_len = WIRE_RECEIVE;
        r->messages[i].msg_hdr.msg_iov = &r->parts[i];
        r->messages[i].msg_hdr.msg_iovlen = 1;
    }
    return r;
}
