"""A small challenge for the graders' own tests: book payments, as the real one does."""

import random
from collections.abc import Awaitable, Callable

from graders.lab import Lab
from graders.spec import (
    Challenge,
    CheckUse,
    EffectTable,
    Event,
    Row,
    Scenario,
    StateTable,
    TopicSpec,
)
from tests.graders.histories import ALL

SCHEMA = """
    create table ledger (
        entry bigserial primary key, event_id text not null, account text not null,
        amount bigint not null
    );
    create table balances (account text primary key, balance bigint not null);
    grant select, insert on ledger to :program;
    grant usage on sequence ledger_entry_seq to :program;
    grant select, insert, update on balances to :program;
"""


def expected(value: Row) -> dict[str, Row]:
    return {"ledger": {"account": value["account"], "amount": value["amount"]}}


def fold(values: list[Row]) -> dict[str, list[Row]]:
    sums: dict[str, int] = {}
    for value in values:
        sums[value["account"]] = sums.get(value["account"], 0) + value["amount"]
    return {"balances": [{"account": a, "balance": b} for a, b in sums.items()]}


def payment(rng: random.Random) -> Event:
    id, account = f"pay-{rng.getrandbits(32):08x}", f"acc-{rng.randrange(3)}"
    return Event(id, account, {"id": id, "account": account, "amount": rng.randrange(1, 1000)})


def payments(rng: random.Random, count: int) -> list[Event]:
    return [payment(rng) for _ in range(count)]


async def a_tale(lab: Lab) -> None:
    """A few payments and no trouble. Exposes programs that do not work at all."""
    await lab.start("app")
    await lab.send("payments", payments(lab.rng, 6))
    await lab.settle()
    await lab.aftershock()


def challenge(*runs: Callable[[Lab], Awaitable[None]]) -> Challenge:
    """The challenge with these scenarios."""
    return Challenge(
        name="idempotent_consumer",
        title="Book payments",
        summary="",
        level="middle",
        minutes=60,
        languages=("python",),
        topics=(TopicSpec("payments"),),
        schema_sql=SCHEMA,
        effects=(EffectTable("ledger", "event_id", ("account", "amount")),),
        states=(StateTable("balances", ("account",), ("balance",), {"balance": 0}),),
        checks=tuple(CheckUse(id, 1, "Kafka internals") for id in ALL),
        scenarios=tuple(
            Scenario(run.__name__, run.__name__.replace("_", " ").capitalize(), run)
            for run in runs or (a_tale,)
        ),
        expected=expected,
        fold=fold,
        sentinel=payment,
    )
