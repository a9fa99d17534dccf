"""Settle: what became of a delivery, its lane and its destination; guarded by the fence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from bridge.core import breaker
from bridge.core.breaker import Settled
from bridge.core.printable import storable
from bridge.core.retry import Policy
from bridge.model import State
from bridge.store import schema as t
from bridge.store.database.clocks import wall
from bridge.store.database.statements import Prepared, as_rows, listing
from bridge.store.queue.destinations import breaker_of, gate_of, set_breaker
from bridge.store.queue.lanes import NEXT_AT, Claimed, Settlement
from bridge.store.queue.leasing import FAILING
from bridge.store.queue.limits import Gate

_BLOCKING = frozenset({State.PARKED, State.IN_DOUBT})

_SETTLE = Prepared(
    update(t.deliveries)
    .where(t.deliveries.c.id == bindparam("b_id"))
    .values(
        state=bindparam("b_state"),
        updated=bindparam("b_now"),
        cause=bindparam("b_cause"),
        revision=bindparam("b_revision"),
    )
)
_ADVANCE = Prepared(
    update(t.lanes)
    .where(t.lanes.c.id == bindparam("b_lane"))
    .values(lease_until=0, owner="", blocked=False, next_at=NEXT_AT, failures=0, failing_since=0)
)
_KEEP = Prepared(
    update(t.lanes)
    .where(t.lanes.c.id == bindparam("b_lane"))
    .values(
        lease_until=0,
        owner="",
        next_at=bindparam("b_next"),
        blocked=bindparam("b_blocked"),
        failures=bindparam("b_failures"),
        failing_since=bindparam("b_since"),
    )
)

_LEASES = listing(
    """
    SELECT l.id, l.lease_until, l.failures, l.failing_since FROM {rows}
    JOIN lanes l ON l.id = CAST({0} AS BIGINT) AND l.fence = CAST({1} AS BIGINT)
    WHERE l.lease_until > 0 ORDER BY l.id {lock}
    """,
    2,
)
_ATTEMPT = Prepared(insert(t.attempts), ["delivery", "at", "outcome", "status", "answer", "millis"])


def settle(
    conn: Connection,
    now: int,
    settlements: Sequence[Settlement],
    policy: Policy,
    *,
    asking: Sequence[str] = (),
) -> list[Settlement]:
    """Write down what became of claimed deliveries and free their lanes.

    Guarded by the fence: a settlement whose lane was given back, or leased to somebody else since,
    changes nothing. Returns those that counted. `asking` are destinations whose lanes the same
    transaction claims afterwards.
    """
    held = leases(conn, settlements)
    valid = [s for s in settlements if s.lane in held]
    _hold_gates(conn, valid, asking)
    if not valid:
        return []
    _SETTLE.run(
        conn,
        [
            {
                "b_id": s.delivery,
                "b_state": s.state,
                "b_now": wall(now),
                "b_cause": s.cause,
                "b_revision": s.revision,
            }
            for s in valid
        ],
    )
    _note_attempts(conn, now, valid)
    _free(conn, now, valid, held)
    _tell_destinations(conn, now, valid, held, policy)
    return valid


def leases(conn: Connection, ours: Sequence[Settlement | Claimed]) -> dict[int, Row[Any]]:
    """Keep the lanes that are still leased to us as they are, and return them."""
    rows = as_rows(sorted({(one.lane, one.fence) for one in ours}))
    return {row.id: row for row in _LEASES.rows(conn, {"rows": rows})}


def _hold_gates(conn: Connection, settlements: Sequence[Settlement], asking: Sequence[str]) -> None:
    """Keep all the destinations still that this transaction will change, in one order everywhere.

    What only came through changes nothing, and most do.
    """
    changed = {s.destination for s in settlements if s.pause or s.block or s.failed}
    names = changed.union(asking)
    if len(names) > 1:
        for name in sorted(names):
            gate_of(conn, name, hold=True)


def _note_attempts(conn: Connection, now: int, settlements: Sequence[Settlement]) -> None:
    rows = [
        {
            "delivery": s.delivery,
            "at": wall(now),
            "outcome": s.outcome,
            "status": s.status,
            "answer": storable(s.answer),
            "millis": s.millis,
        }
        for s in settlements
        if s.outcome
    ]
    if rows:
        _ATTEMPT.run(conn, rows)


def _free(
    conn: Connection, now: int, settlements: Sequence[Settlement], held: Mapping[int, Row[Any]]
) -> None:
    advance, keep = [], []
    for s in settlements:
        if s.state in (State.DELIVERED, State.DISCARDED):
            advance.append({"b_lane": s.lane, "b_now": now})
        else:
            keep.append(_kept(s, held[s.lane], now))
    if advance:
        _ADVANCE.run(conn, advance)
    if keep:
        _KEEP.run(conn, keep)


def _kept(s: Settlement, lane: Row[Any], now: int) -> dict[str, object]:
    """Tell how the row of a lane changes whose head stays: it waits for a person, or its turn."""
    if s.state in _BLOCKING:
        at, failures, since = None, 0, 0
    elif s.failed:
        at, failures, since = now + s.delay, lane.failures + 1, lane.failing_since or now
    else:
        at, failures, since = now + s.delay, lane.failures, lane.failing_since
    return {
        "b_lane": s.lane,
        "b_next": at,
        "b_blocked": at is None,
        "b_failures": failures,
        "b_since": since,
    }


def free_lane(conn: Connection, now: int, lane: int) -> None:
    """Give up a lease and let the lane's next delivery come up."""
    _ADVANCE.run(conn, {"b_lane": lane, "b_now": now})


def _tell_destinations(
    conn: Connection,
    now: int,
    settlements: Sequence[Settlement],
    held: Mapping[int, Row[Any]],
    policy: Policy,
) -> None:
    by_name: dict[str, list[Settlement]] = {}
    for s in settlements:
        by_name.setdefault(s.destination, []).append(s)
    for name, told in sorted(by_name.items()):
        gate = _touched(conn, name, told)
        if gate is None:
            continue
        before = breaker_of(gate)
        after = breaker.settled(before, [_as_told(s, held) for s in told], now, policy)
        paused = next((s.pause for s in told if s.pause), None)
        if after != before or paused is not None:
            set_breaker(conn, gate, after, paused=paused)
        since = breaker.released(before, after, now, policy)
        if since:
            _go_on(conn, now, name, since)


def _touched(conn: Connection, name: str, told: Sequence[Settlement]) -> Gate | None:
    """Keep a destination still that this may change; None: it changes nothing, as mostly."""
    changes = any(s.pause or s.block or s.failed for s in told)
    gate = gate_of(conn, name, hold=changes)
    if gate is None or changes:
        return gate
    return gate_of(conn, name, hold=True) if breaker_of(gate).uneasy else None


def _as_told(s: Settlement, held: Mapping[int, Row[Any]]) -> Settled:
    refused = s.cause == "refused" and not s.failed
    return Settled(
        lane=s.lane,
        through=s.state is State.DELIVERED or refused,
        failed=s.failed,
        first=not held[s.lane].failing_since,
        pause=s.block,
    )


def _go_on(conn: Connection, now: int, destination: str, since: int) -> None:
    """Try at once the lanes that began to fail at that instant or later."""
    lane = t.lanes.c
    waiting = (
        select(lane.id)
        .where(
            lane.destination == destination,
            FAILING,
            lane.failing_since >= since,
            lane.next_at > now,
        )
        # Whoever is at a lane just now lets it go on by itself, and is not to be waited for.
        .with_for_update(skip_locked=True)
    )
    conn.execute(update(t.lanes).where(lane.id.in_(waiting)).values(next_at=now, failures=1))


def hurry(conn: Connection, now: int, destination: str) -> None:
    """Try at once, and with new patience, what waits for its next attempt at a destination."""
    retrying = select(t.deliveries.c.lane).where(
        t.deliveries.c.state == State.RETRYING, t.deliveries.c.destination == destination
    )
    waiting = (
        select(t.lanes.c.id)
        .where(t.lanes.c.id.in_(retrying), t.lanes.c.next_at > now)
        .with_for_update(skip_locked=True)
    )
    conn.execute(
        update(t.lanes)
        .where(t.lanes.c.id.in_(waiting))
        .values(next_at=now, failures=0, failing_since=now)
    )
