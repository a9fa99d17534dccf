"""The watermark of spools that are being drained: up to which place no event is missing.

After an outage each process drains its own spool, some sooner than others. An event that one
process keeps meanwhile must not be sent before what another process still has in its spool.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, func, or_, select

from bridge.store import schema as t
from bridge.store.database.statements import upsert

#: After how long without a new watermark a process no longer counts: it is gone, and its spool
#: waits for the next process.
STALE_AFTER_MS = 30_000
#: How soon a head is looked at again that was received after the watermark.
LOOK_AGAIN_MS = 200

#: The watermark: from this place on, events may be missing; NULL: none are. Needs `b_fresh`.
DRAINED = (
    select(func.min(t.spools.c.oldest))
    .where(t.spools.c.at > bindparam("b_fresh"))
    .scalar_subquery()
)


def publish(conn: Connection, now: int, process: str, oldest: int) -> None:
    """Publish that a process still has events in its spool, received from `oldest` on, in ms."""
    rows = upsert(conn, t.spools).values(process=process, oldest=oldest, at=now)
    changed = {"oldest": rows.excluded.oldest, "at": rows.excluded.at}
    conn.execute(rows.on_conflict_do_update(index_elements=[t.spools.c.process], set_=changed))


def clear(conn: Connection, now: int, process: str) -> None:
    """Publish that the spool of a process is empty; the rows of processes that are gone go, too."""
    gone = t.spools.c.at <= now - STALE_AFTER_MS
    conn.execute(delete(t.spools).where(or_(t.spools.c.process == process, gone)))
