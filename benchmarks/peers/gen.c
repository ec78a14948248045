/* Generator and sinks for a UDP relay: one thread on one CPU, ends by itself.
 *
 *   gen -F FILE -r RATE -t SECONDS [-b BURST] [-s SIZE] [-P PID] [-c CPU]
 *       [-k count|drain] [-q SEQUENCE] [-m] [-C]
 *
 * FILE names inherited sockets, one a line:
 *   flow FD HOST PORT SSRC CHANNEL   packets are sent there
 *   sink FD                          copies arrive there
 *
 * Packets are RTP; -m adds the frame marking, a burst being a frame; -C puts
 * TURN's ChannelData header before it.  Bursts go to the flows in turn, evenly.
 *
 * -k count: a filter drops every datagram at the sink's door, and the kernel's
 * own count of these drops is read: receiving costs nothing, so the figures are
 * the server's.  -k drain: datagrams are read, and their delay is from the
 * stamp in them to the kernel's stamp of their arrival.
 *
 * -P: CPU time of that process, from /proc/PID/task/N/schedstat (ns).
 * Prints one JSON object.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif

#define MAX_FLOWS 4096
#define MAX_SINKS 65536
#define MAX_BURST 64
#define MAX_DELAYS 8000000
#define RECEIVE 2048
#define BATCH 64
#define GRACE_MS 300            /* for the last copies */
#define SLIP 50000000           /* ns behind which the schedule is given up */

typedef struct {
    int fd;
    struct sockaddr_in to;
    uint32_t ssrc;
    uint16_t channel, sequence;
    uint32_t timestamp;
} flow_t;

static flow_t flows[MAX_FLOWS];
static int flow_count;
static int sinks[MAX_SINKS];
static uint32_t before[MAX_SINKS], drained[MAX_SINKS];
static int sink_count;

static int size = 200, burst = 1, drain, marking, channels;
static uint64_t *delays;
static long delay_count;
static uint64_t odd;
static int epoll_fd;

static uint8_t in[BATCH][RECEIVE], control[BATCH][128];
static struct mmsghdr in_messages[BATCH];
static struct iovec in_parts[BATCH];

static int64_t now(clockid_t which)
{
    struct timespec time;
    clock_gettime(which, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static double own_cpu(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

static double process_cpu(int pid)
{
    char path[128];
    struct dirent *entry;
    double sum = 0;
    DIR *directory;
    if (!pid)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    if (!(directory = opendir(path)))
        return 0;
    while ((entry = readdir(directory))) {
        unsigned long long ns;
        FILE *file;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid,
                 entry->d_name);
        if (!(file = fopen(path, "r")))
            continue;
        if (fscanf(file, "%llu", &ns) == 1)
            sum += ns * 1e-9;
        fclose(file);
    }
    closedir(directory);
    return sum;
}

static uint32_t kernel_drops(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t length = sizeof info;
    getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &length);
    return info[SK_MEMINFO_DROPS];
}

static void read_file(const char *name)
{
    char kind[8], host[64];
    int fd, port, channel;
    unsigned ssrc;
    FILE *file = fopen(name, "r");
    if (!file) {
        perror(name);
        exit(2);
    }
    while (fscanf(file, "%7s %d", kind, &fd) == 2) {
        if (!strcmp(kind, "sink") && sink_count < MAX_SINKS) {
            sinks[sink_count++] = fd;
        } else if (!strcmp(kind, "flow") && flow_count < MAX_FLOWS &&
                   fscanf(file, "%63s %d %u %d", host, &port, &ssrc, &channel) == 4) {
            flow_t *flow = &flows[flow_count++];
            flow->fd = fd;
            flow->to.sin_family = AF_INET;
            flow->to.sin_port = htons((uint16_t)port);
            inet_pton(AF_INET, host, &flow->to.sin_addr);
            flow->ssrc = ssrc;
            flow->channel = (uint16_t)channel;
        } else {
            fprintf(stderr, "%s: line not understood\n", name);
            exit(2);
        }
    }
    fclose(file);
}

static void set_buffer(int fd, int force, int plain, int bytes)
{
    if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof bytes))
        setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof bytes);
}

static void prepare(void)
{
    struct sock_filter none[] = {{BPF_RET | BPF_K, 0, 0, 0}};
    struct sock_fprog program = {1, none};
    int i, on = 1;
    uint8_t scrap[RECEIVE];
    epoll_fd = epoll_create1(0);
    for (i = 0; i < flow_count; i++)
        set_buffer(flows[i].fd, SO_SNDBUFFORCE, SO_SNDBUF, 32 << 20);
    for (i = 0; i < sink_count; i++) {
        if (drain) {
            struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
            set_buffer(sinks[i], SO_RCVBUFFORCE, SO_RCVBUF, 8 << 20);
            setsockopt(sinks[i], SOL_SOCKET, SO_DETACH_FILTER, &on, sizeof on);
            setsockopt(sinks[i], SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
            epoll_ctl(epoll_fd, EPOLL_CTL_ADD, sinks[i], &event);
        } else if (setsockopt(sinks[i], SOL_SOCKET, SO_ATTACH_FILTER, &program,
                              sizeof program)) {
            perror("filter");
            exit(2);
        }
        while (recv(sinks[i], scrap, sizeof scrap, MSG_DONTWAIT) >= 0)
            ;
        before[i] = kernel_drops(sinks[i]);
    }
    for (i = 0; i < BATCH; i++) {
        in_parts[i].iov_base = in[i];
        in_parts[i].iov_len = RECEIVE;
        in_messages[i].msg_hdr.msg_iov = &in_parts[i];
        in_messages[i].msg_hdr.msg_iovlen = 1;
    }
}

/* Where the RTP header begins in what arrived, and what stands after it. */
static void take(int sink, const uint8_t *data, int length, int64_t arrived)
{
    int at = 0;
    int64_t stamp;
    if (length >= 4 && data[0] >> 6 == 1)
        at = 4;                 /* ChannelData */
    if (length < at + 28 || data[at] >> 6 != 2 || (data[at + 1] & 0xe0) == 0xc0) {
        odd++;                  /* STUN, RTCP */
        return;
    }
    at += data[at] & 0x10 ? 20 : 12;
    memcpy(&stamp, data + at, 8);
    drained[sink]++;
    if (delay_count < MAX_DELAYS)
        delays[delay_count++] = arrived > stamp ? (uint64_t)(arrived - stamp) : 0;
}

static void drain_sink(int sink)
{
    int got, i;
    do {
        for (i = 0; i < BATCH; i++) {
            in_messages[i].msg_hdr.msg_control = control[i];
            in_messages[i].msg_hdr.msg_controllen = sizeof control[i];
        }
        got = recvmmsg(sinks[sink], in_messages, BATCH, MSG_DONTWAIT, NULL);
        for (i = 0; i < got; i++) {
            struct msghdr *message = &in_messages[i].msg_hdr;
            struct cmsghdr *header;
            int64_t arrived = 0;
            for (header = CMSG_FIRSTHDR(message); header;
                 header = CMSG_NXTHDR(message, header))
                if (header->cmsg_level == SOL_SOCKET &&
                    header->cmsg_type == SCM_TIMESTAMPNS) {
                    struct timespec when;
                    memcpy(&when, CMSG_DATA(header), sizeof when);
                    arrived = when.tv_sec * 1000000000ll + when.tv_nsec;
                }
            if (arrived)
                take(sink, in[i], (int)in_messages[i].msg_len, arrived);
        }
    } while (got == BATCH);
}

static void drain_all(void)
{
    struct epoll_event events[64];
    int i, ready = epoll_wait(epoll_fd, events, 64, 0);
    for (i = 0; i < ready; i++)
        drain_sink((int)events[i].data.u32);
}

static void write_packet(flow_t *flow, uint8_t *to, int first, int last)
{
    uint16_t half;
    uint32_t word;
    int64_t stamp;
    if (channels) {
        half = htons(flow->channel);
        memcpy(to, &half, 2);
        half = htons((uint16_t)(size - 4));
        memcpy(to + 2, &half, 2);
        to += 4;
    }
    to[0] = marking ? 0x90 : 0x80;
    to[1] = marking ? (uint8_t)(96 | (last ? 0x80 : 0)) : 111;
    half = htons(flow->sequence++);
    memcpy(to + 2, &half, 2);
    word = htonl(flow->timestamp);
    memcpy(to + 4, &word, 4);
    word = htonl(flow->ssrc);
    memcpy(to + 8, &word, 4);
    to += 12;
    if (marking) {
        static const uint8_t prefix[5] = {0xbe, 0xde, 0, 1, 0x10};
        memcpy(to, prefix, 5);
        to[5] = (uint8_t)((first ? 0x80 : 0) | (last ? 0x40 : 0) | 0x20);
        to[6] = to[7] = 0;
        to += 8;
    }
    stamp = now(CLOCK_REALTIME);
    memcpy(to, &stamp, 8);
}

static int by_value(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return a < b ? -1 : a > b;
}

static double part(double fraction)
{
    long at = (long)(delay_count * fraction);
    return delays[at < delay_count ? at : delay_count - 1] / 1e3;
}

int main(int count, char **arguments)
{
    static uint8_t out[MAX_BURST][RECEIVE];
    static struct mmsghdr messages[MAX_BURST];
    static struct iovec parts[MAX_BURST];
    double rate = 0, seconds = 1, cpu_before, cpu_after, own, took;
    int pid = 0, cpu = -1, option, i, turn = 0;
    unsigned sequence = 0;
    uint64_t sent = 0, failed = 0, copies = 0, slips = 0, least = UINT64_MAX, most = 0;
    uint16_t next = 0;
    int64_t start, end, due, time;
    const char *file = NULL;

    while ((option = getopt(count, arguments, "F:r:t:b:s:P:c:k:q:mC")) > 0)
        switch (option) {
        case 'F': file = optarg; break;
        case 'r': rate = atof(optarg); break;
        case 't': seconds = atof(optarg); break;
        case 'b': burst = atoi(optarg); break;
        case 's': size = atoi(optarg); break;
        case 'P': pid = atoi(optarg); break;
        case 'c': cpu = atoi(optarg); break;
        case 'k': drain = !strcmp(optarg, "drain"); break;
        case 'q': sequence = (unsigned)atoi(optarg); break;
        case 'm': marking = 1; break;
        case 'C': channels = 1; break;
        default: return 2;
        }
    if (!file || rate <= 0 || seconds <= 0 || burst < 1 || burst > MAX_BURST ||
        size < 48 || size > 1400) {
        fprintf(stderr, "gen: see the head of gen.c\n");
        return 2;
    }
    read_file(file);
    if (!flow_count) {
        fprintf(stderr, "gen: nothing to send\n");
        return 2;
    }
    if (cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    if (channels)
        size += 4;              /* the same payload as without */
    if (drain && !(delays = calloc(MAX_DELAYS, sizeof *delays)))
        return 1;
    prepare();
    for (i = 0; i < flow_count; i++)
        flows[i].sequence = (uint16_t)sequence;
    for (i = 0; i < MAX_BURST; i++) {
        parts[i].iov_base = out[i];
        parts[i].iov_len = (size_t)size;
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_namelen = sizeof flows[0].to;
    }

    cpu_before = process_cpu(pid);
    own = own_cpu();
    start = due = now(CLOCK_MONOTONIC);
    end = start + (int64_t)(seconds * 1e9);
    /* All flows send equally often: they go on with one sequence number, and a
     * gap would make the relay ask for what was never sent. */
    while ((time = now(CLOCK_MONOTONIC)) < end || turn) {
        flow_t *flow = &flows[turn];
        int got;
        if (time < due) {
            if (drain)
                drain_all();
            continue;
        }
        if (time - due > SLIP) {
            due = time;
            slips++;
        }
        due += (int64_t)(1e9 * burst / rate);
        for (i = 0; i < burst; i++) {
            write_packet(flow, out[i], i == 0, i == burst - 1);
            messages[i].msg_hdr.msg_name = &flow->to;
        }
        flow->timestamp += 960;
        got = sendmmsg(flow->fd, messages, (unsigned)burst, 0);
        if (got < 0)
            failed += (uint64_t)burst;
        else {
            sent += (uint64_t)got;
            failed += (uint64_t)(burst - got);
        }
        turn = (turn + 1) % flow_count;
        if (drain)
            drain_all();
    }
    took = (now(CLOCK_MONOTONIC) - start) * 1e-9;
    own = own_cpu() - own;
    for (i = 0; i < GRACE_MS / 10; i++) {
        usleep(10000);
        if (drain)
            drain_all();
    }
    cpu_after = process_cpu(pid);

    for (i = 0; i < sink_count; i++) {
        uint64_t here =
            drain ? drained[i] : (uint32_t)(kernel_drops(sinks[i]) - before[i]);
        copies += here;
        least = here < least ? here : least;
        most = here > most ? here : most;
    }
    for (i = 0; i < flow_count; i++)
        if (i == 0 || (int16_t)(flows[i].sequence - next) > 0)
            next = flows[i].sequence;
    printf("{\"sent\": %llu, \"failed\": %llu, \"copies\": %llu, \"seconds\": %.6f, "
           "\"cpu\": %.9f, \"own_cpu\": %.6f, \"flows\": %d, \"sinks\": %d, "
           "\"least\": %llu, \"most\": %llu, \"slips\": %llu, \"odd\": %llu, "
           "\"next_sequence\": %u",
           (unsigned long long)sent, (unsigned long long)failed,
           (unsigned long long)copies, took, cpu_after - cpu_before, own, flow_count,
           sink_count, (unsigned long long)(sink_count ? least : 0),
           (unsigned long long)most, (unsigned long long)slips,
           (unsigned long long)odd, next);
    if (delay_count) {
        qsort(delays, (size_t)delay_count, sizeof *delays, by_value);
        printf(", \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f",
               part(0.5), part(0.99), part(0.999), part(1.0));
    }
    printf("}\n");
    return 0;
}
