"""
UDP at one end, and what Node's sockets cannot do: `peer.py VERB OPTIONS`, options and answers as peers.ts describes them.

Receive buffers are larger than the machine's limit (SO_RCVBUFFORCE, the tests run as root), so that a program that is not
scheduled for a while does not lose packets which V2N delivered.
"""
import json
import select
import socket
import sys
import threading
import time

IP_MTU_DISCOVER, IP_MTU = 10, 14
IPV6_MTU_DISCOVER, IPV6_MTU = 23, 24
PMTUDISC_DONT, PMTUDISC_WANT, PMTUDISC_DO = 0, 1, 2
SO_RCVBUFFORCE = 33
BUFFER = 256 << 20


def say(**line):
    print(json.dumps(line), flush=True)


def udp(address, port=0):
    """A socket bound to an address of either family."""
    sock = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
    if ':' in address:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    sock.bind((address, port))
    return sock


def until_finished():
    """Waits for the end of standard input."""
    sys.stdin.read()


def echo(options):
    """Sends every datagram back to where it came from, on each of the ports, both families, until it is told to finish."""
    poll = select.epoll()
    sockets = {}
    for port in options['ports']:
        for address in ('0.0.0.0', '::'):
            sock = udp(address, port)
            sock.setblocking(False)
            sockets[sock.fileno()] = sock
            poll.register(sock, select.EPOLLIN)
    poll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
    say(ready=True)
    echoed = 0
    while True:
        for fd, _ in poll.poll():
            if fd == sys.stdin.fileno():
                say(done={'echoed': echoed})
                return
            sock = sockets[fd]
            while True:
                try:
                    data, peer = sock.recvfrom(65536)
                except BlockingIOError:
                    break
                sock.sendto(data, peer)
                echoed += 1


def ask(options):
    """Sends a datagram of each size, one after the other, and waits for it to come back. Says which came back as they were."""
    import random
    target = (options['address'], options['port'])
    sock = udp('::' if ':' in target[0] else '0.0.0.0')
    sock.connect(target)
    sock.settimeout(options.get('patience', 10))
    say(ready=True)
    same, other, lost = [], [], []
    for size in options['sizes']:
        data = random.randbytes(size)
        sock.send(data)
        try:
            (same if sock.recv(65536) == data else other).append(size)
        except TimeoutError:
            lost.append(size)
    say(done={'same': same, 'other': other, 'lost': lost})


VERBS = {'echo': echo, 'ask': ask}

if __name__ == '__main__':
    VERBS[sys.argv[1]](json.loads(sys.argv[2]))
