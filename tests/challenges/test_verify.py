from typing import Any

import pytest

from challenges import catalogue
from challenges.catalogue import CatalogueError
from challenges.verify import (
    Matrix,
    Mistake,
    Solution,
    Trial,
    choose,
    judge,
    read_mistake,
    solutions,
    table,
    to_json,
)
from graders.spec import Submission

CHALLENGE = catalogue.load("idempotent_consumer")
MISTAKE = Mistake("forgets", "EFF-2", "restart", ("EFF-6",))
GOOD = Solution("good", Submission({"main.py": ""}), None)
BAD = Solution("bad", Submission({"main.py": ""}), MISTAKE)


def report(**verdicts: str) -> dict[str, Any]:
    """A report in which each check has its verdict in the scenario `restart` alone."""
    return {
        "timing": {"total_s": 1.0},
        "problems": [],
        "checks": [
            {
                "id": id.replace("_", "-"),
                "verdict": verdict,
                "scenarios": [
                    {"name": "steady", "verdict": "PASS"},
                    {"name": "restart", "verdict": verdict},
                ],
            }
            for id, verdict in verdicts.items()
        ],
    }


def test_an_accepted_solution_passes_everything() -> None:
    assert judge(GOOD, 1, report(EFF_1="PASS", EFF_2="PASS")).deviations == []


@pytest.mark.parametrize("verdict", ["FAIL", "WARN", "INCONCLUSIVE", "HARNESS_ERROR"])
def test_an_accepted_solution_with_any_other_verdict_deviates(verdict: str) -> None:
    trial = judge(GOOD, 1, report(EFF_1="PASS", EFF_2=verdict))
    assert trial.deviations == [f"EFF-2 is {verdict} in restart"]


def test_a_rejected_solution_fails_its_check_and_companions() -> None:
    verdicts = report(EFF_1="INCONCLUSIVE", EFF_2="FAIL", EFF_6="FAIL")
    assert judge(BAD, 1, verdicts).deviations == []


def test_a_rejected_solution_that_survives_deviates() -> None:
    (deviation,) = judge(BAD, 1, report(EFF_2="PASS")).deviations
    assert deviation == "EFF-2 is PASS in restart, which must expose it"


def test_a_rejected_solution_must_be_exposed_by_its_own_scenario() -> None:
    verdicts = report(EFF_2="FAIL")
    steady, restart = verdicts["checks"][0]["scenarios"]
    steady["verdict"], restart["verdict"] = "FAIL", "PASS"
    (deviation,) = judge(BAD, 1, verdicts).deviations
    assert deviation == "EFF-2 is PASS in restart, which must expose it"


def test_a_solution_that_was_not_started_deviates() -> None:
    refused = report(LIV_1="FAIL") | {"problems": ["main.py:1: ..."], "timing": {}}
    refused |= {"headline": "The program was not started: main.py:1: ..."}
    assert judge(BAD, 1, refused).deviations == [refused["headline"]]


def test_a_rejected_solution_killed_by_an_unrelated_check_deviates() -> None:
    (deviation,) = judge(BAD, 1, report(EFF_2="FAIL", LIV_1="FAIL")).deviations
    assert deviation == "LIV-1 is FAIL in restart, which is not its mistake"


def matrix(*verdicts: str) -> Matrix:
    trials = [
        Trial("bad", seed, {"EFF-2": verdict}, [] if verdict == "FAIL" else ["survived"], 1.0)
        for seed, verdict in enumerate(verdicts, 1)
    ]
    return Matrix("x", ["EFF-2"], [BAD], trials)


def test_flips_are_verdicts_other_than_the_usual_one() -> None:
    assert matrix("FAIL", "FAIL", "FAIL").flips == 0
    assert matrix("FAIL", "PASS", "FAIL").flips == 1
    assert matrix().flips == 0


def test_the_table_counts_where_trials_disagree() -> None:
    assert table(matrix("FAIL", "FAIL")).splitlines()[1] == "bad  [✗]"
    assert table(matrix("FAIL", "PASS", "FAIL")).splitlines()[1] == "bad  [✗2 ✓1]"


def test_the_json_names_deviations_with_their_seed() -> None:
    data = to_json(matrix("FAIL", "PASS"))
    assert data["deviations"] == ["bad (seed 2): survived"]
    assert data["solutions"] == [
        {
            "name": "bad",
            "mistake": {
                "mistake": "forgets",
                "check": "EFF-2",
                "scenario": "restart",
                "companions": ("EFF-6",),
            },
        }
    ]


def test_known_solutions_hold_their_program_alone() -> None:
    found = solutions(CHALLENGE)
    assert sum(s.mistake is None for s in found) >= 5
    assert sum(s.mistake is not None for s in found) >= 12
    assert all("expect.toml" not in s.submission.files for s in found)
    assert all(s.submission.problems() == [] for s in found)


def test_every_check_of_effects_kills_a_rejected_solution() -> None:
    killers = {s.mistake.check for s in solutions(CHALLENGE) if s.mistake}
    assert {"EFF-1", "EFF-2", "EFF-3", "EFF-4", "EFF-6", "COM-2", "COM-3", "LIV-1"} <= killers


def test_an_unknown_solution_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match="bad"):
        choose([GOOD, BAD], ["ugly"])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('mistake = "m"\ncheck = "EFF-1"', "'scenario' is missing"),
        ('mistake = "m"\ncheck = "EFF-99"\nscenario = "zombie"', "'EFF-99'"),
        ('mistake = "m"\ncheck = "EFF-1"\nscenario = "nowhere"', "'nowhere'"),
        (
            'mistake = "m"\ncheck = "EFF-1"\nscenario = "zombie"\ncompanions = ["EFF-0"]',
            "'EFF-0'",
        ),
    ],
)
def test_a_slip_in_an_expectation_is_named(tmp_path, text: str, complaint: str) -> None:
    file = tmp_path / "expect.toml"
    file.write_text(text)
    with pytest.raises(CatalogueError) as error:
        read_mistake(file, CHALLENGE)
    assert complaint in str(error.value)
    assert str(file) in str(error.value)
