"""Thin events whose grace is over: sent after all, or taken out of their lane."""

from __future__ import annotations

import orjson
from sqlalchemy import Connection, and_, delete, update
from sqlalchemy.sql import ColumnElement

from bridge.model import State, Verdict
from bridge.store import tables as t
from bridge.store.lanes import Claimed
from bridge.store.settle import free_lane
from bridge.store.verdicts import set_verdict


def send_decided(conn: Connection, now: int, claimed: Claimed, verdict: Verdict) -> bool:
    """Let a delivery that waited be sent after all; False when a fuller telling took it over."""
    parts = {identity: writes for identity, _, _, writes in claimed.told}
    found = conn.execute(
        update(t.deliveries)
        .where(_still_waiting(claimed))
        .values(
            route=verdict.route,
            effects=orjson.dumps(list(verdict.effects)).decode(),
            writes=any(parts.get(identity, False) for identity in verdict.effects),
            hold_until=None,
            state=State.SENDING,
            attempts=1,
            updated=now,
        )
    )
    if found.rowcount != 1:
        free_lane(conn, now, claimed.lane)
        return False
    set_verdict(conn, claimed.event, verdict)
    return True


def drop_decided(conn: Connection, now: int, claimed: Claimed, verdict: Verdict) -> None:
    """Take a delivery that waited out of its lane, and give up what it had claimed."""
    gone = conn.execute(delete(t.deliveries).where(_still_waiting(claimed)))
    if gone.rowcount == 1:
        conn.execute(
            delete(t.claims).where(
                t.claims.c.destination == claimed.destination,
                t.claims.c.site == claimed.site,
                t.claims.c.event == claimed.event,
                t.claims.c.identity.in_(list(claimed.effects)),
            )
        )
        set_verdict(conn, claimed.event, verdict)
    free_lane(conn, now, claimed.lane)


def _still_waiting(claimed: Claimed) -> ColumnElement[bool]:
    return and_(
        t.deliveries.c.id == claimed.delivery,
        t.deliveries.c.event == claimed.event,
        t.deliveries.c.hold_until.is_not(None),
    )
