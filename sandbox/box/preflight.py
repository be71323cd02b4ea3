"""What a box promises, tried out on this machine before strangers' programs are let in."""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.box.box import Box
from sandbox.box.docker.runtime import has_own_kernel
from sandbox.box.drivers import driver_name
from sandbox.box.spec import Exit, Limits

NAMESPACES = ("pid", "net", "ipc", "uts", "mnt", "cgroup")
UNWRITABLE = ("/", "/app", "/usr", "/etc", "/dev", "/proc/sys/kernel", "/sys", "/var")
CANARY = "OFFSETZERO_PREFLIGHT"
NO_CAPABILITY = "0" * 16

LOOK = f"""
echo "kernel $(cat /proc/version)"
grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
for kind in user {" ".join(NAMESPACES)}; do echo "ns/$kind $(readlink /proc/self/ns/$kind)"; done
tail -n +3 /proc/net/dev | while IFS=: read -r name rest; do echo "interface $name"; done
tail -n +2 /proc/net/route | while read -r line; do echo "route $line"; done
for path in {" ".join(UNWRITABLE)}; do
    if ( : > "$path/offsetzero-probe" ) 2>/dev/null; then echo "writable $path"; fi
done
if cat /proc/[0-9]*/environ 2>/dev/null | grep -q {CANARY}; then echo "canary seen"; fi
"""
FORK = "while :; do sleep 60 & done"
FILL = "head -c 200000000 /dev/zero | tail -c 150000000 > /dev/null"
SMALL = Limits(memory_mb=64, pids=24, wall_s=20.0)


@dataclass(frozen=True)
class Claim:
    """One promise: whether it holds here, and what was found."""

    what: str
    holds: bool
    found: str


async def preflight() -> list[Claim]:
    """Start boxes that look around and go over limits; return what became of each promise.

    Raises BoxError when no box can be made at all.
    """
    with tempfile.TemporaryDirectory() as source, _secret_in_environment():
        looking, forking, filling = await asyncio.gather(
            *(_played(Path(source), script) for script in (LOOK, FORK, FILL))
        )
    return [*_judged(_facts(looking[1])), *_limited(forking[0], filling[0])]


@contextlib.contextmanager
def _secret_in_environment() -> Iterator[None]:
    os.environ[CANARY] = "secret"
    try:
        yield
    finally:
        del os.environ[CANARY]


async def _played(source: Path, script: str) -> tuple[Exit, list[str]]:
    """Run a shell script in a small box; return its end and what it printed."""
    lines: list[str] = []
    box = await Box.start(
        "preflight",
        command=["sh", "-c", script],
        source=source,
        on_output=lambda stream, line: lines.append(line),
        limits=SMALL,
    )
    return await box.wait(), lines


def _facts(lines: list[str]) -> dict[str, list[str]]:
    facts: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.replace(":", " ", 1).partition(" ")
        facts.setdefault(name, []).append(value.strip())
    return facts


def _judged(facts: Mapping[str, list[str]]) -> Iterator[Claim]:
    kernel = _own_kernel(facts) if has_own_kernel() else None
    yield kernel or _namespaces(facts)
    reached = facts.get("interface", []) + facts.get("route", [])
    yield Claim("network", reached == ["lo"], f"a box sees {', '.join(reached)}")
    yield _privileges(facts)
    if kernel is None:
        filtered = facts.get("Seccomp") == ["2"]
        yield Claim("system calls", filtered, "filtered" if filtered else "not filtered")
    writable = facts.get("writable", [])
    yield Claim("files", not writable, ", ".join(writable) or "nothing to write but what is sized")
    seen = "canary" in facts
    yield Claim("environment", not seen, "ours can be read" if seen else "ours cannot be seen")


def _privileges(facts: Mapping[str, list[str]]) -> Claim:
    users = set(" ".join(facts.get("Uid", ["0"])).split())
    held = [facts.get(name, ["?"])[0] for name in ("CapEff", "CapBnd", "NoNewPrivs")]
    no_new = held[2] == "1" or has_own_kernel()  # gVisor does not tell; it has no other way
    none = held[:2] == [NO_CAPABILITY] * 2 and no_new and "0" not in users
    found = f"user {', '.join(sorted(users))}, capabilities {held[0]}, bounded by {held[1]}"
    return Claim("privileges", none, found)


def _own_kernel(facts: Mapping[str, list[str]]) -> Claim:
    """On gVisor no system call of a program is one of this machine's."""
    told, ours = facts.get("kernel", [""])[0], Path("/proc/version").read_text().strip()
    return Claim("kernel", told not in ("", ours), f"a program sees {told[:40] or 'none'}")


def _namespaces(facts: Mapping[str, list[str]]) -> Claim:
    """The user namespace is the engine's own affair: there a box has a user id of its own."""
    kinds = NAMESPACES if driver_name() == "docker" else ("user", *NAMESPACES)
    shared = [
        kind
        for kind in kinds
        if facts.get(f"ns/{kind}", [""])[0] in ("", str(Path(f"/proc/self/ns/{kind}").readlink()))
    ]
    found = f"shared with us: {', '.join(shared)}" if shared else f"own {', '.join(kinds)}"
    return Claim("namespaces", not shared, found)


def _limited(forked: Exit, filled: Exit) -> Iterator[Claim]:
    for what, ended, reason in (("processes", forked, "pids"), ("memory", filled, "memory")):
        holds = ended.reason == reason
        found = "a box over its limit is ended" if holds else f"a bomb ended with {ended}"
        yield Claim(f"limit of {what}", holds, found)
