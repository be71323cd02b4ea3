"""What is told to candidates about their data is done."""

from datetime import timedelta

from sqlalchemy import func, select, update

from webapp import retention
from webapp.db import utc_now
from webapp.invites.models import Invite
from webapp.models import Base
from webapp.runs.models import Run
from webapp.workspace.models import Attempt

STAYS = {"audit_event", "interviewer", "login_attempt"}


def grow_old(session, attempt):
    long_ago = utc_now() - timedelta(days=retention.RETENTION_DAYS + 1)
    session.execute(update(Attempt).where(Attempt.id == attempt).values(started_at=long_ago))


def test_an_old_attempt_goes_with_all_that_is_of_it(world, judged, session):
    path = f"/attempts/{world.attempt_a}/files"
    world.a.put(path, json={"files": {"main.py": "1"}, "base": 1})
    world.a.put(path, json={"files": {"main.py": "2"}, "base": 1})
    session.expire_all()
    grow_old(session, world.attempt_a)
    grow_old(session, world.attempt_b)
    retention.erase_old(session)
    for table in Base.metadata.sorted_tables:
        if table.name not in STAYS and table.name != "browser_session":
            assert session.scalar(select(func.count()).select_from(table)) == 0, table.name
    assert world.a.get(f"/attempts/{world.attempt_a}").status_code == 404


def test_what_is_not_old_stays(world, judged, session):
    grow_old(session, world.attempt_b)
    retention.erase_old(session)
    assert session.scalars(select(Attempt.id)).all() == [world.attempt_a]
    assert session.scalars(select(Run.id)).all() == [judged]


def test_an_invite_nobody_used_goes_after_as_long(world, invite, session):
    invite()
    long_ago = utc_now() - timedelta(days=retention.RETENTION_DAYS + 1)
    unused = Invite.attempt_id.is_(None)
    session.execute(update(Invite).where(unused).values(expires_at=long_ago))
    retention.erase_old(session)
    assert session.scalars(select(Invite.id).where(unused)).all() == []


def test_histories_of_runs_that_are_gone_go(world, judged, session, tmp_path):
    for name in (judged, "gone"):
        (tmp_path / name / "1-token").mkdir(parents=True)
    retention.erase_orphans(session, tmp_path)
    assert [folder.name for folder in tmp_path.iterdir()] == [judged]
