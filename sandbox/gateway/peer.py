"""One end of a Kafka connection as the gateway holds it: a program's or the broker's."""

import asyncio
from collections.abc import Callable

from sandbox.gateway.frames import Frame, FrameParser, FrameTooLarge


class Peer(asyncio.BufferedProtocol):
    """Frames come by `read` and go by `write`.

    Receiving stops while enough frames wait to be read, so a peer that is not listened to fills its
    own socket and not our memory.
    """

    transport: asyncio.Transport
    _ENOUGH = 64 * 1024  # bytes
    _LAST_WORDS = 2.0  # seconds

    def __init__(self, limit: int, connected: Callable[["Peer"], None] | None = None) -> None:
        """limit: of bytes of a frame; connected: called once the connection is there."""
        self._parser = FrameParser(limit)
        self._connected = connected
        self._too_large: FrameTooLarge | None = None
        self._lost = False
        self._reader: asyncio.Future[None] | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    @classmethod
    async def connect(cls, address: tuple[str, int], limit: int) -> "Peer":
        """Open a connection. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, peer = await loop.create_connection(lambda: cls(limit), *address)
        return peer

    async def read(self) -> Frame:
        """Return the next frame, with its length prefix, after everybody else had a turn.

        Raises ConnectionError at the end of the stream, FrameTooLarge for a frame over the limit.
        """
        if self._parser.waiting:
            await asyncio.sleep(0)  # else a storm of small frames would keep the loop to itself
        while (frame := self._parser.take()) is None:
            if self._too_large is not None:
                raise self._too_large
            if self._lost:
                raise ConnectionResetError("the connection is closed")
            self.transport.resume_reading()
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return frame

    def write(self, frame: Frame) -> None:
        """Send a frame; to a peer that is gone, nothing."""
        if not self._lost:
            self.transport.write(frame)

    async def drain(self) -> None:
        """Return once the peer takes more. Raises ConnectionError when it is gone."""
        await self._may_write.wait()
        if self._lost:
            raise ConnectionResetError("the connection is closed")

    def close(self) -> None:
        """Close the connection when all that was written is sent, or soon: a frozen peer takes
        nothing."""
        self.transport.close()
        asyncio.get_running_loop().call_later(self._LAST_WORDS, self.transport.abort)

    # --- called by the event loop -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self._connected is not None:
            self._connected(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._parser.space()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            self._parser.received(nbytes)
        except FrameTooLarge as error:
            self._too_large = error
        if self._parser.waiting >= self._ENOUGH or self._too_large is not None:
            self.transport.pause_reading()
        self._wake_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._wake_reader()
        self._may_write.set()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def _wake_reader(self) -> None:
        something = self._parser.waiting or self._lost or self._too_large is not None
        if something and self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
