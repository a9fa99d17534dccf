"""The position of a delivery in its lane, and the spools that are not drained yet."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OPEN = sa.text("state IN ('queued','sending','retrying','in_doubt','parked')")


def upgrade() -> None:
    """Add positions; open deliveries keep their order."""
    op.create_table(
        "spools",
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("oldest", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("process"),
    )
    place = sa.Column("place", sa.BigInteger(), server_default="0", nullable=False)
    op.add_column("deliveries", place)
    op.execute("UPDATE deliveries SET place = created")
    op.drop_index("deliveries_open", "deliveries")
    op.create_index(
        "deliveries_open",
        "deliveries",
        ["lane", "place", "id"],
        unique=False,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
