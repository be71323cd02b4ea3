"""The first schema, with Procrastinate's own (3.10) beside it.

A later Procrastinate brings its changes as files in its package; a migration here applies them.
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

FOLDER = Path(__file__).parent
TABLES = (
    *("verdict", "run_event", "workspace", "run", "kept_copy", "invite", "browser_session"),
    *("login_attempt", "interviewer", "audit_event", "attempt"),
)
PROCRASTINATE = """
DO $$ DECLARE thing record; BEGIN
    DROP TABLE procrastinate_events, procrastinate_periodic_defers, procrastinate_jobs,
        procrastinate_workers CASCADE;
    FOR thing IN SELECT oid::regprocedure AS name FROM pg_proc
        WHERE proname LIKE 'procrastinate\\_%' AND pronamespace = current_schema::regnamespace
    LOOP EXECUTE 'DROP FUNCTION ' || thing.name; END LOOP;
    DROP TYPE procrastinate_job_status, procrastinate_job_event_type,
        procrastinate_job_to_defer_v1 CASCADE;
END $$
"""


def upgrade() -> None:
    execute((FOLDER / "0001_procrastinate_3_10.sql").read_text())
    execute((FOLDER / "0001_first.sql").read_text())


def downgrade() -> None:
    execute(f"DROP TABLE {', '.join(TABLES)}")
    execute("DROP FUNCTION audit_event_stays()")
    execute(PROCRASTINATE)


def execute(script: str) -> None:
    """Run a script of several statements, in which a % means itself."""
    op.get_bind().connection.driver_connection.execute(script)
