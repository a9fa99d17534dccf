"""Looking after what is kept: destinations, mended mappings, retention, jobs that run alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, Table, and_, delete, exists, or_, select, tuple_, update
from sqlalchemy.sql import ColumnElement

from bridge.core.breaker import Breaker
from bridge.model import State
from bridge.store import schema as t
from bridge.store.database.clocks import wall
from bridge.store.database.statements import insert_or_ignore
from bridge.store.inbox import origins
from bridge.store.inbox.write import lane_named
from bridge.store.queue.settle import hurry

_DAY = 24 * 3600 * 1000
#: How many rows are deleted in one transaction, so that no writer waits long.
SLICE = 500
#: How long a job that runs alone is its process's, in ms.
ALONE = 30 * 60 * 1000


def introduce(conn: Connection, now: int, tokens: Mapping[str, str]) -> None:
    """Make destinations known by their tokens' hashes.

    A new token ends a pause; under a name that was given up, it is another destination.
    """
    if tokens:
        rows = [{"name": name, "token_hash": hashed} for name, hashed in sorted(tokens.items())]
        conn.execute(insert_or_ignore(conn, t.destinations), rows)
    for name, hashed in sorted(tokens.items()):
        changed = conn.execute(
            update(t.destinations)
            .where(t.destinations.c.name == name, t.destinations.c.token_hash != hashed)
            .values(token_hash=hashed, paused="", renamed_to="", **asdict(Breaker()))
        )
        if changed.rowcount:
            hurry(conn, now, name)


def resume(conn: Connection, now: int, destination: str) -> bool:
    """End a destination's pause and try at once what waits there; False: there is no such one."""
    found = conn.execute(
        update(t.destinations)
        .where(t.destinations.c.name == destination)
        .values(paused="", **asdict(Breaker()))
    )
    hurry(conn, now, destination)
    return bool(found.rowcount)


def free_mended(conn: Connection, now: int, revisions: Mapping[str, str]) -> int:
    """Queue again what a mapping could not map, where that mapping was edited since."""
    d = t.deliveries.c
    parked = conn.execute(
        select(d.id, d.lane, d.route, d.revision, d.cause).where(
            d.state == State.PARKED, d.cause.in_(("mapping", "route"))
        )
    ).all()
    mended = [
        row
        for row in parked
        if row.route in revisions and (row.cause == "route" or revisions[row.route] != row.revision)
    ]
    lanes = sorted({row.lane for row in mended})
    held = select(t.lanes.c.id).where(t.lanes.c.id.in_(lanes)).order_by(t.lanes.c.id)
    conn.execute(held.with_for_update())
    for row in mended:
        requeue(conn, now, row.id, row.lane)
    return len(mended)


def requeue(conn: Connection, now: int, delivery: int, lane: int) -> None:
    """Let a blocked head be sent again; its lane goes on from there."""
    d = t.deliveries.c
    freed = conn.execute(
        update(t.deliveries)
        .where(d.id == delivery, d.state.in_((State.PARKED, State.IN_DOUBT)))
        .values(state=State.QUEUED, cause="", revision="", updated=wall(now))
    )
    if freed.rowcount:  # another process may have freed it, and sent it since
        unblock(conn, now, lane)


def unblock(conn: Connection, now: int, lane: int) -> None:
    """Let a blocked lane go on, with new patience: should it fail again, that is no surprise."""
    conn.execute(
        update(t.lanes)
        .where(t.lanes.c.id == lane, t.lanes.c.blocked.is_(True))
        .values(blocked=False, next_at=now, failures=0, failing_since=now)
    )


# Retention


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """How long things are kept, in days."""

    bodies: int
    decisions: int
    effects: int


def forget(conn: Connection, now: int, keep: Retention) -> int:
    """Delete a slice of what is over its time; returns how many rows that were, 0 at the end.

    Nothing is forgotten of an event that is still on its way, and no claim before the decisions.
    """
    today = wall(now)
    count = _drop_bodies(conn, today - keep.bodies * _DAY)
    count += _drop_events(conn, now, today - keep.decisions * _DAY)
    limit = today - max(keep.effects, keep.decisions) * _DAY
    for table in (t.claims, t.sightings):
        count += _drop(conn, table, and_(table.c.at < limit, ~_unfinished(table.c.event)))
    return count + _drop(conn, t.origins, t.origins.c.seen < now - origins.FRESH)


def _unfinished(event: ColumnElement[str] = t.events.c.id) -> ColumnElement[bool]:
    d = t.deliveries.c
    return exists().where(d.event == event, d.state.in_(t.OPEN_STATES))


def _drop_bodies(conn: Connection, limit: int) -> int:
    e = t.events.c
    old = (
        select(e.id)
        .where(e.received < limit, e.body.is_not(None), ~_unfinished())
        .order_by(e.id)
        .limit(SLICE)
    )
    return conn.execute(update(t.events).where(e.id.in_(old)).values(body=None)).rowcount


def _drop_events(conn: Connection, now: int, limit: int) -> int:
    e, d = t.events.c, t.deliveries.c
    old = select(e.id).where(e.received < limit, ~_unfinished()).order_by(e.id).limit(SLICE)
    ids = conn.scalars(old).all()
    if not ids:
        return 0
    told = select(e.record, e.site).where(e.id.in_(ids)).distinct()
    places = {(row.record, row.site) for row in conn.execute(told)}
    sent = select(d.id).where(d.event.in_(ids))
    conn.execute(delete(t.attempts).where(t.attempts.c.delivery.in_(sent)))
    for table in (t.deliveries, t.verdicts, t.actions):
        conn.execute(delete(table).where(table.c.event.in_(ids)))
    count = conn.execute(delete(t.events).where(e.id.in_(ids))).rowcount
    _drop_lanes(conn, now, places)
    return count


def _drop_lanes(conn: Connection, now: int, places: set[tuple[str, str]]) -> None:
    """Delete the lanes of (record, site) of which no event is left: no fence matters any more."""
    e, lane = t.events.c, t.lanes.c
    left = select(e.record, e.site).where(tuple_(e.record, e.site).in_(sorted(places))).distinct()
    gone = places - {(row.record, row.site) for row in conn.execute(left)}
    conn.execute(
        delete(t.lanes).where(
            lane.destination.in_(conn.scalars(select(t.destinations.c.name)).all()),
            lane.record.in_([lane_named(site, record) for record, site in sorted(gone)]),
            lane.next_at.is_(None),
            lane.blocked.is_(False),
            lane.lease_until < now,
        )
    )


def _drop(conn: Connection, table: Table, old: ColumnElement[bool]) -> int:
    key = tuple_(*table.primary_key.columns)
    found = select(*table.primary_key.columns).where(old).limit(SLICE)
    return conn.execute(delete(table).where(key.in_(found))).rowcount


# Jobs


def alone(conn: Connection, now: int, name: str, owner: str) -> bool:
    """Take a periodic job for this process; False while another one has it."""
    conn.execute(insert_or_ignore(conn, t.jobs), [{"name": name, "owner": "", "until": 0}])
    taken = conn.execute(
        update(t.jobs)
        .where(t.jobs.c.name == name, or_(t.jobs.c.until <= now, t.jobs.c.owner == owner))
        .values(owner=owner, until=now + ALONE)
    )
    return taken.rowcount == 1
