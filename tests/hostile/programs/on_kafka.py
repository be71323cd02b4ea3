"""Programs that want more of Kafka than is granted. Most do their work afterwards."""

import os
import socket
import struct

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
)
from honest import GROUP, SERVERS, TOPIC, consumer, work

HOST, PORT = SERVERS.split(",")[0].split(":")


def asked(what, futures):
    """Print how a request of an administrator ended."""
    for future in futures.values():
        try:
            future.result(10)
            print(what, "done")
        except Exception as error:
            print(what, error)


def administers():
    admin = AdminClient({"bootstrap.servers": SERVERS})
    resource = ConfigResource(
        ConfigResource.Type.TOPIC,
        TOPIC,
        incremental_configs=[
            ConfigEntry("retention.ms", "1", incremental_operation=AlterConfigOpType.SET)
        ],
    )
    asked("create", admin.create_topics([NewTopic("mine", 1, 1)]))
    asked("partitions", admin.create_partitions([NewPartitions(TOPIC, 9)]))
    asked("configs", admin.incremental_alter_configs([resource]))
    asked("records", admin.delete_records([TopicPartition(TOPIC, 0, 5)]))
    asked("group", admin.delete_consumer_groups([GROUP]))
    asked("topic", admin.delete_topics([TOPIC]))
    work()


def produces_to_the_input():
    told = []
    producer = Producer({"bootstrap.servers": SERVERS, "message.timeout.ms": 5000})
    for key, value in ((b"k", b"{}"), (None, None)):
        producer.produce(TOPIC, value, key, on_delivery=lambda error, _: told.append(error))
    producer.flush(10)
    print("produced", told)
    work()


def confusing_client():
    """Names that somebody might show, run or store."""
    for name in (
        "<script>alert(1)</script>",
        "'\"; drop table runs; --",
        "\x1b[2J\n",
        "x" * 30_000,
    ):
        odd = Consumer({"bootstrap.servers": SERVERS, "group.id": GROUP, "client.id": name})
        odd.list_topics(timeout=5)
        odd.close()
    work()


def huge_metadata():
    """Of a committed offset: over what the broker takes."""
    ahead = consumer()
    ahead.subscribe([TOPIC])
    while not ahead.assignment():
        ahead.poll(0.2)
    try:
        ahead.commit(offsets=[TopicPartition(TOPIC, 0, 0, "m" * 20_000)], asynchronous=False)
    except KafkaException as error:
        print(error)
    ahead.close()
    work()


def connect():
    return socket.create_connection((HOST, int(PORT)), timeout=5)


def raw_bytes():
    """No Kafka at all, half of a request, one that is far too long."""
    for sent in (
        os.urandom(4000),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        struct.pack(">i", 2**31 - 1) + b"x" * 100_000,
        struct.pack(">i", -1),
        struct.pack(">ihhi", 1000, 3, 1, 1),
    ):
        with connect() as wire:
            try:
                wire.sendall(sent)
                wire.settimeout(0.2)
                print("heard", wire.recv(100))
            except OSError as error:
                print(error)
    work()


def slow_loris():
    """All the connections there are, each a byte at a time; then the work must be done."""
    kept = []
    for _ in range(200):
        wire = connect()
        try:
            wire.sendall(b"\0")
            kept.append(wire)
        except OSError as error:
            print(error)
    for wire in kept:
        wire.close()
    work()


def storms_the_group():
    """Joins and leaves as fast as it can: each time, the whole group starts anew."""
    for _ in range(15):
        member = consumer()
        member.subscribe([TOPIC])
        member.poll(0.2)
        member.close()
    print("stormed")
    work()


def asks_without_end():
    """Every question costs the broker, and the history if it were kept."""
    admin = AdminClient({"bootstrap.servers": SERVERS})
    for _ in range(3000):
        admin.list_topics(timeout=5)
    print("asked")
    work()


def commits_the_end_of_time():
    """Whoever takes over from there will never see a record."""
    ahead = consumer()
    ahead.subscribe([TOPIC])
    while not ahead.assignment():
        ahead.poll(0.2)
    ahead.commit(offsets=[TopicPartition(TOPIC, 0, 2**63 - 1)], asynchronous=False)
    print("committed")
    ahead.close()
    work()


def transactional(name):
    producer = Producer({"bootstrap.servers": SERVERS, "transactional.id": name})
    producer.init_transactions(10)
    return producer


def many_transactional_ids():
    """The broker keeps each for a week."""
    kept = []
    for number in range(20):
        kept = [*kept[-3:], transactional(f"mine-{number}-{'x' * 200}")]
    print("known by many names")
    work()


def hanging_transaction():
    """Offsets in a transaction that never ends: pending until the broker gives it up."""
    payments = consumer()
    payments.subscribe([TOPIC])
    while not payments.assignment():
        payments.poll(0.2)
    producer = transactional("hanging")
    producer.begin_transaction()
    offsets = [TopicPartition(TOPIC, 0, 1)]
    producer.send_offsets_to_transaction(offsets, payments.consumer_group_metadata(), 10)
    print("hanging")
    work(payments=payments)
