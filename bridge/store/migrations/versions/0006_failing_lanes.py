"""Which lanes fail, and what the breaker of a destination knows."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_READY = sa.text("next_at IS NOT NULL AND failures = 0")
_FAILING = sa.text("failures > 0")
_RETRYING = sa.text("failures > 0 AND lease_until > 0")


def _number(name: str, kind: type[sa.Integer] = sa.BigInteger) -> "sa.Column[int]":
    return sa.Column(name, kind(), server_default="0", nullable=False)


def upgrade() -> None:
    """Let every lane begin anew, and close what breakers are open; a pause asked for holds."""
    op.add_column("lanes", _number("failures", sa.Integer))
    op.add_column("lanes", _number("failing_since"))
    op.drop_index("lanes_ready", "lanes")
    for name, last, where in (
        ("lanes_ready", "next_at", _READY),
        ("lanes_failing", "next_at", _FAILING),
        ("lanes_retrying", "owner", _RETRYING),
    ):
        op.create_index(
            name,
            "lanes",
            ["destination", last],
            unique=False,
            sqlite_where=where,
            postgresql_where=where,
        )
    op.add_column("destinations", _number("failing_since"))
    op.add_column("destinations", _number("opened"))
    op.add_column("destinations", _number("closed"))
    op.add_column("destinations", _number("probes", sa.Integer))
    for name in ("probed", "probe", "newcomer_at", "anyone_at"):
        op.add_column("destinations", _number(name))
    op.execute("UPDATE destinations SET failures = 0")
