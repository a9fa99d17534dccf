"""Lease lanes to workers: as many as the breaker and the limits of a destination permit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update
from sqlalchemy.sql import ColumnElement

from bridge.core import breaker, rates
from bridge.core.breaker import Allowed, Breaker
from bridge.core.retry import Policy
from bridge.model import State
from bridge.store import schema as t
from bridge.store.database.statements import Prepared
from bridge.store.effects import decode_effects, decode_identities
from bridge.store.queue import candidates
from bridge.store.queue.destinations import (
    DestinationRow,
    read_destination,
    set_breaker,
    set_rates,
)
from bridge.store.queue.lanes import OPEN, d, release
from bridge.store.queue.newest import STATE, find_newest_of_each, late_of
from bridge.store.queue.nouns import Leased, LeaseRequest
from bridge.store.queue.watermark import DRAINED, LOOK_AGAIN_MS, STALE_AFTER_MS


def due(conn: Connection, now: int, request: LeaseRequest) -> int | None:
    """Return when a free lane of a destination next has something to do; None: none has.

    Leased lanes do not count: their worker finds out when it settles. Should it vanish, only
    looking again now and then finds it out.
    """
    row = read_destination(conn, request.destination)
    if row is None or row.paused or row.renamed_to:
        return None
    soonest = candidates.soonest(conn, candidates.parameters(request, now))
    if soonest is None:
        return None
    at = breaker.next_instant(row.breaker, now)
    return max(soonest, at, *rates.allowed_at(row.rates, now, request.limits), now + 1)


def lease(
    conn: Connection, now: int, request: LeaseRequest, count: int, policy: Policy
) -> list[Leased]:
    """Lease up to `count` free lanes and mark their heads as being sent.

    Fewer, or none, when the destination is paused, its breaker open, or its limits are reached.
    The longest waiting lane goes first, so that no lane starves.
    """
    limited = request.limits.any
    row = _usable(conn, now, request.destination, policy, lock=limited)
    if row is None:
        return []
    state = row.breaker
    allowed = min(1 if state.opened else count, rates.permits(row.rates, now, request.limits))
    if allowed < 1:
        return []
    asked = candidates.parameters(request, now)
    probe = None
    if state.opened:
        anyone = breaker.allow(state, now, policy) is Allowed.ONE
        probe = candidates.find_probe(conn, asked, state, anyone=anyone)
        fences = {} if probe is None else candidates.lease_one(conn, asked, probe.id)
    else:
        fences = candidates.lease_due(conn, now, asked, allowed)
    heads = _heads(conn, now, fences)
    if heads and limited:
        sent = rates.after_sending(row.rates, now, request.limits, len(heads))
        set_rates(conn, row.name, sent)
    if heads and probe is not None:
        newcomer = candidates.is_newcomer(probe, state)
        probing = breaker.send_probe(state, probe.id, newcomer=newcomer, now=now, policy=policy)
        set_breaker(conn, row, probing)
    sending = [{"b_id": head.id} for head in heads if head.hold_until is None]
    if sending:
        _MARK.run(conn, sending)
    leased = [_leased(head, fences[head.lane], now, state) for head in heads]
    return _with_newest(conn, heads, leased)


def _usable(
    conn: Connection, now: int, destination: str, policy: Policy, *, lock: bool
) -> DestinationRow | None:
    """Read a destination that can be sent to now, or None; it is locked to send a probe."""
    row = read_destination(conn, destination, lock=lock)
    if row is None or row.paused:
        return None
    if breaker.allow(row.breaker, now, policy) is Allowed.NONE:
        return None
    if row.breaker.opened and not lock:
        return _usable(conn, now, destination, policy, lock=True)
    return row


# Heads


def _head_of(lane: ColumnElement[int]) -> ColumnElement[int]:
    heads = select(d.c.id).where(d.c.lane == lane, OPEN).order_by(d.c.place, d.c.id)
    return heads.limit(1).scalar_subquery()


_HEAD = Prepared(
    select(
        t.deliveries,
        t.events.c.hook,
        t.events.c.source,
        *STATE,
        t.events.c.received,
        t.events.c.key,
        t.events.c.effects.label("event_effects"),
        t.events.c.body,
        t.lanes.c.failures,
        t.lanes.c.failing_since,
        DRAINED.label("drained"),
    )
    .select_from(t.lanes)
    .join(t.deliveries, t.deliveries.c.id == _head_of(t.lanes.c.id))
    .join(t.events, t.events.c.id == t.deliveries.c.event)
    .where(t.lanes.c.id == bindparam("lane"))
)
_MARK = Prepared(
    update(t.deliveries)
    .where(t.deliveries.c.id == bindparam("b_id"))
    .values(state=State.SENDING, attempts=t.deliveries.c.attempts + 1)
)


def _heads(conn: Connection, now: int, lanes: Iterable[int]) -> list[Row[Any]]:
    """Read the heads of leased lanes; empty lanes, and those whose head must wait, are released."""
    heads = []
    for lane in lanes:
        head = _HEAD.first(conn, {"lane": lane, "b_fresh": now - STALE_AFTER_MS})
        if head is None:
            release(conn, lane, next_at=None)
        elif head.state in t.BLOCKED:
            release(conn, lane, next_at=None, blocked=True)
        elif (wait_until := _waits_until(head, now)) is not None:
            release(conn, lane, next_at=wait_until)
        else:
            heads.append(head)
    return heads


def _waits_until(head: Row[Any], now: int) -> int | None:
    """Return when to look at a head again, in ms since the epoch; None: it can be sent now.

    It waits for its grace to end, or for events in a spool that were received before it.
    """
    if head.hold_until is not None and head.hold_until > now:
        return int(head.hold_until)
    if head.drained is not None and head.place >= head.drained:
        return now + LOOK_AGAIN_MS
    return None


def _with_newest(
    conn: Connection, heads: Sequence[Row[Any]], leased: Sequence[Leased]
) -> list[Leased]:
    late = {
        one.lane: late_of(head, one.event, one.destination, one.identities)
        for head, one in zip(heads, leased, strict=True)
        if one.late and not one.waiting
    }
    if not late:
        return list(leased)
    found = dict(zip(late, find_newest_of_each(conn, list(late.values())), strict=True))
    return [replace(one, newest=found.get(one.lane)) for one in leased]


def _leased(head: Row[Any], fence: int, now: int, state: Breaker) -> Leased:
    return Leased(
        lane=head.lane,
        fence=fence,
        delivery=head.id,
        destination=head.destination,
        route=head.route,
        event=head.event,
        hook=head.hook,
        source=head.source,
        site=head.site,
        received=head.received,
        record=head.record,
        key=head.key,
        identities=decode_identities(head.effects),
        effects=decode_effects(head.event_effects),
        writes=head.writes,
        attempts=head.attempts,
        failures=head.failures,
        failing_since=head.failing_since,
        failing_for_ms=max(now - head.failing_since, 0) if head.failing_since else 0,
        alone=breaker.fails_alone(state, head.failing_since),
        in_doubt=head.state == State.SENDING,
        waiting=head.hold_until is not None,
        packed=head.body,
        late=bool(head.late),
    )
