"""The instant of the record's state in each event, and the deliveries that are sent late."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; events stored before have no known state and make nothing stale."""
    for name in ("as_of", "change_id"):
        column = sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
        op.add_column("events", column)
    op.drop_index("events_of_record", "events")
    op.create_index(
        "events_of_record", "events", ["record", "site", "as_of", "change_id", "id"], unique=False
    )
    op.add_column(
        "deliveries",
        sa.Column("late", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
