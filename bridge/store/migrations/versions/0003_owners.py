"""The processes that lease lanes, and the latest end of a send."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add processes; a lane that is leased now becomes free when its lease ends."""
    op.create_table(
        "processes",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lock", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    send_until = sa.Column("send_until", sa.BigInteger(), server_default="0", nullable=False)
    op.add_column("lanes", send_until)
    op.execute("UPDATE lanes SET send_until = lease_until")
