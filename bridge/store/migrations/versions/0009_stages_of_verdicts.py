"""Which stage made each verdict."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the stage; earlier verdicts keep "". Neither database rewrites the table for it."""
    op.add_column("verdicts", sa.Column("stage", sa.Text(), server_default="", nullable=False))
