"""Which lanes are leased next: those that have not failed, and some of those that have."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    text,
    union_all,
    update,
)

from bridge.core import breaker
from bridge.core.breaker import Breaker
from bridge.store import schema as t
from bridge.store.database.statements import Prepared, Values
from bridge.store.queue.nouns import LeaseRequest

#: Whether a lane has failed since one of its deliveries last came through. Written out, so that
#: both databases use the partial indexes.
SOUND, FAILING = text("lanes.failures = 0"), text("lanes.failures > 0")
#: In one second of so many, lanes that have failed go before those that have not; in the others
#: they get the rest of the permits. So neither kind of lane uses them all.
_FAILING_FIRST_EVERY_S = 4
_lane = t.lanes.c
#: No lane is leased under a former name of a destination.
_name = (
    select(t.destinations.c.name)
    .where(t.destinations.c.name == bindparam("w_destination"), t.destinations.c.renamed_to == "")
    .scalar_subquery()
)
_FREE = (
    _lane.destination == _name,
    _lane.lease_until <= bindparam("w_now"),
)
_DUE = (*_FREE, _lane.next_at <= bindparam("w_now"))
_leased_failing = t.lanes.alias("held")
_LEASED_FAILING = (
    select(func.count())
    .select_from(_leased_failing)
    .where(
        _leased_failing.c.destination == bindparam("w_destination"),
        text("held.failures > 0 AND held.lease_until > 0"),
        _leased_failing.c.lease_until > bindparam("w_now"),
        _leased_failing.c.owner == bindparam("w_owner"),
    )
    .scalar_subquery()
)
#: How many more lanes that have failed the process may lease.
_LEFT = case(
    (bindparam("w_most_failing") > _LEASED_FAILING, bindparam("w_most_failing") - _LEASED_FAILING),
    else_=0,
)
_soonest = func.min(_lane.next_at)
_SOONEST = Prepared(
    select(
        select(_soonest).where(*_FREE, SOUND, _lane.next_at.is_not(None)).scalar_subquery(),
        select(_soonest).where(*_FREE, FAILING, _LEFT > 0).scalar_subquery(),
    )
)


def parameters(request: LeaseRequest, now: int) -> dict[str, object]:
    """Return the parameters of this module's statements."""
    return {
        "w_destination": request.destination,
        "w_now": now,
        "w_owner": request.owner,
        "w_most_failing": request.most_failing,
        "w_until": now + request.lease_ms,
        "w_send_until": now + request.start_within_ms + (request.longest_send_ms or 0),
    }


def soonest(conn: Connection, asked: Values) -> int | None:
    """Return when a free lane that the process may lease has something to do; None: none has."""
    found = [int(at) for at in _SOONEST.first(conn, asked) if at is not None]
    return min(found, default=None)


def _due(kind: Any, count: Any) -> Select[Any]:  # noqa: ANN401 - parts of statements
    return (
        select(_lane.id, _lane.next_at, _lane.failures)
        .where(*_DUE, kind)
        .order_by(_lane.next_at)
        .limit(count)
        .with_for_update(skip_locked=True)
    )


# As subqueries, PostgreSQL may look more than once, and lease more than asked.
_sound = _due(SOUND, bindparam("w_count")).cte("sound")
_failing = _due(FAILING, _LEFT).cte("failing")
_both = union_all(
    select(_sound.c.id, _sound.c.next_at, literal_column("0").label("failed")),
    select(_failing.c.id, _failing.c.next_at, literal_column("1").label("failed")),
).subquery("either")
_picked = (
    select(_both.c.id)
    .order_by(_both.c.failed != bindparam("w_first"), _both.c.next_at)
    .limit(bindparam("w_count"))
    .cte("picked")
)
_leased = (
    update(t.lanes)
    .values(
        lease_until=bindparam("w_until"),
        send_until=bindparam("w_send_until"),
        owner=bindparam("w_owner"),
        fence=_lane.fence + 1,
    )
    .returning(_lane.id, _lane.fence)
)
_LEASE = Prepared(_leased.where(_lane.id.in_(select(_picked.c.id))))
_LEASE_ONE = Prepared(_leased.where(_lane.id == bindparam("w_lane")))


def lease_due(conn: Connection, now: int, asked: Values, count: int) -> dict[int, int]:
    """Lease up to `count` due lanes, the longest waiting first; returns the fence of each lane.

    Lanes that have failed are among them as far as the process may lease more of them.
    """
    failing_first = int(now // 1_000 % _FAILING_FIRST_EVERY_S == 0)
    rows = _LEASE.rows(conn, {**asked, "w_count": count, "w_first": failing_first})
    return {row.id: row.fence for row in rows}


def lease_one(conn: Connection, asked: Values, lane: int) -> dict[int, int]:
    """Lease the lane that `find_probe` found; returns its fence."""
    return {row.id: row.fence for row in _LEASE_ONE.rows(conn, {**asked, "w_lane": lane})}


_OLDEST = Prepared(_due(SOUND, 1))
_NEWEST = Prepared(_due(SOUND, 1).order_by(None).order_by(_lane.next_at.desc()))
#: A lane that failed only because the destination did need not wait for its next attempt.
_FAILED = Prepared(
    select(_lane.id, _lane.next_at, _lane.failures)
    .where(
        *_FREE,
        FAILING,
        _lane.next_at.is_not(None),
        or_(_lane.failing_since >= bindparam("w_since"), _lane.next_at <= bindparam("w_now")),
    )
    .order_by(_lane.failing_since < bindparam("w_since"), _lane.next_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)


def find_probe(conn: Connection, asked: Values, state: Breaker, *, anyone: bool) -> Row[Any] | None:
    """Find the lane to be sent as a probe: one that has not failed, if there is one.

    Unless `anyone` may be it, it has to be a newcomer.
    """
    order = _OLDEST if anyone and breaker.oldest_first(state) else _NEWEST
    found: Row[Any] | None = order.first(conn, asked)
    if anyone:
        return found or _FAILED.first(conn, {**asked, "w_since": state.failing_since})
    return found if found is not None and is_newcomer(found, state) else None


def is_newcomer(lane: Row[Any], state: Breaker) -> bool:
    """Whether a lane has not failed, and became ready after the last probe was sent."""
    return not lane.failures and lane.next_at > state.probed
