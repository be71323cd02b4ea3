"""Programs that want more of the kernel than a program needs. Numbers are those of x86-64."""

import ctypes
import mmap
import os
import signal
import socket

from probe import attempt, libc, main, syscall

PAGE = ctypes.create_string_buffer(4096)
NAMESPACES = {
    "user": 0x10000000,
    "mount": 0x20000,
    "pid": 0x20000000,
    "net": 0x40000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "cgroup": 0x02000000,
    "time": 0x80,
}


def namespaces():
    for name, flag in NAMESPACES.items():
        attempt(f"unshare {name}", lambda: syscall(272, flag))
    for name, flag in NAMESPACES.items():
        if name != "time":  # of clone, that bit is part of the exit signal
            attempt(f"clone {name}", lambda: syscall(56, flag | signal.SIGCHLD, 0, 0, 0, 0))
    attempt("clone3", lambda: syscall(435, 0, 0))
    attempt("setns", lambda: syscall(308, os.open("/proc/self/ns/net", os.O_RDONLY), 0))


def other_processes():
    attempt("ptrace", lambda: syscall(101, 16, 1, 0, 0))
    attempt("ptrace me", lambda: syscall(101, 0, 0, 0, 0))
    attempt("process_vm_readv", lambda: syscall(310, 1, 0, 0, 0, 0, 0))
    attempt("process_vm_writev", lambda: syscall(311, 1, 0, 0, 0, 0, 0))
    attempt("kcmp", lambda: syscall(312, 1, 2, 0, 0, 0))
    attempt("pidfd_getfd", lambda: syscall(438, os.pidfd_open(1), 0, 0))
    attempt("process_madvise", lambda: syscall(440, 0, 0, 0, 0, 0))


def keyrings():
    attempt("add_key", lambda: syscall(248, b"user", b"canary", b"secret", 6, -4))
    attempt("request_key", lambda: syscall(249, b"user", b"canary", None, -4))
    attempt("keyctl", lambda: syscall(250, 0, -4, 1))


def attack_surface():
    attempt("io_uring_setup", lambda: syscall(425, 8, 0))
    attempt("userfaultfd", lambda: syscall(323, 0))
    attempt("perf_event_open", lambda: syscall(298, 0, 0, -1, -1, 0))
    attempt("bpf", lambda: syscall(321, 0, 0, 0))
    attempt("personality", lambda: syscall(135, 0x0040000))
    attempt("open_by_handle_at", lambda: syscall(304, -100, 0, 0))
    attempt("newer than the list", lambda: syscall(462, 0, 0, 0))


def administration():
    attempt("mount", lambda: syscall(165, b"none", b"/tmp", b"tmpfs", 0, None))
    attempt("umount", lambda: syscall(166, b"/tmp", 2))
    attempt("remount", lambda: syscall(165, b"none", b"/app", None, 0x1020, None))
    attempt("fsopen", lambda: syscall(430, b"tmpfs", 0))
    attempt("open_tree", lambda: syscall(428, -100, b"/", 1))
    attempt("pivot_root", lambda: syscall(155, b"/tmp", b"/tmp"))
    attempt("chroot", lambda: os.chroot("/tmp"))
    attempt("reboot", lambda: syscall(169, 0xFEE1DEAD, 672274793, 0x89ABCDEF, 0))
    attempt("sethostname", lambda: socket.sethostname("hostile"))
    attempt("settimeofday", lambda: syscall(164, 0, 0))
    attempt("init_module", lambda: syscall(175, 0, 0, b""))
    attempt("kexec_load", lambda: syscall(246, 0, 0, 0, 0))
    attempt("syslog", lambda: syscall(103, 3, 0, 0))
    attempt("swapon", lambda: syscall(167, b"/tmp/swap", 0))
    attempt("setuid", lambda: os.setuid(0))
    attempt("iopl", lambda: syscall(172, 3))


def socket_families():
    for name, family in {"vsock": 40, "alg": 38, "packet": 17, "xdp": 44, "bluetooth": 31}.items():
        attempt(name, lambda: syscall(41, family, 2, 0))
        attempt(f"{name} in 64 bits", lambda: syscall(41, family | 1 << 32, 2, 0))
    attempt("netlink audit", lambda: syscall(41, 16, 3, 9))
    attempt("netlink route", lambda: syscall(41, 16, 3, 0))
    attempt("raw", lambda: syscall(41, 2, 3, 1))


def terminal_injection():
    for name, request in {"TIOCSTI": 0x5412, "TIOCLINUX": 0x541C}.items():
        attempt(name, lambda: syscall(16, 1, request, PAGE))
        attempt(f"{name} in 64 bits", lambda: syscall(16, 1, request | 1 << 32, PAGE))


def foreign_calls():
    """The x32 numbers and the 32-bit gate reach the same kernel by other numbers."""
    for name, action in {"x32": x32, "int 0x80": int80}.items():
        if (pid := os.fork()) == 0:
            action()
            os._exit(0)
        killer = -os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(f"{name}: {signal.Signals(killer).name}")


def x32():
    libc.syscall(ctypes.c_long(0x40000000 | 39))


def int80():
    """mov eax, 20 (getpid); int 0x80; ret"""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    ctypes.CFUNCTYPE(ctypes.c_int)(address)()


def no_privilege():
    wanted = ("CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp")
    for line in open("/proc/self/status"):
        name, _, value = line.partition(":")
        if name in wanted:
            print(f"{name}: {int(value, 16)}")


def join_by_process():
    """setns takes a process as well as a namespace."""
    for pid in (1, os.getpid()):
        attempt(f"setns {pid == 1}", lambda: syscall(308, os.pidfd_open(pid), 0x40000000))
    attempt("pidfd_send_signal", lambda: syscall(424, os.pidfd_open(1), 0, 0, 0))


def more_administration():
    attempt("delete_module", lambda: syscall(176, b"nothing", 0))
    attempt("finit_module", lambda: syscall(313, 0, b"", 0))
    attempt("kexec_file_load", lambda: syscall(320, 0, 0, 0, 0, 0))
    attempt("acct", lambda: syscall(163, b"/tmp/acct"))
    attempt("quotactl", lambda: syscall(179, 0, 0, 0, 0))
    attempt("fanotify_init", lambda: syscall(300, 0, 0))
    attempt("name_to_handle_at", lambda: syscall(303, -100, b"/", PAGE, PAGE, 0))
    attempt("ioperm", lambda: syscall(173, 0x80, 1, 1))
    attempt("clock_settime", lambda: syscall(227, 0, PAGE))
    attempt("clock_adjtime", lambda: syscall(305, 0, b"\1" + bytes(300)))
    attempt("setdomainname", lambda: syscall(171, b"hostile", 7))
    attempt("vhangup", lambda: syscall(153))
    attempt("mknod", lambda: syscall(133, b"/tmp/node", 0o20666, 0x0101))
    attempt("move_mount", lambda: syscall(429, 0, b"", 0, b"/tmp", 4))
    attempt("mount_setattr", lambda: syscall(442, -100, b"/", 0, PAGE, 32))
    attempt("setgroups", lambda: os.setgroups([0]))
    attempt("setgid", lambda: os.setgid(0))
    attempt("capset", lambda: syscall(126, bytes((0x22, 5, 8, 0x20, 0, 0, 0, 0)), b"\xff" * 24))


main(globals())
