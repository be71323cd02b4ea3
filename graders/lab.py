"""The vocabulary of scenarios: what can be done to a program, and what can be waited for.

async def crash_after_effect_before_commit(lab: Lab) -> None:
    sent = await lab.send("payments", payments(lab.rng, 20))
    commits = lab.commits(times=None).hold()
    app = await lab.start("app")
    await lab.until(effects_of(sent, at_least=1), why="a payment to be booked")
    await app.kill()
    commits.drop()
    await lab.start("app")
    await lab.settle()
    await lab.aftershock()
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from graders.asking import BadAnswer, Question
from graders.checks.eff import state_differences
from graders.conditions import (
    Condition,
    applied,
    ended_often,
    fewer_undone,
    group_complete,
    group_stable,
    held,
    is_half_done,
    owns,
    undone,
)
from graders.facts import (
    Asked,
    Connection,
    Effect,
    Record,
    Sent,
    Settled,
    State,
    as_text,
    header_texts,
    short_topic,
)
from graders.history import Recorder
from graders.instance import Instance
from graders.kafka import Kafka, Outgoing, Written
from graders.projection import answers_of, included
from graders.sendings import Sendings
from graders.settle import Course, settle, until_at_work
from graders.sink import Sink, SinkFault
from graders.spec import Challenge, Event, Scenario, variable_of
from graders.tail import Reaction, Tail
from graders.trouble import NotExercised, PlatformFault, ProgramGone
from sandbox.box import Limits
from sandbox.gateway import AnswerFaultBuilder, CallFaultBuilder, Fault, FaultBuilder, Gateway
from sandbox.gateway.gateway import KAFKA_PORT
from sandbox.postgres import Database

if TYPE_CHECKING:
    from graders.participants import Participant

# How long an answer may take, and how soon a client asks again that got none.
ANSWER_S, ASK_AGAIN_S = 5.0, 0.1
LOOK_S = 0.25  # how often to ask whether an instance is still starting
STILL_S = 2.0  # without a sign of progress
SHARE_S, MORE_S = 10.0, 5.0  # for two instances to divide the partitions, or not to
REPLACED_S = 8.0  # for one instance to get another's partitions
NEXT_COMMIT_S = 8.0  # for a program to write into its database, also when it has just started
LIVES = 4  # of an instance that is killed at each commit
# How often something is refused, more often than a program asks that gives up some day: but no
# longer than this, for one whose pauses grow would then pause for too long, if at least so often;
# and not when an instance has ended so often, which is started again five times.
REFUSALS, REFUSED_S = 10, 5.0
FEW_REFUSALS, FEW_S = 4, 8.0
ENDS = 4
COMMIT_APIS = ("OffsetCommit", "TxnOffsetCommit")
JOIN_APIS = ("JoinGroup", "ConsumerGroupHeartbeat")

OnEvent = Callable[[dict[str, Any]], None]


def tell(history: Recorder, on_event: OnEvent, scenario: Scenario, text: str) -> None:
    """Add a sentence to a scenario's story, and pass it on to those who watch."""
    history.append("story", text=text)
    on_event({"type": "story", "scenario": scenario.name, "text": text})


def outgoing(events: Sequence[Event]) -> list[Outgoing]:
    """Events as they are written."""
    return [Outgoing(event.key, event.payload, event.headers) for event in events]


@dataclass(frozen=True)
class Program:
    """How the program under test is started in a box."""

    source: Path
    command: Sequence[str]
    env: Mapping[str, str]
    mounts: Mapping[str, Path]
    limits: Limits
    door_ports: tuple[int, ...]


@dataclass
class Lab:
    """One scenario's world: fresh topics, a fresh group and database, the program's instances.

    `rng` is drawn from the seed and the scenario's name, so a replay with the same seed sends the
    same events. `groups` are the consumer groups by app. `patience` multiplies every time limit;
    repeats of a run that made no progress get twice the time. Made by `stage.open_lab`.
    """

    challenge: Challenge
    scenario: Scenario
    seed: int
    patience: float
    program: Program
    history: Recorder
    kafka: Kafka
    sendings: Sendings
    gateway: Gateway
    sink: Sink
    tail: Tail
    database: Database
    tasks: asyncio.TaskGroup
    groups: Mapping[str, str]
    topics: Mapping[str, str]
    on_event: OnEvent
    instances: dict[str, Instance] = field(default_factory=dict)
    promises: set[asyncio.Task[None]] = field(default_factory=set)
    participants: list["Participant"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._course = Course(self.history)
        drawn_from = f"{self.seed}|{self.scenario.name}"
        self.rng = random.Random(drawn_from)  # noqa: S311
        self.sentinel_rng = random.Random(f"{drawn_from}|sentinels")  # noqa: S311

    async def start(self, name: str = "app", *, app: str = "") -> Instance:
        """Start an instance (or start it again under the same name); as one of the challenge's
        apps, where there are several. It is restarted, as an orchestrator would, when it exits by
        itself: at most 5 times, 0.3 s after the exit."""
        instance = self.instances.setdefault(name, Instance(self, name, app))
        self.tell(f"{name} is started.")
        await instance.start()
        return instance

    async def start_to_join(self, name: str) -> Fault:
        """Start an instance and hold its request to join the group: when that is released, nothing
        but the rebalance comes between. Raises NotExercised, as `until`, when it does not ask."""
        joining = self.gateway.fault(JOIN_APIS, instance=name).hold()
        await self.start(name)
        await self.until(held(joining), within=15, why=f"{name} to join the group")
        return joining

    async def send(
        self, topic: str, events: Sequence[Event], partition: int | None = None
    ) -> list[Sent]:
        """Send events in order and wait until the broker has them. The key decides the partition
        unless one is given. An event may be sent again: that is a producer-level duplicate."""
        known = {sent.id for sent in self.history.of(Sent)}
        return await self._send(topic, events, partition, known)

    async def transact(
        self, topic: str, events: Sequence[Event], partition: int, *, commit: bool
    ) -> list[Sent]:
        """Send events to a partition in a transaction, and commit or abort it: its end takes an
        offset too. Aborted, they are in the log for those alone who read uncommitted records, have
        the outcome "fail", and must have no effect."""
        name, records = self.topic(topic), outgoing(events)
        with self.sendings.under_way(name):
            answers = await self.kafka.transact(name, records, partition, commit=commit)
            if not commit:
                events = [replace(event, expect={}) for event in events]
                answers = [replace(answer, outcome="fail") for answer in answers]
            known = {sent.id for sent in self.history.of(Sent)}
            return self._note_sent(topic, events, answers, known)

    async def send_sentinels(self) -> None:
        """Send one ordinary event to each partition of each input topic."""
        for topic in self.challenge.topics:
            for partition in range(topic.partitions if topic.role == "input" else 0):
                make = self.challenge.sentinels.get(topic.name, self.challenge.sentinel)
                event = make(self.sentinel_rng)
                await self._send(topic.name, [event], partition, set(), role="sentinel")

    async def _send(
        self,
        topic: str,
        events: Sequence[Event],
        partition: int | None,
        known: set[str],
        role: str | None = None,
    ) -> list[Sent]:
        name = self.topic(topic)
        with self.sendings.under_way(name):
            answers = await self.kafka.send(name, outgoing(events), partition)
            return self._note_sent(topic, events, answers, known, role)

    def _note_sent(
        self,
        topic: str,
        events: Sequence[Event],
        answers: Sequence[Written],
        known: set[str],
        role: str | None = None,
    ) -> list[Sent]:
        sent = []
        for event, answer in zip(events, answers, strict=True):
            expect = event.expect
            if expect is None:
                expect = self.challenge.expected(event.value)
            fact = self.history.append(
                "sent",
                topic=self.topic(topic),
                partition=answer.partition,
                offset=answer.offset,
                key=event.key,
                id=event.id,
                value=dict(event.value),
                expect={place: dict(row) for place, row in expect.items()},
                outcome=answer.outcome,
                role=role or ("duplicate" if event.id in known else "event"),
                raw=event.raw is not None,
                payload=as_text(event.raw.value) if event.raw else None,
                headers=header_texts(event.headers),
            )
            known.add(event.id)
            assert isinstance(fact, Sent)
            sent.append(fact)
        if any(fact.outcome == "info" for fact in sent):
            raise PlatformFault(f"the broker did not take all events for {topic}")
        return sent

    async def answer(self, topic: str, id: str, key: str | None, value: Mapping[str, Any]) -> Sent:
        """Send an answer of a participant that the grader plays; it needs no effect."""
        event = Event(id, key, value, expect={})
        (sent,) = await self._send(topic, [event], None, set(), role="answer")
        return sent

    def promise(self, deed: Coroutine[Any, Any, None]) -> None:
        """Let a participant do something later; the run is not quiet before it has been done."""
        task = self.tasks.create_task(deed)
        self.promises.add(task)
        task.add_done_callback(self.promises.discard)

    def react(self, topic: str, reaction: Reaction) -> None:
        """Call `reaction` for each record that the program writes to a topic, in order: so the
        grader plays the services that the program talks to."""
        self.tail.reactions[topic] = reaction

    async def until(self, condition: Condition, within: float = 10.0, why: str = "") -> None:
        """Wait for a condition of `graders.conditions`. Raises NotExercised after `within` seconds
        (the scenario then says nothing about the program), or at once when the program is gone.
        The time in which an instance is starting does not count."""
        over = Condition("", lambda history: condition.holds(history) or self.is_gone())
        while self.is_starting() and not over.holds(self.history):
            await self.history.wait_for(over.holds, LOOK_S)
        await self.history.wait_for(over.holds, within * self.patience)
        if condition.holds(self.history):
            return
        awaited = why or condition.text
        if self.is_gone():
            raise ProgramGone(f"waited for {awaited}, but the program was given up")
        raise NotExercised(f"waited {within * self.patience:.0f} s for {awaited}, in vain")

    async def reached(self, condition: Condition, within: float) -> bool:
        """Wait for a condition that may not come; whether it did."""
        return await self.history.wait_for(condition.holds, within * self.patience)

    async def briefly(self, condition: Condition, within: float) -> bool:
        """Wait for a condition that may not come, at most so many seconds by any clock; whether it
        came. For what is held back meanwhile: that must not outlast what the program was promised,
        or what a client bears, on the busiest machine."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                return await self.history.wait_for(condition.holds, within)
        return False

    async def until_shared(self, members: int, why: str, within: float = SHARE_S) -> None:
        """Wait until so many instances share the partitions. With several consumers each, one may
        have them all: then until so many have joined and every partition is owned. Raises
        NotExercised."""
        shared = group_stable(members)
        over = Condition("", lambda history: shared.holds(history) or self.is_gone())
        if not await self.reached(over, within) or self.is_gone():
            await self.until(group_complete(members), within=MORE_S, why=why)

    async def replace(
        self, frozen: Instance, name: str, partitions: int, hold: SinkFault
    ) -> Instance:
        """Freeze an instance at `hold`, have another of its app take over its partitions, so many,
        and return that. Raises NotExercised as `until_replaced`."""
        await frozen.freeze()
        other = await self.start(name, app=frozen.app)
        await frozen.evict()
        await self.until_replaced(other, partitions, hold)
        return other

    async def until_replaced(self, by: Instance, partitions: int, *holds: SinkFault) -> None:
        """Wait until an instance owns so many partitions in place of one that was frozen at a hold.
        As it starts it may wait for a lock of the frozen one (`create index` takes one): then the
        statement is let go, since many have the database end a transaction that stands still. If it
        is not ended, nobody can replace the frozen one right there, and the story goes on without.
        Raises NotExercised when nothing explains the wait."""
        replaced = owns(by, partitions)
        done = await self.reached(replaced, REPLACED_S)
        # One that is over was let go for another instance, which may wait for the lock still.
        in_the_way = [hold for hold in holds if hold.waited_for or hold.over]
        if done or not in_the_way:
            await self.until(replaced, within=MORE_S, why=f"{by.name} to take over")
            return
        self.tell(f"{by.name} waits for a lock of the frozen instance.")
        for hold in in_the_way:
            await hold.release()
        await self.reached(replaced, REPLACED_S)

    async def kill_at_commits(self, app: Instance, commit: Fault, over: Condition) -> None:
        """SIGKILL of an instance at the commit in the database that `commit` holds, and, started
        again, at the first one of its next life: four times, or until `over`. What is committed
        is committed; whatever the program meant to do next has to be done from there."""
        for left in reversed(range(LIVES)):
            await self.reached(held(commit) | over, within=NEXT_COMMIT_S)
            if not commit.held:
                break
            self.tell(f"{app.name} is killed when the database has committed.")
            await app.kill()
            commit.drop()
            await self.start(app.name)
            if left:
                commit = self.database_commits(app).hold_response()
        commit.cancel()

    async def outlast(
        self, refusal: Fault | SinkFault, over: Condition | None = None, ends: int = ENDS
    ) -> None:
        """Leave a fault that refuses something until it is spent, so that it outlasts whoever gives
        up after some attempts (arm it for `REFUSALS`), or until `over`: then end it. A program that
        ends at each refusal meets no more of them than an instance may have ended (`ends`)."""
        enough = Condition("", lambda _: refusal.spent) | ended_often(ends)
        enough = enough | over if over else enough
        if not await self.reached(enough, REFUSED_S):
            await self.reached(enough | applied(refusal, FEW_REFUSALS), FEW_S)
        if isinstance(refusal, Fault):
            refusal.cancel()
        else:
            await refusal.cancel()

    async def beside(self, fault: SinkFault, sent: Sequence[Sent], within: float) -> None:
        """Give the program time to deal with these events while a fault holds another one, and
        record what it did of it (ORD-4). It gets less when it stands still and has no work left of
        half of the keys, for then it has done what a fixed number of workers can."""
        began, left = self.history.clock.now(), undone(self.history, sent)
        while left and self.history.clock.now() - began < within * self.patience:
            moves = await self.reached(fewer_undone(sent, len(left)), STILL_S)
            left = undone(self.history, sent)
            if not moves and is_half_done(sent, left):
                break
        self.history.append(
            "waited",
            beside=fault.id,
            ids=[s.id for s in sent],
            missing=left,
            waited_s=round(self.history.clock.now() - began, 3),
        )

    async def idle(self, within: float) -> None:
        """Leave the program alone for so many seconds when all is settled, and record the CPU time
        that its instances used (GRD-3)."""
        living = [instance for instance in self.instances.values() if instance.alive]
        before = {instance.name: instance.cpu_now for instance in living}
        began = self.history.clock.now()
        await self.reached(Condition("", lambda _: False), within)
        waited_s = self.history.clock.now() - began
        for instance in living:
            used = instance.cpu_now - before[instance.name]
            self.history.append(
                "idle", instance=instance.name, cpu_s=round(used, 3), waited_s=round(waited_s, 3)
            )

    def commits(
        self, instance: str | None = None, api: str | tuple[str, ...] = COMMIT_APIS, **match: Any
    ) -> FaultBuilder:
        """The program's offset commits, plain and transactional, as the target of one fault:
        `lab.commits("app").hold()`; `match` as in `Gateway.fault` (nth, times). Those that go no
        further than what is committed pass: many a program commits with every turn of its loop,
        and would be kept from what is only coming."""
        return self.gateway.fault(api, instance=instance, where=self._goes_further, **match)

    def _goes_further(self, request: Mapping[str, Any]) -> bool:
        """Whether a request commits an offset beyond the committed one."""
        committed, group = self._course.committed(), request["GroupId"]
        asked = {
            (group, topic["Name"], part["PartitionIndex"]): part["CommittedOffset"]
            for topic in request["Topics"]
            for part in topic["Partitions"]
        }
        return any(offset > committed.get(share, 0) for share, offset in asked.items())

    def database_commits(self, instance: Instance, **match: Any) -> AnswerFaultBuilder:
        """An instance's commits in the database, of transactions that wrote rows, as the target of
        one fault: `lab.database_commits(app, nth=2).hold_response()`. What is done is done then,
        and the program does not know it yet."""
        return self.gateway.commit_fault(instance=instance.name, **match)

    async def lag(self, topic: str, instance: Instance) -> Fault:
        """Let a topic that is `led_apart` come late to an instance, which goes on with the others:
        what is sent to the topic once this returns does not reach the instance before `release()`.

        Raises ValueError for a topic that does not lag, NotExercised when nobody reads it.
        """
        if topic not in self.challenge.leader_ports:
            raise ValueError(f"{topic} is led by the same broker as others, which would lag too")
        fault = self.gateway.fault(
            "Fetch", instance=instance.name, topic=self.topic(topic), times=None
        ).hold()
        self.tell(f"From now on {topic} comes late to {instance.name}.")
        # A Fetch that was under way already would still bring what comes.
        await self.until(applied(fault), why=f"{instance.name} to ask for more of {topic}")
        return fault

    def calls(self, service: str, id: str | None = None, **match: Any) -> CallFaultBuilder:
        """The program's calls to an outside service, those about one event when its id is given, as
        the target of one fault: `lab.calls("shipping", order.id, times=3).error(503)`; `match` as
        in `Gateway.call_fault`."""
        spec = next(spec for spec in self.challenge.services if spec.name == service)
        where = None if id is None else lambda request: spec.identify(request) == id
        return self.gateway.call_fault(service, where=where, **match)

    async def ask(
        self, instance: Instance, method: str, path: str, body: Any = None, within: float = ANSWER_S
    ) -> Asked:
        """Ask an instance over HTTP, once, and record what it says (see `Asked`): `path` with its
        query, `body` as JSON. Whatever becomes of it, nothing is raised."""
        return await self._ask(instance, Question(method, path, body), within)

    async def insist(
        self, instance: Instance, method: str, path: str, body: Any = None, within: float = 10.0
    ) -> Asked:
        """Ask an instance over HTTP until it answers with a status below 500, as a client would
        that tries again: it may still be starting. Raises NotExercised after `within` seconds, or
        at once when the program is gone; that it owes the answer is recorded (LIV-2)."""
        question = Question(method, path, body)
        deadline = self.history.clock.now() + within * self.patience
        while True:
            is_last = self.history.clock.now() >= deadline
            asked = await self._ask(instance, question, ANSWER_S, owed=is_last)
            if asked.is_answered:
                return asked
            if self.is_gone():
                raise ProgramGone(f"{instance.name} was asked {path}, but the program was given up")
            if is_last:
                raise NotExercised(f"{instance.name} was asked {path} for {within:.0f} s, in vain")
            await asyncio.sleep(ASK_AGAIN_S)

    def meanwhile(self, question: Coroutine[Any, Any, Asked]) -> None:
        """Let a client `ask` or `insist` while the story goes on, which waits for the answer as a
        fact: `lab.meanwhile(lab.ask(app, "GET", "/accounts/7"))`."""

        async def asking() -> None:
            with contextlib.suppress(NotExercised):
                await question

        self.promise(asking())

    async def _ask(
        self, instance: Instance, question: Question, within: float, owed: bool = False
    ) -> Asked:
        since, asked_t = len(self.history), round(self.history.now(), 6)
        status, answer, error = None, None, None
        try:
            status, answer = await instance.ask(question, within * self.patience)
        except BadAnswer as bad:
            error = str(bad)
        fact = self.history.append(
            "asked",
            instance=instance.name,
            method=question.method,
            path=question.path,
            body=question.body,
            since=since,
            asked_t=asked_t,
            status=status,
            answer=answer,
            error=error,
            owed=owed,
        )
        assert isinstance(fact, Asked)
        return fact

    def note_effect(self, service: str, id: str, content: Mapping[str, Any], by: str) -> None:
        """Record that an outside service did what an instance asked of it."""
        self.history.append(
            "effect",
            table=service,
            row=self.history.count(Effect) + 1,
            id=id,
            content=dict(content),
            instance=by,
            txid="",
            committed_t=round(self.history.now(), 6),
        )

    def topic(self, name: str) -> str:
        """The name on the broker of a topic of the challenge."""
        return self.topics[name]

    def tell(self, text: str) -> None:
        """Add a sentence to the story that people see live and in the report."""
        tell(self.history, self.on_event, self.scenario, text)

    def output(self, instance: str, stream: str, text: str) -> None:
        """Pass on a line that an instance printed."""
        self.on_event(
            {
                "type": "output",
                "scenario": self.scenario.name,
                "instance": instance,
                "stream": stream,
                "text": text,
            }
        )

    async def settle(self) -> None:
        """Send sentinels and wait until everything sent is accounted for, patiently when not."""
        await until_at_work(self)
        self.tell("One more event is sent to each partition; then the grader waits for quiet.")
        await self.send_sentinels()
        await settle(self)

    async def rest(self) -> None:
        """Wait for quiet without sending anything: what is due now must not need a next event."""
        await until_at_work(self)
        await settle(self)

    async def aftershock(self) -> None:
        """Stop all instances by SIGTERM, send sentinels, start them again, and settle: nothing that
        was dealt with may happen again. Left out when the program is stuck already, unless each
        partition is just one record behind: then the restart shows whether COM-2 is the reason."""
        last = self.history.last(Settled)
        one_behind = last is not None and all(count == 1 for _, _, count in last.behind)
        if last is not None and not last.quiet and (last.missing or not one_behind):
            return
        self.history.append("phase", name="aftershock")
        living = [i for i in self.instances.values() if i.alive]
        self.tell("All instances are stopped with SIGTERM and started again.")
        await asyncio.gather(*(instance.terminate() for instance in living))
        await self.send_sentinels()
        for instance in living:
            await instance.start()
        await settle(self, waited_already=last is not None and not last.quiet)

    def is_gone(self) -> bool:
        """Whether no instance is alive, and not by our doing alone; or none has opened a connection
        to the broker within 10 s, which the statement allows for it."""
        instances = self.instances.values()
        ended = any(i.abandoned for i in instances) and not any(i.alive for i in instances)
        return ended or self._never_connected()

    def is_starting(self) -> bool:
        """Whether an instance is starting; on a starved machine that takes many times as long."""
        return any(i.is_starting for i in self.instances.values())

    def _never_connected(self) -> bool:
        is_alive = any(i.alive for i in self.instances.values())
        connected = any(c.service == "kafka" for c in self.history.of(Connection))
        return is_alive and not connected and not self.is_starting()

    def environment(self, instance: str, app: str) -> dict[str, str]:
        """What an instance sees of the world, started as one of the challenge's apps."""
        topics = {variable_of(name): topic for name, topic in self.topics.items()}
        services = {
            f"{spec.name.upper()}_URL": f"http://127.0.0.1:{port}"
            for port, spec in self.challenge.service_ports.items()
        }
        return {
            **self.program.env,
            **topics,
            **services,
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{KAFKA_PORT}",
            "DATABASE_URL": self.database.url_in_box,
            "GROUP_ID": self.groups[app],
            "INSTANCE_ID": instance,
            **({"SERVICE": app} if app else {}),
            **({"PORT": str(self.challenge.port)} if self.challenge.port else {}),
        }

    async def recover(self) -> None:
        """After a scenario that could not go on: heal everything, and see whether the program makes
        progress by itself."""
        self.gateway.release_all()
        for fault in self.sink.faults:
            await fault.cancel()
        for instance in self.instances.values():
            if instance.frozen:
                await instance.thaw()
        for participant in self.participants:
            if participant.silent:
                await participant.heal()
        await until_at_work(self)
        await self.send_sentinels()
        await settle(self, waited_already=True)

    async def end_instances(self) -> None:
        """Kill what is left of the program; nobody waits for it any more."""
        for promise in tuple(self.promises):
            promise.cancel()
        for instance in self.instances.values():
            await instance.kill()

    async def close(self) -> None:
        """Kill what is left, and record what the program left behind: effects not told of yet, the
        topics' records, the final state."""
        await self.end_instances()
        await self.sink.record_rest()
        await self.tail.catch_up()
        topics = self.history.began.topics
        lanes = [(topic, p) for topic, count in topics.items() for p in range(count)]
        ends = [[*lane, end] for lane, end in (await self.kafka.ends(lanes)).items()]
        self.history.append("phase", name="drain", ends=ends)
        await self._record_topics()
        await self._record_state()
        self._record_projections()
        if self.gateway.failure:
            raise PlatformFault(f"the gateway failed: {self.gateway.failure!r}")

    async def _record_topics(self) -> None:
        """Record what a read_committed reader finds. A record is known by its place, or by its
        whole value when the broker never told where it is."""
        sent = self.history.of(Sent)
        by_place = {(s.topic, s.partition, s.offset): s.id for s in sent}
        by_value = {json.dumps(s.value): s.id for s in sent if not s.raw}
        for message in await self.kafka.drain(self.history.began.topics):
            place = (str(message.topic()), int(message.partition() or 0), message.offset())
            value = (message.value() or b"").decode("utf-8", "replace")
            self.history.append(
                "record",
                topic=message.topic(),
                partition=message.partition(),
                offset=message.offset(),
                key=(message.key() or b"").decode("utf-8", "replace"),
                id=by_place.get(place) or by_value.get(value),
            )

    async def _record_state(self) -> None:
        """Record the final rows, and those that the events in the log add up to."""
        logged = {record.id for record in self.history.of(Record)}
        for state in await self._states([s for s in self.history.of(Sent) if s.id in logged]):
            self.history.append("state", **state)

    def _record_projections(self) -> None:
        """Record what each answer about a view must hold, by the positions that it names."""
        for answer in answers_of(self.history):
            events = [
                (short_topic(sent.topic), sent.value)
                for sent in included(self.history, answer.positions)
            ]
            row = self.challenge.project(answer.id, events)
            self.history.append("projected", asked=answer.asked.n, row=row)

    async def adds_up(self) -> bool:
        """Whether the rows are what the events sent so far add up to, and can be read at all."""
        try:
            states = await self._states(self.history.of(Sent))
        except psycopg.errors.LockNotAvailable:
            return False
        return not any(any(state_differences(State(n=0, t=0.0, **state))) for state in states)

    async def _states(self, sent: Sequence[Sent]) -> list[dict[str, Any]]:
        """The rows of each state table now, and those that events or effects add up to."""
        if self.challenge.tally:
            expected = self.challenge.tally(self.history.of(Effect))
        else:
            expected = self.challenge.fold(list({s.id: s.value for s in sent}.values()))
        return [
            {
                "table": table.table,
                "key": list(table.key),
                "rows": await self.sink.state(table),
                "expected": [dict(row) for row in expected[table.table]],
                "absent": dict(table.absent),
            }
            for table in self.challenge.states
        ]
