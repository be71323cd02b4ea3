"""The decision guide's companies, team assessments and milestones."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = ("guide_milestone", "guide_rater", "guide_assessment", "guide_company")


def upgrade() -> None:
    script = Path(__file__).with_name("0002_guide.sql").read_text()
    op.get_bind().connection.driver_connection.execute(script)


def downgrade() -> None:
    op.execute(f"DROP TABLE {', '.join(TABLES)}")
    op.execute("DROP FUNCTION guide_milestone_stays()")
