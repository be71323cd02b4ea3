"""One Apache Kafka broker (KRaft, broker and controller in one process) of this machine.

A broker starts from the image that set-up made: a cleanly stopped data folder, copied, and an AOT
cache of loaded classes. Both together bring the start from 2.6 s to well under one second.
"""

import asyncio
import contextlib
import secrets
import shutil
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from sandbox import assets
from sandbox.home import home
from sandbox.process import (
    SandboxError,
    Scratch,
    give_to_service,
    own_by_service,
    spawn,
    started,
)

APP_PORT = 9092  # of the door inside a box: where programs believe the broker to be
START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0
ATTEMPTS = 3

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
# protocol the broker dictates the heartbeat, and a member learns of its revocation only by one.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=100
group.consumer.heartbeat.interval.ms=200
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


class PortTaken(SandboxError):
    """Another process took a port between our choice and the broker's bind."""


class Broker:
    """A running broker, and the folder it works in.

    bootstrap: address for the grader, advertised as it is.
    app_address: listener for programs. What it advertises is the address of the door inside a box,
        so only a gateway should connect here.
    version: Kafka's version.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, scratch: Scratch, grader: int, app: int
    ) -> None:
        self._process = process
        self._scratch = scratch
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
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(PortTaken):
                return await cls._start_once(data, flags)
        return await cls._start_once(data, flags)

    @classmethod
    async def _start_once(cls, data: Path, flags: Sequence[str]) -> "Broker":
        scratch = Scratch.create("broker")
        try:
            grader, app, controller = free_ports(3)
            settings = configure(scratch, data, grader, app, controller)
            with (scratch.path / "log").open("wb") as log:
                log4j = f"-Dlog4j2.configurationFile={scratch.path / 'log4j2.properties'}"
                command = [*java(*flags, log4j), "kafka.Kafka", settings]
                process = await spawn(command, env={"LC_ALL": "C.UTF-8"}, output=log)
            scratch.adopt(process.pid)
        except BaseException:
            scratch.remove()
            raise
        broker = cls(process, scratch, grader, app)
        try:
            await broker._ready()
        except BaseException:
            await broker.kill()
            raise
        return broker

    @property
    def alive(self) -> bool:
        """Whether the broker's process runs; it may still be frozen: `answers` asks it."""
        return self._process.returncode is None and started(self._process.pid) is not None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def data(self) -> Path:
        """The broker's data folder; gone after `stop` and `kill`."""
        return self._scratch.path / "data"

    async def answers(self, within: float) -> bool:
        """Tell whether the broker answers a metadata request within so many seconds."""
        try:
            async with asyncio.timeout(within):
                return await asks_metadata(self._grader) > 0
        except (OSError, EOFError, TimeoutError):
            return False

    async def ended(self) -> None:
        """Return once the broker's process has ended, however it ended."""
        await self._process.wait()

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

    async def kill(self) -> None:
        """End the broker with SIGKILL and remove the data folder."""
        await self._kill_process()
        await asyncio.to_thread(self._scratch.remove)

    async def _kill_process(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _ready(self) -> None:
        """Wait for the first metadata answer that names a broker; raise when the process ends."""
        ended = asyncio.ensure_future(self.ended())
        answered = asyncio.ensure_future(self._first_answer())
        try:
            await asyncio.wait(
                (ended, answered), timeout=START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED
            )
            if not answered.done():
                raise self._start_failure(ended.done())
        finally:
            ended.cancel()
            answered.cancel()

    async def _first_answer(self) -> None:
        while not await self.answers(within=START_TIMEOUT):  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.005)

    def _start_failure(self, ended: bool) -> SandboxError:
        log = (self._scratch.path / "log").read_text(errors="replace")
        if "Address already in use" in log:
            return PortTaken("a port of the Kafka broker was taken by another process")
        what = f"ended with code {self._process.returncode}" if ended else "did not answer"
        return SandboxError(
            f"The Kafka broker {what} while starting ({START_TIMEOUT:.0f} s allowed). "
            f"Its last words: {log[-2000:].strip() or '(none)'}"
        )


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


def free_ports(count: int) -> list[int]:
    """Return `count` different free TCP ports of 127.0.0.1, below those the kernel gives to
    connections. Drawn by the system, so that processes with equal seeds do not draw alike."""
    ports: set[int] = set()
    while len(ports) < count:
        port = 20000 + secrets.randbelow(12000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            ports.add(port)
    return list(ports)


async def asks_metadata(port: int) -> int:
    """Send one Metadata request (version 1, all topics) and return how many brokers it names."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        client = b"offsetzero"
        request = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", -1)
        writer.write(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        answer = await reader.readexactly(size)
        return struct.unpack_from(">i", answer, 4)[0]
    finally:
        writer.close()
