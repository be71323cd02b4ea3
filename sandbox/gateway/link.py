"""The gateway's own connection to the broker, past all programs."""

import asyncio
import itertools

from sandbox.gateway.codec import Body, Codec
from sandbox.gateway.frames import PREFIX
from sandbox.gateway.peer import Peer

TIMEOUT = 10.0  # seconds for one answer; a healthy broker takes a few milliseconds
MAX_ANSWER = 16 * 1024 * 1024
CLIENT_ID = "offsetzero-gateway"


class BrokerUnreachable(Exception):
    """The broker did not answer the gateway."""


class Link:
    """One request at a time, over one connection that is opened when first needed."""

    def __init__(self, codec: Codec, address: tuple[str, int]) -> None:
        self._codec = codec
        self._address = address
        self._one_at_a_time = asyncio.Lock()
        self._correlation_ids = itertools.count(1)
        self._peer: Peer | None = None

    async def call(self, api: str, version: int, body: Body) -> Body:
        """Send a request and return the body of its response. Raises BrokerUnreachable."""
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(TIMEOUT):
                    return await self._call(api, version, body)
            except (OSError, TimeoutError) as error:
                self.close()
                raise BrokerUnreachable(f"the broker did not answer {api}: {error!r}") from error
            except BaseException:  # an answer may be under way: never read it as another's
                self.close()
                raise

    async def _call(self, api: str, version: int, body: Body) -> Body:
        if self._peer is None:
            self._peer = await Peer.connect(self._address, MAX_ANSWER)
        number = next(self._correlation_ids)
        self._peer.write(self._codec.encode_request(api, version, number, CLIENT_ID, body))
        frame = await self._peer.read()
        return self._codec.decode_response(api, version, memoryview(frame)[PREFIX:])

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._peer is not None:
            self._peer.close()
            self._peer = None
