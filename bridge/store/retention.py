"""Retention: rows expire after some days, and one process at a time deletes them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Table, and_, delete, exists, or_, select, tuple_, update
from sqlalchemy.sql import ColumnElement

from bridge.store import schema as t
from bridge.store.database.clocks import wall
from bridge.store.database.statements import insert_or_ignore
from bridge.store.inbox import origins
from bridge.store.queue.lanes import lane_name

_DAY_MS = 24 * 3600 * 1000
#: How many rows are deleted in one transaction, so that no writer waits long.
PURGE_BATCH = 500
#: How long a periodic job belongs to the process that took its lock, in ms.
JOB_LEASE_MS = 30 * 60 * 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """How many days each kind of row is kept."""

    #: The bodies of events.
    bodies: int
    #: Events with their verdicts, deliveries and attempts.
    decisions: int
    #: The claims and sightings of effects, by which a duplicate is recognized.
    effects: int


def purge_expired(conn: Connection, now: int, keep: Retention) -> int:
    """Delete a batch of expired rows; returns how many rows, 0 once none is left.

    An event with an open delivery does not expire, and no claim expires before its event.
    """
    today = wall(now)
    count = _purge_bodies(conn, today - keep.bodies * _DAY_MS)
    count += _purge_events(conn, now, today - keep.decisions * _DAY_MS)
    limit = today - max(keep.effects, keep.decisions) * _DAY_MS
    for table in (t.claims, t.sightings):
        count += _purge(conn, table, and_(table.c.at < limit, ~_is_open(table.c.event)))
    return count + _purge(conn, t.origins, t.origins.c.seen < now - origins.FRESH_MS)


def _is_open(event: ColumnElement[str] = t.events.c.id) -> ColumnElement[bool]:
    d = t.deliveries.c
    return exists().where(d.event == event, d.state.in_(t.OPEN))


def _purge_bodies(conn: Connection, limit: int) -> int:
    e = t.events.c
    expired = (
        select(e.id)
        .where(e.received < limit, e.body.is_not(None), ~_is_open())
        .order_by(e.id)
        .limit(PURGE_BATCH)
    )
    return conn.execute(update(t.events).where(e.id.in_(expired)).values(body=None)).rowcount


def _purge_events(conn: Connection, now: int, limit: int) -> int:
    e, d = t.events.c, t.deliveries.c
    expired = select(e.id).where(e.received < limit, ~_is_open()).order_by(e.id)
    ids = conn.scalars(expired.limit(PURGE_BATCH)).all()
    if not ids:
        return 0
    of_them = select(e.record, e.site).where(e.id.in_(ids)).distinct()
    records = {(row.record, row.site) for row in conn.execute(of_them)}
    deliveries = select(d.id).where(d.event.in_(ids))
    conn.execute(delete(t.attempts).where(t.attempts.c.delivery.in_(deliveries)))
    for table in (t.deliveries, t.verdicts, t.actions):
        conn.execute(delete(table).where(table.c.event.in_(ids)))
    count = conn.execute(delete(t.events).where(e.id.in_(ids))).rowcount
    _purge_lanes(conn, now, records)
    return count


def _purge_lanes(conn: Connection, now: int, records: set[tuple[str, str]]) -> None:
    """Delete idle lanes of records, given as (record, site), of which no event is left.

    With the lane goes its fence, which no worker holds any more.
    """
    e, lane = t.events.c, t.lanes.c
    left = select(e.record, e.site).where(tuple_(e.record, e.site).in_(sorted(records))).distinct()
    gone = records - {(row.record, row.site) for row in conn.execute(left)}
    conn.execute(
        delete(t.lanes).where(
            lane.destination.in_(conn.scalars(select(t.destinations.c.name)).all()),
            lane.record.in_([lane_name(site, record) for record, site in sorted(gone)]),
            lane.next_at.is_(None),
            lane.blocked.is_(False),
            lane.lease_until < now,
        )
    )


def _purge(conn: Connection, table: Table, expired: ColumnElement[bool]) -> int:
    key = tuple_(*table.primary_key.columns)
    found = select(*table.primary_key.columns).where(expired).limit(PURGE_BATCH)
    return conn.execute(delete(table).where(key.in_(found))).rowcount


def acquire_job_lock(conn: Connection, now: int, name: str, owner: str) -> bool:
    """Take the lock of a periodic job for a process; False while another process has it."""
    conn.execute(insert_or_ignore(conn, t.jobs), [{"name": name, "owner": "", "until": 0}])
    taken = conn.execute(
        update(t.jobs)
        .where(t.jobs.c.name == name, or_(t.jobs.c.until <= now, t.jobs.c.owner == owner))
        .values(owner=owner, until=now + JOB_LEASE_MS)
    )
    return taken.rowcount == 1
