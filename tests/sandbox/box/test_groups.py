"""Groups of processes, besides what the tests of boxes show of the kind this machine has."""

from pathlib import Path

import pytest

from sandbox.box import Limits, cgroupfs
from sandbox.box.cgroup_v2 import CgroupV2

LINES = {
    "v1": "33 24 0:29 / /sys/fs/cgroup/cpu rw,nosuid - cgroup cgroup rw,cpu,cpuacct",
    "other": "24 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw",
}


def test_mount_of_version_1():
    mount = cgroupfs._parse(LINES["v1"])
    assert (mount.point, mount.version) == (Path("/sys/fs/cgroup/cpu"), 1)
    assert {"cpu", "cpuacct"} <= mount.controllers


def test_mount_of_version_2(tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    line = f"30 24 0:26 /docker/1 {tmp_path} rw shared:4 - cgroup2 cgroup2 rw,nsdelegate"
    mount = cgroupfs._parse(line)
    assert (mount.root, mount.version) == ("/docker/1", 2)
    assert mount.controllers == {"cpu", "memory", "pids"}


def test_other_mounts_are_none_of_ours():
    assert cgroupfs._parse(LINES["other"]) is None


def test_a_box_of_this_process_is_no_orphan():
    assert not cgroupfs.owner_gone(Path(cgroupfs.box_name("box-1")))


def test_a_box_of_an_ended_process_is_an_orphan():
    namespace, pid, _, name = cgroupfs.box_name("box-1").split(".")
    assert cgroupfs.owner_gone(Path(f"{namespace}.{pid}.1.{name}"))


def test_a_box_of_another_pid_namespace_is_left_alone():
    _, pid, _, name = cgroupfs.box_name("box-1").split(".")
    assert not cgroupfs.owner_gone(Path(f"1.{pid}.1.{name}"))


@pytest.fixture
def version_2(tmp_path: Path) -> tuple[CgroupV2, Path]:
    """A group in a plain folder, with the files that the kernel would make."""
    group = CgroupV2(tmp_path, "box-1", Limits(memory_mb=64, pids=10, cpus=0.5))
    return group, tmp_path / "box-1"


def test_limits_of_version_2(version_2):
    _, folder = version_2
    written = {file.name: file.read_text() for file in folder.iterdir()}
    assert written == {"memory.max": str(64 << 20), "pids.max": "12", "cpu.max": "50000 100000"}


@pytest.mark.parametrize(
    ("memory", "pids", "expected"),
    [
        ("oom 0\noom_kill 0\n", "max 0\n", None),
        ("oom 3\noom_kill 1\n", "max 0\n", "memory"),
        ("oom 0\noom_kill 1\n", "max 0\n", None),  # the machine was out of memory, not the box
        ("oom 0\noom_kill 0\n", "max 2\n", "pids"),
    ],
)
def test_what_version_2_counted(version_2, memory, pids, expected):
    group, folder = version_2
    (folder / "memory.events").write_text(memory)
    (folder / "pids.events").write_text(pids)
    assert group.exceeded() == expected


def test_cpu_time_of_version_2(version_2):
    group, folder = version_2
    (folder / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    assert group.cpu_seconds == 1.5
    (folder / "cpu.stat").unlink()
    assert group.cpu_seconds == 1.5
