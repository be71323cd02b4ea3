"""Which kind of group of processes this machine has, and where its cgroups lie."""

import contextlib
import errno
import os
from functools import cache
from pathlib import Path

from sandbox.box import cgroup_v1, cgroup_v2, cgroupfs
from sandbox.box.cgroup_v1 import CgroupV1
from sandbox.box.cgroup_v2 import CgroupV2
from sandbox.box.group import Group
from sandbox.box.process_tree import ProcessTree
from sandbox.box.spec import Limits

LEAF = "supervisor"


def new_group(name: str, limits: Limits) -> Group:
    """Return a group for a new box, limited as told."""
    if roots := _v1_roots():
        return CgroupV1(roots, cgroupfs.box_name(name), limits)
    if root := _v2_root():
        return CgroupV2(root, cgroupfs.box_name(name), limits)
    return ProcessTree(limits)


def group_kind() -> str:
    """Return who enforces the limits here: "cgroup v1", "cgroup v2" or "rlimits"."""
    if _v1_roots():
        return CgroupV1.kind
    return CgroupV2.kind if _v2_root() else ProcessTree.kind


@cache
def _v1_roots() -> dict[str, Path]:
    """Return the parent of boxes by controller, empty unless every one can be had."""
    points = {
        controller: mount.point
        for mount in cgroupfs.mounts()
        if mount.version == 1
        for controller in mount.controllers & set(cgroup_v1.CONTROLLERS)
    }
    try:
        roots = {name: _made(points[name] / cgroupfs.FOLDER) for name in cgroup_v1.CONTROLLERS}
    except (KeyError, OSError):
        return {}
    return roots if all(os.access(root, os.W_OK) for root in roots.values()) else {}


@cache
def _v2_root() -> Path | None:
    """Return the parent of boxes in the one hierarchy, with its controllers on; None if denied."""
    for base in _v2_bases():
        with contextlib.suppress(OSError):
            _enable(base)
            root = _made(base / cgroupfs.FOLDER)
            _enable(root)
            return root
    return None


def _v2_bases() -> list[Path]:
    """Return where boxes may go: what was delegated to us; as root, the top as well."""
    wanted = set(cgroup_v2.CONTROLLERS)
    mount = next((m for m in cgroupfs.mounts() if m.version == 2 and wanted <= m.controllers), None)
    if mount is None:
        return []
    path = next(
        line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line[:3] == "0::"
    )
    own = mount.point / os.path.relpath(path, mount.root)
    own = own.parent if own.name == LEAF else own
    if os.geteuid() != 0:
        return [own]
    return [own, mount.point] if _delegated(own) else [mount.point]


def _delegated(folder: Path) -> bool:
    """Tell whether systemd handed this cgroup over to its unit (Delegate=yes)."""
    try:
        return os.getxattr(folder, "trusted.delegate") == b"1"
    except OSError:
        return False


def _enable(folder: Path) -> None:
    """Switch the controllers on for the children of a cgroup, which then holds no process."""
    switch = folder / "cgroup.subtree_control"
    if set(cgroup_v2.CONTROLLERS) <= set(switch.read_text().split()):
        return
    on = " ".join(f"+{controller}" for controller in cgroup_v2.CONTROLLERS)
    try:
        switch.write_text(on)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        leaf = _made(folder / LEAF)
        for pid in cgroupfs.members(folder):
            with contextlib.suppress(ProcessLookupError):
                (leaf / "cgroup.procs").write_text(str(pid))
        switch.write_text(on)


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder
