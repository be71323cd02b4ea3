"""The keeper: a small process with one thread that starts boxes and enters their namespaces.

Joining a user namespace is allowed only to a process with a single thread, and the parent-death
signal follows the *thread* that forked; the supervisor has many threads, the keeper one. It lives
as long as its supervisor: when the socket to it closes, it ends, and every box with it.

Run as a script (`python -I -S keeper_main.py FD`), it imports nothing of ours. A request is one
packet: JSON, and descriptors of which the last is the socket for the answer.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
NS_GET_USERNS = 0xB701
PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER = 38, 36
IP_FREEBIND = 15
BACKLOG = 128
MESSAGE_BYTES, MESSAGE_FDS = 65_536, 16

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> None:
    """Raise OSError for the error that a libc call answered."""
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def spawn(request: dict, fds: list[int]) -> tuple[dict, list[int]]:
    """Start a box; its descriptors become 0, 1, 2, ... Answer its pid and a pidfd."""
    pid = os.fork()
    if pid == 0:
        try:
            become_box(request, fds)
        except Exception as error:
            os.write(2, f"cannot start the box: {error}\n".encode())
        finally:
            os._exit(127)
    return {"pid": pid}, [os.pidfd_open(pid)]


def become_box(request: dict, fds: list[int]) -> None:
    """Confine this process as the request says, and become its program."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for cgroup in request["cgroups"]:
        Path(cgroup, "cgroup.procs").write_text("0")
    Path("/proc/self/oom_score_adj").write_text("1000")  # before the supervisor or a broker
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 64) for fd in fds]
    for target, fd in enumerate(high):
        os.dup2(fd, target)
    os.closerange(len(fds), 1024)
    for name, value in request["rlimits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if (uid := request["uid"]) is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    os.execve(request["argv"][0], request["argv"], {})  # noqa: S606


def listen(request: dict, fds: list[int]) -> tuple[dict, list[int]]:
    """Open the doors: answer a listening socket per port, bound inside the namespace."""
    enter(fds[0])
    doors = []
    for port in request["ports"]:
        door = socket.socket()
        # The loopback interface may not be up yet: the box is still being made.
        door.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        door.bind(("127.0.0.1", port))
        door.listen(BACKLOG)
        doors.append(door.detach())
    return {}, doors


def connect(request: dict, fds: list[int]) -> tuple[dict, list[int]]:
    """Answer a socket on its way to a port inside the namespace."""
    enter(fds[0])
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", request["port"]))
    return {}, [client.detach()]


def enter(network: int) -> None:
    """Join a network namespace, by way of the user namespace that owns it."""
    owner = fcntl.ioctl(network, NS_GET_USERNS)
    if not os.path.sameopenfile(owner, os.open("/proc/self/ns/user", os.O_RDONLY)):
        check(libc.setns(owner, CLONE_NEWUSER))  # refused for the one we are in
    check(libc.setns(network, CLONE_NEWNET))


ENTERING = {"listen": listen, "connect": connect}


def answer(verb: Callable, request: dict, fds: list[int], reply: socket.socket) -> None:
    try:
        body, out = verb(request, fds)
    except OSError as error:
        body, out = {"errno": error.errno, "error": str(error)}, []
    with contextlib.suppress(OSError):  # whoever asked may be gone
        socket.send_fds(reply, [json.dumps(body).encode()], out)
    for fd in out:
        os.close(fd)


def serve(message: bytes, fds: list[int]) -> None:
    """Answer one request; what enters a namespace does so in a child that then ends."""
    request = json.loads(message)
    with socket.socket(fileno=fds.pop()) as reply:
        if request["verb"] == "spawn":
            answer(spawn, request, fds, reply)
        elif os.fork() == 0:
            try:
                answer(ENTERING[request["verb"]], request, fds, reply)
            finally:
                os._exit(0)
    for fd in fds:
        os.close(fd)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps; a pidfd still tells the end
    check(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        while True:
            message, fds, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, MESSAGE_FDS)
            if not message:
                return
            serve(message, fds)


if __name__ == "__main__":
    main()
