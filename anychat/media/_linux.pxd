"""What the relay uses of Linux and of the compiler's atomics.

Only declarations: the names, structures and constants are those of the headers.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t

    struct iovec:
        void *iov_base
        size_t iov_len

    struct sockaddr:
        unsigned short sa_family

    struct msghdr:
        void *msg_name
        socklen_t msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
        int msg_flags

    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len

    struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type

    cmsghdr *CMSG_FIRSTHDR(msghdr *)
    cmsghdr *CMSG_NXTHDR(msghdr *, cmsghdr *)
    unsigned char *CMSG_DATA(cmsghdr *)
    size_t CMSG_SPACE(size_t)
    size_t CMSG_LEN(size_t)

    int recvmmsg(int, mmsghdr *, unsigned int, int, void *)
    int sendmmsg(int, mmsghdr *, unsigned int, int)

    int AF_INET
    int AF_INET6
    int MSG_DONTWAIT


cdef extern from "<netinet/in.h>" nogil:
    struct in_addr:
        uint32_t s_addr

    struct in6_addr:
        uint8_t s6_addr[16]

    struct sockaddr_in:
        unsigned short sin_family
        uint16_t sin_port
        in_addr sin_addr

    struct sockaddr_in6:
        unsigned short sin6_family
        uint16_t sin6_port
        uint32_t sin6_flowinfo
        in6_addr sin6_addr
        uint32_t sin6_scope_id

    struct in_pktinfo:
        int ipi_ifindex
        in_addr ipi_spec_dst
        in_addr ipi_addr

    struct in6_pktinfo:
        in6_addr ipi6_addr
        unsigned int ipi6_ifindex

    int IPPROTO_IP
    int IPPROTO_IPV6
    int IP_PKTINFO
    int IPV6_PKTINFO

    uint16_t htons(uint16_t)
    uint16_t ntohs(uint16_t)
    uint32_t htonl(uint32_t)
    uint32_t ntohl(uint32_t)


cdef extern from *:
    """
    /* <linux/udp.h>, which older C libraries do not have. */
    #define RELAY_SOL_UDP 17
    #define RELAY_UDP_SEGMENT 103
    """
    enum:
        SOL_UDP "RELAY_SOL_UDP"
        UDP_SEGMENT "RELAY_UDP_SEGMENT"


cdef extern from "<sys/epoll.h>" nogil:
    union epoll_data_t:
        int fd

    struct epoll_event:
        uint32_t events
        epoll_data_t data

    int epoll_wait(int, epoll_event *, int, int)


cdef extern from "<unistd.h>" nogil:
    ssize_t read(int, void *, size_t)
    ssize_t write(int, const void *, size_t)
    long syscall(long, ...)


cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec

    int CLOCK_MONOTONIC
    int clock_gettime(int, timespec *)
    int nanosleep(const timespec *, timespec *)


cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass

    int pthread_mutex_init(pthread_mutex_t *, void *)
    int pthread_mutex_destroy(pthread_mutex_t *)
    int pthread_mutex_lock(pthread_mutex_t *)
    int pthread_mutex_trylock(pthread_mutex_t *)
    int pthread_mutex_unlock(pthread_mutex_t *)


cdef extern from "<sys/syscall.h>" nogil:
    long SYS_sched_setattr
    long SYS_sched_getattr


cdef extern from * nogil:
    # The compiler's own; one name for each type they are used with.
    int __ATOMIC_RELAXED
    int __ATOMIC_ACQUIRE
    int __ATOMIC_RELEASE
    int __ATOMIC_SEQ_CST
    void *load_pointer "__atomic_load_n" (void **, int)
    void store_pointer "__atomic_store_n" (void **, void *, int)
    uint64_t load_u64 "__atomic_load_n" (uint64_t *, int)
    void store_u64 "__atomic_store_n" (uint64_t *, uint64_t, int)
    uint64_t exchange_u64 "__atomic_exchange_n" (uint64_t *, uint64_t, int)
    int64_t load_i64 "__atomic_load_n" (int64_t *, int)
    void store_i64 "__atomic_store_n" (int64_t *, int64_t, int)
    uint64_t add_u64 "__atomic_fetch_add" (uint64_t *, uint64_t, int)
    int load_int "__atomic_load_n" (int *, int)
    void store_int "__atomic_store_n" (int *, int, int)
    void load_double "__atomic_load" (double *, double *, int)
    void store_double "__atomic_store" (double *, double *, int)
