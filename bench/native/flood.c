/*
 * Sends UDP packets of one size as fast as one thread can, over one or more flows.
 *
 *     flood ADDRESS PORT SECONDS PAYLOAD_BYTES FLOWS CORE
 *
 * A flow is a connected socket with a source port of its own. With one flow 64 packets go out in one sendmmsg; with more,
 * 8 a flow in turn, so that consecutive packets mostly differ. Prints one JSON object when the time is over:
 * when it began and ended (nanoseconds of CLOCK_MONOTONIC), packets the kernel took, and calls it refused.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { MAX_BATCH = 64, BATCH_OF_MANY = 8, MAX_PAYLOAD = 65507 };

static void fail(const char *what)
{
    fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
    exit(1);
}

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: flood ADDRESS PORT SECONDS PAYLOAD_BYTES FLOWS CORE\n");
        return 2;
    }
    double seconds = atof(argv[3]);
    int payload = atoi(argv[4]), flows = atoi(argv[5]), core = atoi(argv[6]);
    if (seconds <= 0 || seconds > 600 || payload < 0 || payload > MAX_PAYLOAD || flows < 1 || flows > 60000) {
        fprintf(stderr, "flood: out of range: at most 600 s, %d bytes, 60000 flows\n", MAX_PAYLOAD);
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (core >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET(core, &cores);
        if (sched_setaffinity(0, sizeof cores, &cores)) fail("sched_setaffinity");
    }
    struct rlimit files = {flows + 64, flows + 64};
    if (flows > 900 && setrlimit(RLIMIT_NOFILE, &files)) fail("setrlimit");

    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM}, *to;
    if (getaddrinfo(argv[1], argv[2], &hints, &to)) {
        fprintf(stderr, "flood: %s port %s is no address\n", argv[1], argv[2]);
        return 2;
    }
    int *sockets = calloc(flows, sizeof *sockets);
    for (int i = 0; i < flows; i++) {
        sockets[i] = socket(to->ai_family, SOCK_DGRAM, 0);
        if (sockets[i] < 0) fail("socket");
        if (connect(sockets[i], to->ai_addr, to->ai_addrlen)) fail("connect");
    }

    static char bytes[MAX_PAYLOAD];
    struct iovec vector = {bytes, payload};
    struct mmsghdr batch[MAX_BATCH];
    memset(batch, 0, sizeof batch);
    for (int i = 0; i < MAX_BATCH; i++) {
        batch[i].msg_hdr.msg_iov = &vector;
        batch[i].msg_hdr.msg_iovlen = 1;
    }

    int size = flows == 1 ? MAX_BATCH : BATCH_OF_MANY;
    long long sent = 0, refused = 0, began = now(), end = began + (long long)(seconds * 1e9), t = began;
    for (int flow = 0; t < end; t = now()) {
        int taken = sendmmsg(sockets[flow], batch, size, 0);
        if (taken > 0) sent += taken;
        else if (errno == EAGAIN || errno == ENOBUFS || errno == ECONNREFUSED || errno == EHOSTUNREACH) refused++;
        else fail("sendmmsg");
        if (++flow == flows) flow = 0;
    }
    printf("{\"beganNs\":%lld,\"endedNs\":%lld,\"sent\":%lld,\"refused\":%lld}\n", began, t, sent, refused);
    return 0;
}
