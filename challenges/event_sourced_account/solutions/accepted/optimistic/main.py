"""Accounts kept as events, with optimistic concurrency: each version is claimed in a table of its
own, and who comes second decides again. Nothing is locked while it is decided."""

import json
import os
import signal
import sys
import threading

from kafka import KafkaConsumer

from publisher import publish_forever
from store import connect, deposit, prepare
from web import serve_forever


def main():
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(0))
    prepare()
    for work in (serve_forever, publish_forever):
        threading.Thread(target=work, daemon=True).start()
    consumer = KafkaConsumer(
        os.environ["DEPOSITS_TOPIC"],
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        group_id=os.environ["GROUP_ID"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_poll_records=20,
    )
    db = connect()
    while True:
        polled = consumer.poll(timeout_ms=200)
        for records in polled.values():
            for record in records:
                deposit(db, json.loads(record.value))
        if polled:
            consumer.commit()


main()
