"""The decision guide: how long one full evaluation takes, and how often it is right.

python -m bench.guide
"""

import statistics
import time
from collections.abc import Callable

from decision_guide import Answers, Model, evaluate, load_model, outline
from decision_guide.cases import load_cases, load_twins
from decision_guide.tables import hit_rates

REPEATS = 15
TARGET_MS, OUTLINE_TARGET_MS = 150, 50


MODEL = load_model()


def cpu_ms(what: Callable[[Model, Answers], object], answers: Answers) -> float:
    """CPU milliseconds of one `what` with 10,000 draws."""
    start = time.process_time()
    what(MODEL, answers)
    return (time.process_time() - start) * 1000


def show(what: Callable[[Model, Answers], object], sets: dict[str, Answers]) -> None:
    for name, answers in sets.items():
        times = [cpu_ms(what, answers) for _ in range(REPEATS + 1)][1:]
        print(f"  {name:<24} median {statistics.median(times):5.0f}  worst {max(times):5.0f}")


def main() -> None:
    cases = load_cases(MODEL)
    sets = {
        "nothing answered": Answers(),
        "known facts of a case": cases[0].known,
        "a complete case": max(cases, key=lambda c: len(c.answers.given)).answers,
    }
    print(f"one evaluation with all flips, CPU ms (target {TARGET_MS}):")
    show(evaluate, sets)
    print(f"one outline for the strip, CPU ms (target {OUTLINE_TARGET_MS}):")
    show(outline, sets)
    twins = load_twins(MODEL)
    moved = sum(twin.flips(MODEL) for twin in twins)
    print(f"\ntwins that move as they must: {moved} of {len(twins)}\n")
    print(hit_rates(MODEL))


if __name__ == "__main__":
    main()
