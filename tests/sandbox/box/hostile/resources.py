"""Programs that want more than their share."""

import mmap
import os
import resource
import socket
import sys
import threading
import time

from probe import attempt, main

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


main(globals())
