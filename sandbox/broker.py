"""One Apache Kafka broker (KRaft, broker and controller in one process) of this machine.

A broker starts from the image that set-up made: a cleanly stopped data folder, copied, and an AOT
cache of loaded classes. Both together bring the start from 2.6 s to well under one second.
"""

import asyncio
import contextlib
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path

from sandbox import assets
from sandbox.daemon import Daemon, free_ports, on_free_ports
from sandbox.home import home
from sandbox.process import SandboxError, Scratch, give_to_service, own_by_service

APP_PORT = 9092  # of the door inside a box: where programs believe the broker to be
STOP_TIMEOUT = 30.0

JVM_FLAGS = (
    "-Xms32m",
    "-Xmx128m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xlog:disable",
    "-Djava.awt.headless=true",
    "--sun-misc-unsafe-memory-access=allow",  # else Java warns of a call that Kafka makes
)

# Errors only, and few of them: a hostile client must not fill the disk with our log.
LOG4J = """\
status=OFF
appender.errors.type=Console
appender.errors.name=errors
appender.errors.target=SYSTEM_ERR
appender.errors.layout.type=PatternLayout
appender.errors.layout.pattern=%d %p %c: %m%n%throwable{4}
appender.errors.filter.burst.type=BurstFilter
appender.errors.filter.burst.level=FATAL
appender.errors.filter.burst.rate=5
appender.errors.filter.burst.maxBurst=200
rootLogger.level=ERROR
rootLogger.appenderRef.errors.ref=errors
"""

# What untrusted clients may ask of it is bounded here as well as in the gateway: a second belt.
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=GRADER
listeners=GRADER://127.0.0.1:{grader},APP://127.0.0.1:{app},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=GRADER://127.0.0.1:{grader},APP://127.0.0.1:{app_port}
listener.security.protocol.map=GRADER:PLAINTEXT,APP:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}

# One partition each, made at set-up.
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# Small: two cores carry several of these.
num.network.threads=2
num.io.threads=4
background.threads=2
metric.reporters=
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=4194304
log.index.size.max.bytes=1048576
log.segment.bytes=67108864

# Rebalances as fast as the protocols allow; session timeouts stay the clients' own. In the new
# protocol the broker dictates the heartbeat, and a member learns of its revocation only by one. Yet
# librdkafka takes that interval for the time in which a heartbeat must be answered, and closes the
# connection else; a heartbeat waits behind whatever the grader holds on its connection. So it must
# be longer than Kafka lets a program wait as a rule, and shorter than the classic clients' own 3 s.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=100
group.consumer.heartbeat.interval.ms=2000
group.consumer.min.assignment.interval.ms=0
group.consumer.assignment.interval.ms=0
group.consumer.min.session.timeout.ms=1000

# A machine that stalls for some seconds must not fence its only broker.
broker.session.timeout.ms=60000

# Limits for untrusted clients.
auto.create.topics.enable=false
message.max.bytes=1048588
socket.request.max.bytes=16777216
queued.max.requests=64
queued.max.request.bytes=33554432
max.connections=1000
fetch.max.bytes=4194304
max.incremental.fetch.session.cache.slots=200
group.max.size=50
group.consumer.max.size=50
offset.metadata.max.bytes=1024
transaction.max.timeout.ms=60000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
log.retention.bytes=268435456
log.retention.check.interval.ms=10000
log.segment.delete.delay.ms=1000
"""


def image() -> Path:
    """Return the folder that set-up makes for brokers: data/ and kafka.aot."""
    made_from = (assets.jars().name, assets.java_runtime().name, SETTINGS, *JVM_FLAGS)
    return home().cache / f"broker-{assets.digest(*made_from)}"


def java(*flags: str) -> list[str | Path]:
    """Return the command of a Java virtual machine with the broker's class path and `flags`."""
    binary = assets.java_runtime() / "bin" / "java"
    return [binary, *JVM_FLAGS, *flags, "-cp", assets.class_path()]


class Broker(Daemon):
    """A running broker, and the folder it works in.

    bootstrap: address for the grader, advertised as it is.
    app_address: listener for programs. What it advertises is the address of the door inside a box,
        so only a gateway should connect here.
    version: Kafka's version.
    """

    NAME = "Kafka broker"
    PORT_TAKEN = "Address already in use"

    def __init__(
        self, process: asyncio.subprocess.Process, scratch: Scratch, grader: int, app: int
    ) -> None:
        super().__init__(process, scratch)
        self._grader = grader
        self.bootstrap = f"127.0.0.1:{grader}"
        self.app_address = ("127.0.0.1", app)
        self.version = assets.kafka_version()

    @classmethod
    async def start(cls) -> "Broker":
        """Return a broker that has answered a metadata request; SandboxError when none starts."""
        if not image().exists():
            raise SandboxError("The Kafka broker is not set up. Run: offsetzero setup")
        return await cls.start_from(image() / "data", f"-XX:AOTCache={image() / 'kafka.aot'}")

    @classmethod
    async def start_from(cls, data: Path, *flags: str) -> "Broker":
        """Return a broker that works on a copy of `data`, in a JVM with `flags` besides its own."""
        return await on_free_ports(lambda: cls._start_once(data, flags))

    @classmethod
    async def _start_once(cls, data: Path, flags: Sequence[str]) -> "Broker":
        with Scratch.draft("broker") as scratch:
            grader, app, controller = free_ports(3)
            settings = configure(scratch, data, grader, app, controller)
            log4j = f"-Dlog4j2.configurationFile={scratch.path / 'log4j2.properties'}"
            process = await cls.spawn(scratch, [*java(*flags, log4j), "kafka.Kafka", settings])
            return await cls(process, scratch, grader, app).ready()

    async def _first_answer(self) -> None:
        """Return once it has producer ids to give, too: it fetches them when first asked, and a
        client that is told to come back does so half a second later."""
        await super()._first_answer()
        while not await gives_producer_id(self._grader):  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.005)

    async def answers(self, within: float) -> bool:
        """Tell whether the broker answers a metadata request within so many seconds."""
        try:
            async with asyncio.timeout(within):
                return await asks_metadata(self._grader) > 0
        except (OSError, EOFError, TimeoutError):
            return False

    async def terminate(self, within: float = STOP_TIMEOUT) -> None:
        """Stop cleanly and keep the data folder; SIGKILL after so many seconds."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), within)
        except TimeoutError:
            await self._kill_process()

    async def stop(self) -> None:
        """Stop cleanly (about a quarter of a second) and remove the data folder."""
        await self.terminate()
        await asyncio.to_thread(self._scratch.remove)


def configure(scratch: Scratch, data: Path, grader: int, app: int, controller: int) -> Path:
    """Write a broker's settings and its copy of `data` into `scratch`; return the settings."""
    place = give_to_service(scratch.path / "data")
    shutil.copytree(data, place, dirs_exist_ok=True, copy_function=shutil.copyfile)
    for path in place.rglob("*"):
        own_by_service(path)
    (scratch.path / "log4j2.properties").write_text(LOG4J)
    settings = scratch.path / "server.properties"
    settings.write_text(
        SETTINGS.format(
            grader=grader, app=app, controller=controller, app_port=APP_PORT, data=place
        )
    )
    return settings


async def asks_metadata(port: int) -> int:
    """Send one Metadata request (version 1, all topics) and return how many brokers it names."""
    answer = await request(port, api=3, version=1, body=struct.pack(">i", -1))
    return struct.unpack_from(">i", answer)[0]


async def gives_producer_id(port: int) -> bool:
    """Send one InitProducerId request (version 0, without a transactional id) and return whether it
    was answered with an id; no when the broker is not there."""
    try:
        answer = await request(port, api=22, version=0, body=struct.pack(">hi", -1, 60_000))
    except (OSError, EOFError):
        return False
    _throttle_ms, error = struct.unpack_from(">ih", answer)
    return error == 0


async def request(port: int, *, api: int, version: int, body: bytes) -> bytes:
    """Send one request with the header of version 1, and return the body of the answer.

    OSError or EOFError when the broker is not there.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        client = b"offsetzero"
        message = struct.pack(">hhih", api, version, 1, len(client)) + client + body
        writer.write(struct.pack(">i", len(message)) + message)
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        return (await reader.readexactly(size))[4:]  # without the correlation id
    finally:
        writer.close()
