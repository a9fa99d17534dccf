"""Settle: what became of a delivery, its lane and its destination; guarded by the fence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, insert, select, update

from bridge.core.retry import Policy, breaker
from bridge.model import State
from bridge.store import tables as t
from bridge.store.dialect import Prepared, as_rows, listing
from bridge.store.fitting import plain
from bridge.store.lanes import NEXT_AT, RELEASE, Claimed, Settlement, gate_of
from bridge.store.limits import Gate

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
_ADVANCE = Prepared(
    update(t.lanes)
    .where(t.lanes.c.id == bindparam("b_lane"))
    .values(lease_until=0, owner="", blocked=False, next_at=NEXT_AT)
)


_LEASES = listing(
    """
    SELECT l.id, l.lease_until FROM {rows}
    JOIN lanes l ON l.id = CAST({0} AS BIGINT) AND l.fence = CAST({1} AS BIGINT)
    WHERE l.lease_until > 0 ORDER BY l.id {lock}
    """,
    2,
)
_ATTEMPT = Prepared(insert(t.attempts), ["delivery", "at", "outcome", "status", "answer", "millis"])


def settle(
    conn: Connection, now: int, settlements: Sequence[Settlement], *, asking: Sequence[str] = ()
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
                "b_now": now,
                "b_cause": s.cause,
                "b_revision": s.revision,
            }
            for s in valid
        ],
    )
    _note_attempts(conn, now, valid)
    _free(conn, now, valid)
    _tell_destinations(conn, now, valid, held)
    return valid


def leases(conn: Connection, ours: Sequence[Settlement | Claimed]) -> dict[int, int]:
    """Keep the lanes that are still leased to us as they are; returns until when each is."""
    rows = as_rows(sorted({(one.lane, one.fence) for one in ours}))
    return {row.id: row.lease_until for row in _LEASES.rows(conn, {"rows": rows})}


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
            "at": now,
            "outcome": s.outcome,
            "status": s.status,
            "answer": plain(s.answer),
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


def _tell_destinations(
    conn: Connection, now: int, settlements: Sequence[Settlement], held: Mapping[int, int]
) -> None:
    by_name: dict[str, list[Settlement]] = {}
    for s in settlements:
        by_name.setdefault(s.destination, []).append(s)
    for name, told in sorted(by_name.items()):
        changes = any(s.pause or s.block or s.failed for s in told)
        gate = gate_of(conn, name, hold=changes)
        if gate is not None and (changes or gate.failures):
            was_open = gate.failures >= _POLICY.breaks_after
            probe = was_open and any(held[s.lane] == gate.blocked_until for s in told)
            _set_gate(conn, name, **_after(gate, now, told, probe=probe))
            if was_open and any(map(_came_through, told)):
                hurry(conn, now, name)


def _came_through(settlement: Settlement) -> bool:
    """Tell whether the destination works: it took the body, or would not have it."""
    refused = settlement.cause == "refused" and not settlement.failed
    return settlement.state is State.DELIVERED or refused


def _after(gate: Gate, now: int, told: Sequence[Settlement], *, probe: bool) -> dict[str, object]:
    """Tell how a destination's row changes.

    Failures in a row open the breaker, which lets one `probe` through at a time; what came
    through closes it. A pause that the destination asked for is never cut short by that.
    """
    failed = sum(s.failed for s in told)
    failures, blocked = _in_a_row(gate.failures, failed, probe=probe), gate.blocked_until
    if any(map(_came_through, told)):
        blocked = 0 if gate.failures >= _POLICY.breaks_after else blocked
        failures = 0
    elif probe:
        blocked = now
    until = breaker(failures, now, _POLICY) if failures > gate.failures else None
    block = max(s.block for s in told)
    return {
        "failures": failures,
        "blocked_until": max(blocked, until or 0, now + block if block else 0),
        "paused": next((s.pause for s in told if s.pause), gate.paused),
    }


def _in_a_row(before: int, failed: int, *, probe: bool) -> int:
    """Count failures; those on their way together when the breaker opens do so as one."""
    if before < _POLICY.breaks_after:
        return min(before + failed, _POLICY.breaks_after)
    return before + (probe and failed > 0)


def spare_probe(conn: Connection, now: int, claimed: Claimed) -> None:
    """Let another delivery be the breaker's probe, if this one would have been."""
    until = select(t.lanes.c.lease_until).where(t.lanes.c.id == claimed.lane).scalar_subquery()
    g = t.destinations.c
    conn.execute(
        update(t.destinations)
        .where(
            g.name == claimed.destination,
            g.failures >= _POLICY.breaks_after,
            g.blocked_until == until,
        )
        .values(blocked_until=now)
    )


def _set_gate(conn: Connection, name: str, **values: object) -> None:
    conn.execute(update(t.destinations).where(t.destinations.c.name == name).values(**values))


def hurry(conn: Connection, now: int, destination: str) -> None:
    """Try at once what waits for its next attempt at a destination."""
    retrying = select(t.deliveries.c.lane).where(
        t.deliveries.c.state == State.RETRYING, t.deliveries.c.destination == destination
    )
    waiting = (
        select(t.lanes.c.id)
        .where(t.lanes.c.id.in_(retrying), t.lanes.c.next_at > now)
        # Whoever is at a lane just now lets it go on by itself, and is not to be waited for.
        .with_for_update(skip_locked=True)
    )
    conn.execute(update(t.lanes).where(t.lanes.c.id.in_(waiting)).values(next_at=now))
