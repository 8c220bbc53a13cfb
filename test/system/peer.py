"""
UDP at one end, and what Node's sockets cannot do: `peer.py VERB OPTIONS`, options and answers as peers.ts describes them.

Receive buffers are larger than the machine's limit (SO_RCVBUFFORCE, the tests run as root), so that a program that is not
scheduled for a while does not lose packets which V2N delivered.
"""
import errno
import json
import random
import resource
import select
import socket
import struct
import sys
import time

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


def stream(options):
    """Sends numbered datagrams at a steady rate until it is told to finish. Says how many."""
    target = (options['address'], options['port'])
    sock = udp('::' if ':' in target[0] else '0.0.0.0')
    sock.connect(target)
    say(ready=True)
    began, sent = time.monotonic(), 0
    while not select.select([sys.stdin], [], [], 0.001)[0]:
        due = int((time.monotonic() - began) * options['rate'])
        # After a pause of its own it goes on at its pace: a burst would only test the length of a queue.
        if due - sent > 20:
            began = time.monotonic() - sent / options['rate']
        while sent < due:
            sock.send(struct.pack('!I', sent))
            sent += 1
    say(done={'sent': sent})


def sink(options):
    """Takes in numbered datagrams; told to finish, it empties its queue. Says how many numbers there were, and how many came twice."""
    sock = udp('::' if options.get('ipv6') else '0.0.0.0', options['port'])
    sock.setblocking(False)
    say(ready=True)
    numbers, twice, finishing = set(), 0, False
    while True:
        readable = select.select([sock] if finishing else [sock, sys.stdin], [], [], 0.5 if finishing else None)[0]
        finishing = finishing or sys.stdin in readable
        if finishing and not readable:
            break
        try:
            while True:
                number = struct.unpack('!I', sock.recv(65536))[0]
                twice += number in numbers
                numbers.add(number)
        except BlockingIOError:
            pass
    say(done={'received': len(numbers), 'twice': twice})


def many(options):
    """
    A socket on each of many ports, each with a conversation of its own: sends a number, and the echo has to bring it back. One round
    now and one more for each line of standard input; a window bounds what is on its way. Says which ports had no answer or an error.
    """
    count, first = options['count'], options['first']
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    target = (options['address'], options['port'])
    wild = '::' if ':' in target[0] else '0.0.0.0'
    family = socket.AF_INET6 if ':' in target[0] else socket.AF_INET
    poll = select.epoll()
    sockets, number_of = [], {}
    for number in range(count):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind((wild, first + number))
        sock.connect(target)
        sockets.append(sock)
        number_of[sock.fileno()] = number
        poll.register(sock, select.EPOLLIN)
    say(ready=True)
    while True:
        waiting, following, errors = set(), 0, {}
        while following < count or waiting:
            while following < count and len(waiting) < options.get('window', 128):
                sockets[following].send(struct.pack('!I', following))
                waiting.add(following)
                following += 1
            events = poll.poll(options.get('patience', 10), 1024)
            if not events:
                break
            for fd, _ in events:
                number = number_of[fd]
                try:
                    if struct.unpack('!I', sockets[number].recv(100))[0] == number:
                        waiting.discard(number)
                except OSError as error:
                    waiting.discard(number)
                    errors[first + number] = errno.errorcode[error.errno]
        unanswered = sorted(first + number for number in waiting | set(range(following, count)))
        answered = count - len(unanswered) - len(errors)
        say(done={'answered': answered, 'unanswered': unanswered[:10], 'errors': errors})
        if not sys.stdin.readline():
            return


VERBS = {verb.__name__: verb for verb in (echo, ask, stream, sink, many)}

if __name__ == '__main__':
    VERBS[sys.argv[1]](json.loads(sys.argv[2]))
