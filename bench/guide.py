"""The decision guide: how long one full evaluation takes, and how often it is right.

python -m bench.guide
"""

import statistics
import time

from decision_guide import Answers, evaluate, load_model
from decision_guide.cases import load_cases, load_twins
from decision_guide.tables import hit_rates

REPEATS = 15
TARGET_MS = 150


def cpu_ms(answers: Answers) -> float:
    """CPU milliseconds of one evaluation with 10,000 draws and all flips."""
    start = time.process_time()
    evaluate(MODEL, answers)
    return (time.process_time() - start) * 1000


MODEL = load_model()


def main() -> None:
    cases = load_cases(MODEL)
    sets = {
        "nothing answered": Answers(),
        "known facts of a case": cases[0].known,
        "a complete case": max(cases, key=lambda c: len(c.answers.given)).answers,
    }
    for answers in sets.values():
        cpu_ms(answers)
    print(f"one evaluation, CPU ms (target {TARGET_MS}):")
    for name, answers in sets.items():
        times = [cpu_ms(answers) for _ in range(REPEATS)]
        print(f"  {name:<24} median {statistics.median(times):5.0f}  worst {max(times):5.0f}")
    twins = load_twins(MODEL)
    moved = sum(twin.flips(MODEL) for twin in twins)
    print(f"\ntwins that move as they must: {moved} of {len(twins)}\n")
    print(hit_rates(MODEL))


if __name__ == "__main__":
    main()
