"""Where the platform keeps its files on this machine.

`cache` holds what set-up made (jars, Java runtime, PostgreSQL, Python): content-addressed, never
changed once it has its name, safe to share between processes. `state` holds what lives: database
clusters, the data of running brokers, scratch of boxes. It belongs to one machine.
"""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    root: Path
    cache: Path
    state: Path


def home() -> Home:
    """Return the home of this process, with its folders made.

    The environment decides: OFFSETZERO_HOME (default /var/lib/offsetzero as root, else
    offsetzero in the user's data folder) and OFFSETZERO_STATE (default `state` in the home).
    """
    root = Path(os.environ.get("OFFSETZERO_HOME") or _default_root()).absolute()
    state = Path(os.environ.get("OFFSETZERO_STATE") or root / "state").absolute()
    return Home(root, make_folder(root / "cache"), make_folder(state))


def make_folder(path: Path) -> Path:
    """Make `path` and its missing parents, readable by the unprivileged users, and return it."""
    for folder in reversed([path, *path.parents]):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)  # whatever the umask says
    return path


def closed_parent(path: Path) -> Path | None:
    """Return the first folder on the way to `path` that other users cannot enter, or None."""
    way = [*reversed(path.parents), path]
    return next((folder for folder in way if not folder.stat().st_mode & 0o001), None)


def _default_root() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/offsetzero")
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local/share") / "offsetzero"
