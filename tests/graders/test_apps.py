"""A program that is started as several apps, each with a consumer group of its own."""

from dataclasses import replace
from pathlib import Path

import pytest

from graders.conditions import Condition, Share, all_shares, effects_of, group_stable, shares
from graders.facts import Commit, Fetched, Joined, Refused, Settled, short_topic
from graders.grade import grade
from graders.history import History
from graders.lab import Lab
from graders.spec import AppSpec, Challenge, CheckUse, Submission, TopicSpec
from graders.verdicts import Verdict
from sandbox.pool import Pool
from tests.graders.challenge import challenge, payments
from tests.graders.histories import TOPIC, Tale, verdicts

CHECKED = ("EFF-1", "EFF-2", "COM-1", "COM-4", "COM-5", "LIV-1", "GRD-1", "GRD-4")
BOOKS, MAIL = "books-service", "mail-service"

# "books" enters payments into the ledger and writes a receipt; "mail" reads both and does nothing.
PROGRAM = """
import os
import json, psycopg
from confluent_kafka import Consumer, Producer

books = os.environ["SERVICE"] == "books"
db = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
producer = Producer({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]})
consumer = Consumer({
    "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
    "group.id": os.environ["GROUP_ID"],
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
})
topics = [os.environ["PAYMENTS_TOPIC"]] + ([] if books else [os.environ["RECEIPTS_TOPIC"]])
consumer.subscribe(topics)
while True:
    message = consumer.poll(0.1)
    if message is None or message.error():
        continue
    if books:
        db.execute(
            "insert into ledger (event_id, account, amount)"
            " values (%(id)s, %(account)s, %(amount)s)", json.loads(message.value()))
        producer.produce(os.environ["RECEIPTS_TOPIC"], message.value(), message.key())
        producer.flush()
    consumer.commit(message, asynchronous=False)
"""


async def two_apps(lab: Lab) -> None:
    """One app writes what the other reads. Exposes programs that are only one of them."""
    sent = await lab.send("payments", payments(lab.rng, 6))
    await lab.start("books", app="books")
    await lab.start("mail", app="mail")
    await lab.until(group_stable(2) & effects_of(sent))
    await lab.settle()


async def payments_are_late(lab: Lab) -> None:
    """The receipts of payments overtake them. Exposes programs that expect their topics in step."""
    await lab.start("books", app="books")
    mail = await lab.start("mail", app="mail")
    await lab.until(group_stable(2))
    with pytest.raises(ValueError, match="receipts is led by the same broker"):
        await lab.lag("receipts", mail)
    late = await lab.lag("payments", mail)
    sent = await lab.send("payments", payments(lab.rng, 6))
    await lab.until(effects_of(sent) & Condition("", lambda h: bool(read_by(h, "mail"))))
    late.release()
    await lab.settle()


def read_by(history: History, instance: str) -> list[str]:
    """The topics of the records that an instance was handed, in order."""
    fetches = [fetch for fetch in history.of(Fetched) if fetch.instance == instance]
    return [short_topic(fetch.topic) for fetch in fetches]


def books_and_mail() -> Challenge:
    return replace(
        challenge(two_apps, payments_are_late),
        topics=(TopicSpec("payments", led_apart=True), TopicSpec("receipts", 2, "internal")),
        declared=(
            AppSpec("books", ("payments",), ("ledger",)),
            AppSpec("mail", ("payments", "receipts"), ()),
        ),
        states=(),
        checks=tuple(CheckUse(id, 1, "Kafka internals") for id in CHECKED),
        fold=lambda values: {},
    )


@pytest.mark.services
@pytest.mark.asyncio(loop_scope="session")
async def test_each_app_has_its_group_and_reads_its_topics(pool: Pool, tmp_path: Path) -> None:
    report = await grade(
        books_and_mail(),
        Submission({"main.py": PROGRAM}),
        seed=3,
        pool=pool,
        history_dir=tmp_path,
    )
    found = {c["id"]: c["verdict"] for c in report.data["checks"] if c["verdict"] != "PASS"}
    assert found == {}
    history = History.load(tmp_path / "two_apps.1.jsonl")
    groups = {joined.instance: joined.group for joined in history.of(Joined)}
    assert groups["books"] != groups["mail"]
    reached = {(c.group, short_topic(c.topic)) for c in history.of(Commit)}
    assert reached == {
        (groups["books"], "payments"),
        (groups["mail"], "payments"),
        (groups["mail"], "receipts"),
    }
    assert history.last(Settled).quiet
    history = History.load(tmp_path / "payments_are_late.1.jsonl")
    assert read_by(history, "mail")[0] == "receipts"
    assert "payments" in read_by(history, "mail")


def two_groups() -> Tale:
    """Both apps read the topic; only the commits of "books" promise a row."""
    groups = {
        BOOKS: {"reads": [TOPIC], "effects": ["ledger"]},
        MAIL: {"reads": [TOPIC], "effects": []},
    }
    tale = Tale(partitions=1, groups=groups)
    for app, group in (("books", BOOKS), ("mail", MAIL)):
        tale.join(app, group=group)
        tale.assigned(app, 0, group=group)
    tale.send("pay-1", 0)
    tale.fetch("books", 0, 0, 0)
    tale.fetch("mail", 0, 0, 0)
    return tale


def test_each_group_owns_all_partitions() -> None:
    tale = two_groups()
    owned: dict[Share, str] = {(BOOKS, TOPIC, 0): "books", (MAIL, TOPIC, 0): "mail"}
    assert shares(tale) == owned
    assert all_shares(tale) == owned.keys()


def test_the_commit_of_a_group_that_promises_no_effect_is_not_ahead() -> None:
    tale = two_groups()
    tale.commit("mail", 0, 1, group=MAIL)
    tale.effect("books", "pay-1", committed_t=tale.now() + 1)
    tale.commit("books", 0, 1, group=BOOKS)
    assert verdicts(tale.end()) == {"COM-1": Verdict.WARN}


def test_a_commit_to_a_group_that_the_instance_never_joined_is_a_strangers() -> None:
    tale = two_groups()
    tale.effect("books", "pay-1")
    tale.commit("books", 0, 1, group=BOOKS)
    tale.commit("mail", 0, 1, group=BOOKS)
    assert verdicts(tale.end()) == {"COM-4": Verdict.FAIL}


@pytest.mark.services
@pytest.mark.asyncio(loop_scope="session")
async def test_an_app_may_not_join_the_group_of_another(pool: Pool, tmp_path: Path) -> None:
    async def mail_alone(lab: Lab) -> None:
        """Exposes programs that know one group only."""
        await lab.start("mail", app="mail")
        await lab.until(Condition("a refusal", lambda h: bool(h.of(Refused))))

    source = PROGRAM.replace(
        'os.environ["GROUP_ID"]', 'os.environ["GROUP_ID"].replace("mail", "books")'
    )
    await grade(
        replace(books_and_mail(), scenarios=challenge(mail_alone).scenarios),
        Submission({"main.py": source}),
        seed=3,
        pool=pool,
        history_dir=tmp_path,
    )
    history = History.load(tmp_path / "mail_alone.1.jsonl")
    assert "group books-service" in history.of(Refused)[0].why
    assert not history.of(Joined)
