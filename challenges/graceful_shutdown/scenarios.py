"""What happens to the program, and which mistake each story exposes."""

import asyncio
import contextlib
import random
from collections.abc import Mapping, Sequence
from typing import Any

from graders.conditions import Condition, effects_of, ended, has_left, held
from graders.lab import Lab
from graders.spec import Event

PARTITIONS = (0, 1, 2)
# How long a story waits, by any clock, for what only a wrong program does: a right one is kept
# waiting meanwhile. Far below the 2 s in which Kafka is said to answer.
MOMENT_S = 0.8


def expected(value: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Every order gets one invoice and one announcement, with its customer and amount."""
    content = {"customer": value["customer"], "amount": value["amount"]}
    return {"invoices": content, "announcements": content}


def fold(values: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """There is no state to compare."""
    return {}


def order(rng: random.Random) -> Event:
    """An order with an id of its own, of a drawn customer, over a drawn amount."""
    id = f"ord-{rng.getrandbits(48):012x}"
    customer = f"c-{rng.randrange(100)}"
    return Event(id, customer, {"id": id, "customer": customer, "amount": rng.randrange(1, 50_000)})


def orders(rng: random.Random, number: int) -> list[Event]:
    return [order(rng) for _ in range(number)]


sentinel = order


async def right_after_the_last_order(lab: Lab) -> None:
    """SIGTERM when the last order has just been done. Exposes programs that do not commit what they
    did, as by a timer that does not come any more; that end without leaving the group; that ignore
    the signal, or end by an error."""
    app = await lab.start("app")
    sent = [s for p in PARTITIONS for s in await lab.send("orders", orders(lab.rng, 4), p)]
    await lab.until(effects_of(sent, place="announcements"), why="all orders to be announced")
    await app.terminate()
    await go_on(lab)


async def in_the_middle_of_an_order(lab: Lab) -> None:
    """SIGTERM while an invoice waits in the database, which then goes on. Exposes programs that
    leave the group before the order in their hands is done: it is done twice."""
    app = await lab.start("app")
    sent = await lab.send("orders", orders(lab.rng, 5), partition=lab.rng.choice(PARTITIONS))
    row = await lab.sink.hold("invoices", row={"order_id": sent[3].id})
    await lab.until(held(row), why="an invoice to be written")
    app.tell_to_stop()
    await a_moment(lab, has_left(app) | ended(app))
    await row.release()
    await app.ended_within()
    await go_on(lab)


async def announcement_under_way(lab: Lab) -> None:
    """SIGTERM while announcements are on their way to Kafka, or still in the program. Exposes
    programs that end without waiting until Kafka has them."""
    app = await lab.start("app")
    produce = lab.gateway.fault("Produce", times=None).hold()
    sent = [s for p in PARTITIONS for s in await lab.send("orders", orders(lab.rng, 3), p)]
    await lab.until(effects_of(sent, at_least=1, place="invoices"), why="an invoice to be written")
    await a_moment(lab, held(produce))
    app.tell_to_stop()
    await a_moment(lab, ended(app))
    # A program that takes the invoice back has nothing to announce.
    produce.release() if produce.applied else produce.cancel()
    await app.ended_within()
    await go_on(lab)


async def a_moment(lab: Lab, condition: Condition) -> bool:
    """Wait for what may not come, for a moment by any clock; whether it came."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(MOMENT_S):
            return await lab.reached(condition, within=MOMENT_S)
    return False


async def go_on(lab: Lab) -> None:
    """Another instance comes and does the rest."""
    await lab.start("next")
    await lab.settle()
    await lab.aftershock()
