"""The system calls a box may not make.

Namespaces hide objects; this list closes what Linux does not put into namespaces (keyrings,
vsock, io_uring), what widens the attack surface of the kernel (bpf, userfaultfd, perf), and what
only privileged programs need. Everything else stays open: candidates bring any language.

The same rules in two forms: for bubblewrap the filter itself, for Docker its JSON, which turns the
list round: a container engine knows no numbers, so what it cannot name has to be refused by
default. Importing this module raises BoxError where the library of the system is missing.
"""

import errno
import json
import os
import platform
from collections.abc import Iterator
from functools import cache
from typing import Any

from sandbox.box.spec import BoxError

try:
    import pyseccomp  # it looks for the library as it is imported
except RuntimeError as error:
    raise BoxError(
        "libseccomp is missing. On Debian and Ubuntu: apt-get install libseccomp2"
    ) from error

# fmt: off
DENIED = [
    "_sysctl", "acct", "add_key", "adjtimex", "afs_syscall", "bpf", "chroot", "clock_adjtime",
    "clock_settime", "create_module", "delete_module", "fanotify_init", "finit_module",
    "fsconfig", "fsmount", "fsopen", "fspick", "get_kernel_syms", "get_mempolicy", "getpmsg",
    "init_module", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl",
    "lookup_dcookie", "mbind", "migrate_pages", "mount", "mount_setattr", "move_mount",
    "move_pages", "name_to_handle_at", "nfsservctl", "open_by_handle_at", "open_tree",
    "perf_event_open", "personality", "pidfd_getfd", "pivot_root", "process_madvise",
    "process_mrelease", "process_vm_readv", "process_vm_writev", "ptrace", "putpmsg",
    "query_module", "quotactl", "quotactl_fd", "reboot", "request_key", "security",
    "set_mempolicy", "setdomainname", "sethostname", "setns", "settimeofday", "stime",
    "swapoff", "swapon", "sysfs", "syslog", "tuxcall", "umount", "umount2", "unshare", "uselib",
    "userfaultfd", "ustat", "vhangup", "vserver",
]
# fmt: on

# A program falls back to an older call when it hears that the kernel does not know one.
# clone3 hides its flags in memory, where a filter cannot see them.
UNKNOWN = ["clone3", "io_uring_setup", "io_uring_enter", "io_uring_register"]
FIRST_NEWER, LAST_NEWER = 450, 511  # numbers of calls younger than this list

CLONE_NEW = 0x7E020000  # the flags of clone that make namespaces
IOCTLS = (0x5412, 0x541C)  # TIOCSTI and TIOCLINUX: type into somebody's terminal
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_MAX = 1, 2, 10, 16, 46
OTHER_FAMILIES = sorted({*range(AF_MAX)} - {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK})
CONDITIONAL = ("clone", "ioctl", "socket", "socketpair")


@cache
def program() -> bytes:
    """Return the filter as the kernel takes it (an array of struct sock_filter)."""
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in DENIED:
        rules.add_rule(pyseccomp.ERRNO(errno.EPERM), name)
    for call in (*UNKNOWN, *range(FIRST_NEWER, LAST_NEWER + 1)):
        rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), call)
    _deny_namespaces(rules)
    _deny_terminals(rules)
    _deny_sockets(rules)
    return _exported(rules)


def _deny_namespaces(rules: pyseccomp.SyscallFilter) -> None:
    for bit in (1 << n for n in range(32) if CLONE_NEW >> n & 1):
        flag = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, bit, bit)
        rules.add_rule(pyseccomp.ERRNO(errno.EPERM), "clone", flag)


def _deny_terminals(rules: pyseccomp.SyscallFilter) -> None:
    for request in IOCTLS:  # the kernel looks at the low half only
        low = pyseccomp.Arg(1, pyseccomp.MASKED_EQ, 0xFFFFFFFF, request)
        rules.add_rule(pyseccomp.ERRNO(errno.EPERM), "ioctl", low)


def _deny_sockets(rules: pyseccomp.SyscallFilter) -> None:
    """Leave unix, IPv4, IPv6 and the routing part of netlink."""
    refuse = pyseccomp.ERRNO(errno.EAFNOSUPPORT)
    for call in ("socket", "socketpair"):
        for family in OTHER_FAMILIES:
            rules.add_rule(refuse, call, pyseccomp.Arg(0, pyseccomp.EQ, family))
        rules.add_rule(refuse, call, pyseccomp.Arg(0, pyseccomp.GE, AF_MAX))
        netlink = pyseccomp.Arg(0, pyseccomp.EQ, AF_NETLINK)
        rules.add_rule(refuse, call, netlink, pyseccomp.Arg(2, pyseccomp.NE, 0))


def _exported(rules: pyseccomp.SyscallFilter) -> bytes:
    with os.fdopen(os.memfd_create("seccomp"), "w+b") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


@cache
def profile() -> str:
    """Return the same rules as a seccomp profile of Docker, in JSON.

    Refused by default are EPERM, and ENOSYS for calls that are newer than all that are named
    (runc 1.0 and later see to that).
    """
    plain = sorted({*_known()} - {*DENIED, *UNKNOWN, *CONDITIONAL})
    rules = [_rule(plain), _rule(UNKNOWN, errno.ENOSYS)]
    rules.append(_rule(["clone"], args=[_arg(0, "MASKED_EQ", CLONE_NEW, 0)]))
    rules += [
        _rule(["ioctl"], args=[_arg(1, "MASKED_EQ", mask, value)])
        for mask, value in masks_of_all_but(*IOCTLS)
    ]
    rules += [*_socket_rules()]
    architecture = f"SCMP_ARCH_{platform.machine().upper()}"
    default = {"defaultAction": "SCMP_ACT_ERRNO", "architectures": [architecture]}
    return json.dumps({**default, "syscalls": rules})


def _known() -> Iterator[str]:
    """The system calls of this machine that the library knows by name, up to those we know."""
    for number in range(FIRST_NEWER):
        try:
            yield pyseccomp.resolve_syscall(pyseccomp.system_arch(), number).decode()
        except ValueError:  # a gap in the table
            continue


def _rule(names: list[str], error: int = 0, args: list[dict] | None = None) -> dict[str, Any]:
    if error:
        return {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": error, "args": args or []}
    return {"names": names, "action": "SCMP_ACT_ALLOW", "args": args or []}


def _arg(index: int, compare: str, value: int, other: int = 0) -> dict[str, Any]:
    return {"index": index, "value": value, "valueTwo": other, "op": f"SCMP_CMP_{compare}"}


def masks_of_all_but(one: int, other: int) -> Iterator[tuple[int, int]]:
    """Yield (mask, value) pairs: a number of 32 bits agrees with one of them (number & mask ==
    value) unless it is `one` or `other`. The upper half of the argument is left alone."""
    differing = [1 << n for n in range(32) if (one ^ other) >> n & 1]
    for bit in (1 << n for n in range(32) if 1 << n not in differing):
        yield bit, ~one & bit
    together = sum(differing)
    for chosen in range(1 << len(differing)):
        value = sum(bit for n, bit in enumerate(differing) if chosen >> n & 1)
        if value not in (one & together, other & together):
            yield together, value


def _socket_rules() -> Iterator[dict[str, Any]]:
    calls = ["socket", "socketpair"]
    for family in (AF_UNIX, AF_INET, AF_INET6):
        yield _rule(calls, args=[_arg(0, "EQ", family)])
    yield _rule(calls, args=[_arg(0, "EQ", AF_NETLINK), _arg(2, "EQ", 0)])
    for family in OTHER_FAMILIES:
        yield _rule(calls, errno.EAFNOSUPPORT, [_arg(0, "EQ", family)])
    yield _rule(calls, errno.EAFNOSUPPORT, [_arg(0, "GE", AF_MAX)])
    netlink = [_arg(0, "EQ", AF_NETLINK), _arg(2, "NE", 0)]
    yield _rule(calls, errno.EAFNOSUPPORT, netlink)
