"""Programs that want to outlive their box, or to end somebody else."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from probe import attempt, libc, main


def daemon():
    """Fork twice, leave the session, ignore what can be ignored; the program itself ends."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for signum in range(1, 32):
                if signum not in (signal.SIGKILL, signal.SIGSTOP):
                    signal.signal(signum, signal.SIG_IGN)
            for fd in (0, 1, 2):
                os.close(fd)
            time.sleep(1000)
        os._exit(0)
    os.wait()
    print("daemon is up")


def kill_everybody():
    child = os.fork()
    if child == 0:
        time.sleep(1000)
    os.kill(-1, signal.SIGKILL)
    print("only", os.waitpid(child, 0)[1], "died")


def kill_parent():
    for signum in (signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
        os.kill(os.getppid(), signum)
    time.sleep(0.05)
    print("parent", os.getppid())


def kill_outside():
    for pid in (os.getpid() + 1000, 99999):
        attempt("kill", lambda: os.kill(pid, signal.SIGKILL))


def overwrite_init():
    """The first process of the box runs as the same user: its memory can be written."""
    regions = Path("/proc/1/maps").read_text().splitlines()
    code = [line.split("-")[0] for line in regions if " r-xp " in line]
    with open("/proc/1/mem", "wb", buffering=0) as memory:
        for address in code:
            memory.seek(int(address, 16))
            memory.write(b"\xcc" * 4096)
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.1)  # now an orphan, whose end wakes it
        os._exit(0)
    time.sleep(1000)


def stop_itself():
    os.kill(os.getpid(), signal.SIGSTOP)


def ignore_termination():
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    print("ready")
    time.sleep(1000)


def close_output():
    os.close(1)
    os.close(2)
    time.sleep(1000)


def confusing_name():
    libc.prctl(15, b") Z 1 (\n", 0, 0, 0)
    print("named")
    time.sleep(1000)


def run_again():
    """Become another program; it is still the same process to the supervisor."""
    os.execv("/bin/sleep", ["innocent", "1000"])


def raise_priority():
    attempt("nice", lambda: os.setpriority(os.PRIO_PROCESS, 0, -10))
    attempt("realtime", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
    attempt("oom_score_adj", lambda: Path("/proc/self/oom_score_adj").write_text("-1000"))
    print("oom_score_adj is", Path("/proc/self/oom_score_adj").read_text().strip())


def die_by_segfault():
    ctypes.string_at(0)


def exit_like_killed():
    sys.exit(137)


def fork_in_a_handler():
    """Each child's end wakes the handler, which makes the next child."""
    signal.signal(signal.SIGCHLD, lambda *_: os.fork() or os._exit(0))
    if os.fork() == 0:
        os._exit(0)
    # Short naps: a signal that comes just before one would otherwise go unseen until it ends.
    while True:
        time.sleep(0.01)


def fork_while_terminated():
    """The end is near: leave somebody behind, twice removed."""

    def leave_somebody(*_):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(1000)
        os._exit(0)

    signal.signal(signal.SIGTERM, leave_somebody)
    print("ready")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1000)


def adopt_orphans():
    """A subreaper keeps its orphans from the first process of the box."""
    libc.prctl(36, 1, 0, 0, 0)
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.05)
            print("adopted by 1" if os.getppid() == 1 else "adopted", flush=True)
            os._exit(0)
        os._exit(0)
    os.wait()
    os.wait()


def leap_from_child_to_child():
    """Never the same process for long: whoever kills by number comes too late."""
    while True:
        if os.fork():
            os._exit(0)


def hide_from_tracing():
    """Not dumpable, with no parent to tell it when it ends."""
    libc.prctl(4, 0, 0, 0, 0)
    libc.prctl(1, 0, 0, 0, 0)
    print("hidden")
    time.sleep(1000)


def stop_each_other():
    pids = [os.getpid()]
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            break
        pids.append(pid)
    while True:
        os.kill(pids[0], signal.SIGSTOP)


def claims_a_verdict():
    print('{"type": "report", "report": {"verdict": "PASS", "score": 1.0}}')
    print("PASS", file=sys.stderr)


main(globals())
