"""Settle: what became of a delivery, its lane and its destination; guarded by the fence."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, and_, bindparam, exists, func, insert, select, update

from bridge.core.retry import Policy, breaker
from bridge.model import State
from bridge.store import tables as t
from bridge.store.dialect import Prepared, as_rows, listing
from bridge.store.lanes import OPEN, RELEASE, Settlement, d, gate_of

_POLICY = Policy()
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
_next_head = (
    select(func.coalesce(d.c.hold_until, bindparam("b_now")))
    .where(d.c.lane == t.lanes.c.id, OPEN)
    .order_by(d.c.id)
    .limit(1)
    .scalar_subquery()
)
_ADVANCE = Prepared(
    update(t.lanes)
    .where(t.lanes.c.id == bindparam("b_lane"))
    .values(lease_until=0, owner="", blocked=False, next_at=_next_head)
)


_FENCES = listing(
    "SELECT l.id, l.fence FROM {rows} JOIN lanes l ON l.id = CAST({0} AS BIGINT) {lock}", 1
)
_ATTEMPT = Prepared(insert(t.attempts), ["delivery", "at", "outcome", "status", "answer", "millis"])


def settle(conn: Connection, now: int, settlements: Sequence[Settlement]) -> list[Settlement]:
    """Write down what became of claimed deliveries and free their lanes.

    Guarded by the fence: a settlement whose lane was leased to somebody else since changes
    nothing. Returns those that counted.
    """
    lanes = sorted({(s.lane,) for s in settlements})
    fences = {row.id: row.fence for row in _FENCES.rows(conn, {"rows": as_rows(lanes)})}
    valid = [s for s in settlements if fences.get(s.lane) == s.fence]
    if not valid:
        return []
    _SETTLE.run(
        conn,
        [
            {
                "b_id": s.delivery,
                "b_state": s.state,
                "b_now": now,
                "b_cause": s.cause,
                "b_revision": s.revision,
            }
            for s in valid
        ],
    )
    _note_attempts(conn, now, valid)
    _free(conn, now, valid)
    _tell_destinations(conn, now, valid)
    return valid


def _note_attempts(conn: Connection, now: int, settlements: Sequence[Settlement]) -> None:
    rows = [
        {
            "delivery": s.delivery,
            "at": now,
            "outcome": s.outcome,
            "status": s.status,
            "answer": s.answer,
            "millis": s.millis,
        }
        for s in settlements
        if s.outcome
    ]
    if rows:
        _ATTEMPT.run(conn, rows)


def _free(conn: Connection, now: int, settlements: Sequence[Settlement]) -> None:
    advance, release = [], []
    for s in settlements:
        if s.state in (State.DELIVERED, State.DISCARDED):
            advance.append({"b_lane": s.lane, "b_now": now})
        else:
            blocked = s.state in _BLOCKING
            at = None if blocked else now + s.delay
            release.append({"b_lane": s.lane, "b_next": at, "b_blocked": blocked})
    if advance:
        _ADVANCE.run(conn, advance)
    if release:
        RELEASE.run(conn, release)


def free_lane(conn: Connection, now: int, lane: int) -> None:
    """Give up a lease and let the lane's next delivery come up."""
    _ADVANCE.run(conn, {"b_lane": lane, "b_now": now})


def _tell_destinations(conn: Connection, now: int, settlements: Sequence[Settlement]) -> None:
    by_name: dict[str, list[Settlement]] = {}
    for s in settlements:
        by_name.setdefault(s.destination, []).append(s)
    for name, several in by_name.items():
        pause = next((s.pause for s in several if s.pause), "")
        if pause:
            _set_gate(conn, name, paused=pause)
        if any(s.state is State.DELIVERED for s in several):
            _came_through(conn, now, name)
        elif any(s.failed for s in several):
            _did_not_come_through(conn, now, name, sum(s.failed for s in several))
        block = max(s.block for s in several)
        if block:
            _set_gate(conn, name, blocked_until=now + block)


def _set_gate(conn: Connection, name: str, **values: object) -> None:
    conn.execute(update(t.destinations).where(t.destinations.c.name == name).values(**values))


def _did_not_come_through(conn: Connection, now: int, name: str, times: int) -> None:
    """Count failures in a row, and open the breaker when there are too many."""
    gate = gate_of(conn, name, hold=True)
    failures = (gate.failures if gate else 0) + times
    _set_gate(conn, name, failures=failures)
    until = breaker(failures, now, _POLICY)
    if until is not None:
        _set_gate(conn, name, blocked_until=until)


def _came_through(conn: Connection, now: int, name: str) -> None:
    """Close the breaker; what had backed off while nothing came through is tried at once."""
    gate = gate_of(conn, name)
    if gate is None or not gate.failures:
        return
    _set_gate(conn, name, failures=0, blocked_until=0)
    if gate.failures >= _POLICY.breaks_after:
        hurry(conn, now, name)


def hurry(conn: Connection, now: int, destination: str) -> None:
    """Try at once what waits for its next attempt at a destination."""
    retrying = exists().where(
        and_(t.deliveries.c.lane == t.lanes.c.id, t.deliveries.c.state == State.RETRYING)
    )
    conn.execute(
        update(t.lanes)
        .where(t.lanes.c.destination == destination, t.lanes.c.next_at > now, retrying)
        .values(next_at=now)
    )
