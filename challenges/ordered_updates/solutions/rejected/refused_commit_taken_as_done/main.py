import asyncio, json, logging, os, signal, time
from collections import deque

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

E = os.environ
logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
log = logging.getLogger("updates")


class Part:
    def __init__(self, tp, work):
        self.tp, self.work = tp, work
        self.open = True
        self.pending, self.done = deque(), set()
        self.queues, self.tasks, self.busy = {}, set(), set()
        self.position = self.committed = None

    def add(self, offset, change):
        self.pending.append(offset)
        queue = self.queues.get(change["item"])
        if queue is None:
            self.queues[change["item"]] = deque([(offset, change)])
            task = asyncio.create_task(self.run(change["item"]))
            self.tasks.add(task)
            task.add_done_callback(self.ended)
        else:
            queue.append((offset, change))

    def ended(self, task):
        self.tasks.discard(task)
        if not task.cancelled() and task.exception():
            log.error("task", exc_info=task.exception())
            os._exit(1)

    async def run(self, item):
        queue = self.queues[item]
        while queue and self.open:
            offset, change = queue[0]
            if not await self.work(self, change):
                break
            queue.popleft()
            self.done.add(offset)
        del self.queues[item]

    def watermark(self):
        while self.pending and self.pending[0] in self.done:
            offset = self.pending.popleft()
            self.done.discard(offset)
            self.position = offset + 1
        return self.position


class Service(ConsumerRebalanceListener):
    def __init__(self):
        self.parts = {}
        self.stop = asyncio.Event()

    async def start(self):
        self.pool = await asyncpg.create_pool(
            E["DATABASE_URL"], min_size=1, max_size=15,
            server_settings={"idle_in_transaction_session_timeout": "8000"})
        self.producer = AIOKafkaProducer(
            bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"], enable_idempotence=True, linger_ms=1)
        await self.producer.start()
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=E["KAFKA_BOOTSTRAP_SERVERS"], group_id=E["GROUP_ID"],
            client_id=E["INSTANCE_ID"], enable_auto_commit=False, auto_offset_reset="earliest",
            session_timeout_ms=10000, heartbeat_interval_ms=1000)
        self.consumer.subscribe([E["CHANGES_TOPIC"]], listener=self)
        await self.consumer.start()

    async def on_partitions_assigned(self, assigned):
        for tp in assigned:
            self.parts[tp] = Part(tp, self.work)

    async def on_partitions_revoked(self, revoked):
        gone = list(self.parts.values())
        self.parts = {}
        await self.give_up(gone)

    async def give_up(self, gone):
        for part in gone:
            part.open = False
        tasks = {t for p in gone for t in p.tasks}
        if tasks:
            await asyncio.wait(tasks, timeout=2.5)
        await self.commit(gone)

    async def commit(self, parts):
        todo = [(p, p.watermark()) for p in parts]
        todo = [(p, o) for p, o in todo if o is not None and o != p.committed]
        if not todo:
            return
        try:
            await self.consumer.commit({p.tp: o for p, o in todo})
            for p, o in todo:
                p.committed = o
        except KafkaError as error:
            log.warning("commit %r", error)

    async def work(self, part, change):
        pause = 0.05
        while part.open:
            try:
                await self.apply(part, change)
                break
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                log.warning("database %r", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 1)
        while part.open:
            try:
                await self.producer.send_and_wait(
                    E["UPDATES_TOPIC"], key=change["item"].encode(),
                    value=json.dumps(change).encode())
                return True
            except KafkaError as error:
                log.warning("publish %r", error)
                await asyncio.sleep(0.2)
        return False

    async def apply(self, part, change):
        async with self.pool.acquire() as db:
            tr = db.transaction()
            await tr.start()
            try:
                await db.execute("select pg_advisory_xact_lock(hashtextextended($1, 7))",
                                 change["item"])
                top = await db.fetchval(
                    "select coalesce(max(version), 0) from applied where item = $1",
                    change["item"])
                if top >= change["version"]:
                    await tr.rollback()
                    return
                if top != change["version"] - 1:
                    raise RuntimeError("gap: %s after %s" % (change, top))
                await db.execute(
                    "insert into applied (change_id, item, version, stock) values ($1,$2,$3,$4)",
                    change["id"], change["item"], change["version"], change["stock"])
            except BaseException:
                await tr.rollback()
                raise
            try:
                await tr.commit()
            except asyncpg.SerializationError:
                log.warning("collided: another instance has done it")

    async def run(self):
        await self.start()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stop.set)
        last = 0
        while not self.stop.is_set():
            got = await self.consumer.getmany(timeout_ms=150, max_records=200)
            for tp, records in got.items():
                part = self.parts.get(tp)
                if part:
                    for record in records:
                        part.add(record.offset, json.loads(record.value))
            if time.monotonic() - last > 0.25:
                await self.commit(list(self.parts.values()))
                last = time.monotonic()
        gone = list(self.parts.values())
        self.parts = {}
        await self.give_up(gone)
        await self.consumer.stop()
        os._exit(0)


asyncio.run(Service().run())
