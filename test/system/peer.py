"""
UDP at one end, and what Node's sockets cannot do: `peer.py VERB OPTIONS`, options and answers as peers.ts describes them.

Receive buffers are larger than the machine's limit (SO_RCVBUFFORCE, the tests run as root), so that a program that is not
scheduled for a while does not lose packets which V2N delivered.
"""
import array
import errno
import fcntl
import json
import random
import resource
import select
import socket
import struct
import sys
import time

# linux/in.h, linux/in6.h, linux/if_packet.h: what Python's socket module does not name.
SO_RCVBUFFORCE = 33
MTU_DISCOVER = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}
MTU = {4: (socket.IPPROTO_IP, 14), 6: (socket.IPPROTO_IPV6, 24)}
DISCOVERIES = {'dont': 0, 'want': 1, 'do': 2}
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
ETH_P_ALL = 3
VNET_HDR_LEN, VNET_NEEDS_CSUM = 10, 1
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17
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
    """
    Sends a datagram of each size, one after the other, and waits for it to come back; `from`: from this port. Says which came back
    as they were.
    """
    target = (options['address'], options['port'])
    sock = udp('::' if ':' in target[0] else '0.0.0.0', options.get('from', 0))
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
    """Sends numbered datagrams, of a `size` where one is given, at a steady rate until it is told to finish. Says how many."""
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
            sock.send(struct.pack('!I', sent).ljust(options.get('size', 4), b'.'))
            sent += 1
    say(done={'sent': sent})


def sink(options):
    """
    Takes in numbered datagrams. Told how many were sent, it waits for those that are on their way and says how many numbers there
    were, and how many came twice.
    """
    sock = udp('::' if options.get('ipv6') else '0.0.0.0', options['port'])
    sock.setblocking(False)
    say(ready=True)
    numbers, twice, sent = set(), 0, None
    while sent is None or len(numbers) < sent:
        readable = select.select([sock] if sent is not None else [sock, sys.stdin], [], [], None if sent is None else 5)[0]
        if sys.stdin in readable:
            sent = int(sys.stdin.readline())
        elif not readable:
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


def size(options):
    """
    Sends one datagram and waits for the error that it earns, then looks at what the kernel knows of the way. `discover`: whether
    packets may be cut (`dont`), the kernel follows the way (`want`) or must not cut (`do`). Says errors' names and the way's MTU.
    """
    target = (options['address'], options['port'])
    family = 6 if ':' in target[0] else 4
    sock = udp('::' if family == 6 else '0.0.0.0')
    sock.setsockopt(*MTU_DISCOVER[family], DISCOVERIES[options['discover']])
    sock.connect(target)
    sock.settimeout(options.get('patience', 5))
    say(ready=True)
    errors = []
    data = random.randbytes(options['size'])
    sock.send(data)
    try:
        same = sock.recv(65536) == data
    except OSError as error:
        errors.append(errno.errorcode.get(error.errno, 'none'))
        same = False
    try:
        sock.send(data)
    except OSError as error:
        errors.append(errno.errorcode[error.errno])
    say(done={'same': same, 'errors': errors, 'mtu': sock.getsockopt(*MTU[family])})


def knock(options):
    """
    Tries to begin conversations that nobody asked for, with each of the ports at once. Says what came of each: `silence`, `answer`
    or an error's name.
    """
    family = socket.AF_INET6 if ':' in options['address'] else socket.AF_INET
    kind = {'tcp': socket.SOCK_STREAM, 'udp': socket.SOCK_DGRAM}[options['protocol']]
    say(ready=True)
    sockets = {}
    for port in options['ports']:
        sock = socket.socket(family, kind)
        if 'from' in options:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(('::' if family == socket.AF_INET6 else '0.0.0.0', options['from']))
        sock.setblocking(False)
        sock.connect_ex((options['address'], port))
        if kind == socket.SOCK_DGRAM:
            sock.send(b'anybody there?')
        sockets[port] = sock
    time.sleep(options.get('patience', 0.5))
    came = {}
    for port, sock in sockets.items():
        poll = select.poll()
        poll.register(sock, select.POLLIN if kind == socket.SOCK_DGRAM else select.POLLOUT)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        came[port] = errno.errorcode[error] if error else 'answer' if poll.poll(0) else 'silence'
    say(done=came)


def fragment(options):
    """Sends the first fragment of a datagram whose others will never come."""
    destination = socket.inet_aton(options['address'])
    payload = struct.pack('!HHHH', 4000, 7, 2000, 0) + bytes(1000)
    header = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(payload), 77, 0x2000, 64, socket.IPPROTO_UDP, 0, bytes(4), destination)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        sock.sendto(header + payload, (options['address'], 0))
    say(ready=True)


def capture(options):
    """
    Writes the packets that a device receives to a file, one a line: `partial` where the checksum of its transport is left to
    the device, `whole` where it has to be right as it is, and the bytes in hexadecimal. Told to finish, it empties its queue.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    sock.bind((options['device'], ETH_P_ALL))
    say(ready=True)
    finishing, frames = False, []
    while True:
        readable = select.select([sock] if finishing else [sock, sys.stdin], [], [], 0.3 if finishing else None)[0]
        finishing = finishing or sys.stdin in readable
        if finishing and not readable:
            break
        if sock in readable:
            frames.append(sock.recv(VNET_HDR_LEN + 65536))
    with open(options['file'], 'w') as file:
        for frame in frames:
            kind = 'partial' if frame[0] & VNET_NEEDS_CSUM else 'whole'
            print(kind, frame[VNET_HDR_LEN:].hex(), file=file)
    say(done={'frames': len(frames)})


def software(options):
    """Makes the kernel compute checksums itself before it gives packets to the device, which ends segmentation by the device too."""
    off = array.array('B', struct.pack('II', ETHTOOL_STXCSUM, 0))
    request = struct.pack('16sP', options['device'].encode(), off.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCETHTOOL, request)
    say(ready=True)


VERBS = {verb.__name__: verb for verb in (echo, ask, stream, sink, many, size, knock, fragment, capture, software)}

if __name__ == '__main__':
    VERBS[sys.argv[1]](json.loads(sys.argv[2]))
