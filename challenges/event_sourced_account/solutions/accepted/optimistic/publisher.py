"""Publishes what is in the log and was not published yet. The log itself is the outbox: what is
published is marked, for a number beyond which all is done may pass what is not committed yet."""

import json
import os
import time
import traceback

from kafka import KafkaProducer

from account import upcast
from store import connect

UNPUBLISHED = """
    select e.entry, e.account, e.version, e.command_id, e.type, e.format, e.data
    from events e, beginning b
    where e.entry > b.entry and not exists (select from published p where p.entry = e.entry)
    order by e.entry limit 200
"""


def publish_forever():
    try:
        db = connect()
        producer = KafkaProducer(bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"])
        while True:
            if not publish_some(db, producer):
                time.sleep(0.1)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def publish_some(db, producer):
    """One instance publishes at a time; whether there was anything."""
    with db.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(10)")
        if not cursor.fetchone()[0]:
            return False
        cursor.execute(UNPUBLISHED)
        rows = cursor.fetchall()
        for _, account, version, command, type, format, data in rows:
            event = upcast((version, command, type, format, data, None))
            body = {"id": command, "account": account, "version": version,
                    "type": event["type"], "amount": event["amount"]}
            producer.send(os.environ["ACCOUNT_EVENTS_TOPIC"], key=account.encode(),
                          value=json.dumps(body).encode())
        producer.flush()
        for entry, *_ in rows:
            cursor.execute("insert into published values (%s)", (entry,))
        cursor.execute("select pg_advisory_unlock(10)")
    return bool(rows)
