"""Thin events whose grace is over: sent after all, or taken out of their lane."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, update

from bridge.model import State, Verdict
from bridge.store import schema as t
from bridge.store.database.clocks import wall
from bridge.store.effects import encode_identities, writes_any
from bridge.store.inbox.offers import Place, offer
from bridge.store.inbox.verdicts import set_verdict
from bridge.store.queue.destinations import spare_probe
from bridge.store.queue.lanes import Claimed
from bridge.store.queue.settle import free_lane, leases


def send_decided(conn: Connection, now: int, claimed: Claimed, verdict: Verdict) -> bool:
    """Let a delivery that waited be sent after all.

    False when a fuller telling took it over, or the lane was leased to somebody else since.
    """
    if not _is_ours(conn, now, claimed):
        return False
    conn.execute(
        update(t.deliveries)
        .where(t.deliveries.c.id == claimed.delivery)
        .values(
            route=verdict.route,
            effects=encode_identities(verdict.identities),
            writes=writes_any(claimed.effects, verdict.identities),
            hold_until=None,
            state=State.SENDING,
            attempts=1,
            updated=wall(now),
        )
    )
    set_verdict(conn, claimed.event, verdict)
    return True


def drop_decided(conn: Connection, now: int, claimed: Claimed, verdict: Verdict) -> None:
    """Hand a delivery that waited on to who told the same through another hook.

    If nobody did, it is taken out of its lane, and what it had claimed is given up.
    """
    if not _is_ours(conn, now, claimed):
        return
    set_verdict(conn, claimed.event, verdict)
    place = Place(
        destination=claimed.destination,
        site=claimed.site,
        event=claimed.event,
        hook=claimed.hook,
        identities=claimed.identities,
    )
    if not offer(conn, now, claimed.delivery, place):
        _take_out(conn, claimed)
    _give_back(conn, now, claimed)


def _take_out(conn: Connection, claimed: Claimed) -> None:
    conn.execute(delete(t.deliveries).where(t.deliveries.c.id == claimed.delivery))
    conn.execute(
        delete(t.claims).where(
            t.claims.c.destination == claimed.destination,
            t.claims.c.site == claimed.site,
            t.claims.c.event == claimed.event,
            t.claims.c.identity.in_(list(claimed.identities)),
        )
    )


def _is_ours(conn: Connection, now: int, claimed: Claimed) -> bool:
    """Keep delivery and lane still, and tell whether they are still as they were claimed.

    A lane whose delivery a fuller telling took over is given back.
    """
    if claimed.lane not in leases(conn, [claimed]):
        return False
    d = t.deliveries.c
    waits = conn.execute(
        select(d.id)
        .where(d.id == claimed.delivery, d.event == claimed.event, d.hold_until.is_not(None))
        .with_for_update()
    ).first()
    if waits is None:
        _give_back(conn, now, claimed)
    return waits is not None


def _give_back(conn: Connection, now: int, claimed: Claimed) -> None:
    spare_probe(conn, now, claimed.destination, claimed.lane)
    free_lane(conn, now, claimed.lane)
