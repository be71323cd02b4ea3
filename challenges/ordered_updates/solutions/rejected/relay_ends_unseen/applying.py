"""A pool that applies changes: one at a time for each item, row and outbox in one transaction."""

import json
import logging
import threading
from collections import defaultdict, deque
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import OperationalError

from tables import applied, last_version, outbox

log = logging.getLogger("applying")


class Applier:
    def __init__(self, engine, wake):
        self.engine, self.wake = engine, wake
        self.pool = ThreadPoolExecutor(10)
        self.changed = threading.Condition()
        self.queues = {}  # by item: what waits behind the change in work
        self.under_way = defaultdict(int)  # by partition
        self.ledger = defaultdict(dict)  # by partition: offset -> done
        self.failure = None

    def add(self, partition, offset, change):
        with self.changed:
            self.ledger[partition][offset] = False
            if change["item"] in self.queues:
                self.queues[change["item"]].append((partition, offset, change))
            else:
                self.queues[change["item"]] = deque()
                self.start(partition, offset, change)

    def start(self, partition, offset, change):
        self.under_way[partition] += 1
        self.pool.submit(self.work, partition, offset, change)

    def work(self, partition, offset, change):
        try:
            self.apply(change)
        except BaseException as error:
            self.failure = error
            return
        self.wake()
        with self.changed:
            if offset in self.ledger[partition]:  # not of a partition that was taken away since
                self.ledger[partition][offset] = True
            self.under_way[partition] -= 1
            waiting = self.queues[change["item"]]
            if waiting:
                self.start(*waiting.popleft())
            else:
                del self.queues[change["item"]]
            self.changed.notify_all()

    def apply(self, change):
        while True:
            try:
                with self.engine.begin() as db:
                    return self.apply_once(db, change)
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", "") not in ("40001", "40P01"):
                    raise
                log.warning("%s is tried again", change["id"])

    def apply_once(self, db, change):
        item = change["item"]
        db.execute(upsert(last_version).values(item=item, version=0).on_conflict_do_nothing())
        row = select(last_version.c.version).where(last_version.c.item == item).with_for_update()
        if db.execute(row).scalar_one() >= change["version"]:
            return
        db.execute(insert(applied).values(
            change_id=change["id"], item=item, version=change["version"], stock=change["stock"]))
        db.execute(insert(outbox).values(item=item, body=json.dumps(change)))
        db.execute(update(last_version).where(last_version.c.item == item)
                   .values(version=change["version"]))

    def finished(self):
        """By partition, the offset after the finished beginning, where it has grown."""
        if self.failure:
            raise self.failure
        found = {}
        with self.changed:
            for partition, offsets in self.ledger.items():
                for offset, done in list(offsets.items()):
                    if not done:
                        break
                    del offsets[offset]
                    found[partition] = offset + 1
        return found

    def let_go(self, partitions, timeout):
        """Drop what waits in these partitions; wait for what is under way."""
        with self.changed:
            for item, waiting in self.queues.items():
                self.queues[item] = deque(w for w in waiting if w[0] not in partitions)
            self.changed.wait_for(
                lambda: not any(self.under_way[p] for p in partitions), timeout)

    def forget(self, partitions):
        with self.changed:
            for partition in partitions:
                self.ledger.pop(partition, None)
