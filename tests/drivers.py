"""Both drivers of boxes, and an engine for the one that needs it."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

from sandbox.box import DRIVERS

GVISOR = shutil.which("runsc")
RUNTIMES = (
    {
        "runsc": {"path": GVISOR, "runtimeArgs": ["--network=host"]},
        "runsc-apart": {"path": GVISOR},
    }
    if GVISOR
    else {}
)


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """The address of a Docker engine: the one that answers here, else one that we start.

    Skips where there is none to be started; where one is and does not start, that is expected to
    fail, with its words.
    """
    if answers(None):
        yield os.environ.get("DOCKER_HOST", "")
        return
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        pytest.skip("no Docker engine answers, and none can be started (dockerd, as root)")
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="offsetzero-docker-"))
        yield stack.enter_context(started_engine(Path(folder)))


@contextlib.contextmanager
def started_engine(folder: Path) -> Iterator[str]:
    """An engine of our own: without a bridge and firewall rules, which no box needs."""
    address = f"unix://{folder}/docker.sock"
    places = [f"--{name}={folder}/{name}" for name in ("data-root", "exec-root", "pidfile")]
    apart = ["--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver=vfs"]
    settings = folder / "daemon.json"
    settings.write_text(json.dumps({"runtimes": RUNTIMES}))
    log = folder / "log"
    with log.open("wb") as said:
        daemon = subprocess.Popen(
            ["dockerd", f"--config-file={settings}", f"--host={address}", *places, *apart],
            stdout=said,
            stderr=said,
        )
    try:
        while not answers(address):
            if daemon.poll() is not None:
                words = log.read_text(errors="replace")[-2000:]
                pytest.xfail(f"the Docker engine does not start here: {words}")
            time.sleep(0.05)
        yield address
    finally:
        daemon.terminate()
        daemon.wait()


def answers(address: str | None) -> bool:
    """Tell whether an engine answers at `address`, or where the environment says."""
    try:
        client = docker.DockerClient(address) if address else docker.from_env()
        with contextlib.closing(client):
            return client.ping()
    except DockerException:
        return False


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The test runs with every driver."""
    monkeypatch.setenv("OFFSETZERO_DRIVER", request.param)
    if request.param == "docker":
        monkeypatch.setenv("DOCKER_HOST", request.getfixturevalue("engine"))
    return request.param
