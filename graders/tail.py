"""What the program writes to its topics, as a read_committed reader sees it while it happens.

A thread reads with librdkafka; the rest runs in the grader's loop. The thread is the tail's own: it
reads as long as the scenario lasts, and of those that all share there are only a few. Each record
becomes one fact: an `Effect` in an effect topic, else an `Output`. After that the reaction to its
topic is called, by which the grader plays the services that the program talks to.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from graders.facts import Produced, Sent, as_text, header_texts
from graders.history import Recorder
from graders.kafka import Kafka, Lane, make_consumer
from graders.spec import Challenge, EffectTopic, OutputRecord
from graders.trouble import PlatformFault

POLL_S = 0.05
WAIT_MS = 200
BATCH = 500
WRITER_S = 0.2
CATCH_UP_S = 20.0

Reaction = Callable[[OutputRecord], Awaitable[None]]


class Tail:
    """Follows the topics that the program writes.

    `topics` maps the challenge's names to those on the broker. `run` reads until it is cancelled.
    """

    def __init__(
        self,
        challenge: Challenge,
        topics: Mapping[str, str],
        kafka: Kafka,
        history: Recorder,
    ) -> None:
        self.reactions: dict[str, Reaction] = {}
        self._challenge = challenge
        self._kafka = kafka
        self._history = history
        self._names = {topics[t.name]: t.name for t in challenge.topics if t.is_written}
        self._effects = {effect.topic: effect for effect in challenge.effect_topics}
        self._lanes: list[Lane] = [
            (topics[t.name], p)
            for t in challenge.topics
            if t.is_written
            for p in range(t.partitions)
        ]
        self._writers = Writers(history)
        self._read: dict[Lane, int] = dict.fromkeys(self._lanes, 0)
        self._news: asyncio.Queue[list[Message]] = asyncio.Queue()

    async def run(self) -> None:
        """Read, record and react until cancelled."""
        if not self._lanes:
            return
        over = threading.Event()
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "tail") as own_thread:
            reading = loop.run_in_executor(own_thread, self._read_on, loop, over)
            try:
                await self._take_news()
            finally:
                over.set()
                await asyncio.wait([reading])

    async def _take_news(self) -> None:
        """Record and react to what the thread hands over, until cancelled."""
        while True:
            messages = await self._news.get()
            patience = self._history.now() + WRITER_S
            for message in messages:
                await self._take(message, patience)
            self._history.touch()

    async def catch_up(self) -> None:
        """Return when all that the program has written until now is recorded and reacted to.

        PlatformFault when that takes over 20 s.
        """
        if not self._lanes:
            return
        ends = await self._kafka.ends(self._lanes)
        done = await self._history.wait_for(
            lambda _: all(self._read[lane] >= end for lane, end in ends.items()), CATCH_UP_S
        )
        if not done:
            raise PlatformFault("what the program wrote could not be read within 20 s")

    def _read_on(self, loop: asyncio.AbstractEventLoop, over: threading.Event) -> None:
        """Hand over what comes, in batches (in the reader's thread)."""
        consumer: Consumer = make_consumer(self._kafka.bootstrap, WAIT_MS)
        consumer.assign([TopicPartition(topic, p, 0) for topic, p in self._lanes])
        try:
            while not over.is_set():
                if messages := consumer.consume(BATCH, timeout=POLL_S):
                    loop.call_soon_threadsafe(self._news.put_nowait, messages)
        finally:
            consumer.close()

    async def _take(self, message: Message, patience: float) -> None:
        """Record a record, or that the end of a lane was reached. Its writer is waited for until
        `patience`, a time of the history."""
        lane = (str(message.topic()), int(message.partition() or 0))
        offset = int(message.offset() or 0)
        error = message.error()
        if error is None:
            writer = await self._writers.of(lane, offset, patience)
            await self._record(message, lane, offset, writer)
            self._read[lane] = offset + 1
        elif error.code() == KafkaError._PARTITION_EOF:
            self._read[lane] = max(self._read[lane], offset)

    async def _record(
        self, message: Message, lane: Lane, offset: int, writer: Produced | None
    ) -> None:
        record = OutputRecord(
            self._names[lane[0]],
            lane[1],
            offset,
            message.key(),
            message.value(),
            headers_of(message),
        )
        if effect := self._effects.get(record.topic):
            self._append_effect(effect, record, writer)
        else:
            self._append_output(record, writer)
        if reaction := self.reactions.get(record.topic):
            await reaction(record)

    def _append_effect(
        self, effect: EffectTopic, record: OutputRecord, writer: Produced | None
    ) -> None:
        if effect.id:
            id = record.field(effect.id)
        else:
            id = self._challenge.identify(record, self._history.of(Sent))
        self._history.append(
            "effect",
            table=record.topic,
            row=record.offset,
            id="" if id is None else str(id),
            content={name: record.field(name) for name in effect.content},
            instance=writer.instance if writer else None,
            txid="",
            committed_t=writer.t if writer else round(self._history.now(), 6),
            partition=record.partition,
            payload=as_text(record.value),
            **texts(record),
        )

    def _append_output(self, record: OutputRecord, writer: Produced | None) -> None:
        self._history.append(
            "output",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            value=record.json,
            instance=writer.instance if writer else None,
            **texts(record),
        )


def headers_of(message: Message) -> list[tuple[str, bytes]]:
    """A record's headers in their order; a missing value counts as an empty one."""
    found: Any = message.headers() or ()
    return [(name, value or b"") for name, value in found]


def texts(record: OutputRecord) -> dict[str, Any]:
    """A record's key and headers as a history holds them."""
    return {"key": as_text(record.key), "headers": header_texts(record.headers)}


class Writers:
    """Which instance wrote a record, by what the gateway saw."""

    def __init__(self, history: Recorder) -> None:
        self._history = history
        self._seen = 0
        self._found: dict[Lane, list[Produced]] = {}

    async def of(self, lane: Lane, offset: int, patience: float) -> Produced | None:
        """The write that a record came by; None when no answer of the broker was seen. The reader
        may be a moment ahead of the gateway, so that is waited for, until the time `patience`."""
        left = patience - self._history.now()
        await self._history.wait_for(lambda _: self._has(lane, offset), left)
        return self._writer(lane, offset)

    def _has(self, lane: Lane, offset: int) -> bool:
        self._look()
        return self._writer(lane, offset) is not None

    def _look(self) -> None:
        for one in self._history.of(Produced, self._seen):
            self._found.setdefault((one.topic, one.partition), []).append(one)
            self._seen += 1

    def _writer(self, lane: Lane, offset: int) -> Produced | None:
        for one in reversed(self._found.get(lane, ())):
            if one.base_offset is not None and 0 <= offset - one.base_offset < one.count:
                return one
        return None
