"""From the candidate's click to output and verdict, over HTTP, on a served platform.

Prints numbers, asserts none. Run it by `make bench`, on a machine that does nothing else.
"""

import re
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' candidate and platform

from tests.browser.served import (
    Platform,
    children_by_parent,
    cmdline,
    descendants,
    served,
    state_folder,
)
from tests.resilience.candidate import Candidate

RUNS, SUBMITS = 20, 5
SOLUTION = "accepted/transaction_per_event"


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not exceed, by the nearest rank."""
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


def show(what: str, values: list[float], goal: str) -> None:
    median = statistics.median(values)
    print(f"{what:34} median {median:6.2f} s   p95 {p95(values):6.2f} s   {goal}", flush=True)


def one_run(candidate: Candidate, kind: str) -> dict[str, float | str]:
    """Seconds from the click to what is seen first, and the verdict."""
    clicked, found = time.monotonic(), {}
    run = candidate.start(kind)
    for event in candidate.watch(run["events_url"]):
        found.setdefault("anything", event.at - clicked)
        if event.kind in ("story", "output"):
            found.setdefault("story", event.at - clicked)
        if event.kind == "output":
            found.setdefault("output", event.at - clicked)
        if event.kind == "state" and "verdict" in event.data:
            found["judged"] = event.at - clicked
    return found | {"verdict": candidate.verdict(run["report_url"])}


def measure(candidate: Candidate, kind: str, many: int, goal: str) -> None:
    found = [one_run(candidate, kind) for _ in range(many)]
    show(f"{kind}: first event", [run["anything"] for run in found], "")
    show(f"{kind}: first line of the story", [run["story"] for run in found], "goal p95 1 s")
    show(f"{kind}: first line of the program", [run["output"] for run in found], "")
    show(f"{kind}: verdict", [run["judged"] for run in found], goal)
    print(f"  {many} verdicts: {', '.join(sorted({run['verdict'] for run in found}))}", flush=True)


def idle_mb(folder: Path, platform: Platform) -> float:
    """The memory of everything with one warm broker; shared pages count in part (PSS)."""
    pid, everyone = platform.process.pid, children_by_parent()
    while not any(b"kafka.Kafka" in cmdline(p) for p in descendants(pid, everyone)):
        time.sleep(0.2)
        everyone = children_by_parent()
    servers = [
        int(file.read_text().splitlines()[0])
        for file in folder.glob("postgres/*/data/postmaster.pid")
    ]
    roots = [pid, *servers]
    ours = [pid for root in roots for pid in (root, *descendants(root, everyone))]
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in ours]
    lines = [line.split() for rollup in rollups for line in rollup.splitlines()]
    return sum(int(line[1]) for line in lines if line[0] == "Pss:") / 1024


def candidate_of(platform: Platform) -> Candidate:
    """The demo candidate, with a program that passes."""
    invite = re.search(r"Candidate\s+\S+?(/invites/\S+)", "".join(platform.said))[1]
    candidate = Candidate(platform.address, invite)
    candidate.save_solution(SOLUTION)
    return candidate


def started(folder: Path) -> float:
    """Seconds from the command to the served page."""
    begin = time.monotonic()
    with served(folder) as platform:
        assert platform.address
        return time.monotonic() - begin


def main() -> None:
    with state_folder() as folder:
        print(f"first start  {started(folder):6.2f} s")
        again = time.monotonic()
        with served(folder) as platform:
            print(f"second start {time.monotonic() - again:6.2f} s   goal 5 s")
            print(f"idle memory  {idle_mb(folder, platform):6.0f} MB  goal 700 MB", flush=True)
            candidate = candidate_of(platform)
            measure(candidate, "run", RUNS, "goal p95 10 s")
            measure(candidate, "submit", SUBMITS, "goal p95 40 s")


if __name__ == "__main__":
    main()
