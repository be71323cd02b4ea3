"""Building a program: in a box of its own, which is gone before the program starts in another.

A build runs the compiler on files of a stranger. It gets no door. What it made leaves as a tar
archive on its standard output and is unpacked by us, file by file; no path that the box could
write is ever opened.
"""

import io
import tarfile
from pathlib import Path

from sandbox.box import Box, BoxError, Exit, Limits
from sandbox.box.output import OnLine
from sandbox.runtimes import Runtime

APP = Path("/app")
MOST_LINES = 200
MOST_FILES = 5_000
MOST_BYTES = 96 << 20  # a Go program with its libraries takes 20 MB
LIMITS = Limits(
    memory_mb=2_048, cpus=2.0, pids=512, file_mb=128, tmp_mb=1_024, output_bytes=MOST_BYTES,
    wall_s=90.0, nofile=2_048,
)  # fmt: skip


class BuildRefused(Exception):
    """The program cannot be built. `said`: why, in the compiler's own lines."""

    def __init__(self, said: list[str]) -> None:
        super().__init__("\n".join(said))
        self.said = said


async def build(runtime: Runtime, source: Path, target: Path, on_output: OnLine) -> Path:
    """Return the folder of what is to run: `target`, filled by the runtime's compiler, or `source`
    itself where nothing is to be compiled.

    on_output: gets each line of the compiler. Raises BuildRefused when the program is at fault,
    BoxError when no box can be made.
    """
    command = runtime.build_command(APP)
    if command is None:
        return source
    on_output("stdout", f"Building with {runtime.title}")
    made, said = bytearray(), Said(on_output)
    box = await Box.start(
        "build",
        command=command,
        source=source,
        on_output=said,
        env=runtime.env,
        limits=LIMITS,
        mounts=runtime.mounts,
        on_stdout=made.extend,
    )
    exit = await box.wait()
    if exit.reason == "lost":
        raise BoxError("the build was ended from outside")
    if exit != Exit(0, None, "exited"):
        raise BuildRefused([*said.lines, *_why(exit)] or [f"It ended with code {exit.code}."])
    unpack(bytes(made), target)
    return target


class Said:
    """What a compiler said: handed on line by line, the first lines kept."""

    def __init__(self, on_output: OnLine) -> None:
        self.lines: list[str] = []
        self._on_output = on_output

    def __call__(self, stream: str, line: str) -> None:
        if len(self.lines) < MOST_LINES:
            self.lines.append(line)
            self._on_output(stream, line)


def _why(exit: Exit) -> list[str]:
    """Why a build ended that did not end by itself with an exit code, in words."""
    reasons = {
        "memory": f"The compiler used more than its {LIMITS.memory_mb} MB of memory.",
        "pids": f"The compiler used more than its {LIMITS.pids} processes and threads.",
        "wall-clock": f"The compiler was not ready after {LIMITS.wall_s:.0f} s.",
        "output": f"What the compiler made or said is larger than {MOST_BYTES >> 20} MB.",
    }
    if exit.reason in reasons:
        return [reasons[exit.reason]]
    return [f"The compiler was ended by signal {exit.signal}."] if exit.signal else []


def unpack(archive: bytes, target: Path) -> None:
    """Write the regular files of a tar archive below `target`, which is made; nothing else of it.

    Raises BuildRefused when it is no archive, holds too much, or names a place outside.
    """
    target.mkdir()
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as members:
            files = [member for member in members if member.isreg()]
            _check(files)
            for file in files:
                _write(members, file, target)
    except (tarfile.TarError, OSError) as error:
        raise BuildRefused([f"What the compiler made cannot be read: {error}"]) from error


def _check(files: list[tarfile.TarInfo]) -> None:
    if len(files) > MOST_FILES:
        raise BuildRefused([f"The compiler made {len(files)} files; at most {MOST_FILES} are run."])
    if sum(file.size for file in files) > MOST_BYTES:
        raise BuildRefused([f"The compiler made more than {MOST_BYTES >> 20} MB."])
    for file in files:
        path = Path(file.name)
        if path.is_absolute() or ".." in path.parts:
            raise BuildRefused([f"The compiler made a file outside its folder: {file.name!r}"])


def _write(members: tarfile.TarFile, file: tarfile.TarInfo, target: Path) -> None:
    path = target / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = members.extractfile(file)
    assert content is not None  # of a regular file there is one
    with path.open("xb") as written:
        written.write(content.read())
    path.chmod(0o755 if file.mode & 0o100 else 0o644)
