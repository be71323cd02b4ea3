"""The supervisor's side of the keeper: one per process, started when the first box is."""

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sandbox.box.fds import readable, writable

SCRIPT = Path(__file__).with_name("keeper_main.py")
MESSAGE_BYTES, MESSAGE_FDS = 65_536, 16


@dataclass(frozen=True)
class Spawn:
    """A program to start confined: `fds` become its descriptors 0, 1, 2, ...

    uid: the user (and group) it drops to, None to stay who we are.
    """

    argv: Sequence[str]
    fds: Sequence[int]
    uid: int | None
    rlimits: Mapping[str, int]
    cgroups: Sequence[Path]


class Keeper:
    """Starts boxes and enters their namespaces; see `keeper_main`."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(SCRIPT), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,  # a Ctrl-C in our terminal is for us to handle
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None and self.owner == os.getpid()

    async def spawn(self, what: Spawn) -> tuple[int, int]:
        """Start a program; return its pid and a pidfd of it, which tells when it has ended."""
        request = {
            "verb": "spawn",
            "argv": list(what.argv),
            "uid": what.uid,
            "rlimits": dict(what.rlimits),
            "cgroups": [str(path) for path in what.cgroups],
        }
        answer, fds = await self._ask(request, what.fds)
        return answer["pid"], fds[0]

    @contextlib.asynccontextmanager
    async def doors(
        self, network: int, ports: Sequence[int]
    ) -> AsyncIterator[dict[int, socket.socket]]:
        """Non-blocking sockets, by port, that listen on 127.0.0.1 inside a network namespace.

        They stay open when the block ends well, for whoever serves them.
        """
        with ExitStack() as undo:
            doors = await self._listen(network, ports)
            for door in doors.values():
                undo.enter_context(door)
            yield doors
            undo.pop_all()

    async def _listen(self, network: int, ports: Sequence[int]) -> dict[int, socket.socket]:
        if not ports:
            return {}
        _, fds = await self._ask({"verb": "listen", "ports": list(ports)}, [network])
        doors = dict(zip(ports, (socket.socket(fileno=fd) for fd in fds), strict=True))
        for door in doors.values():
            door.setblocking(False)
        return doors

    async def connect(self, network: int, port: int) -> socket.socket:
        """Return a non-blocking socket connected to 127.0.0.1:port inside a network namespace.

        Raises ConnectionRefusedError when nothing listens there.
        """
        _, fds = await self._ask({"verb": "connect", "port": port}, [network])
        client = socket.socket(fileno=fds[0])
        client.setblocking(False)
        try:
            await writable(client.fileno())
            if error := client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(error, f"port {port} inside the box: {os.strerror(error)}")
        except BaseException:
            client.close()
            raise
        return client

    async def _ask(self, request: dict, fds: Sequence[int]) -> tuple[dict, list[int]]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs:
                message = json.dumps(request).encode()
                socket.send_fds(self._channel, [message], [*fds, theirs.fileno()])
            await readable(ours.fileno())
            body, received, _, _ = socket.recv_fds(ours, MESSAGE_BYTES, MESSAGE_FDS)
        if not body:
            raise ConnectionResetError("the keeper of the boxes ended")
        answer = json.loads(body)
        if "error" in answer:
            raise OSError(answer["errno"], answer["error"])
        return answer, received

    def close(self) -> None:
        """End the keeper, and with it every box it started."""
        self._channel.close()
        if self.owner == os.getpid():
            self.process.wait()


_keeper: Keeper | None = None


def keeper() -> Keeper:
    """Return the keeper of this process; a new one if there is none, or it was killed."""
    global _keeper
    if _keeper is None or not _keeper.alive:
        if _keeper is not None:
            _keeper.close()
        _keeper = Keeper()
        atexit.register(_keeper.close)
    return _keeper
