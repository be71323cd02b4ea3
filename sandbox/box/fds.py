"""Descriptors: kept together, made, waited for without blocking the event loop."""

import asyncio
import fcntl
import os
import select
import struct
import termios
from collections.abc import Callable
from contextlib import ExitStack


class Fds(ExitStack):
    """Descriptors that are closed together."""

    def keep(self, fd: int) -> int:
        self.callback(os.close, fd)
        return fd


def memory_file(content: bytes) -> int:
    """Return a descriptor to read `content` from."""
    fd = os.memfd_create("box")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def readable_now(fd: int) -> bool:
    """Tell whether `fd` can be read: data, its end, or for a pidfd the end of the process."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def pending(fd: int) -> int:
    """Return how many bytes wait in a pipe."""
    return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0]


async def readable(fd: int) -> None:
    """Return when `readable_now` holds."""
    loop = asyncio.get_running_loop()
    await _ready(fd, loop.add_reader, loop.remove_reader)


async def writable(fd: int) -> None:
    """Return when `fd` can be written, or for a socket when its connect has come to an end."""
    loop = asyncio.get_running_loop()
    await _ready(fd, loop.add_writer, loop.remove_writer)


async def _ready(fd: int, watch: Callable, unwatch: Callable) -> None:
    ready = asyncio.get_running_loop().create_future()
    watch(fd, _set, ready)
    try:
        await ready
    finally:
        unwatch(fd)


def _set(ready: asyncio.Future) -> None:
    if not ready.done():
        ready.set_result(None)
