"""From the candidate's click to output and verdict, over HTTP, on a served platform.

Prints numbers, asserts none. Run it by `make bench`, on a machine that does nothing else.
"""

import re
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' candidate and platform

from tests.browser.served import Platform, served, state_folder
from tests.resilience.candidate import Candidate

RUNS, SUBMITS = 20, 5
SOLUTION = "accepted/transaction_per_event"


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not exceed, by the nearest rank."""
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


def show(what: str, values: list[float], goal: str) -> None:
    median = statistics.median(values)
    print(f"{what:34} median {median:6.2f} s   p95 {p95(values):6.2f} s   {goal}", flush=True)


def one_run(candidate: Candidate, kind: str) -> tuple[float, float, str]:
    """Seconds to the first output of the program, to the verdict, and the verdict."""
    clicked = time.monotonic()
    run = candidate.start(kind)
    first_output = judged = None
    for event in candidate.watch(run["events_url"]):
        if event.kind == "output" and first_output is None:
            first_output = event.at - clicked
        if event.kind == "state" and "verdict" in event.data:
            judged = event.at - clicked
    return first_output, judged, candidate.verdict(run["report_url"])


def measure(candidate: Candidate, kind: str, many: int, goal: str) -> None:
    found = [one_run(candidate, kind) for _ in range(many)]
    outputs, judged, verdicts = zip(*found, strict=True)
    show(f"{kind}: first output", list(outputs), "goal p95 1 s")
    show(f"{kind}: verdict", list(judged), goal)
    print(f"  {many} verdicts: {', '.join(sorted(set(verdicts)))}", flush=True)


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
            candidate = candidate_of(platform)
            measure(candidate, "run", RUNS, "goal p95 10 s")
            measure(candidate, "submit", SUBMITS, "goal p95 40 s")


if __name__ == "__main__":
    main()
