"""Lanes: one for each record of a destination. Its deliveries are sent one at a time, in order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, select, text, update

from bridge.model import Event
from bridge.store import schema as t
from bridge.store.database.statements import Prepared, json_rows_statement, to_json

#: (destination, record as `lane_name` returns it): the key of a lane.
LaneKey = tuple[str, str]

d = t.deliveries.alias("d")
#: The state of a delivery is open. Written out, so that both databases use the partial index.
OPEN = text(f"d.{t.OPEN_CONDITION}")
#: When a lane has something to do, given its head: at `b_now`, or when the grace of the head is
#: over. NULL: the lane is empty.
NEXT_AT = (
    select(func.coalesce(d.c.hold_until, bindparam("b_now")))
    .where(d.c.lane == t.lanes.c.id, OPEN)
    .order_by(d.c.place, d.c.id)
    .limit(1)
    .scalar_subquery()
)


def lane_of(event: Event) -> str:
    """Return the name of an event's lane; events without a record share one lane of their site."""
    return lane_name(event.site, event.record)


def lane_name(site: str, record: str) -> str:
    """Return the name under which the lane of a record is stored."""
    return f"{site}/{record or '-'}"


# Make, lock and wake


_MAKE = json_rows_statement(
    """
    INSERT INTO lanes (destination, record) SELECT r.destination, r.record FROM {rows} WHERE true
    ON CONFLICT DO NOTHING
    """,
    destination="TEXT",
    record="TEXT",
)
_LOCK = json_rows_statement(
    """
    SELECT l.id, l.destination, l.record FROM lanes l WHERE l.id IN (
        SELECT r.lane FROM {rows} UNION
        SELECT known.id FROM {rows}
        JOIN lanes known ON known.destination = r.destination AND known.record = r.record
    ) ORDER BY l.id {lock}
    """,
    destination="TEXT",
    record="TEXT",
    lane="BIGINT",
)
_LOCK_LEASED = json_rows_statement(
    """
    SELECT l.id, l.lease_until, l.failures, l.failing_since FROM {rows}
    JOIN lanes l ON l.id = r.lane AND l.fence = r.fence
    WHERE l.lease_until > 0 ORDER BY l.id {lock}
    """,
    lane="BIGINT",
    fence="BIGINT",
)
#: Sets idle lanes off at an instant each. A head that waits, or is retried later, keeps its
#: instant: it stays the head. A fragment for the inbox's one statement.
SET_OFF = """
    UPDATE lanes SET next_at = r.next_at FROM {rows}
    WHERE lanes.id = r.lane AND lanes.next_at IS NULL AND NOT lanes.blocked
    """
SET_OFF_COLUMNS = {"lane": "BIGINT", "next_at": "BIGINT"}
_MAKE_AND_SET_OFF = json_rows_statement(
    """
    INSERT INTO lanes (destination, record, next_at)
    SELECT r.destination, r.record, r.next_at FROM {rows} WHERE true
    ON CONFLICT (destination, record) DO UPDATE SET next_at =
        CASE WHEN lanes.next_at IS NULL AND NOT lanes.blocked THEN excluded.next_at
        ELSE lanes.next_at END
    RETURNING id, destination, record
    """,
    destination="TEXT",
    record="TEXT",
    next_at="BIGINT",
)
_WAKE = Prepared(
    update(t.lanes)
    .where(t.lanes.c.id == bindparam("b_lane"), t.lanes.c.next_at == bindparam("b_hold_until"))
    .values(
        # A leased lane has something to do until its lease is released.
        next_at=func.coalesce(NEXT_AT, case((t.lanes.c.lease_until > 0, bindparam("b_now"))))
    )
)


def lock_lanes(
    conn: Connection, *, known: Collection[LaneKey], new: Collection[LaneKey], ids: Sequence[int]
) -> Callable[[], dict[LaneKey, int]]:
    """Lock all the lanes that a transaction may touch, before it touches anything else.

    They are locked in one order everywhere: two processes that queue, decide and settle in the
    same lanes must not wait for each other in a circle. And no other process can decide then about
    the deliveries in these lanes. Lanes of `new` are made if missing; those of `known` may be
    missing. Returns a function that fetches the ids of all of them, once the statement was sent.
    """
    if conn.dialect.name == "sqlite":  # a writing transaction is alone
        return dict
    if new:  # before any is locked: a process that waits for a new lane has locked no other lane
        _MAKE.run(conn, {"rows": to_json(sorted(new))})
    rows: list[tuple[str, str, int | None]] = [("", "", lane) for lane in ids]
    rows += [(*key, None) for key in {*known, *new}]
    if not rows:
        return dict
    found = _LOCK.send(conn, {"rows": to_json(rows)})
    return lambda: {(row.destination, row.record): row.id for row in found()}


def lock_leased(conn: Connection, leases: Iterable[tuple[int, int]]) -> dict[int, Any]:
    """Lock the lanes that are still leased under (lane, fence); returns their rows by lane."""
    rows = to_json(sorted(set(leases)))
    return {row.id: row for row in _LOCK_LEASED.rows(conn, {"rows": rows})}


def make_and_set_off(conn: Connection, starting: Mapping[LaneKey, int]) -> dict[LaneKey, int]:
    """Set idle lanes off at an instant each, in ms, and make those that are missing.

    Returns the ids of all of them.
    """
    rows = to_json([(*key, at) for key, at in sorted(starting.items())])
    found = _MAKE_AND_SET_OFF.rows(conn, {"rows": rows})
    return {(row.destination, row.record): row.id for row in found}


def wake_held(conn: Connection, now: int, lane: int, hold_until: int) -> None:
    """Let a lane go on at once if its head waited till `hold_until`, for a grace that is over."""
    _WAKE.run(conn, {"b_lane": lane, "b_hold_until": hold_until, "b_now": now})


# Give a lease back


_RELEASE = Prepared(
    update(t.lanes)
    .where(t.lanes.c.id == bindparam("b_lane"))
    .values(lease_until=0, owner="", next_at=bindparam("b_next"), blocked=bindparam("b_blocked"))
)
_ADVANCE = Prepared(
    update(t.lanes)
    .where(t.lanes.c.id == bindparam("b_lane"))
    .values(lease_until=0, owner="", blocked=False, next_at=NEXT_AT, failures=0, failing_since=0)
)


def release(conn: Connection, lane: int, *, next_at: int | None, blocked: bool = False) -> None:
    """Give a lease back; the lane is next looked at at `next_at`, in ms, or never."""
    _RELEASE.run(conn, {"b_lane": lane, "b_next": next_at, "b_blocked": blocked})


def advance(conn: Connection, now: int, lanes: Iterable[int]) -> None:
    """Give leases back and let each lane's next delivery become its head."""
    rows = [{"b_lane": lane, "b_now": now} for lane in lanes]
    if rows:
        _ADVANCE.run(conn, rows)
