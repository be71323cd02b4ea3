"""Frames of the Kafka protocol: four bytes of length, then as many bytes."""

import asyncio

PREFIX = 4
CLOSED = (asyncio.IncompleteReadError, ConnectionError)  # what a closed connection raises


class FrameTooLarge(Exception):
    """A frame announces a length that nobody should send."""


async def read_frame(reader: asyncio.StreamReader, limit: int) -> bytes:
    """Read one frame and return it with its length prefix.

    Raises FrameTooLarge, before anything is allocated for it, when it announces more than `limit`
    bytes or a negative length; IncompleteReadError or ConnectionError when the stream ends.
    """
    prefix = await reader.readexactly(PREFIX)
    length = int.from_bytes(prefix, signed=True)
    if not 0 <= length <= limit:
        raise FrameTooLarge(f"a frame of {length} bytes; at most {limit} are taken")
    return prefix + await reader.readexactly(length)
