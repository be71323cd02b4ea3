"""Programs that want to reach somebody. The addresses are the canaries that the test made."""

import socket
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


main(globals())
