"""Hostile programs: each is contained, and the next honest program is none the wiser.

The programs lie in `hostile/`, one file per kind; a case names the file and the function in it.
"""

import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from sandbox.box import Exit, Limits, assurance

pytestmark = pytest.mark.services

SMALL = Limits(memory_mb=96, pids=32, output_bytes=200_000, wall_s=60.0)
BRIEF = Limits(wall_s=0.5)
KILLED = Exit(None, 9, "wall-clock")
ENDED = Exit(0, None, "exited")


@dataclass(frozen=True)
class Case:
    """A program, how it must end (a reason alone: any exit with it), what it must print.

    in_docker: what it prints instead in a box of Docker, when that differs. killed_in_docker: the
    signal that ends it there.
    """

    program: str
    exit: Exit | str = ENDED
    prints: tuple[str, ...] = ()
    limits: Limits = SMALL
    counted: bool = False  # the limit is certain only where the kernel counts
    door_ports: tuple[int, ...] = ()
    in_docker: tuple[str, ...] = ()
    killed_in_docker: int = 0

    def expected(self, driver: str) -> tuple[Exit | str, tuple[str, ...]]:
        if driver != "docker":
            return self.exit, self.prints
        ending = Exit(None, self.killed_in_docker, "exited") if self.killed_in_docker else self.exit
        return ending, self.in_docker or (() if self.killed_in_docker else self.prints)

    def __str__(self) -> str:
        return self.program


RESOURCES = [
    Case("resources fork_bomb", "pids", counted=True),
    Case("resources patient_fork_bomb", "pids", counted=True),
    Case("resources zombie_farm", "pids", counted=True),
    Case("resources thread_bomb", "pids"),
    Case("resources memory_bomb", "memory"),
    Case("resources memory_bomb_in_a_child", "memory"),
    Case("resources memory_bomb_shared", "memory"),
    Case("resources memory_bomb_in_memory_files", "memory", counted=True),
    Case("resources disk_fill", prints=("/tmp: ENOSPC", "/dev/shm: ENOSPC"), limits=Limits()),
    Case("resources inode_fill", "memory", counted=True),
    Case(
        "resources write_everywhere",
        prints=(
            "/: EROFS",
            "/app: EROFS",
            "/usr: EROFS",
            "/usr/bin: EROFS",
            "/etc: EROFS",
            "/dev: EROFS",
            "/dev/pts: EROFS",
            "/opt/python: EROFS",
            "/var/tmp: ENOENT",
            "/run: ENOENT",
            "/home: ENOENT",
            "/root: ENOENT",
            "/sys: ENOENT",
            "/mnt: ENOENT",
        ),
        in_docker=(
            *("/: EROFS", "/app: EROFS", "/usr: EROFS", "/usr/bin: EROFS", "/etc: EROFS"),
            *("/dev: EACCES", "/dev/pts: EROFS", "/opt/python: EROFS", "/var/tmp: ENOENT"),
            *("/run: ENOENT", "/home: ENOENT", "/root: ENOENT", "/mnt: ENOENT"),
        ),
    ),
    Case("resources large_file", prints=("large: EFBIG", "32")),
    Case("resources descriptors", prints=("open: EMFILE", "True")),
    Case("resources sockets", prints=("socket: EMFILE",)),
    Case("resources raise_limits", prints=("refused",) * 3),
    Case("resources flood_without_newline", "output"),
    Case("resources flood_of_empty_lines", "output"),
    Case("resources flood_of_both_streams", "output"),
    Case("resources long_line", prints=("x" * 8192 + " [line cut]", "after"), limits=Limits()),
    Case("resources endless_recursion", "memory"),
    Case("resources all_cores", KILLED, limits=BRIEF),
    Case("resources pipes", prints=("pipe: EMFILE",)),
    Case("resources epolls", prints=("epoll: EMFILE",)),
    Case("resources timers", prints=("timerfd: EMFILE",)),
    Case("resources watches", prints=("inotify: EMFILE",)),
    Case("resources event_counters", prints=("eventfd: EMFILE",)),
    Case("resources memory_files", prints=("memfd: EMFILE",)),
    Case("resources full_sockets", prints=("socketpair: EMFILE",)),
    Case("resources full_pipes", prints=("pipe: EPERM",)),
    Case("resources semaphores", "memory", counted=True),
    Case("resources posix_queues", prints=("mq_open: EMFILE",)),
    Case("resources lock_memory", prints=("mlockall: ENOMEM",)),
    Case("resources address_space", prints=("mmap: ENOMEM",)),
    Case("resources huge_stack", prints=("thread: refused",)),
    Case("resources overflow_the_stack", Exit(None, 11, "exited")),
    Case("resources deep_folders", prints=("deep",)),
    Case("resources sparse_file", prints=("truncate: EFBIG", "fallocate: EFBIG")),
    Case("resources signal_storm", prints=("stormed",)),
    Case("resources core_dump", prints=("limit (0, 0)", "dumped False []")),
]

PROCESSES = [
    Case("processes daemon", prints=("daemon is up",)),
    Case("processes kill_everybody", prints=("only 9 died",)),
    # Docker's init hands the signal on to the program.
    Case("processes kill_parent", prints=("parent 1",), killed_in_docker=15),
    Case("processes kill_outside", prints=("kill: ESRCH",) * 2),
    Case("processes overwrite_init", Exit(None, 9, "exited")),
    Case("processes stop_itself", KILLED, limits=BRIEF),
    Case("processes ignore_termination", KILLED, ("ready",), BRIEF),
    Case("processes close_output", KILLED, limits=BRIEF),
    Case("processes confusing_name", KILLED, ("named",), BRIEF),
    Case("processes run_again", KILLED, limits=BRIEF),
    Case(
        "processes raise_priority",
        prints=(
            "nice: EACCES",
            "realtime: EPERM",
            "oom_score_adj: EACCES",
            "oom_score_adj is 1000",
        ),
    ),
    Case("processes die_by_segfault", Exit(None, 11, "exited")),
    Case("processes exit_like_killed", Exit(137, None, "exited")),
    Case("processes fork_in_a_handler", "pids", counted=True),
    Case("processes fork_while_terminated", prints=("ready",)),
    Case("processes adopt_orphans", prints=("adopted",)),
    Case("processes leap_from_child_to_child"),
    Case("processes hide_from_tracing", KILLED, ("hidden",), BRIEF),
    Case("processes stop_each_other", KILLED, limits=BRIEF),
    Case("processes claims_a_verdict", prints=("PASS",)),
]

FILES = [
    Case(
        "files read_supervisor",
        prints=(
            "environ 0",
            "arguments ['--args', '3', '--']",
            "root/etc/shadow: ENOENT",
            "cwd/etc/shadow: ENOENT",
            "processes [1, 2]",
        ),
        in_docker=("root/etc/shadow: ENOENT", "cwd/etc/shadow: ENOENT"),
    ),
    Case(
        "files read_host",
        prints=(
            "/etc/shadow: ENOENT",
            "/etc/ssh: ENOENT",
            "/root: ENOENT",
            "/home: ENOENT",
            "/var/lib: ENOENT",
            "/var/run/docker.sock: ENOENT",
            "/run: ENOENT",
            "/sys/fs/cgroup: ENOENT",
            "/boot: ENOENT",
            "users 1",
        ),
        in_docker=(
            *("/etc/shadow: ENOENT", "/etc/ssh: ENOENT", "/root: ENOENT", "/home: ENOENT"),
            *("/var/lib: ENOENT", "/var/run/docker.sock: ENOENT", "/run: ENOENT"),
            *("/boot: ENOENT", "users 1"),
        ),
    ),
    Case("files symbolic_links", prints=("link: ENOENT", "up: ENOENT")),
    Case(
        "files change_own_source",
        prints=(
            "write: EROFS",
            "unlink: EROFS",
            "rename: EXDEV",
            "chmod: EROFS",
        ),
    ),
    Case(
        "files setuid_program",
        prints=(
            "['10001', '10001']",
            "setuid programs gain nothing 1",
        ),
        in_docker=("setuid programs gain nothing 1",),
    ),
    Case(
        "files device_nodes",
        prints=(
            "block: EPERM",
            "char: EPERM",
            "/dev/mem: ENOENT",
            "/dev/kmsg: ENOENT",
            "/dev/fuse: ENOENT",
            "/dev/kvm: ENOENT",
            "/dev/net/tun: ENOENT",
            "terminal: ENOENT",
        ),
    ),
    Case("files kernel_files", prints=("kmsg: EACCES", "addresses {0}")),
    Case("files inherited_descriptors", prints=("[0, 1, 2]",)),
    Case("files run_memory_file", prints=("from memory",)),
    Case(
        "files run_from_tmp",
        prints=("run /tmp: ok", "run /dev/shm: ok"),
        in_docker=("run /tmp: ok", "run /dev/shm: EACCES"),
    ),
    Case(
        "files hard_links",
        prints=(
            "/app/files.py: EXDEV",
            "/etc/passwd: EXDEV",
            "/proc/1/environ: EXDEV",
            "/bin/sh: EXDEV",
        ),
    ),
    Case("files race_on_paths", prints=("['No such file or directory', \"b''\", \"b'mine'\"]",)),
    Case("files strange_files", prints=("immutable: EPERM", "made")),
    Case(
        "files settings_of_the_kernel",
        prints=(
            "sys/kernel/core_pattern: EACCES",
            "sys/kernel/hostname: EACCES",
            "sys/net/ipv4/ip_forward: EACCES",
            "sys/vm/overcommit_memory: EACCES",
            "sys/fs/file-max: EACCES",
            "self/uid_map: EPERM",
        ),
    ),
    Case(
        "files escape_by_proc",
        prints=("1/root: ENOENT", "1/cwd: ENOENT", "self/root: ENOENT", "parents 1"),
    ),
    Case(
        "files leave_something",
        prints=(
            "/app/sitecustomize.py: EROFS",
            "/etc/ld.so.preload: EROFS",
            "/opt/python/lib/left.pth: EROFS",
        ),
    ),
    Case("files watch_the_neighbour", prints=("watch: ok", "others []")),
    Case("files escape_sequences", prints=("done", "after")),
]

NETWORK = [
    Case(
        "network unreachable",
        prints=(
            "icmp: EACCES",
            "raw: EPERM",
            "raw IPv6: EPERM",
            "sctp: EPROTONOSUPPORT",
            "broadcast: ENETUNREACH",
            "multicast: ENETUNREACH",
            "link-local: ENETUNREACH",
        ),
    ),
    Case(
        "network change_the_network",
        prints=(
            "lo down: EPERM",
            "address: EPERM",
            "bind to device: ENODEV",
            "mark: EPERM",
            "low port: EACCES",
            "transparent: EPERM",
        ),
    ),
    Case("network names", prints=("no resolver",)),
    Case("network sockets_by_path", prints=("/run/docker.sock: ENOENT",)),
    Case("network take_the_door", prints=("door: EADDRINUSE",), door_ports=(9092,)),
    Case("network crowd_at_the_door", prints=("knock: EMFILE",), door_ports=(9092,)),
]

EPERM, ENOSYS, NO_FAMILY = "EPERM", "ENOSYS", "EAFNOSUPPORT"

# Every line that the program prints: what it asks of the kernel, and the answer.
KERNEL = {
    "namespaces": {
        **{
            f"unshare {kind}": EPERM
            for kind in ("user", "mount", "pid", "net", "uts", "ipc", "cgroup", "time")
        },
        **{
            f"clone {kind}": EPERM
            for kind in ("user", "mount", "pid", "net", "uts", "ipc", "cgroup")
        },
        "clone3": ENOSYS,
        "setns": EPERM,
    },
    "other_processes": dict.fromkeys(
        (
            "ptrace",
            "ptrace me",
            "process_vm_readv",
            "process_vm_writev",
            "kcmp",
            "pidfd_getfd",
            "process_madvise",
        ),
        EPERM,
    ),
    "keyrings": dict.fromkeys(("add_key", "request_key", "keyctl"), EPERM),
    "attack_surface": {
        "io_uring_setup": ENOSYS,
        "userfaultfd": EPERM,
        "perf_event_open": EPERM,
        "bpf": EPERM,
        "personality": EPERM,
        "open_by_handle_at": EPERM,
        "newer than the list": ENOSYS,
    },
    "administration": {
        **dict.fromkeys(
            (
                "mount",
                "umount",
                "remount",
                "fsopen",
                "open_tree",
                "pivot_root",
                "chroot",
                "reboot",
                "sethostname",
                "settimeofday",
                "init_module",
                "kexec_load",
                "syslog",
                "swapon",
                "iopl",
            ),
            EPERM,
        ),
        "setuid": "EINVAL",
    },
    "socket_families": {
        **{
            family + bits: NO_FAMILY
            for family in ("vsock", "alg", "packet", "xdp", "bluetooth")
            for bits in ("", " in 64 bits")
        },
        "netlink audit": NO_FAMILY,
        "netlink route": "ok",
        "raw": EPERM,
    },
    "terminal_injection": dict.fromkeys(
        (
            "TIOCSTI",
            "TIOCSTI in 64 bits",
            "TIOCLINUX",
            "TIOCLINUX in 64 bits",
        ),
        EPERM,
    ),
    "foreign_calls": {"x32": "SIGSYS", "int 0x80": "SIGSYS"},
    "join_by_process": {
        "setns True": EPERM,
        "setns False": EPERM,
        "pidfd_send_signal": "ok",  # of its own first process: nothing beyond the box
    },
    "more_administration": {
        **dict.fromkeys(
            (
                "delete_module",
                "finit_module",
                "kexec_file_load",
                "acct",
                "quotactl",
                "fanotify_init",
                "name_to_handle_at",
                "ioperm",
                "clock_settime",
                "clock_adjtime",
                "setdomainname",
                "vhangup",
                "mknod",
                "move_mount",
                "mount_setattr",
                "setgroups",
                "capset",
            ),
            EPERM,
        ),
        "setgid": "EINVAL",
    },
    "no_privilege": {
        "CapPrm": "0",
        "CapEff": "0",
        "CapBnd": "0",
        "NoNewPrivs": "1",
        "Seccomp": "2",
    },
}

# Without a user namespace of its own a program may name any user, and become none.
WITHOUT_MAP = {
    "administration": {"setuid": EPERM},
    "more_administration": {"setgid": EPERM},
}


@pytest.mark.parametrize("case", [*RESOURCES, *PROCESSES, *FILES, *NETWORK], ids=str)
async def test_hostile(start_hostile, start, driver, case):
    if case.counted and assurance().limits == "rlimits":
        pytest.skip("needs control groups")
    run = await start_hostile(case.program, limits=case.limits, door_ports=case.door_ports)
    ended = await run.box.wait()
    ending, prints = case.expected(driver)
    assert (ended.reason if isinstance(ending, str) else ended) == ending, run.lines[-20:]
    assert [line for line in prints if line not in run.lines] == []
    honest = await start(command=["echo", "honest"])
    assert await honest.box.wait() == ENDED
    assert honest.lines == ["honest"]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="calls by the numbers of x86-64")
@pytest.mark.parametrize("program", KERNEL)
async def test_kernel_refuses(start_hostile, driver, program):
    run = await start_hostile(f"kernel {program}", limits=SMALL)
    assert await run.box.wait() == ENDED
    expected = {**KERNEL[program], **(WITHOUT_MAP.get(program, {}) if driver == "docker" else {})}
    assert dict(line.split(": ") for line in run.lines) == expected


async def test_output_flood_leaves_our_memory_flat(start_hostile):
    await (await start_hostile("resources flood_of_both_streams")).box.wait()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for program in ("flood_without_newline", "flood_of_empty_lines", "flood_of_both_streams"):
        run = await start_hostile(f"resources {program}")
        assert (await run.box.wait()).reason == "output"
        assert sum(len(line) + 32 for line in run.lines) <= 2_000_000 + 8_192 * 33
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KB


@pytest.mark.skipif(assurance().limits == "rlimits", reason="needs control groups")
async def test_cpu_is_shared_out(start_hostile):
    begin = time.monotonic()
    run = await start_hostile("resources all_cores", limits=Limits(cpus=0.5, wall_s=1.0))
    await run.box.wait()
    assert run.box.cpu_seconds < 0.5 * (time.monotonic() - begin) + 0.2


async def test_box_has_its_own_loopback_and_no_route(start_hostile):
    run = await start_hostile("network interfaces")
    await run.box.wait()
    assert run.lines == ["interfaces ['lo']", "routes 0", "IPv6 {'lo'}"]


async def test_loopback_of_the_host_is_out_of_reach(start_hostile):
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.setblocking(False)
        run = await start_hostile(f"network host_loopback {canary.getsockname()[1]}")
        await run.box.wait()
        assert run.lines == ["TCP: ECONNREFUSED"]
        with pytest.raises(BlockingIOError):
            canary.accept()


async def test_abstract_sockets_of_the_host_are_out_of_reach(start_hostile):
    with socket.socket(socket.AF_UNIX) as canary:
        canary.bind("\0offsetzero-canary")
        canary.listen()
        run = await start_hostile("files unix_socket_in_abstract_namespace")
        await run.box.wait()
        assert run.lines == ["canary: ECONNREFUSED"]


async def test_boxes_side_by_side_cannot_reach_each_other(start_hostile):
    server = await start_hostile("network serve")
    await server.until("serving")
    neighbour = await start_hostile("network neighbour")
    await neighbour.box.wait()
    assert neighbour.lines == ["TCP: ECONNREFUSED", "abstract: ECONNREFUSED"]
    (await server.box.connect(7001)).close()  # it does listen


@pytest.mark.parametrize("program", ["message_queues", "shared_segments", "posix_timers"])
async def test_what_outlives_its_process_belongs_to_its_box(start_hostile, program):
    """As many as one box makes, the other may make as well, though nobody removes any."""
    first, second = [await start_hostile(f"resources {program}", limits=SMALL) for _ in range(2)]
    assert [await run.box.wait() for run in (first, second)] == [ENDED] * 2
    assert first.lines == second.lines != []


async def test_nothing_is_left_for_the_next_box(start_hostile):
    await (await start_hostile("files leave_something")).box.wait()
    run = await start_hostile("files look_for_something")
    assert await run.box.wait() == ENDED
    assert run.lines == ["found []", "environment []"]


async def test_sockets_by_path_of_a_neighbour_are_out_of_reach(start_hostile):
    server = await start_hostile("network serve_by_path")
    await server.until("serving")
    run = await start_hostile("network sockets_by_path")
    assert await run.box.wait() == ENDED
    assert "/tmp/neighbour.sock: ENOENT" in run.lines


async def test_a_lock_on_a_shared_file_hinders_no_honest_program(start_hostile, start):
    """Two boxes can tell each other things by locks on what both see: documented, not prevented."""
    locker = await start_hostile("files lock_shared_files")
    await locker.until("locked")
    honest = await start(command=["sh", "-c", "echo honest"])
    assert await honest.box.wait() == ENDED
    assert honest.lines == ["honest"]


CANARY = """
import socket, subprocess, sys
subprocess.run(["ip", "addr", "add", "192.0.2.1/32", "dev", "lo"], check=True)
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
tcp = socket.create_server(("192.0.2.1", 7000))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("192.0.2.1", 7000))
print("ready", flush=True)
sys.stdin.read()
heard = 0
for canary, hear in ((tcp, tcp.accept), (udp, lambda: udp.recv(10))):
    canary.setblocking(False)
    try:
        hear()
        heard += 1
    except BlockingIOError:
        pass
print(heard)
"""


@pytest.mark.root
@pytest.mark.skipif(not shutil.which("ip"), reason="needs ip (package iproute2)")
async def test_address_in_another_namespace_is_out_of_reach(start_hostile):
    if os.geteuid() != 0:
        pytest.skip("needs root to make a network namespace")
    command = ["unshare", "--net", sys.executable, "-c", CANARY]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as canary:  # noqa: ASYNC220
        assert canary.stdout.readline() == "ready\n"
        run = await start_hostile("network address_of_another_namespace")
        await run.box.wait()
        assert run.lines == ["TCP: ENETUNREACH", "UDP: ENETUNREACH", "multicast: ENETUNREACH"]
        heard, _ = canary.communicate("")
        assert heard == "0\n"
