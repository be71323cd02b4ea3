"""The invariants of a grading job (docs/architecture.md), against a real PostgreSQL.

The numbers are those of the contract: I2 at most one verdict, I3 one guarded transaction, I4 work
may run twice, I5 three tries, I7 the queue is only a hint, I8 leases by the database's clock, I9 a
stopping worker hands back. I6 and I10 are in test_runs.py, I1 with real processes in
tests/resilience.
"""

import os
import subprocess
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.audit import AuditEvent, Tag
from webapp.grading import leases
from webapp.grading.whereabouts import own_name
from webapp.runs.models import Run, RunEvent, State, Verdict

PASS = {"verdict": "PASS", "score": 1.0, "checks": []}
FAIL = {"verdict": "FAIL", "score": 0.0, "checks": []}


@pytest.fixture
def run_id(world) -> str:
    return world.run()["run"]["id"]


def take_job(db: Session) -> None:
    """What Procrastinate does when a worker fetches a job."""
    db.execute(text("UPDATE procrastinate_jobs SET status = 'doing' WHERE status = 'todo'"))


def die(db: Session) -> None:
    """Let every lease run out, as if its holder were gone."""
    db.execute(update(Run).values(leased_until=func.now() - timedelta(seconds=1)))
    db.expire_all()


def waiting(db: Session) -> list[str]:
    query = "SELECT args->>'run_id' FROM procrastinate_jobs WHERE status = 'todo'"
    return list(db.scalars(text(query)))


def test_a_run_is_claimed_once(session, run_id):
    assert leases.claim(session, run_id, "first")
    assert leases.claim(session, run_id, "second") is None


def test_a_lease_carries_what_is_to_be_judged(session, run_id):
    lease = leases.claim(session, run_id, "w")
    assert (lease.challenge, lease.language, lease.tries) == ("idempotent_consumer", "python", 1)
    assert "main.py" in lease.files
    assert lease.queued_s >= 0


def test_verdict_end_and_audit_are_written_together(session, run_id):
    """I3"""
    lease = leases.claim(session, run_id, "w")
    assert leases.record(session, lease, PASS, "h")
    run = session.get(Run, run_id)
    assert (run.state, run.verdict, run.lease_token) == (State.DONE, "PASS", None)
    audited = session.scalars(select(AuditEvent).where(AuditEvent.tag == Tag.VERDICT_RECORDED))
    assert audited.one().target == f"run:{run_id}"


def test_a_late_worker_changes_nothing(session, run_id):
    """I3, I4: the lease ran out, another worker judged; the first one's word is dropped."""
    late = leases.claim(session, run_id, "late")
    die(session)
    assert leases.sweep(session) == [run_id]
    second = leases.claim(session, run_id, "second")
    assert not leases.extend(session, late)
    assert not leases.add_events(session, late, [("story", {"text": "late"})])
    assert not leases.record(session, late, FAIL, "h")
    leases.fail(session, late, "late")
    leases.release(session, late)
    assert leases.record(session, second, PASS, "h")
    assert not leases.record(session, late, FAIL, "h")
    assert session.scalars(select(Verdict.verdict)).all() == ["PASS"]


def test_a_second_verdict_is_impossible(session, run_id):
    """I2: the table itself refuses it."""
    lease = leases.claim(session, run_id, "w")
    leases.record(session, lease, PASS, "h")
    twin = Verdict(
        run_id=run_id,
        grading_version=1,
        verdict="FAIL",
        report=FAIL,
        history="h",
        lease_token="x",
    )
    session.add(twin)
    with pytest.raises(IntegrityError, match="uq_verdict_run_id_grading_version"):
        session.flush()


def test_a_dead_workers_run_is_queued_again(session, run_id):
    """I1"""
    take_job(session)
    leases.claim(session, run_id, "dies")
    assert leases.sweep(session) == []
    die(session)
    assert leases.sweep(session) == [run_id]
    assert waiting(session) == [run_id]
    assert leases.claim(session, run_id, "next").tries == 2


def test_a_worker_that_died_on_this_machine_is_missed_at_once(session, run_id):
    ended = subprocess.Popen(["true"])
    name = own_name().replace(f" {os.getpid()} ", f" {ended.pid} ")
    ended.wait()
    take_job(session)
    leases.claim(session, run_id, name)
    assert leases.sweep(session) == [run_id]


@pytest.mark.parametrize("worker", [own_name(), "other/pid:[1] 1 other/1"])
def test_workers_that_live_or_are_elsewhere_are_not_missed(session, run_id, worker):
    take_job(session)
    leases.claim(session, run_id, worker)
    assert leases.sweep(session) == []


def test_a_lost_job_is_replaced(session, run_id):
    """I7: a worker that died between fetching the job and claiming the run."""
    take_job(session)
    assert leases.sweep(session) == [run_id]
    assert waiting(session) == [run_id]
    assert leases.sweep(session) == []


def test_after_three_tries_it_is_our_fault(session, run_id, world):
    """I5: never a verdict, never the candidate's fault."""
    for _ in range(leases.MAX_TRIES):
        take_job(session)
        assert leases.claim(session, run_id, "dies")
        die(session)
        leases.sweep(session)
    run = session.get(Run, run_id)
    assert (run.state, run.verdict, run.score) == (State.FAILED_INTERNAL, None, None)
    assert waiting(session) == []
    audited = select(AuditEvent.detail).where(AuditEvent.tag == Tag.RUN_GIVEN_UP)
    assert session.scalar(audited)["tries"] == 3
    last = session.scalars(select(RunEvent).order_by(RunEvent.seq.desc())).first()
    assert last.payload["text"] == leases.NOT_YOUR_FAULT


def test_a_failed_try_is_tried_again(session, run_id):
    take_job(session)
    leases.fail(session, leases.claim(session, run_id, "w"), "no broker")
    assert session.get(Run, run_id).state == State.QUEUED
    assert waiting(session) == [run_id]


def test_a_stopping_worker_hands_back_and_no_try_counts(session, run_id):
    """I9"""
    take_job(session)
    lease = leases.claim(session, run_id, "stops")
    leases.release(session, lease)
    assert waiting(session) == [run_id]
    assert leases.claim(session, run_id, "next").tries == 1


def test_an_extended_lease_is_not_swept(session, run_id):
    """I8"""
    lease = leases.claim(session, run_id, "w")
    die(session)
    assert leases.extend(session, lease)
    assert leases.sweep(session) == []


def test_a_stopped_run_ends_its_lease(session, run_id, world):
    lease = leases.claim(session, run_id, "w")
    session.commit()
    world.a.post(f"/runs/{run_id}/cancel")
    session.expire_all()
    assert not leases.extend(session, lease)
    assert not leases.record(session, lease, PASS, "h")


def test_judging_again_begins_with_a_resync(session, run_id):
    leases.claim(session, run_id, "dies")
    die(session)
    leases.sweep(session)
    leases.claim(session, run_id, "next")
    kinds = session.scalars(select(RunEvent.kind).order_by(RunEvent.seq)).all()
    assert kinds == ["state", "state", "resync", "state", "state"]


def test_the_audit_log_cannot_be_changed(session, run_id):
    with pytest.raises(Exception, match="never changed"), session.begin_nested():
        session.execute(update(AuditEvent).values(actor="nobody"))
