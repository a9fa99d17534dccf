"""A fuller telling takes the place of a thin one that still waits."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection, and_, delete, update
from sqlalchemy.sql import ColumnElement

from bridge.model import Event, Verdict, VerdictName
from bridge.store import tables as t
from bridge.store.batch import Batch, Entry, Planned, Waiting
from bridge.store.claims import release, twin_keys, wanted
from bridge.store.rows import names, writes
from bridge.store.verdicts import set_verdict


def take_over(conn: Connection, batch: Batch, event: Event, verdict: Verdict, first: str) -> bool:
    """Let `event` be sent in the place of the waiting thin event `first`; False if it left."""
    waiting = batch.waiting.pop((first, verdict.destination))
    if isinstance(waiting, Planned):
        waiting.event, waiting.route = event, verdict.route
        waiting.identities, waiting.hold_until = verdict.effects, None
    elif not _rewrite(conn, batch, event, verdict, waiting):
        return False
    _hand_over(conn, batch, event, verdict, first)
    return True


def _rewrite(
    conn: Connection, batch: Batch, event: Event, verdict: Verdict, waiting: Waiting
) -> bool:
    found = conn.execute(
        update(t.deliveries)
        .where(_still_waiting(waiting.id))
        .values(
            event=event.id,
            route=verdict.route,
            effects=names(verdict.effects),
            writes=writes(event, verdict.effects),
            hold_until=None,
            updated=batch.now,
        )
    )
    if found.rowcount != 1:  # a worker decided it meanwhile
        return False
    _hurry(conn, waiting.lane, waiting.hold_until, batch.now)
    return True


def _still_waiting(delivery: int) -> ColumnElement[bool]:
    return and_(
        t.deliveries.c.id == delivery,
        t.deliveries.c.state == "queued",
        t.deliveries.c.hold_until.is_not(None),
    )


def _hurry(conn: Connection, lane: int, hold_until: int, now: int) -> None:
    """Let a lane go at once, if the delivery that no longer waits was what it waited for."""
    conn.execute(
        update(t.lanes).where(t.lanes.c.id == lane, t.lanes.c.next_at == hold_until),
        {"next_at": now},
    )


def _hand_over(conn: Connection, batch: Batch, event: Event, verdict: Verdict, first: str) -> None:
    """Give the claims to the fuller event and make the thin one its duplicate."""
    keys = [(verdict.destination, event.site, name) for name in verdict.effects]
    batch.held.update(dict.fromkeys(keys, event.id))
    conn.execute(
        update(t.claims)
        .where(
            t.claims.c.destination == verdict.destination,
            t.claims.c.site == event.site,
            t.claims.c.event == first,
            t.claims.c.identity.in_(list(verdict.effects)),
        )
        .values(event=event.id)
    )
    _make_duplicate(conn, batch, first, verdict.destination, event.id)


def _make_duplicate(
    conn: Connection, batch: Batch, thin: str, destination: str, first: str
) -> None:
    reason = f"event {first} tells the same more fully and stands in its place"
    if thin in batch.verdicts:
        batch.verdicts[thin] = [
            replace(v, name=VerdictName.DUPLICATE, reason=reason, first=first, effects=())
            if v.name is VerdictName.UNDECIDED and v.destination == destination
            else v
            for v in batch.verdicts[thin]
        ]
        return
    verdict = Verdict(
        name=VerdictName.DUPLICATE, reason=reason, destination=destination, first=first
    )
    set_verdict(conn, thin, verdict)


def end_waiting_twins(conn: Connection, batch: Batch, entry: Entry) -> None:
    """End the waiting of a thin event whose fuller telling no route wanted."""
    for key in twin_keys([entry]):
        first = batch.held.get(key, "")
        waiting = batch.waiting.get((first, key[0]))
        if waiting is None or any(
            wanted(v) and v.destination == key[0] for v in batch.verdicts[entry.event.id]
        ):
            continue
        if isinstance(waiting, Planned):
            batch.planned.remove(waiting)
        else:
            gone = conn.execute(delete(t.deliveries).where(_still_waiting(waiting.id)))
            if gone.rowcount != 1:
                continue
            _hurry(conn, waiting.lane, waiting.hold_until, batch.now)
        del batch.waiting[first, key[0]]
        release(conn, [k for k, holder in batch.held.items() if holder == first])
        _make_duplicate(conn, batch, first, key[0], entry.event.id)
