import json
import os
import signal

import psycopg
from kafka import KafkaConsumer
from kafka.errors import CommitFailedError

from bookkeeper import Bookkeeper


class Application:
    def __init__(self):
        self.running = True
        self.bookkeeper = Bookkeeper(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True))
        self.consumer = KafkaConsumer(
            os.environ["PAYMENTS_TOPIC"],
            bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            group_id=os.environ["GROUP_ID"],
            client_id=os.environ["INSTANCE_ID"],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=100,
        )

    def stop(self, *_):
        self.running = False

    def run(self):
        while self.running:
            for records in self.consumer.poll(timeout_ms=300).values():
                for record in records:
                    self.bookkeeper.book(json.loads(record.value))
                    self.commit()
        self.consumer.close()

    def commit(self):
        """Commit after each record, so that a crash repeats one record at most."""
        try:
            self.consumer.commit()
        except CommitFailedError as error:
            print("partitions were taken away:", error)


app = Application()
signal.signal(signal.SIGTERM, app.stop)
app.run()
