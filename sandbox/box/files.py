"""The copy of a submission that a box is shown."""

import shutil
from pathlib import Path

from sandbox.box.spec import BoxError


def copy_source(source: Path, target: Path) -> None:
    """Copy plain files and folders, so that any user can read them and nobody changes them.

    Raises BoxError for a link or a special file: following it could show a file of ours.
    """
    target.mkdir()
    target.chmod(0o755)
    for entry in sorted(source.iterdir()):
        copy = target / entry.name
        if entry.is_symlink() or not (entry.is_dir() or entry.is_file()):
            raise BoxError(f"{entry} is not a plain file or folder. Remove it from the program.")
        if entry.is_dir():
            copy_source(entry, copy)
        else:
            shutil.copyfile(entry, copy, follow_symlinks=False)
            copy.chmod(0o755 if entry.stat().st_mode & 0o100 else 0o644)
