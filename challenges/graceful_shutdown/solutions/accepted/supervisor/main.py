"""Two worker processes, each a member of the group, and a parent that passes the signal on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

GRACE_S = 4.0
WORKER = Path(__file__).with_name("worker.py")


def main():
    told = False
    workers = []

    def stop(signum, frame):
        nonlocal told
        if not told:
            told = True
            for worker in workers:
                worker.terminate()

    signal.signal(signal.SIGTERM, stop)
    for _ in range(2):
        if not told:
            workers.append(subprocess.Popen([sys.executable, "-u", str(WORKER)]))
    if told:
        for worker in workers:
            worker.terminate()
    codes = []
    for worker in workers:
        codes.append(worker.wait())
        if codes[-1] and not told:  # an orchestrator starts us again
            for other in workers:
                other.kill()
            sys.exit(1)
    sys.exit(0 if told else 1)


main()
