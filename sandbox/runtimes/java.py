"""Java for candidates: a runtime linked from this machine's JDK, with its compiler and our jars.

All `*.java` files of a project are compiled together, for Java 17 on every machine, whatever is
newest there. The JDK itself may lie where a box cannot look, and Debian's has links into /etc, so
`jlink` makes a copy that stands by itself. Loading a client's classes takes half of a program's
start; they are read from an archive (AppCDS) that a training run in a box leaves behind.
"""

import asyncio
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from sandbox import assets
from sandbox.box import Box, Limits
from sandbox.home import home
from sandbox.process import SandboxError
from sandbox.runtimes.making import MADE, MOST_WORDS, hand_out, newest, run_tool

INSIDE = "/opt/java"
LOCK_FILE = Path(__file__).with_name("java.lock")
TRAINING = Path(__file__).with_name("java_training") / "Main.java"
LEAST = 17
# Of kafka.lock: the client, what it compresses with, its logging, and JSON.
CLIENT_JARS = (
    "kafka-clients", "lz4-java", "snappy-java", "zstd-jni", "slf4j-api",
    "jackson-annotations", "jackson-core", "jackson-databind",
)  # fmt: skip
MODULES = (
    "java.compiler", "java.instrument", "java.logging", "java.management", "java.naming",
    "java.net.http", "java.security.jgss", "java.security.sasl", "java.sql", "java.xml",
    "jdk.compiler", "jdk.crypto.ec", "jdk.httpserver", "jdk.management", "jdk.net",
    "jdk.unsupported", "jdk.zipfs",
)  # fmt: skip
# A box has one processor and 512 MB. The compiler of the first tier alone: a program lives for
# some seconds, and the second one would take its processor meanwhile.
SMALL = ("-XX:ActiveProcessorCount=1", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
MEMORY = ("-Xms32m", "-Xmx256m", "-XX:MaxMetaspaceSize=96m", "-XX:-UsePerfData")
QUIET = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",)
ARCHIVE = f"{INSIDE}/programs.jsa"
BUILD = f"""
mkdir {MADE} && cd {{source}} &&
find . -name '*.java' -printf '"%P"\\n' > /tmp/sources &&
{INSIDE}/bin/javac -J-XX:+UseSerialGC -J-XX:TieredStopAtLevel=1 -proc:none -encoding UTF-8 \
--release {LEAST} -Xlint:-options -d {MADE} -cp {{jars}} @/tmp/sources >&2 &&
"""


class JavaRuntime:
    language = "java"
    title = "Java"
    entry_point = "Main.java"

    def folder(self) -> Path:
        jdk = find_jdk()
        release = (jdk / "release").read_bytes() if jdk else b""
        ours = (Path(__file__).read_bytes(), LOCK_FILE.read_bytes(), TRAINING.read_bytes())
        return home().cache / f"java-programs-{assets.digest(release, *ours, repr(client_jars()))}"

    @property
    def mounts(self) -> Mapping[str, Path]:
        return {INSIDE: self.folder()}

    @property
    def env(self) -> Mapping[str, str]:
        return {"PATH": f"{INSIDE}/bin:/usr/bin:/bin", "JAVA_HOME": INSIDE}

    def missing(self) -> str:
        if find_jdk():
            return ""
        return (
            f"There is no JDK {LEAST} or newer here. On Debian and Ubuntu: "
            f"apt-get install openjdk-{LEAST}-jdk-headless; elsewhere set JAVA_HOME to one."
        )

    def build_command(self, source: Path) -> list[str]:
        script = BUILD.format(source=shlex.quote(str(source)), jars=class_path())
        return ["/bin/sh", "-c", script + hand_out("*.java")]

    def command(self, source: Path) -> list[str]:
        archive = ("-Xshare:auto", f"-XX:SharedArchiveFile={ARCHIVE}", "-Xlog:disable")
        return [*java(*archive), f"{class_path()}:{source}", "Main"]

    def check(self, files: Mapping[str, str]) -> list[str]:
        return []  # the compiler tells, and better

    async def make(self, target: Path) -> None:
        await asyncio.to_thread(_link, target)
        await asyncio.to_thread(_gather_jars, target / "jars")
        await _train(target)


RUNTIME = JavaRuntime()


def java(*options: str) -> list[str]:
    """Return how a program is started, up to the class path."""
    return [f"{INSIDE}/bin/java", *SMALL, *MEMORY, *options, *QUIET, "-cp"]


def find_jdk() -> Path | None:
    """Return the home of the newest JDK of this machine that is new enough; None without one."""
    return newest(_homes(), _version, LEAST)


def _homes() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if javac := shutil.which("javac"):
        yield Path(javac).resolve().parent.parent
    yield from Path("/usr/lib/jvm").glob("*")


def _version(home: Path) -> int:
    """Return the feature release of the JDK at `home`, such as 17; 0 when it is none."""
    if not all(os.access(home / "bin" / tool, os.X_OK) for tool in ("java", "javac", "jlink")):
        return 0
    try:
        told = re.search(r'^JAVA_VERSION="(\d+)', (home / "release").read_text(), re.M)
    except (OSError, UnicodeDecodeError):
        return 0
    return int(told[1]) if told else 0


def client_jars() -> list[assets.Jar]:
    """Return the jars of the broker that programs get, too."""
    return [jar for jar in assets.locked_jars() if jar.name in CLIENT_JARS]


def class_path() -> str:
    """Return the class path inside a box, each jar by name: an archive allows no wildcard."""
    jars = [*client_jars(), *assets.locked_jars(LOCK_FILE)]
    return ":".join(f"{INSIDE}/jars/{jar.file}" for jar in jars)


def _link(target: Path) -> None:
    """Make a runtime with java and javac in `target`, which is there and empty."""
    jdk = find_jdk()
    assert jdk is not None
    linked = target / "linked"
    options = ["--strip-debug", "--no-header-files", "--no-man-pages", "--generate-cds-archive"]
    command: list[str | Path] = [
        jdk / "bin" / "jlink",
        "--add-modules",
        ",".join(MODULES),
        *options,
    ]
    run_tool([*command, "--output", linked], f"Cannot link a Java runtime from {jdk}")
    for part in linked.iterdir():
        part.rename(target / part.name)
    linked.rmdir()


def _gather_jars(target: Path) -> None:
    target.mkdir()
    for jar in client_jars():
        shutil.copy2(assets.jars() / jar.file, target)
    assets.fetch_jars(target, LOCK_FILE)


async def _train(target: Path) -> None:
    """Write the archive of classes that a program which uses everything has loaded.

    Trained in a box, for the archive holds only for a class path that begins with that of its
    training; and from source, for a folder of classes would be a part of that.
    """
    archive, said = bytearray(), list[str]()
    dump = java(f"-XX:ArchiveClassesAtExit={MADE}.jsa", "-Xlog:disable")
    script = shlex.join([*dump, class_path(), "Main.java"])
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(TRAINING, folder)
        box = await Box.start(
            "training",
            command=["/bin/sh", "-c", f"{script} >&2; cat {MADE}.jsa"],
            source=Path(folder),
            on_output=lambda _, line: said.append(line),
            on_stdout=archive.extend,
            limits=Limits(memory_mb=1_024, file_mb=256, tmp_mb=512, output_bytes=256 << 20),
            mounts={INSIDE: target},
        )
        exit = await box.wait()
    if exit.code or not archive:
        raise SandboxError(f"Cannot train the Java runtime: {' '.join(said)[-MOST_WORDS:]}")
    (target / Path(ARCHIVE).name).write_bytes(archive)
