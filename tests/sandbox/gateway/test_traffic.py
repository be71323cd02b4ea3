"""The codec against what real clients and the real broker say to one another."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sandbox.broker import Broker
from sandbox.gateway.codec import Codec
from tests.sandbox.gateway.stage import Stage
from tests.sandbox.gateway.tap import NAMES, PROGRAMS, Tap, frames, live

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def tapped(broker: Broker) -> AsyncIterator[tuple[Stage, Tap]]:
    tap = Tap()
    async with tap.between(broker.app_address) as address:
        stage = Stage(broker, upstream=address)
        await stage.create_topics()
        yield stage, tap
        await stage.close()


@pytest.mark.parametrize("client", NAMES)
async def test_real_traffic_survives_decode_and_encode(
    tapped: tuple[Stage, Tap], codec: Codec, client: str
) -> None:
    stage, tap = tapped
    await live(stage, *PROGRAMS[client])
    seen: Counter[str] = Counter()
    for each in tap.conversations:
        check(codec, frames(each.requests), frames(each.responses), seen)
    assert {"ApiVersions", "Metadata", "Fetch", "FindCoordinator", "OffsetFetch"} <= seen.keys()


def check(
    codec: Codec, requests: list[memoryview], responses: list[memoryview], seen: Counter[str]
) -> None:
    """Decode and encode every frame of a connection; the bytes must be the same."""
    for request, response in zip(requests, responses, strict=False):
        header = codec.request_header(request)
        api, version = codec.api_names[header.api_key], header.version
        seen[api] += 1
        again = codec.encode(
            f"{api}Request",
            version,
            codec.decode_request(api, version, request, header.body_at),
        )
        sent = bytes(request[header.body_at :])
        # librdkafka appends three zero bytes to a Metadata request for all topics
        assert again == (
            sent.removesuffix(bytes(3)) if api == "Metadata" and again != sent else sent
        )
        body = codec.decode_response(api, version, response)
        answered = codec.encode_response(api, version, header.correlation_id, body)
        assert answered[4:] == response
