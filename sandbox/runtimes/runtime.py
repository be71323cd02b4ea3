"""The contract of a language's runtime."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class Runtime(Protocol):
    """How programs of one language are checked, built and started in a box.

    language: its name in challenges and commands; title: its name for people. entry_point: the
    file a program must have.
    """

    language: str
    title: str
    entry_point: str

    @property
    def mounts(self) -> Mapping[str, Path]:
        """Path inside the box -> folder of this machine; all of them read-only."""

    @property
    def env(self) -> Mapping[str, str]:
        """What the runtime itself needs in the program's environment."""

    def missing(self) -> str:
        """Return what this machine lacks for the language and how to get it; empty when nothing."""

    def build_command(self, source: Path) -> list[str] | None:
        """Return the command that builds the program at `source` in a box of its own, None when
        nothing is to be built. It writes a tar archive of what is to run to its standard output,
        and what the compiler says to the other; see `sandbox.building`."""

    def command(self, source: Path) -> list[str]:
        """Return the command that starts the program whose files, built if they are to be, are at
        `source` in the box."""

    def check(self, files: Mapping[str, str]) -> list[str]:
        """Return what is wrong with the sources at first sight, each problem one line for people.

        `files` maps path to text. Nothing of it is executed. Empty list: worth starting.
        """

    async def make(self, target: Path) -> None:
        """Build the runtime in `target` at set-up; SandboxError when that fails."""

    def folder(self) -> Path:
        """Return where the runtime is kept once it is made, named after all it is made from."""
