"""Programs that want files that are not theirs."""

import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

from probe import attempt, main


def read_supervisor():
    print("environ", len(Path("/proc/1/environ").read_bytes()))
    words = Path("/proc/1/cmdline").read_bytes().split(b"\0")
    print("arguments", [word.decode() for word in words[1:4]])
    for name in ("root/etc/shadow", "cwd/etc/shadow"):
        attempt(name, lambda: open(f"/proc/1/{name}", "rb"))
    print("processes", sorted(int(name) for name in os.listdir("/proc") if name.isdigit()))


def read_host():
    for path in (
        "/etc/shadow",
        "/etc/ssh",
        "/root",
        "/home",
        "/var/lib",
        "/var/run/docker.sock",
        "/run",
        "/sys/fs/cgroup",
        "/boot",
    ):
        attempt(path, lambda: os.stat(path))
    print("users", Path("/etc/passwd").read_text().count("\n"))


def symbolic_links():
    os.symlink("/etc/shadow", "/tmp/result")
    attempt("link", lambda: open("/tmp/result"))
    os.symlink("/proc/1/root/../../../etc/shadow", "/tmp/up")
    attempt("up", lambda: open("/tmp/up"))


def change_own_source():
    attempt("write", lambda: open("/app/files.py", "w"))
    attempt("unlink", lambda: os.unlink("/app/files.py"))
    attempt("rename", lambda: os.rename("/app", "/tmp/app"))
    attempt("chmod", lambda: os.chmod("/app/files.py", 0o777))


def setuid_program():
    shutil.copy("/bin/sh", "/tmp/sh")
    attempt("chmod", lambda: os.chmod("/tmp/sh", 0o6755))
    print(subprocess.check_output(["/tmp/sh", "-c", "id -u; id -ru"], text=True).split())
    for path in Path("/usr/bin").iterdir():
        if path.stat().st_mode & stat.S_ISUID and os.access(path, os.X_OK):
            status = subprocess.check_output(["grep", "NoNewPrivs", "/proc/self/status"])
            print("setuid programs gain nothing", status.split()[1].decode())
            return
    print("setuid programs gain nothing 1")


def device_nodes():
    attempt("block", lambda: os.mknod("/tmp/disk", 0o600 | stat.S_IFBLK, os.makedev(8, 0)))
    attempt("char", lambda: os.mknod("/tmp/mem", 0o600 | stat.S_IFCHR, os.makedev(1, 1)))
    for name in ("mem", "kmsg", "sda", "vda", "fuse", "kvm", "net/tun"):
        attempt(f"/dev/{name}", lambda: os.open(f"/dev/{name}", os.O_RDONLY))
    attempt("terminal", lambda: os.open("/dev/ptmx", os.O_RDWR))


def kernel_files():
    attempt("kmsg", lambda: open("/proc/kmsg", "rb"))
    with open("/proc/kallsyms") as symbols:
        print("addresses", {int(line.split()[0], 16) for line in symbols} or {0})


def inherited_descriptors():
    """Anything open besides 0, 1 and 2 would be the supervisor's."""
    print(sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1])


def unix_socket_in_abstract_namespace():
    with socket.socket(socket.AF_UNIX) as client:
        attempt("canary", lambda: client.connect("\0offsetzero-canary"))


main(globals())
