"""Programs that want files that are not theirs."""

import fcntl
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

from probe import attempt, call, libc, main


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


ECHO = Path("/bin/echo")


def run_memory_file():
    """What may run is not limited; what it may do is."""
    fd = os.memfd_create("echo")
    os.write(fd, ECHO.read_bytes())
    attempt("run", lambda: print(run(f"/proc/self/fd/{fd}", "from memory", pass_fds=[fd])))


def run_from_tmp():
    for folder in ("/tmp", "/dev/shm"):
        shutil.copy(ECHO, f"{folder}/echo")
        attempt(f"run {folder}", lambda: run(f"{folder}/echo", "written"))


def run(*command, **options):
    return subprocess.check_output(command, text=True, **options).strip()


def hard_links():
    for path in ("/app/files.py", "/etc/passwd", "/proc/1/environ", "/bin/sh"):
        attempt(path, lambda: os.link(path, "/tmp/linked"))


def race_on_paths():
    """A name that is a file now and a link the next moment, while it is deleted and made anew."""
    Path("/tmp/file").write_text("mine")
    os.symlink("/etc/shadow", "/tmp/link")
    os.mkfifo("/tmp/fifo")
    found = set()
    for number in range(3000):
        source = ("file", "link", "fifo")[number % 3]
        os.replace(f"/tmp/{source}", "/tmp/result")
        try:
            fd = os.open("/tmp/result", os.O_RDONLY | os.O_NONBLOCK)
            found.add(os.read(fd, 100))
            os.close(fd)
        except OSError as error:
            found.add(error.strerror)
        os.replace("/tmp/result", f"/tmp/{source}")
    print(sorted(map(str, found)))


def strange_files():
    """What would hurt whoever walks over the folder afterwards."""
    os.mkfifo("/tmp/result.json")
    os.symlink("/dev/zero", "/tmp/endless")
    os.symlink("loop", "/tmp/loop")
    os.mkdir("/tmp/closed", 0)
    with open("/tmp/secret", "w") as file:
        attempt("immutable", lambda: fcntl.ioctl(file, 0x40086602, b"\x10" + bytes(7)))
        os.fchmod(file.fileno(), 0)
    open(b"/tmp/\xff\x1b[2J\n", "x").close()
    print("made")


def settings_of_the_kernel():
    for name in (
        "sys/kernel/core_pattern",
        "sys/kernel/hostname",
        "sys/net/ipv4/ip_forward",
        "sys/vm/overcommit_memory",
        "sys/fs/file-max",
        "sysrq-trigger",
        "self/uid_map",
        "self/setgroups",
        "1/mem",
    ):
        attempt(name, lambda: open(f"/proc/{name}", "r+b", buffering=0).write(b"0\n"))


def escape_by_proc():
    for name in ("1/root", "1/cwd", "self/root", "self/cwd"):
        attempt(name, lambda: os.stat(f"/proc/{name}/../../../../../../root"))
    attempt("chdir", lambda: os.chdir("/proc/1/root/root"))
    print("parents", len({os.stat("/" + "../" * n).st_ino for n in range(5)}))


def leave_something():
    """For whoever comes next: what Python, the shell and the loader read before a program does."""
    home = os.environ.get("HOME", "/tmp")
    for path in (
        "/tmp/sitecustomize.py",
        "/dev/shm/left",
        f"{home}/.local/lib/left.pth",
        "/app/sitecustomize.py",
        "/etc/ld.so.preload",
        "/opt/python/lib/left.pth",
    ):
        attempt(path, lambda: write(path))
    os.environ["LD_PRELOAD"] = "/tmp/left.so"
    os.environ["PYTHONSTARTUP"] = "/tmp/sitecustomize.py"


def write(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_text("raise SystemExit('not honest')")


def look_for_something():
    print("found", [path for f in ("/tmp", "/dev/shm") for path in os.listdir(f)])
    print("environment", sorted({"LD_PRELOAD", "PYTHONSTARTUP"} & os.environ.keys()))


def escape_sequences():
    """For a terminal that shows the output as it is."""
    print("\x1b]0;title\x07\x1b[2J\x1b]52;c;aGk=\x07\x1bP+q544e\x1b\\done")
    sys.stdout.buffer.write(b"\xff\xfe\x00\xc3\r over \x08\x08 \xe2\x80\xae txt\n")
    print("after")


def lock_shared_files():
    """Two boxes that see one file can tell each other things by its locks: a known channel."""
    file = open("/bin/sh", "rb")
    attempt("flock", lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB))
    attempt("lease", lambda: fcntl.fcntl(file, 1024, fcntl.F_RDLCK))
    print("locked")
    time.sleep(1000)


def watch_the_neighbour():
    attempt("watch", lambda: call(libc.inotify_add_watch, call(libc.inotify_init1, 0), b"/app", 2))
    print("others", [p for p in os.listdir("/proc") if p.isdigit() and int(p) > os.getpid()])


main(globals())
