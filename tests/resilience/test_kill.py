"""Parts of a served platform are killed while it grades: the run is judged, recorded once, right.

I1 and I2 of the grading job, with real processes.
"""

import os
import signal

import pytest

pytestmark = pytest.mark.services

KAFKA = b"kafka.Kafka"
DATABASES = b"/scratch/database-"


def judged_through(candidate, disaster) -> list[str]:
    """Run, let the disaster happen at the first sign of a scenario, and see it through.

    Returns the kinds of the events; the verdict must be the one of an undisturbed run.
    """
    run = candidate.start()
    kinds = []
    for event in candidate.watch(run["events_url"]):
        if event.kind == "story" and "story" not in kinds:
            disaster()
        kinds.append(event.kind)
    assert "story" in kinds
    assert candidate.verdict(run["report_url"]) == "PASS"
    return kinds


def recorded(query) -> tuple[int, int]:
    """Tries and verdicts of the last run."""
    return query(
        "SELECT tries, (SELECT count(*) FROM verdict WHERE run_id = run.id)"
        " FROM run ORDER BY created_at DESC LIMIT 1"
    )[0]


def test_a_killed_worker(candidate, kill, query):
    kinds = judged_through(candidate, lambda: kill(b"webapp.cli\0worker"))
    assert "resync" in kinds
    assert recorded(query) == (2, 1)


def test_a_killed_broker(candidate, kill, query):
    judged_through(candidate, lambda: kill(KAFKA))
    assert recorded(query)[1] == 1


def test_a_killed_web_server(candidate, platform, query):
    judged_through(candidate, platform.kill_web)
    assert recorded(query) == (1, 1)


def test_a_killed_database_server_of_the_programs(candidate, kill, query):
    judged_through(candidate, lambda: kill(DATABASES))
    assert recorded(query)[1] == 1


def test_a_killed_database_server_of_the_platform(candidate, state, query):
    pid_file = state / "postgres" / "platform" / "data" / "postmaster.pid"
    server = int(pid_file.read_text().splitlines()[0])
    judged_through(candidate, lambda: os.kill(server, signal.SIGKILL))
    assert recorded(query)[1] == 1
