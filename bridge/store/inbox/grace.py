"""Thin events whose grace is over: sent after all, or taken out of their lane."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from bridge.core.dedup.changes import Stored, Waiting
from bridge.core.dedup.takeover import drop_stored
from bridge.model import State, Verdict
from bridge.store import schema as t
from bridge.store.database.clocks import wall
from bridge.store.effects import encode_identities, writes_any
from bridge.store.inbox.read import read_heirs
from bridge.store.inbox.verdicts import set_verdict
from bridge.store.inbox.write import change_stored
from bridge.store.queue.destinations import spare_probe
from bridge.store.queue.lanes import advance, lock_leased
from bridge.store.queue.nouns import Leased


def send_after_grace(conn: Connection, now: int, leased: Leased, verdict: Verdict) -> bool:
    """Let a thin event be sent as a verdict decides.

    False when a fuller event took its place, or the lane was leased again since.
    """
    if not _lock_waiting(conn, now, leased):
        return False
    conn.execute(
        update(t.deliveries)
        .where(t.deliveries.c.id == leased.delivery)
        .values(
            route=verdict.route,
            effects=encode_identities(verdict.identities),
            writes=writes_any(leased.effects, verdict.identities),
            hold_until=None,
            state=State.SENDING,
            attempts=1,
            updated=wall(now),
        )
    )
    set_verdict(conn, leased.event, verdict)
    return True


def drop_after_grace(conn: Connection, now: int, leased: Leased, verdict: Verdict) -> None:
    """Hand the delivery of a thin event on to an event with the same effects from another hook.

    If there is none, the delivery is taken out of its lane and its claims are given up.
    """
    if not _lock_waiting(conn, now, leased):
        return
    waiting = Waiting(
        event=leased.event,
        destination=leased.destination,
        hook=leased.hook,
        site=leased.site,
        record=leased.record,
        identities=leased.identities,
        at=Stored(
            id=leased.delivery,
            lane=leased.lane,
            hold_until=now,
            writes=leased.writes,
            late=leased.late,
        ),
    )
    heirs = read_heirs(conn, [waiting]).get((leased.event, leased.destination), [])
    change_stored(conn, now, drop_stored(waiting, verdict, heirs, hold_until=now))
    _give_back(conn, now, leased)


def _lock_waiting(conn: Connection, now: int, leased: Leased) -> bool:
    """Lock a leased lane and its head; False: they are no longer as they were leased.

    A lane whose delivery a fuller event took over is given back.
    """
    if leased.lane not in lock_leased(conn, [(leased.lane, leased.fence)]):
        return False
    d = t.deliveries.c
    waits = conn.execute(
        select(d.id)
        .where(d.id == leased.delivery, d.event == leased.event, d.hold_until.is_not(None))
        .with_for_update()
    ).first()
    if waits is None:
        _give_back(conn, now, leased)
    return waits is not None


def _give_back(conn: Connection, now: int, leased: Leased) -> None:
    spare_probe(conn, now, leased.destination, leased.lane)
    advance(conn, now, [leased.lane])
