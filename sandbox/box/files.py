"""What a box is shown: a copy of a submission, and the few files that programs want in /etc."""

import shutil
from pathlib import Path

from sandbox.box.spec import BoxError

UID = 10001  # of the program, where it cannot have one of its own


def etc(uid: int) -> dict[str, str]:
    """Return the files of /etc by name, for a program with that user (and group) id."""
    return {
        "passwd": f"app:x:{uid}:{uid}:app:/tmp:/bin/sh\n",
        "group": f"app:x:{uid}:\n",
        "hosts": "127.0.0.1 localhost box\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "resolv.conf": "",
    }


def write_etc(folder: Path, uid: int) -> Path:
    """Write the files of `etc` to a new folder, open to every user, and return it."""
    folder.mkdir()
    for name, text in etc(uid).items():
        (folder / name).write_text(text)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


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
