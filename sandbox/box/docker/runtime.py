"""The engine's runtime for boxes: its own choice, or gVisor (`runsc`), a layer more.

A program on gVisor makes its system calls to a kernel of its own, which is an ordinary process of
this machine. So the program is no process here: nobody sees its pid, signals go through the engine,
and only the whole of it is counted, frozen and ended.
"""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sandbox.box.drivers import driver_name
from sandbox.box.spec import BoxError, Limits

if TYPE_CHECKING:  # takes 0.1 s to load, and most of this needs no engine
    import docker

VARIABLE = "OFFSETZERO_DOCKER_RUNTIME"
GVISOR = "runsc"
# Or it would have a network stack of its own, in which our doors are not.
NEEDED = "--network=host"
# What gVisor may need for itself: it has 77 threads on this machine at rest and 5 more for each
# process inside, and twenty of those took 70 MB (Debian 12's runsc).
OWN_MEMORY_MB, OWN_PIDS = 128, 160
# Its loader wants the place of the engine's init in the image, and these settings it has not.
IN_GVISOR: dict[str, Any] = {"init": False, "sysctls": {}}


def runtime_name() -> str | None:
    """Return the runtime that the environment names, None for the engine's own choice."""
    return os.environ.get(VARIABLE) or None


def has_own_kernel() -> bool:
    """Tell whether programs run on a kernel of their own."""
    return driver_name() == "docker" and GVISOR in (runtime_name() or "")


def check_runtime(client: "docker.DockerClient") -> None:
    """Raise BoxError when the engine has no such runtime, or one that hides our doors."""
    name, known = runtime_name(), client.info().get("Runtimes") or {}
    if name is None:
        return
    if name not in known:
        raise BoxError(
            f"{VARIABLE} is {name!r}, and the Docker engine has: {', '.join(sorted(known))}. "
            "Add it to the engine's daemon.json."
        )
    if has_own_kernel() and NEEDED not in (known[name].get("runtimeArgs") or []):
        raise BoxError(
            f"The Docker engine starts {name} without {NEEDED}, so no program would reach Kafka. "
            f'Add "runtimeArgs": ["{NEEDED}"] to it in the engine\'s daemon.json.'
        )


def widened(limits: Limits) -> Limits:
    """Return the limits of a box as a whole: with what the kernel of the program needs."""
    if not has_own_kernel():
        return limits
    return replace(limits, memory_mb=limits.memory_mb + OWN_MEMORY_MB, pids=limits.pids + OWN_PIDS)
