"""What a program writes to Kafka: effects in topics, commands, and the grader's answers."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from graders.conditions import effects_of
from graders.facts import Effect, Output, Refused, Sent
from graders.grade import grade
from graders.history import History, Recorder
from graders.kafka import Kafka
from graders.lab import Lab
from graders.report import as_html, as_text
from graders.spec import (
    Challenge,
    CheckUse,
    EffectTopic,
    Event,
    OutputRecord,
    Raw,
    Row,
    Submission,
    TopicSpec,
)
from graders.tail import Tail
from sandbox.pool import Pool
from tests.graders.challenge import challenge, payment, payments

pytestmark = [pytest.mark.services, pytest.mark.asyncio(loop_scope="session")]

CHECKED = ("EFF-1", "EFF-2", "EFF-3", "EFF-5", "LIV-1", "GRD-1", "GRD-4")

# Asks for the price of every payment, and writes a receipt for each answer.
PROGRAM = """
import json, os
from confluent_kafka import Consumer, Producer

producer = Producer({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]})
consumer = Consumer({
    "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
    "group.id": os.environ["GROUP_ID"],
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
})
consumer.subscribe([os.environ["PAYMENTS_TOPIC"], os.environ["ANSWERS_TOPIC"]])
while True:
    message = consumer.poll(0.1)
    if message is None or message.error():
        continue
    if message.topic() == os.environ["PAYMENTS_TOPIC"]:
        try:
            event = json.loads(message.value())
            producer.produce(os.environ["ASKS_TOPIC"], json.dumps(event), message.key())
        except ValueError:
            producer.produce(os.environ["BROKEN_TOPIC"], message.value(), message.key(),
                             headers={"offset": str(message.offset())})
    else:
        answer = json.loads(message.value())
        for _ in range(TIMES):
            producer.produce(os.environ["RECEIPTS_TOPIC"], json.dumps(answer), message.key())
    producer.flush()
    consumer.commit(message, asynchronous=False)
"""

BROKEN = Event("broken", "acc-0", {}, Raw(b"\xff{"), [("by", b"\xfe")], {"broken": {}})


async def a_conversation(lab: Lab) -> None:
    """Questions, answers and receipts. Exposes programs that do not answer."""

    async def reply(record: OutputRecord) -> None:
        id, account = record.field("id"), record.field("account")
        if isinstance(id, str) and isinstance(account, str):
            await lab.answer("answers", f"answer-{id}", account, {**record.json, "price": 2})

    lab.react("asks", reply)
    await lab.start("app")
    sent = await lab.send("payments", [*payments(lab.rng, 3), BROKEN])
    await lab.until(effects_of(sent))
    await lab.settle()


def asks_and_answers() -> Challenge:
    def expected(value: Row) -> dict[str, Row]:
        return {"receipts": {"account": value["account"], "amount": value["amount"]}}

    def identify(record: OutputRecord, sent: list[Sent]) -> str | None:
        return next((s.id for s in sent if str(s.offset).encode() == record.header("offset")), None)

    return replace(
        challenge(a_conversation),
        topics=(
            TopicSpec("payments", 1),
            TopicSpec("answers", 1, "reply"),
            TopicSpec("asks", 1, "output"),
            TopicSpec("receipts", 2, "output"),
            TopicSpec("broken", 1, "output"),
        ),
        effects=(
            EffectTopic("receipts", "id", ("account", "amount")),
            EffectTopic("broken", repeats=True),
        ),
        states=(),
        checks=tuple(CheckUse(id, 1, "Kafka internals") for id in CHECKED),
        expected=expected,
        fold=lambda values: {},
        identify=identify,
        sentinel=payment,
    )


@pytest.mark.parametrize(("times", "failed"), [(1, set()), (2, {"EFF-2"})])
async def test_records_are_effects(
    pool: Pool, tmp_path: Path, times: int, failed: set[str]
) -> None:
    report = await grade(
        asks_and_answers(),
        Submission({"main.py": PROGRAM.replace("TIMES", str(times))}),
        seed=3,
        pool=pool,
        history_dir=tmp_path,
    )
    found = {c["id"] for c in report.data["checks"] if c["verdict"] != "PASS"}
    assert found == failed, report.data["checks"]
    history = History.load(tmp_path / "a_conversation.1.jsonl")
    receipts = [e for e in history.of(Effect) if e.table == "receipts"]
    assert {e.instance for e in receipts} == {"app"}
    assert {e.spot.rpartition("@")[0] for e in receipts} <= {"receipts-0", "receipts-1"}
    (broken,) = [e for e in history.of(Effect) if e.table == "broken"]
    assert (broken.payload, broken.id) == ("base64:/3s=", "broken")
    answers = [s for s in history.of(Sent) if s.role == "answer"]
    assert len(answers) == len(history.of(Output)) == 4


# Writes what no reader of the log expects, in a client that lets it, then works as it should.
STRANGE = r"""
import os
from kafka import KafkaProducer

class Name(str):
    def encode(self, *args):
        return b"\xff\xfe"

VALUES = (
    b"[" * 200_000, b'{"id": "\ud800"}', b'{"id": "\u0000"}', b"NaN", b"1e999", b"", None,
    b'{"id": {"id": []}}', b'{"id": 7, "account": ["x"], "amount": 1e308}',
)
HEADERS = [("offset", b"0" * 9), ("", b""), ("x", b"\xff"), ("x", b"\xff")]
strange = KafkaProducer(bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"])
for topic in ("RECEIPTS_TOPIC", "ASKS_TOPIC", "BROKEN_TOPIC"):
    for value in VALUES:
        for key in (None, b"", b"\xff", b"a\0b"):
            if (value, key) != (None, None):  # which this client will not send
                strange.send(os.environ[topic], value, key, headers=HEADERS)
strange.flush()
strange.send(os.environ["ASKS_TOPIC"], b"{}", headers=[(Name("x"), b"")])
strange.flush()
"""


async def test_strange_records_break_no_grader(pool: Pool, tmp_path: Path) -> None:
    report = await grade(
        asks_and_answers(),
        Submission({"main.py": STRANGE + PROGRAM.replace("TIMES", "1")}),
        seed=3,
        pool=pool,
        history_dir=tmp_path,
    )
    found = {c["id"]: c["verdict"] for c in report.data["checks"]}
    assert found["EFF-3"] == found["GRD-1"] == "FAIL"
    assert "HARNESS_ERROR" not in found.values()
    assert as_html(report)
    assert as_text(report)
    history = History.load(tmp_path / "a_conversation.1.jsonl")
    assert {r.why for r in history.of(Refused)} == {"a header whose name is no UTF-8"}


async def test_tails_leave_the_threads_that_all_share_alone(pool: Pool) -> None:
    shared = (os.cpu_count() or 1) + 4  # as many as asyncio starts at most
    topics = {topic.name: f"{topic.name}.threads" for topic in asks_and_answers().topics}
    async with pool.lend() as backing, asyncio.TaskGroup() as tasks:
        kafka = Kafka(backing.broker.bootstrap)
        await kafka.create_topics(dict.fromkeys(topics.values(), 1))
        tails = [Tail(asks_and_answers(), topics, kafka, Recorder()) for _ in range(shared)]
        running = [tasks.create_task(tail.run()) for tail in tails]
        for tail in tails:
            await tail.catch_up()
        assert await asyncio.to_thread(os.getpid) == os.getpid()
        for task in running:
            task.cancel()
        kafka.close()
