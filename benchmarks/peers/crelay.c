/* The plain relay that others are held against: recvmmsg in, sendto out.
 *
 *   crelay CPU SECONDS < TABLE
 *
 * TABLE has a line "SSRC HOST PORT" for each copy of a stream; an empty line
 * ends it.  Prints its port, relays until the seconds are over.  It knows
 * nothing of sources, limits, caches or counters: what is left is what any
 * relay must do.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64
#define LONGEST 2048
#define SLOTS 8192              /* a power of two, more than twice the streams */
#define MAX_COPIES 65536

typedef struct {
    uint32_t ssrc;
    int count, room;
    struct sockaddr_in *to;
} stream_t;

static stream_t table[SLOTS];
static uint8_t data[BATCH][LONGEST];
static struct mmsghdr messages[BATCH];
static struct iovec parts[BATCH];

static stream_t *find(uint32_t ssrc)
{
    uint32_t at = (ssrc * 2654435761u) & (SLOTS - 1);
    while (table[at].ssrc && table[at].ssrc != ssrc)
        at = (at + 1) & (SLOTS - 1);
    return &table[at];
}

static int read_table(void)
{
    char line[128], host[64];
    unsigned ssrc;
    int port, copies = 0;
    while (fgets(line, sizeof line, stdin) && line[0] != '\n') {
        stream_t *stream;
        struct sockaddr_in to = {.sin_family = AF_INET};
        if (sscanf(line, "%u %63s %d", &ssrc, host, &port) != 3 || !ssrc ||
            ++copies > MAX_COPIES || inet_pton(AF_INET, host, &to.sin_addr) != 1)
            return -1;
        to.sin_port = htons((uint16_t)port);
        stream = find(ssrc);
        stream->ssrc = ssrc;
        if (stream->count == stream->room) {
            stream->room = stream->room ? 2 * stream->room : 16;
            stream->to = realloc(stream->to, (size_t)stream->room * sizeof to);
            if (!stream->to)
                return -1;
        }
        stream->to[stream->count++] = to;
    }
    return copies;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

int main(int count, char **arguments)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    socklen_t length = sizeof own;
    int fd, i, copy, got, buffer = 8 << 20;
    double end;
    cpu_set_t set;

    if (count != 3 || read_table() < 0) {
        fprintf(stderr, "crelay: see the head of crelay.c\n");
        return 2;
    }
    CPU_ZERO(&set);
    CPU_SET(atoi(arguments[1]), &set);
    sched_setaffinity(0, sizeof set, &set);
    end = now() + atof(arguments[2]);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer))
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    inet_pton(AF_INET, "127.0.0.1", &own.sin_addr);
    if (bind(fd, (struct sockaddr *)&own, sizeof own) ||
        getsockname(fd, (struct sockaddr *)&own, &length)) {
        perror("crelay");
        return 1;
    }
    for (i = 0; i < BATCH; i++) {
        parts[i].iov_base = data[i];
        parts[i].iov_len = LONGEST;
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    printf("%d\n", ntohs(own.sin_port));
    fflush(stdout);
    while (now() < end) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, 100) <= 0)
            continue;
        while ((got = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL)) > 0) {
            for (i = 0; i < got; i++) {
                uint32_t ssrc;
                const stream_t *stream;
                if (messages[i].msg_len < 12)
                    continue;
                memcpy(&ssrc, data[i] + 8, 4);
                stream = find(ntohl(ssrc));
                for (copy = 0; copy < stream->count; copy++)
                    sendto(fd, data[i], messages[i].msg_len, MSG_DONTWAIT,
                           (struct sockaddr *)&stream->to[copy],
                           sizeof stream->to[copy]);
            }
            if (got < BATCH)
                break;
        }
    }
    return 0;
}
