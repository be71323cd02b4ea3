"""Two worker processes, and a parent that is told to stop."""

import signal
import subprocess
import sys
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")


def main():
    workers = []

    def stop(signum, frame):
        for worker in workers:
            worker.kill()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    for _ in range(2):
        workers.append(subprocess.Popen([sys.executable, "-u", str(WORKER)]))
    for worker in workers:
        worker.wait()
    sys.exit(1)


main()
