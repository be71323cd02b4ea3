"""Programs that want more than their share."""

import ctypes
import fcntl
import mmap
import os
import resource
import select
import signal
import socket
import sys
import threading
import time

from probe import attempt, call, libc, main

MB = 1 << 20


def fork_bomb():
    while True:
        if os.fork() == 0:
            continue


def patient_fork_bomb():
    """Every child goes on trying, whatever the kernel says."""
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.01)


def zombie_farm():
    while True:
        if os.fork() == 0:
            os._exit(0)


def thread_bomb():
    while True:
        threading.Thread(target=time.sleep, args=(1000,)).start()


def memory_bomb():
    kept = []
    while True:
        kept.append(b"x" * MB)


def memory_bomb_in_a_child():
    """The parent would live on."""
    if os.fork() == 0:
        memory_bomb()
    os.wait()
    print("parent survived")
    time.sleep(1000)


def memory_bomb_shared():
    area = mmap.mmap(-1, 1 << 30)
    for at in range(0, 1 << 30, 4096):
        area[at] = 1


def memory_bomb_in_memory_files():
    while True:
        os.write(os.memfd_create("bomb"), b"x" * 24 * MB)


def fill(path):
    """Fill a folder with files of the largest size allowed, until it is full."""
    written = 0
    while True:
        with open(f"{path}/{written}", "wb", buffering=0) as file:
            for _ in range(16):
                written += file.write(b"x" * MB)


def disk_fill():
    attempt("/tmp", lambda: fill("/tmp"))
    attempt("/dev/shm", lambda: fill("/dev/shm"))


def inode_fill():
    number = 0
    while True:
        open(f"/tmp/{number}", "x").close()
        number += 1


def write_everywhere():
    for folder in ("/", "/app", "/usr", "/usr/bin", "/etc", "/dev", "/dev/pts", "/opt/python"):
        attempt(folder, lambda: open(f"{folder}/hostile", "x"))
    for absent in ("/var/tmp", "/run", "/home", "/root", "/sys", "/mnt"):
        attempt(absent, lambda: os.listdir(absent))
    attempt("/proc/sys", lambda: open("/proc/sys/kernel/core_pattern", "w"))
    attempt("/proc/sysrq-trigger", lambda: open("/proc/sysrq-trigger", "w"))


def large_file():
    with open("/tmp/large", "wb", buffering=0) as file:
        attempt("large", lambda: [file.write(b"x" * MB) for _ in range(100)])
    print(os.stat("/tmp/large").st_size // MB)


def descriptors():
    kept = []
    attempt("open", lambda: [kept.append(os.open("/dev/null", os.O_RDONLY)) for _ in range(9999)])
    print(len(kept) < 256)


def sockets():
    kept = []
    attempt("socket", lambda: [kept.append(socket.socket()) for _ in range(9999)])


def raise_limits():
    for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        try:
            resource.setrlimit(limit, (1 << 30, 1 << 30))
        except ValueError:
            print("refused")


def flood_without_newline():
    while True:
        os.write(1, b"x" * MB)


def flood_of_empty_lines():
    while True:
        os.write(1, b"\n" * MB)


def flood_of_both_streams():
    while True:
        os.write(1, b"out\n" * 1000)
        os.write(2, b"err\n" * 1000)


def long_line():
    print("x" * MB)
    print("after")


def endless_recursion():
    sys.setrecursionlimit(1 << 30)

    def deeper():
        return [deeper() for _ in range(1)]

    deeper()


def all_cores():
    for _ in range(3):
        os.fork()
    while True:
        pass


def keep(what, make):
    """Make things and keep them until one is refused; they end with the process."""
    kept = []
    attempt(what, lambda: [kept.append(make()) for _ in range(9999)])


def pipes():
    keep("pipe", os.pipe)


def epolls():
    keep("epoll", select.epoll)


def timers():
    keep("timerfd", lambda: call(libc.timerfd_create, 1, 0))


def watches():
    keep("inotify", lambda: call(libc.inotify_init1, 0))


def event_counters():
    keep("eventfd", lambda: os.eventfd(0))


def memory_files():
    keep("memfd", lambda: os.memfd_create("empty"))


def full_sockets():
    """What lies in a socket is the kernel's memory."""
    kept = []

    def fill_pair():
        pair = socket.socketpair()
        pair[0].setblocking(False)
        kept.append(pair)
        try:
            while True:
                pair[0].send(b"x" * 65536)
        except BlockingIOError:
            return

    attempt("socketpair", lambda: [fill_pair() for _ in range(9999)])


def full_pipes():
    """A pipe of the largest size, full, again and again."""
    kept = []

    def fill_pipe():
        ends = os.pipe()
        kept.append(ends)
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, MB)
        os.write(ends[1], b"x" * MB)

    attempt("pipe", lambda: [fill_pipe() for _ in range(9999)])


def message_queues():
    keep("msgget", lambda: call(libc.msgget, 0, 0o1666))


def semaphores():
    keep("semget", lambda: call(libc.semget, 0, 250, 0o1666))


def shared_segments():
    """They outlive their process, unless the box's own namespace for them ends."""
    keep("shmget", lambda: call(libc.shmget, 0, 4096, 0o1666))


def posix_queues():
    number = iter(range(9999))
    rt = ctypes.CDLL("librt.so.1", use_errno=True)
    keep("mq_open", lambda: call(rt.mq_open, b"/q%d" % next(number), 0o102, 0o600, None))


def posix_timers():
    keep("timer_create", lambda: call(libc.timer_create, 1, None, ctypes.byref(ctypes.c_int())))


def lock_memory():
    attempt("mlockall", lambda: call(libc.mlockall, 3))


def address_space():
    """Mappings without pages cost nothing; there may be very many of them."""
    areas = []
    attempt("mmap", lambda: [areas.append(mmap.mmap(-1, 1 << 40)) for _ in range(9999)])


def huge_stack():
    """A thread with a stack of 64 GB, and one that uses as much of it as it can."""
    attempt("stack", lambda: threading.stack_size(1 << 36))
    try:
        threading.Thread(target=time.sleep, args=(0,)).start()
        print("thread: ok")
    except RuntimeError:
        print("thread: refused")


def overflow_the_stack():
    """Recursion of machine code, which nobody counts."""
    callback = ctypes.CFUNCTYPE(None)

    def deeper():
        again()

    sys.setrecursionlimit(1 << 30)
    again = callback(deeper)
    again()


def deep_folders():
    os.chdir("/tmp")
    for _ in range(3000):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    print("deep")


def sparse_file():
    with open("/tmp/sparse", "wb") as file:
        attempt("truncate", lambda: os.truncate(file.fileno(), 1 << 40))
        attempt("fallocate", lambda: os.posix_fallocate(file.fileno(), 0, 1 << 40))


def signal_storm():
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    for _ in range(1000):
        signal.pause()
    signal.setitimer(signal.ITIMER_REAL, 0)
    print("stormed")


def core_dump():
    print("limit", resource.getrlimit(resource.RLIMIT_CORE))
    os.chdir("/tmp")
    if (pid := os.fork()) == 0:
        os.kill(os.getpid(), signal.SIGQUIT)
    print("dumped", os.WCOREDUMP(os.waitpid(pid, 0)[1]), os.listdir("/tmp"))


main(globals())
