"""Looks whether this machine has what the platform needs, and says what to do where it has not."""

import asyncio
import importlib
import os
import platform
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sandbox.box import assurance, driver_name
from sandbox.box.preflight import preflight
from sandbox.box.process.toolbox import toolbox
from sandbox.home import closed_parent, home
from sandbox.process import SERVICE_USER, SandboxError, make_service_user, service_user

DISK_MB = 2000  # all assets, with Java and Go for candidates: 1100; two clusters, brokers' data
MEMORY_MB = 1450  # everything idle with one warm broker: 700; three boxes
PROBE_TIMEOUT = 20.0
BOXES_REMEDY = "Do not run strangers' programs here; try the other driver: OFFSETZERO_DRIVER"

State = Literal["ok", "weak", "broken"]


@dataclass(frozen=True)
class Probe:
    """One look at the machine.

    what: was looked at. state: "weak" works with less assurance, "broken" does not work.
    found: what there is, in one line. remedy: what to do; empty when ok.
    """

    what: str
    state: State
    found: str
    remedy: str = ""


def examine(ports: Sequence[tuple[str, int]] = ()) -> Iterator[Probe]:
    """Probe all that a run needs, and that each (host, port) of `ports` is free; in this order."""
    yield probe_system()
    yield probe_tools()
    yield probe_user()
    yield probe_folders()
    yield probe_disk()
    yield probe_memory()
    yield probe_seccomp()
    yield probe_engine() if driver_name() == "docker" else probe_bubblewrap()
    yield from probe_boxes()
    yield probe_assurance()
    for host, port in ports:
        yield probe_port(host, port)


def probe_system() -> Probe:
    found = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if platform.system() == "Linux" and platform.machine() in ("x86_64", "aarch64"):
        return Probe("system", "ok", found)
    return Probe("system", "broken", found, "Use Linux on x86_64 or aarch64, or a machine with it.")


def probe_tools() -> Probe:
    needed = ["setpriv"] + (["useradd"] if os.geteuid() == 0 else [])
    if missing := [tool for tool in needed if not shutil.which(tool)]:
        remedy = "On Debian and Ubuntu: apt-get install util-linux passwd"
        return Probe("tools", "broken", f"not found: {', '.join(missing)}", remedy)
    return Probe("tools", "ok", ", ".join(needed))


def probe_user() -> Probe:
    """The service user is there; as root it is made now, for the probes below need it."""
    try:
        make_service_user()
    except SandboxError as error:
        return Probe("service user", "broken", str(error), f"useradd --system {SERVICE_USER}")
    user = service_user()
    return Probe("service user", "ok", user or "this user (services run as ourselves)")


def probe_folders() -> Probe:
    """The cache and the state can be made, written, and entered by the unprivileged users."""
    remedy = "Set OFFSETZERO_HOME to a folder that you can write and all may enter."
    try:
        place = home()
        for folder in (place.cache, place.state):
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        return Probe("folders", "broken", str(error), remedy)
    closed = closed_parent(place.cache) or closed_parent(place.state)
    if service_user() and closed:
        return Probe("folders", "broken", f"other users may not enter {closed}", remedy)
    return Probe("folders", "ok", str(place.root))


def probe_disk() -> Probe:
    place = home()
    free = min(shutil.disk_usage(folder).free >> 20 for folder in (place.cache, place.state))
    found = f"{free} MB free for {place.root}"
    if free >= DISK_MB:
        return Probe("disk", "ok", found)
    remedy = f"Free at least {DISK_MB} MB there, or set OFFSETZERO_HOME to a larger disk."
    return Probe("disk", "broken", found, remedy)


def probe_memory() -> Probe:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(lines["MemAvailable"].split()[0]) >> 10
    found = f"{available} MB available"
    if available >= MEMORY_MB:
        return Probe("memory", "ok", found)
    remedy = f"Programs and brokers may be killed below {MEMORY_MB} MB: end something else."
    return Probe("memory", "weak", found, remedy)


def probe_seccomp() -> Probe:
    try:
        importlib.import_module("pyseccomp")  # it looks for the system's library as it is imported
    except (ImportError, OSError, RuntimeError) as error:
        remedy = "On Debian and Ubuntu: apt-get install libseccomp2"
        return Probe("seccomp", "broken", str(error), remedy)
    return Probe("seccomp", "ok", "libseccomp is there")


def probe_bubblewrap() -> Probe:
    """A box with every namespace starts for an unprivileged user."""
    try:
        done = _run_bubblewrap()
    except (SandboxError, OSError, subprocess.TimeoutExpired) as error:
        remedy = "Install the Python packages again: make setup"
        return Probe("bubblewrap", "broken", str(error), remedy)
    if done.returncode == 0:
        return Probe("bubblewrap", "ok", "a box of its own starts")
    return Probe("bubblewrap", "broken", done.stderr.strip(), namespaces_remedy(Path("/proc/sys")))


def _run_bubblewrap() -> subprocess.CompletedProcess[str]:
    isolation = ["--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent"]
    view = ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
    links = [
        w for name in ("bin", "lib", "lib64") for w in ("--symlink", f"usr/{name}", f"/{name}")
    ]
    return subprocess.run(
        [toolbox().bubblewrap, *isolation, *view, *links, "--", "/bin/true"],
        capture_output=True,
        text=True,
        timeout=PROBE_TIMEOUT,
        env={},
        cwd="/",
        user=service_user(),
        extra_groups=[] if service_user() else None,
    )


def namespaces_remedy(settings: Path) -> str:
    """Return what lets unprivileged users make namespaces, by the kernel settings in `settings`."""

    def value(name: str) -> str:
        path = settings / name
        return path.read_text().strip() if path.exists() else ""

    if value("user/max_user_namespaces") == "0":
        return "The kernel allows no user namespace: sysctl -w user.max_user_namespaces=15000"
    if value("kernel/unprivileged_userns_clone") == "0":
        return (
            "User namespaces are only for root here: sysctl -w kernel.unprivileged_userns_clone=1"
        )
    if value("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor restricts user namespaces (Ubuntu 24.04 does). Install the system's "
            "bubblewrap and its profile: apt-get install bubblewrap apparmor-profiles; copy "
            "bwrap-userns-restrict from /usr/share/apparmor/extra-profiles to /etc/apparmor.d, "
            "apparmor_parser -r it, and set OFFSETZERO_BWRAP=/usr/bin/bwrap. Or use a Docker "
            "engine, as root: OFFSETZERO_DRIVER=docker. Or lift the restriction: "
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        )
    return (
        "Something around us forbids namespaces. In a Docker container: start it with "
        "--security-opt seccomp=unconfined --security-opt apparmor=unconfined "
        "--security-opt systempaths=unconfined. Else use another machine."
    )


def probe_engine() -> Probe:
    """A Docker engine answers, and we may enter its containers' networks."""
    if os.geteuid() != 0:
        remedy = "Start us as root, or use the driver `process`: OFFSETZERO_DRIVER=process"
        return Probe("Docker engine", "broken", "we are not root", remedy)
    try:
        from sandbox.box.docker.engine import engine
        from sandbox.box.docker.runtime import check_runtime, runtime_name

        with engine("answering") as client:
            check_runtime(client)
            runtime = f", runtime {name}" if (name := runtime_name()) else ""
            return Probe("Docker engine", "ok", f"version {client.version()['Version']}{runtime}")
    except SandboxError as error:
        remedy = "On Debian and Ubuntu: apt-get install docker.io. Elsewhere, name it: DOCKER_HOST"
        return Probe("Docker engine", "broken", str(error), remedy)


def probe_boxes() -> Iterator[Probe]:
    """What a box promises, tried out."""
    try:
        claims = asyncio.run(preflight())
    except SandboxError as error:
        yield Probe("boxes", "broken", str(error), "Mend what is broken above; else tell us.")
        return
    for claim in claims:
        remedy = "" if claim.holds else f"A program could get out, or too much. {BOXES_REMEDY}"
        state: State = "ok" if claim.holds else "broken"
        yield Probe(f"box, {claim.what}", state, claim.found, remedy)


def probe_assurance() -> Probe:
    found = assurance()
    reached = f"level '{found.level}': driver {found.driver}, limits by {found.limits}"
    if not found.gaps:
        return Probe("assurance", "ok", f"{reached}, a user of its own for each box")
    remedy = "Start the platform as root to have all limits enforced."
    return Probe("assurance", "weak", f"{reached}. {' '.join(found.gaps)}", remedy)


def probe_port(host: str, port: int) -> Probe:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except OSError as error:
        remedy = f"Stop what listens there, or choose another port: --port {port + 1}"
        return Probe("port", "broken", f"{host}:{port}: {error.strerror or error}", remedy)
    return Probe("port", "ok", f"{host}:{port}")
