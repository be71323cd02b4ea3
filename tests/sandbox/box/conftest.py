"""A way to run programs in boxes that leaves nothing behind when the test ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.box import Box
from sandbox.runtimes import get_runtime
from sandbox.setup import prepare
from tests.drivers import driver, engine
from tests.states import new_state

__all__ = ["driver", "engine"]

HOSTILE = Path(__file__).with_name("hostile")
Start = Callable[..., Awaitable["Run"]]


class Run:
    """A box, and what its program has printed so far."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.box: Box

    def started(self) -> bool:
        return hasattr(self, "box")

    async def until(self, wanted: str) -> None:
        """Return once the program has printed a line that holds `wanted`."""
        while not any(wanted in line for line in self.lines):
            assert self.box.alive, f"ended without printing {wanted!r}: {self.lines[-20:]}"
            await asyncio.sleep(0.005)

    async def printed(self, count: int) -> None:
        """Return once the program has printed that many lines."""
        while len(self.lines) < count:
            assert self.box.alive, f"ended after {len(self.lines)} of {count} lines"
            await asyncio.sleep(0.005)

    def take(self, stream: str, line: str) -> None:
        self.lines.append(line)


@pytest.fixture(autouse=True)
def own_state() -> Iterator[Path]:
    """A state of this test alone."""
    with new_state() as folder:
        yield folder


@pytest.fixture
async def start(tmp_path: Path, own_state: Path, driver: str) -> AsyncIterator[Start]:
    """Start a box: `await start("python source", ...)` or `start(command=[...], ...)`."""
    runs: list[Run] = []

    async def start_box(program: str = "", **options: Any) -> Run:
        run = Run()
        runs.append(run)
        source = tmp_path / f"program-{len(runs)}"
        source.mkdir()
        if program:
            (source / "main.py").write_text(program)
            options = {**await python_options(), **options}
        options = {"on_output": run.take, "source": source, **options}
        run.box = await Box.start("app", **options)
        return run

    yield start_box
    for run in filter(Run.started, runs):
        await run.box.kill()
        for door in run.box.doors.values():
            door.close()


async def python_options() -> dict[str, Any]:
    """Return what Box.start needs to run main.py with the Python of candidates."""
    python = get_runtime("python")
    if not python.folder().exists():
        await prepare(print)
    return {
        "command": python.command(Path("/app")),
        "mounts": python.mounts,
        "env": dict(python.env),
    }


@pytest.fixture
async def start_hostile(start: Start) -> Start:
    """Start a program of `hostile/`: `await start_hostile("kernel keyrings")`."""

    async def start_program(program: str, **options: Any) -> Run:
        file, *arguments = program.split()
        python = await python_options()
        interpreter = python.pop("command")[:-1]
        command = [*interpreter, f"/app/{file}.py", *arguments]
        return await start(command=command, source=HOSTILE, **python, **options)

    return start_program
