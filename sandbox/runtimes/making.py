"""What the makers of runtimes share: tools of this machine, and what leaves a build box."""

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.process import SandboxError

MADE = "/tmp/made"  # noqa: S108 - in the build box
MOST_WORDS = 2_000


def run_tool(
    command: Sequence[str | Path],
    failure: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run `command` to its end as ourselves; SandboxError that starts with `failure`, and ends with
    the tool's last words. `env` is added to our own environment."""
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip()[-MOST_WORDS:]
        raise SandboxError(f"{failure}: {words}")


def newest(places: Iterable[Path], version: Callable[[Path], Any], least: Any) -> Path | None:
    """Return the place with the highest version that is at least `least`; None without one."""
    found = {place.resolve() for place in places if version(place) >= least}
    return max(found, key=lambda place: (version(place), str(place)), default=None)


def hand_out(sources: str) -> str:
    """Return the end of a build's script: what is no source (a pattern such as "*.go") goes along
    with what was made, all of it as a tar archive on standard output."""
    return (
        f"find . -type f ! -name '{sources}' -exec cp --parents -t {MADE} {{}} + &&\n"
        f"tar -cC {MADE} .\n"
    )
