"""Outside services through the gateway, called by real HTTP clients."""

import asyncio
import http.client
import json
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
import requests

from sandbox.gateway import Gateway, HttpService, Policy
from sandbox.gateway.http_stream import GIVEN_UP_S
from tests.sandbox.gateway.shop import NOBODY, PORT, Shop

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(loop_scope="session")
async def shop(prepared: None) -> AsyncIterator[Shop]:
    shop = Shop()
    yield shop
    await shop.gateway.close()
    assert shop.gateway.failure is None


@pytest_asyncio.fixture(loop_scope="session")
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    url = f"http://127.0.0.1:{await shop.door()}"
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client


def charge(client: httpx.AsyncClient, order: str) -> asyncio.Task[httpx.Response]:
    """Call the service in a task of its own."""
    return asyncio.create_task(client.post("/charges", json={"order": order}))


async def hang_up(call: asyncio.Task[httpx.Response]) -> None:
    """Give a call up as a client does that has waited long enough."""
    call.cancel()
    await asyncio.wait([call])


# --- clients --------------------------------------------------------------------------------------


async def test_httpx_keeps_its_connection(shop: Shop, client: httpx.AsyncClient) -> None:
    answers = [await charge(client, order) for order in ("o-1", "o-2", "o-1")]
    assert [a.status_code for a in answers] == [201] * 3
    assert answers[2].json() == {"charged": "o-1"} and answers[2].headers["x-by"] == "app"
    assert [(f["id"], f["number"]) for f in shop.of("call")] == [("o-1", 1), ("o-2", 1), ("o-1", 2)]
    assert len(shop.of("connection", what="opened")) == 1


async def test_what_a_call_leaves_in_the_history(shop: Shop, client: httpx.AsyncClient) -> None:
    await client.post("/charges%2F1?retry=1", json={"order": "o-1", "cents": 5})
    assert shop.of("call") == [
        {
            "kind": "call",
            "instance": "app",
            "service": "payment",
            "call": "c1",
            "method": "POST",
            "path": "/charges/1",
            "body": {"order": "o-1", "cents": 5},
            "id": "o-1",
            "number": 1,
            "outcome": "served",
            "status": 201,
        }
    ]
    answered = {"instance": "app", "service": "payment", "call": "c1", "status": 201}
    assert shop.of("answered") == [{"kind": "answered", **answered}]
    assert (shop.asked[0].query, shop.asked[0].headers["host"][:9]) == ("retry=1", "127.0.0.1")


async def test_instances_are_known_by_their_doors(shop: Shop) -> None:
    for instance in ("a", "b"):
        url = f"http://127.0.0.1:{await shop.door(instance)}"
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await charge(client, "o-1")).headers["x-by"] == instance
    assert [(f["instance"], f["number"]) for f in shop.of("call")] == [("a", 1), ("b", 2)]


async def test_urllib_and_requests_and_http_client(shop: Shop) -> None:
    port = await shop.door()
    data = json.dumps({"order": "o-1"}).encode()

    def call() -> list[int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/charges", data) as answer:
            statuses = [answer.status]
        with requests.Session() as session:
            for _ in range(2):
                answer = session.post(f"http://127.0.0.1:{port}/charges", json={"order": "o-1"})
                statuses.append(answer.status_code)
        kept = http.client.HTTPConnection("127.0.0.1", port)
        for method in ("POST", "HEAD", "POST"):
            kept.request(method, "/charges", data, {"Content-Type": "application/json"})
            answer = kept.getresponse()
            statuses.append(answer.status)
            assert bool(answer.read()) == (method != "HEAD")
        kept.close()
        return statuses

    with pytest.raises(urllib.error.HTTPError, match="400"):  # it sends forms unless told otherwise
        await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/", b"order=o-1")
    assert await asyncio.to_thread(call) == [201] * 6
    assert len(shop.of("connection", what="opened")) == 4
    assert shop.of("refused", api="payment")


@pytest.mark.skipif(not shutil.which("curl"), reason="the machine has no curl")
@pytest.mark.parametrize("how", [["--http1.0"], ["-H", "Expect: 100-continue"], ["-T-"]])
async def test_curl(shop: Shop, how: list[str]) -> None:
    """HTTP/1.0, a body that waits to be asked for, and one in chunks."""
    data = json.dumps({"order": "o-1", "note": "x" * 20_000}).encode()
    url = f"http://127.0.0.1:{await shop.door()}/charges"
    body = [] if how == ["-T-"] else ["--data-binary", "@-"]
    curl = await asyncio.create_subprocess_exec(
        *["curl", "-s", *how, *body, url],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await curl.communicate(data)
    assert json.loads(output) == {"charged": "o-1"}
    await shop.fact("connection", what="closed", detail="by the program")


async def test_names_and_ports_that_are_taken_or_unknown(shop: Shop) -> None:
    async def answer(instance, request):
        raise AssertionError

    for name, port in (("kafka", 1), ("payment", 9092)):
        with pytest.raises(ValueError, match="is taken already"):
            Gateway(
                broker=NOBODY,
                database=None,
                record=print,
                policy=Policy(),
                services={port: HttpService(name, answer)},
            )
    with pytest.raises(ValueError, match="nothing to serve at"):
        await shop.gateway.attach("app", {PORT + 1: None})


# --- faults ---------------------------------------------------------------------------------------


async def test_an_error_in_the_services_place(shop: Shop, client: httpx.AsyncClient) -> None:
    fault = shop.gateway.call_fault("payment", nth=2, times=2).error(429, {"a": 1}, retry_after=3)
    answers = [await charge(client, "o-1") for _ in range(4)]
    assert [a.status_code for a in answers] == [201, 429, 429, 201]
    assert (answers[1].headers["retry-after"], answers[1].json()) == ("3", {"a": 1})
    assert (fault.matched, fault.applied, fault.over) == (3, 2, True)
    assert [f["outcome"] for f in shop.of("call")] == ["served", "failed", "failed", "served"]
    assert len(shop.asked) == 2
    told = {f["target"] for f in shop.of("fault", what="applied", action="error 429")}
    assert told == {"payment POST /charges"}


async def test_path_body_and_instance_narrow_a_fault(shop: Shop, client: httpx.AsyncClient) -> None:
    make = shop.gateway.call_fault
    faults = [
        make("payment", instance="another").error(500),
        make("payment", path="/refunds").error(500),
        make("payment", where=lambda r: r.field("order") == "o-2").error(503),
    ]
    assert [(await charge(client, o)).status_code for o in ("o-1", "o-2")] == [201, 503]
    assert [fault.applied for fault in faults] == [0, 0, 1]


async def test_late_success(shop: Shop, client: httpx.AsyncClient) -> None:
    held = shop.gateway.call_fault("payment").hold_response()
    first = charge(client, "o-1")
    await held.wait_applied()
    assert held.held and shop.charged == ["o-1"] and not shop.of("answered")
    held.release()
    assert (await first).status_code == 201
    assert held.over and shop.of("answered")


async def test_a_held_call_of_a_client_that_gave_up_is_done_late(
    shop: Shop, client: httpx.AsyncClient
) -> None:
    held = shop.gateway.call_fault("payment").hold()
    first = charge(client, "o-1")
    await held.wait_applied()
    await hang_up(first)
    assert held.held and not shop.charged
    second = await charge(client, "o-1")
    held.release()
    await shop.until(lambda: len(shop.of("call", outcome="served")) == 2)
    assert second.status_code == 201 and [f["call"] for f in shop.of("call")] == ["c2", "c1"]
    await shop.until(lambda: shop.of("connection", what="closed"))
    assert [f["call"] for f in shop.of("answered")] == ["c2"]


async def send_and_hang_up(shop: Shop, stall_s: float) -> None:
    """A client that is gone before we come to read its request, after so many seconds."""
    body = b'{"order": "o-1"}'
    with socket.create_connection(("127.0.0.1", await shop.door())) as hasty:
        head = f"POST /charges HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        hasty.sendall(head.encode() + body)
    time.sleep(stall_s)  # noqa: ASYNC251 - nobody of ours gets to run


async def test_a_call_that_was_given_up_while_we_stood_still_is_not_done(shop: Shop) -> None:
    fault = shop.gateway.call_fault("payment").error(503)
    await send_and_hang_up(shop, 2 * GIVEN_UP_S)
    abandoned = await shop.fact("call", outcome="abandoned")
    assert (abandoned["id"], abandoned["number"], abandoned["status"]) == ("o-1", 1, None)
    await shop.fact("connection", what="closed")
    assert not shop.asked and not fault.matched


async def test_a_call_that_was_given_up_at_once_is_done(shop: Shop) -> None:
    await send_and_hang_up(shop, 0.0)
    await shop.fact("call", outcome="served")
    assert shop.charged == ["o-1"]


async def test_calls_that_are_never_answered(shop: Shop, client: httpx.AsyncClient) -> None:
    before = shop.gateway.call_fault("payment").drop_request()
    after = shop.gateway.call_fault("payment", nth=2).drop_response()
    for fault, charged in ((before, []), (after, ["o-1"])):
        call = charge(client, "o-1")
        await fault.wait_applied()
        assert shop.charged == charged and not call.done()
        await hang_up(call)
    await shop.until(lambda: len(shop.of("connection", what="closed")) == 2)
    ends = [(f["outcome"], f["status"]) for f in shop.of("call")]
    assert ends == [("lost", None), ("served", 201)]
    assert not shop.of("answered")
    assert [(f["call"], f["waited_s"] < 5) for f in shop.of("unanswered")] == [
        ("c1", True),
        ("c2", True),
    ]


async def test_a_cut_before_and_after_the_effect(shop: Shop, client: httpx.AsyncClient) -> None:
    shop.gateway.call_fault("payment").cut()
    shop.gateway.call_fault("payment", nth=2).cut_response()
    for charged in ([], ["o-1"]):
        with pytest.raises(httpx.ReadError):
            await charge(client, "o-1")
        assert shop.charged == charged
    assert (await charge(client, "o-1")).status_code == 201
    assert len(await shop.until(lambda: shop.of("connection", detail="cut by the grader"))) == 2


async def test_a_cut_of_a_client_that_hung_up(shop: Shop, client: httpx.AsyncClient) -> None:
    held = shop.gateway.call_fault("payment").hold()
    cut = shop.gateway.call_fault("payment").cut()
    first = charge(client, "o-1")
    await held.wait_applied()
    await hang_up(first)
    assert (await charge(client, "o-2")).status_code == 201  # by now the first is seen to be gone
    held.release()
    await shop.fact("connection", what="closed", detail="cut by the grader")
    assert cut.applied == 1 and shop.of("call", outcome="lost", id="o-1")


async def test_dropping_what_is_held(shop: Shop, client: httpx.AsyncClient) -> None:
    held = shop.gateway.call_fault("payment").hold()
    first = charge(client, "o-1")
    await held.wait_applied()
    held.drop()
    await shop.fact("call", outcome="lost")
    assert not first.done() and not shop.asked
    await hang_up(first)


async def test_what_is_held_at_detach_is_lost(shop: Shop, client: httpx.AsyncClient) -> None:
    held = shop.gateway.call_fault("payment").hold()
    first = charge(client, "o-1")
    await held.wait_applied()
    await shop.gateway.detach("app")
    assert shop.of("call", outcome="lost") and not held.held
    held.release()
    with pytest.raises(httpx.RemoteProtocolError):
        await first
    assert not shop.asked


async def test_release_all_lets_calls_go(shop: Shop, client: httpx.AsyncClient) -> None:
    held = shop.gateway.call_fault("payment", times=None).hold()
    first = charge(client, "o-1")
    await held.wait_applied()
    shop.gateway.release_all()
    assert (await first).status_code == 201 and (await charge(client, "o-2")).status_code == 201
    assert held.applied == 1 and shop.of("fault", what="cancelled")


async def test_release_all_changes_no_service(shop: Shop, client: httpx.AsyncClient) -> None:
    """What is expected of an event follows from how a service answers about it."""
    shop.gateway.call_fault("payment", times=None).error(503)
    assert (await charge(client, "o-1")).status_code == 503
    shop.gateway.release_all()
    assert (await charge(client, "o-1")).status_code == 503


async def test_faults_that_cannot_be(shop: Shop) -> None:
    with pytest.raises(ValueError, match="no service shipping"):
        shop.gateway.call_fault("shipping")
    with pytest.raises(ValueError, match="200 is no error"):
        shop.gateway.call_fault("payment").error(200)


# --- the service takes its time, or fails ---------------------------------------------------------


async def test_what_the_service_has_begun_it_ends(shop: Shop, client: httpx.AsyncClient) -> None:
    shop.open.clear()
    first = charge(client, "o-1")
    await shop.until(lambda: shop.asked)
    detached = asyncio.create_task(shop.gateway.detach("app"))
    with pytest.raises(httpx.RemoteProtocolError):
        await first
    shop.open.set()
    await detached
    assert shop.charged == ["o-1"] and shop.of("call", outcome="served")
    assert not shop.of("answered")


async def test_an_error_of_the_service_is_a_failure_of_the_gateway(prepared: None) -> None:
    shop = Shop()
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(f"http://127.0.0.1:{await shop.door()}", json={"order": ["o-1"]})
    assert isinstance(shop.gateway.failure, TypeError)
    await shop.gateway.close()
