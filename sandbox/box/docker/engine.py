"""The Docker engine of this machine, and what all boxes there share."""

import contextlib
import hashlib
import io
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import docker
import requests
from docker.errors import DockerException, ImageNotFound, NotFound

from sandbox.box import cgroupfs
from sandbox.box.spec import BoxError

REPOSITORY = "offsetzero-box"
OWNER = "offsetzero.box"  # label: whose box it is, see `cgroupfs.box_name`
FOLDERS = ("app", "dev", "etc", "opt", "proc", "sbin", "sys", "tmp", "usr")
FOLDER_MODES = {"tmp": 0o1777}  # the engine mounts /tmp with the mode of what is below
LINKS = ("bin", "lib", "lib64")  # to the same in /usr


@contextlib.contextmanager
def engine(doing: str) -> Iterator[docker.DockerClient]:
    """A client of the engine that the environment names (DOCKER_HOST), for one task.

    Turns what it raises into BoxError, which says what we were `doing`. A client that is kept would
    keep a connection for each address it ever asked.
    """
    try:
        with contextlib.closing(docker.from_env()) as client:
            yield client
    except (DockerException, requests.RequestException) as error:
        raise BoxError(f"The Docker engine failed at {doing}: {error}") from error


def remaps_users(client: docker.DockerClient) -> bool:
    """Tell whether the engine gives containers user ids of their own (userns-remap)."""
    return any("name=userns" in option for option in client.info().get("SecurityOptions") or [])


def image(client: docker.DockerClient) -> str:
    """Return the image of all boxes, made when the engine has none yet.

    It is empty: a box shows the /usr of this machine, read-only, as bubblewrap's does. The
    runtimes of candidates are made from what is here, and fit no other C library; and an engine
    without overlayfs copies the whole image for each container.
    """
    content = _root()
    tag = hashlib.sha256(content).hexdigest()[:16]
    name = f"{REPOSITORY}:{tag}"
    try:
        client.images.get(name)
    except ImageNotFound:
        client.api.import_image_from_data(content, repository=REPOSITORY, tag=tag)
    return name


@cache
def _root() -> bytes:
    """Return an archive of the few names that the root of a box has."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name in FOLDERS:
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, FOLDER_MODES.get(name, 0o755)
            archive.addfile(folder)
        for name in LINKS:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            archive.addfile(link)
    return content.getvalue()


def sweep_containers() -> list[str]:
    """Remove every box whose supervisor has ended; return their names. Raises BoxError."""
    removed = []
    with engine("looking for boxes") as client:
        for container in client.containers.list(all=True, filters={"label": OWNER}):
            name = container.labels[OWNER]
            if cgroupfs.owner_gone(Path(name)):
                with contextlib.suppress(NotFound):  # another sweep was faster
                    container.remove(force=True, v=True)
                removed.append(name)
    return removed
