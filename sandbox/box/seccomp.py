"""The system calls a box may not make.

Namespaces hide objects; this list closes what Linux does not put into namespaces (keyrings,
vsock, io_uring), what widens the attack surface of the kernel (bpf, userfaultfd, perf), and what
only privileged programs need. Everything else stays open: candidates bring any language.
"""

import errno
import os
from functools import cache

import pyseccomp

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
IOCTLS = [0x5412, 0x541C]  # TIOCSTI and TIOCLINUX: type into somebody's terminal
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_MAX = 1, 2, 10, 16, 46


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
        for family in set(range(AF_MAX)) - {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}:
            rules.add_rule(refuse, call, pyseccomp.Arg(0, pyseccomp.EQ, family))
        rules.add_rule(refuse, call, pyseccomp.Arg(0, pyseccomp.GE, AF_MAX))
        netlink = pyseccomp.Arg(0, pyseccomp.EQ, AF_NETLINK)
        rules.add_rule(refuse, call, netlink, pyseccomp.Arg(2, pyseccomp.NE, 0))


def _exported(rules: pyseccomp.SyscallFilter) -> bytes:
    with os.fdopen(os.memfd_create("seccomp"), "w+b") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
