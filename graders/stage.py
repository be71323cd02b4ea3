"""A scenario's world: made, watched while it is played, taken down again."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Any

from graders.history import Recorder
from graders.kafka import Kafka
from graders.lab import Lab, OnEvent, Program, tell
from graders.sendings import Sendings
from graders.sink import open_sink
from graders.spec import Answer, AppSpec, Challenge, Scenario, ServiceSpec
from graders.tail import Tail
from graders.trouble import PlatformFault
from sandbox.backing import Backing
from sandbox.box import driver_name
from sandbox.gateway import Gateway, HttpRequest, HttpResponse, HttpService, Policy
from sandbox.postgres import lend_database

STALL_PERIOD_S = 0.05
STALL_S = 0.5
CLOCK_STEP_S = 0.1


@contextlib.asynccontextmanager
async def open_lab(
    challenge: Challenge,
    scenario: Scenario,
    *,
    seed: int,
    patience: float,
    program: Program,
    backing: Backing,
    kafka: Kafka,
    history: Recorder,
    on_event: OnEvent,
) -> AsyncIterator[Lab]:
    """Make a scenario's world and take it down again. Whatever fails in it on our side cancels the
    block and comes out as an exception (group); the history keeps what was seen until then."""
    suffix = secrets.token_hex(3)
    topics = {topic.name: f"{topic.name}.{suffix}" for topic in challenge.topics}
    groups = {
        app.name: f"{app.name or challenge.topics[0].name}-service-{suffix}"
        for app in challenge.apps
    }
    history.append("scenario", **opening(challenge, scenario, seed, topics, groups))
    tell(history, on_event, scenario, "Topics, a group and a database are made.")
    await kafka.create_topics({topics[t.name]: t.partitions for t in challenge.topics})
    answers: dict[str, Answer] = {}
    sendings = Sendings()
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            lend_database(backing.databases, challenge.schema_sql)
        )
        gateway = Gateway(
            broker=backing.broker.app_address,
            database=database.address,
            record=history.note,
            policy=rights(challenge, topics, groups),
            services=outside_services(challenge, answers),
            leaders={topics[name]: port for name, port in challenge.leader_ports.items()},
            noted=sendings.noted,
        )
        stack.push_async_callback(gateway.close)
        sink = await stack.enter_async_context(
            open_sink(history, database, challenge, gateway.instance_of)
        )
        tail = Tail(challenge, topics, kafka, history)
        tasks = await stack.enter_async_context(watch(history, backing, tail))
        lab = Lab(
            challenge, scenario, seed, patience, program, history, kafka, sendings, gateway, sink,
            tail, database, tasks, groups, topics, on_event,
        )  # fmt: skip
        answers.update(challenge.serve(lab))
        stack.push_async_callback(lab.end_instances)
        yield lab


def opening(
    challenge: Challenge,
    scenario: Scenario,
    seed: int,
    topics: Mapping[str, str],
    groups: Mapping[str, str],
) -> dict[str, Any]:
    """What a history says first: of what it is, and all that the checks need to know of the
    challenge. `topics` and `groups` are the names on the broker, by the challenge's own."""
    return {
        "challenge": challenge.name,
        "scenario": scenario.name,
        "seed": seed,
        "driver": driver_name(),
        "group": groups[challenge.apps[0].name],
        "groups": {groups[app.name]: promises(app, topics) for app in challenge.declared},
        "topics": {topics[t.name]: t.partitions for t in challenge.topics if t.is_read},
        "outputs": {topics[t.name]: t.partitions for t in challenge.topics if t.is_written},
        "repeats": [effect.topic for effect in challenge.effect_topics if effect.repeats],
        "dead_letters": [e.topic for e in challenge.effect_topics if e.dead_letters],
        "services": {spec.name: demands(spec) for spec in challenge.services},
        "saga": asdict(challenge.saga) if challenge.saga else None,
        "choreography": asdict(challenge.choreography) if challenge.choreography else {},
        "outbox": asdict(challenge.outbox) if challenge.outbox else {},
        "projection": asdict(challenge.projection) if challenge.projection else {},
        "needs": sorted(scenario.needs),
    }


def rights(challenge: Challenge, topics: Mapping[str, str], groups: Mapping[str, str]) -> Policy:
    """What the program may read and write, and the groups that it may join."""
    return Policy(
        read=frozenset(topics[t.name] for t in challenge.topics if t.is_read),
        write=frozenset(topics[t.name] for t in challenge.topics if t.is_written),
        groups=frozenset(groups.values()),
    )


def demands(spec: ServiceSpec) -> dict[str, Any]:
    """What is asked of calls to a service, as a history says it."""
    return {
        "attempts": spec.attempts,
        "pauses": list(spec.pauses),
        "patience": spec.patience,
        "transient": list(spec.transient),
    }


def outside_services(challenge: Challenge, answers: Mapping[str, Answer]) -> dict[int, HttpService]:
    """The challenge's services by port; `answers` may be filled until the program is started."""

    def service(spec: ServiceSpec) -> HttpService:
        async def answer(instance: str, request: HttpRequest) -> HttpResponse:
            return await answers[spec.name](instance, request)

        return HttpService(spec.name, answer, spec.identify)

    return {port: service(spec) for port, spec in challenge.service_ports.items()}


def promises(app: AppSpec, topics: Mapping[str, str]) -> dict[str, list[str]]:
    """What an app's group reads, by the names on the broker, and what its commits promise."""
    return {"reads": [topics[name] for name in app.reads], "effects": list(app.effects)}


@contextlib.asynccontextmanager
async def watch(
    history: Recorder, backing: Backing, tail: Tail
) -> AsyncIterator[asyncio.TaskGroup]:
    """A group for a lab's own tasks, in which three watch: the backing services, the clock, and
    what the program writes."""
    async with asyncio.TaskGroup() as tasks:
        watchers = [
            tasks.create_task(watch_backing(backing)),
            tasks.create_task(watch_clock(history)),
            tasks.create_task(tail.run()),
        ]
        yield tasks
        for watcher in watchers:
            watcher.cancel()


async def watch_backing(backing: Backing) -> None:
    """Raise PlatformFault when the broker or the PostgreSQL server ends."""
    ended = await backing.ended()
    raise PlatformFault(f"the {ended.NAME} ended during the run")


async def watch_clock(history: Recorder) -> None:
    """Record when we were not scheduled, or the wall clock stepped (commit times come from it)."""
    offset = time.time() - time.monotonic()
    while True:
        before = time.monotonic()
        await asyncio.sleep(STALL_PERIOD_S)
        drift = time.monotonic() - before - STALL_PERIOD_S
        step = abs(time.time() - time.monotonic() - offset)
        offset += time.time() - time.monotonic() - offset
        if drift > STALL_S or step > CLOCK_STEP_S:
            history.append("stall", drift_s=round(max(drift, step), 3))
