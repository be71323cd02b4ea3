"""Asking for runs: queued in the transaction, one at a time, not too many, stoppable."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from webapp.grading import leases
from webapp.runs import services
from webapp.runs.models import Kind, Run, RunEvent, State, Verdict
from webapp.workspace.models import Attempt

WAITING_JOBS = text("SELECT args->>'run_id' FROM procrastinate_jobs WHERE status = 'todo'")


def ask(world, kind="run", revision=1):
    path = f"/attempts/{world.attempt_a}/runs"
    return world.a.post(path, json={"kind": kind, "revision": revision})


def test_a_run_is_queued_with_the_files_as_they_are(world, session):
    answer = ask(world)
    run = session.get(Run, answer.json["run"]["id"])
    assert (answer.status_code, run.state, run.number) == (201, State.QUEUED, 1)
    assert "main.py" in run.files
    assert answer.json["run"]["position"] == 1
    assert session.scalars(WAITING_JOBS).all() == [run.id]


def test_the_seed_is_known_for_run_and_secret_for_submit(world, session):
    run = session.get(Run, ask(world).json["run"]["id"])
    assert run.seed == services.VISIBLE_SEED
    world.a.post(f"/runs/{run.id}/cancel")
    answer = ask(world, "submit")
    submit = session.get(Run, answer.json["run"]["id"])
    assert submit.seed != services.VISIBLE_SEED
    assert str(submit.seed) not in answer.text
    assert str(submit.seed) not in world.a.get(answer.json["report_url"]).text


def test_the_job_stands_and_falls_with_the_run(committed):
    """I7: of a transaction that is rolled back, neither is left; of a committed one, both."""
    with committed.sessions() as db:
        attempt = db.get(Attempt, committed.attempt)
        services.start(db, attempt, attempt.workspace, Kind.RUN)
        db.rollback()
        assert (db.scalars(select(Run)).all(), db.scalars(WAITING_JOBS).all()) == ([], [])
    run_id = committed.run()
    with committed.sessions() as db:
        assert db.scalars(WAITING_JOBS).all() == [run_id]


def test_only_an_id_is_queued(world, session):
    """I10: the worker reads what is true when it starts."""
    run_id = ask(world).json["run"]["id"]
    queued = session.scalar(text("SELECT args FROM procrastinate_jobs"))
    assert queued == {"run_id": run_id}


def test_one_run_at_a_time(world):
    first = ask(world).json["run"]["id"]
    second = ask(world)
    assert (second.status_code, second.json["error"]) == (409, "run-in-progress")
    assert second.json["run"]["id"] == first


def test_a_run_of_files_that_are_not_saved_is_refused(world):
    answer = ask(world, revision=2)
    assert (answer.status_code, answer.json["error"], answer.json["revision"]) == (
        409,
        "conflict",
        1,
    )


@pytest.mark.parametrize("kind", [None, "", "RUN", 1, []])
def test_an_unknown_kind_is_refused(world, kind):
    assert ask(world, kind).status_code == 400


def test_the_hour_has_a_limit(world, session):
    for _ in range(services.PER_WINDOW[Kind.SUBMIT]):
        run_id = ask(world, "submit").json["run"]["id"]
        world.a.post(f"/runs/{run_id}/cancel")
    refused = ask(world, "submit")
    assert (refused.status_code, refused.json["error"]) == (429, "too-many-runs")
    assert int(refused.headers["Retry-After"]) <= services.WINDOW.total_seconds()
    assert ask(world).status_code == 201
    world.a.post(f"/runs/{session.scalar(select(Run.id).where(Run.kind == 'run'))}/cancel")
    session.execute(update(Run).values(created_at=Run.created_at - timedelta(hours=1)))
    session.commit()
    assert ask(world, "submit").status_code == 201


def test_the_place_in_the_queue(world, session):
    ask(world)
    path = f"/attempts/{world.attempt_b}/runs"
    other = world.b.post(path, json={"kind": "run", "revision": 1}).json["run"]
    assert other["position"] == 2
    leases.claim(session, session.scalar(WAITING_JOBS), "w")
    assert services.position(session, session.get(Run, other["id"])) == 1


def test_a_stopped_run_is_over_and_the_next_can_start(world, session):
    run_id = ask(world).json["run"]["id"]
    assert world.a.post(f"/runs/{run_id}/cancel").json["run"]["state"] == "cancelled"
    assert world.a.post(f"/runs/{run_id}/cancel").json["run"]["state"] == "cancelled"
    assert leases.claim(session, run_id, "w") is None
    assert ask(world).status_code == 201


def test_a_judged_run_cannot_be_stopped(world, judged, session):
    assert world.a.post(f"/runs/{judged}/cancel").json["run"]["state"] == "done"


def test_the_report_says_what_was_found(world, judged):
    assert world.a.get(f"/runs/{judged}/report.json").json["verdict"] == "FAIL"


def test_a_run_without_verdict_has_no_report(world):
    answer = ask(world).json
    assert world.a.get(f"{answer['report_url']}.json").status_code == 404
    assert world.a.get(answer["report_url"]).status_code == 200


def test_regrading_keeps_the_old_verdict(world, judged, session):
    """I6: a new grading version, and both verdicts stay."""
    world.interviewer.post(f"/runs/{judged}/regrade")
    run = session.get(Run, judged)
    assert (run.state, run.grading_version, run.verdict) == (State.QUEUED, 2, None)
    lease = leases.claim(session, judged, "w")
    leases.record(session, lease, {"verdict": "PASS", "score": 1.0, "checks": []}, "h")
    session.expire_all()
    verdicts = session.scalars(select(Verdict.verdict).order_by(Verdict.grading_version))
    assert verdicts.all() == ["FAIL", "PASS"]
    assert session.get(Run, judged).verdict == "PASS"


def test_a_run_in_progress_is_not_regraded(world, session):
    run_id = ask(world).json["run"]["id"]
    answer = world.interviewer.post(f"/runs/{run_id}/regrade", follow_redirects=True)
    assert "not finished" in answer.text
    assert session.get(Run, run_id).grading_version == 1


def test_events_count_from_one(world, session):
    run_id = ask(world).json["run"]["id"]
    world.a.post(f"/runs/{run_id}/cancel")
    events = session.execute(
        select(RunEvent.seq, RunEvent.payload["state"].astext).order_by(RunEvent.seq)
    )
    assert events.all() == [(1, "queued"), (2, "cancelled")]


def test_only_the_interviewer_sees_rubric_and_files(world, judged, session):
    candidate = world.a.get(f"/runs/{judged}/report").text
    interviewer = world.interviewer.get(f"/runs/{judged}/report").text
    assert "The rubric of this challenge" in interviewer
    assert "The rubric of this challenge" not in candidate
    fragment = world.a.get(f"/runs/{judged}/report?part=checks")
    assert fragment.status_code == 200
    assert "<html" not in fragment.text
