"""Which destinations go by another name now."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the name a destination goes by; none was renamed so far."""
    renamed_to = sa.Column("renamed_to", sa.Text(), server_default="", nullable=False)
    op.add_column("destinations", renamed_to)
