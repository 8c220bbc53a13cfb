/*
 * Receives UDP packets on one port and says how many, every 50 ms.
 *
 *     sink PORT SECONDS CORE
 *
 * Prints `ready` once the port is bound, then lines of two numbers: nanoseconds of CLOCK_MONOTONIC, and packets read from the
 * socket since the start. Whoever reads them picks the stretch of time to count. Ends with its standard input, or after
 * SECONDS. The socket takes IPv4 and IPv6. Packets count when they have been read, not when they have arrived.
 *
 * When a batch was not full the program sleeps for 100 us by the clock instead of waiting for the next packet. Somebody who waits has to be
 * woken, by an interrupt to another core, for nearly every packet of a flood that comes in singly: in a virtual machine
 * that alone took two thirds of the sender's time and would be what is measured. The socket's buffer holds what comes meanwhile.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 64, ROOM = 2048, BUFFER = 16 << 20 };
static const struct timespec NAP = {0, 100 * 1000};
static const long long TICK = 50 * 1000000LL;

static void fail(const char *what)
{
    fprintf(stderr, "sink: %s: %s\n", what, strerror(errno));
    exit(1);
}

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int input_ended(void)
{
    char byte;
    struct pollfd input = {.fd = 0, .events = POLLIN};
    return poll(&input, 1, 0) > 0 && fread(&byte, 1, 1, stdin) == 0;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: sink PORT SECONDS CORE\n");
        return 2;
    }
    int core = atoi(argv[3]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (core >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET(core, &cores);
        if (sched_setaffinity(0, sizeof cores, &cores)) fail("sched_setaffinity");
    }

    int s = socket(AF_INET6, SOCK_DGRAM, 0), off = 0, buffer = BUFFER;
    if (s < 0) fail("socket");
    if (setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off)) fail("IPV6_V6ONLY");
    if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer)) fail("SO_RCVBUFFORCE");
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons(atoi(argv[1])), .sin6_addr = in6addr_any};
    if (bind(s, (struct sockaddr *)&at, sizeof at)) fail("bind");

    static char bytes[BATCH][ROOM];
    struct iovec vectors[BATCH];
    struct mmsghdr batch[BATCH];
    memset(batch, 0, sizeof batch);
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){bytes[i], ROOM};
        batch[i].msg_hdr.msg_iov = &vectors[i];
        batch[i].msg_hdr.msg_iovlen = 1;
    }

    setlinebuf(stdout);
    printf("ready\n");
    long long packets = 0, t = now(), end = t + (long long)(atof(argv[2]) * 1e9), next = t;
    for (; t < end; t = now()) {
        if (t >= next) {
            printf("%lld %lld\n", t, packets);
            next = t + TICK;
            if (input_ended()) break;
        }
        int count = recvmmsg(s, batch, BATCH, MSG_DONTWAIT, NULL);
        if (count > 0) packets += count;
        else if (errno != EAGAIN && errno != EINTR) fail("recvmmsg");
        if (count < BATCH) nanosleep(&NAP, NULL);
    }
    printf("%lld %lld\n", t, packets);
    return 0;
}
