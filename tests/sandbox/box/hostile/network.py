"""Programs that want to reach somebody. The addresses are the canaries that the test made."""

import fcntl
import socket
import struct
import sys
import time

from probe import attempt, main


def interfaces():
    print("interfaces", [name for _, name in socket.if_nameindex()])
    with open("/proc/net/route") as file:
        print("routes", len(file.readlines()) - 1)
    with open("/proc/net/if_inet6") as file:
        print("IPv6", {line.split()[-1] for line in file})


def host_loopback():
    attempt("TCP", lambda: socket.create_connection(("127.0.0.1", int(sys.argv[2])), timeout=2))


def address_of_another_namespace():
    """192.0.2.1 is reserved for documentation; the canary's namespace has it, this one not."""
    attempt("TCP", lambda: socket.create_connection(("192.0.2.1", 7000), timeout=2))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        attempt("UDP", lambda: udp.sendto(b"hello", ("192.0.2.1", 7000)))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        attempt("multicast", lambda: udp.sendto(b"hello", ("ff02::1", 7000)))


def serve():
    """Listen wherever a neighbour could look."""
    listener = socket.create_server(("0.0.0.0", 7001))
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind("\0offsetzero-neighbour")
    abstract.listen()
    print("serving")
    time.sleep(1000)
    listener.close()


def neighbour():
    attempt("TCP", lambda: socket.create_connection(("127.0.0.1", 7001), timeout=2))
    with socket.socket(socket.AF_UNIX) as client:
        attempt("abstract", lambda: client.connect("\0offsetzero-neighbour"))


def unreachable():
    """Every kind of packet, to an address that is the test's own by no route."""
    for name, family, kind, protocol in (
        ("icmp", socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
        ("raw", socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP),
        ("raw IPv6", socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6),
        ("sctp", socket.AF_INET, socket.SOCK_STREAM, 132),
    ):
        attempt(name, lambda: socket.socket(family, kind, protocol).sendto(b"x", ("192.0.2.1", 1)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        attempt("broadcast", lambda: udp.sendto(b"x", ("255.255.255.255", 7000)))
        attempt("multicast", lambda: udp.sendto(b"x", ("224.0.0.1", 7000)))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        attempt("link-local", lambda: udp.sendto(b"x", ("fe80::1", 7000)))


def change_the_network():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        down = struct.pack("16sH14x", b"lo", 0)
        attempt("lo down", lambda: fcntl.ioctl(control, 0x8914, down))
        address = struct.pack("16sHH4s8x", b"lo", socket.AF_INET, 0, b"\xc0\0\2\1")
        attempt("address", lambda: fcntl.ioctl(control, 0x8916, address))
        attempt("bind to device", lambda: control.setsockopt(1, 25, b"eth0"))
        attempt("mark", lambda: control.setsockopt(1, 36, 1))
    with socket.socket(socket.AF_INET) as low:
        attempt("low port", lambda: low.bind(("127.0.0.1", 80)))
        attempt("transparent", lambda: low.setsockopt(0, 19, 1))


def names():
    try:
        socket.getaddrinfo("host.example", 80)
    except socket.gaierror:
        print("no resolver")


def sockets_by_path():
    with socket.socket(socket.AF_UNIX) as client:
        for path in ("/run/docker.sock", "/var/run/docker.sock", "/tmp/neighbour.sock"):
            attempt(path, lambda: client.connect(path))


def serve_by_path():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("/tmp/neighbour.sock")
    listener.listen()
    print("serving")
    time.sleep(1000)


def take_the_door():
    """The door is bound before the program begins, and it is not the program's."""
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        attempt("door", lambda: thief.bind(("127.0.0.1", 9092)))


def crowd_at_the_door():
    """Connections that say nothing, and nobody who accepts them."""
    kept = []

    def knock():
        one = socket.socket()
        one.setblocking(False)
        kept.append(one)
        one.connect_ex(("127.0.0.1", 9092))

    attempt("knock", lambda: [knock() for _ in range(9999)])


main(globals())
