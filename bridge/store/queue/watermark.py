"""Spools that are being drained: until how far what was received is in the database.

After an outage each process drains its own spool, some sooner than others. What one of them keeps
meanwhile must not be sent before what another one still has in its spool.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, func, or_, select

from bridge.store import schema as t
from bridge.store.database.statements import upsert

#: How long a process counts that says nothing more, in ms: it is gone, and its spool waits for
#: the next one.
PATIENCE = 30_000
#: How soon a head is looked at again that was received after what is still drained, in ms.
AGAIN = 200

#: From where on something may still be missing; NULL: nothing is. Asks for `b_fresh`.
DRAINED = (
    select(func.min(t.spools.c.oldest))
    .where(t.spools.c.at > bindparam("b_fresh"))
    .scalar_subquery()
)


def tell(conn: Connection, now: int, process: str, oldest: int) -> None:
    """Let others know that a process still has what was received from `oldest` on, in ms."""
    rows = upsert(conn, t.spools).values(process=process, oldest=oldest, at=now)
    changed = {"oldest": rows.excluded.oldest, "at": rows.excluded.at}
    conn.execute(rows.on_conflict_do_update(index_elements=[t.spools.c.process], set_=changed))


def end(conn: Connection, now: int, process: str) -> None:
    """Let others know that a spool is empty; those of processes that are gone go with it."""
    gone = t.spools.c.at <= now - PATIENCE
    conn.execute(delete(t.spools).where(or_(t.spools.c.process == process, gone)))
