"""Settle: what became of a delivery, its lane and its destination; guarded by the fence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from bridge.core import breaker
from bridge.core.breaker import SendResult
from bridge.core.printable import storable
from bridge.core.retry import Policy
from bridge.model import State
from bridge.store import schema as t
from bridge.store.database.clocks import wall
from bridge.store.database.statements import Prepared
from bridge.store.queue.candidates import FAILING
from bridge.store.queue.destinations import DestinationRow, read_destination, set_breaker
from bridge.store.queue.lanes import advance, lock_leased
from bridge.store.queue.nouns import Settlement

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
_KEEP_HEAD = Prepared(
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
_ATTEMPT = Prepared(insert(t.attempts), ["delivery", "at", "outcome", "status", "answer", "millis"])


def settle(
    conn: Connection,
    now: int,
    settlements: Sequence[Settlement],
    policy: Policy,
    *,
    leasing: Sequence[str] = (),
) -> list[Settlement]:
    """Write down what became of leased deliveries and give their lanes back.

    Guarded by the fence: a settlement whose lane was given back, or leased again since, changes
    nothing. Returns those that counted. `leasing` are the destinations of which the same
    transaction leases lanes afterwards.
    """
    lanes = lock_leased(conn, [(s.lane, s.fence) for s in settlements])
    valid = [s for s in settlements if s.lane in lanes]
    _lock_destinations(conn, valid, leasing)
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
    _add_attempts(conn, now, valid)
    _give_back(conn, now, valid, lanes)
    _update_destinations(conn, now, valid, lanes, policy)
    return valid


def _lock_destinations(
    conn: Connection, settlements: Sequence[Settlement], leasing: Sequence[str]
) -> None:
    """Lock all the destinations that this transaction will change, in one order everywhere.

    A settlement that only came through changes no destination, and most do only that.
    """
    names = {s.destination for s in settlements if _changes_destination(s)}.union(leasing)
    if len(names) > 1:
        for name in sorted(names):
            read_destination(conn, name, lock=True)


def _changes_destination(s: Settlement) -> bool:
    return bool(s.pause_reason or s.block_ms or s.failed)


def _add_attempts(conn: Connection, now: int, settlements: Sequence[Settlement]) -> None:
    rows = [
        {
            "delivery": s.delivery,
            "at": wall(now),
            "outcome": s.outcome,
            "status": s.status,
            "answer": storable(s.answer),
            "millis": s.duration_ms,
        }
        for s in settlements
        if s.outcome
    ]
    if rows:
        _ATTEMPT.run(conn, rows)


def _give_back(
    conn: Connection, now: int, settlements: Sequence[Settlement], lanes: Mapping[int, Row[Any]]
) -> None:
    advance(conn, now, [s.lane for s in settlements if s.state in t.OVER])
    kept = [_keep_head(s, lanes[s.lane], now) for s in settlements if s.state not in t.OVER]
    if kept:
        _KEEP_HEAD.run(conn, kept)


def _keep_head(s: Settlement, lane: Row[Any], now: int) -> dict[str, object]:
    """Return how the row of a lane changes whose head stays: blocked, or due again later."""
    if s.state in t.BLOCKED:
        at, failures, since = None, 0, 0
    elif s.failed:
        at, failures, since = now + s.delay_ms, lane.failures + 1, lane.failing_since or now
    else:
        at, failures, since = now + s.delay_ms, lane.failures, lane.failing_since
    return {
        "b_lane": s.lane,
        "b_next": at,
        "b_blocked": at is None,
        "b_failures": failures,
        "b_since": since,
    }


def _update_destinations(
    conn: Connection,
    now: int,
    settlements: Sequence[Settlement],
    lanes: Mapping[int, Row[Any]],
    policy: Policy,
) -> None:
    """Count what became of the sends in the breaker of each destination."""
    by_name: dict[str, list[Settlement]] = {}
    for s in settlements:
        by_name.setdefault(s.destination, []).append(s)
    for name, several in sorted(by_name.items()):
        row = _lock_if_changed(conn, name, several)
        if row is None:
            continue
        sends = [_as_send(s, lanes) for s in several]
        after = breaker.count(row.breaker, sends, now, policy)
        paused = next((s.pause_reason for s in several if s.pause_reason), None)
        if after != row.breaker or paused is not None:
            set_breaker(conn, row, after, paused=paused)
        since = breaker.retry_since(row.breaker, after, now, policy)
        if since:
            _retry_since(conn, now, name, since)


def _lock_if_changed(
    conn: Connection, name: str, settlements: Sequence[Settlement]
) -> DestinationRow | None:
    """Lock and read a destination that these may change; None: they do not, as mostly."""
    changes = any(map(_changes_destination, settlements))
    row = read_destination(conn, name, lock=changes)
    if row is None or changes:
        return row
    return read_destination(conn, name, lock=True) if row.breaker.uneasy else None


def _as_send(s: Settlement, lanes: Mapping[int, Row[Any]]) -> SendResult:
    refused = s.cause == "refused" and not s.failed
    return SendResult(
        lane=s.lane,
        through=s.state is State.DELIVERED or refused,
        failed=s.failed,
        first=not lanes[s.lane].failing_since,
        pause_ms=s.block_ms,
    )


def _retry_since(conn: Connection, now: int, destination: str, since: int) -> None:
    """Make the lanes due that began to fail at `since`, in ms, or later."""
    lane = t.lanes.c
    waiting = (
        select(lane.id)
        .where(
            lane.destination == destination,
            FAILING,
            lane.failing_since >= since,
            lane.next_at > now,
        )
        # A lane that another transaction has locked goes on by itself; it is not waited for.
        .with_for_update(skip_locked=True)
    )
    conn.execute(update(t.lanes).where(lane.id.in_(waiting)).values(next_at=now, failures=1))
