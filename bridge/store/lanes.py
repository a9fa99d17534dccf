"""Lanes: who may send next, and what becomes of it. One lane, one delivery at a time, in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import orjson
from sqlalchemy import (
    Connection,
    Row,
    bindparam,
    func,
    select,
    text,
    update,
)
from sqlalchemy.sql import ColumnElement

from bridge.core.retry import Policy
from bridge.model import Limits, State
from bridge.store import tables as t
from bridge.store.dialect import Prepared
from bridge.store.draining import AGAIN, DRAINED, PATIENCE
from bridge.store.limits import Gate, allowed_at, permits, spend

#: Written out, so that both databases see that the partial index serves.
OPEN = text("d.state IN ('queued','sending','retrying','in_doubt','parked')")
_POLICY = Policy()
_BLOCKING = frozenset({State.PARKED, State.IN_DOUBT})
#: A send begins at most so long after its claim, in ms, or not at all.
START = 5_000
d = t.deliveries.alias("d")
#: When a lane has something to do, by what is its head now: at `b_now`, or when a grace is over.
NEXT_AT = (
    select(func.coalesce(d.c.hold_until, bindparam("b_now")))
    .where(d.c.lane == t.lanes.c.id, OPEN)
    .order_by(d.c.place, d.c.id)
    .limit(1)
    .scalar_subquery()
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What a worker asks for: a free lane of a destination."""

    destination: str
    #: Who asks: the process, by its name in `processes`.
    owner: str
    #: How long the lane is its own at most, in ms.
    lease: int
    limits: Limits
    #: The longest that a send takes, in ms, less than the lease; None: nobody knows.
    send: int | None = None

    @property
    def start(self) -> int:
        """Within how many ms of the claim the send must begin."""
        return self.lease if self.send is None else min(START, self.lease - self.send)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """The head of a lane that is ours until the lease ends."""

    lane: int
    fence: int
    delivery: int
    destination: str
    #: The route whose fields apply; "" while several may.
    route: str
    event: str
    hook: str
    source: str
    site: str
    received: int
    record: str
    key: str
    #: The identities it carries.
    effects: tuple[str, ...]
    #: Every effect of the event: (identity, word, part, writes).
    told: tuple[tuple[str, str, str, bool], ...]
    writes: bool
    #: How often it was tried before this time.
    attempts: int
    #: It was being sent when its sender vanished: it may have been written.
    doubt: bool
    #: It is a thin event whose grace is over: to be decided now.
    waiting: bool
    #: The body as kept; None when retention took it.
    packed: bytes | None
    #: Till when its send may begin, in ms on the clock of `clocks.steady`.
    start_by: float = inf
    #: A newer telling of its record was accepted before it: it is made of the newest state.
    late: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """What became of a claimed delivery."""

    lane: int
    fence: int
    delivery: int
    destination: str
    state: State
    #: For retrying: in how many ms again.
    delay: int = 0
    #: One word for the log: delivered, refused, timeout, ...; "" when nothing was tried.
    outcome: str = ""
    status: int = 0
    answer: str = ""
    millis: int = 0
    #: Why it is parked, and by which revision of the mapping.
    cause: str = ""
    revision: str = ""
    #: The destination is paused, and why.
    pause: str = ""
    #: The destination wants to be left alone for so many ms.
    block: int = 0
    #: Nothing came through to the destination at all, or it failed.
    failed: bool = False


def due(conn: Connection, now: int, wish: Wish) -> int | None:
    """Tell when a free lane of a destination has something to do next; None: none has.

    Of lanes that are leased now, whoever has them tells; should that one vanish, only looking again
    now and then finds it out.
    """
    gate = gate_of(conn, wish.destination)
    if gate is None or gate.paused or gate.renamed_to:
        return None
    soonest = _SOONEST.first(conn, {"destination": wish.destination, "now": now})[0]
    if soonest is None:
        return None
    return max(int(soonest), int(gate.blocked_until), *allowed_at(gate, now, wish.limits), now + 1)


# Claim


def claim(conn: Connection, now: int, wish: Wish, count: int) -> list[Claimed]:
    """Lease up to `count` free lanes and mark their heads as being sent.

    Fewer, or none, when the destination is paused, blocked, or at its limits. The longest
    waiting lane goes first, so that no lane starves.
    """
    limited = wish.limits.any
    gate = _open_gate(conn, now, wish.destination, hold=limited)
    if gate is None:
        return []
    probing = gate.failures >= _POLICY.breaks_after
    allowed = min(1 if probing else count, permits(gate, now, wish.limits))
    if allowed < 1:
        return []
    leased = _lease(conn, now, wish, allowed)
    heads = _heads(conn, now, leased)
    _idle(conn, leased.keys() - {head.lane for head in heads})
    ready = [head for head in heads if _ready(conn, head, now)]
    if ready and limited:
        spend(conn, gate, now, wish.limits, len(ready))
    if ready and probing:  # nothing else until it is settled
        _PROBE.run(conn, {"b_name": wish.destination, "b_until": now + wish.lease})
    sending = [{"b_id": head.id} for head in ready if head.hold_until is None]
    if sending:
        _MARK.run(conn, sending)
    return [_claimed(head, leased[head.lane]) for head in ready]


_SOONEST = Prepared(
    select(func.min(t.lanes.c.next_at)).where(
        t.lanes.c.destination == bindparam("destination"),
        t.lanes.c.next_at.is_not(None),
        t.lanes.c.lease_until <= bindparam("now"),
    )
)
_GATE = select(t.destinations).where(t.destinations.c.name == bindparam("name"))
_LOOK = Prepared(_GATE)
#: Permits are counted here, so whoever spends them must be alone with the row.
_HOLD = Prepared(_GATE.with_for_update())


def gate_of(conn: Connection, destination: str, *, hold: bool = False) -> Gate | None:
    """Read what all processes know of a destination; `hold` keeps it still till the commit."""
    found: Gate | None = (_HOLD if hold else _LOOK).first(conn, {"name": destination})
    return found


def _open_gate(conn: Connection, now: int, destination: str, *, hold: bool) -> Gate | None:
    """Read a destination that can be sent to now, or None; the breaker's probe is held alone."""
    gate = gate_of(conn, destination, hold=hold)
    if gate is None or gate.paused or gate.blocked_until > now:
        return None
    if gate.failures >= _POLICY.breaks_after and not hold:
        return _open_gate(conn, now, destination, hold=True)
    return gate


_FREE = (
    select(t.lanes.c.id)
    .where(
        # A name that was given up leases nothing, whoever still asks for it.
        t.lanes.c.destination
        == select(t.destinations.c.name)
        .where(t.destinations.c.name == bindparam("w_destination"))
        .where(t.destinations.c.renamed_to == "")
        .scalar_subquery(),
        t.lanes.c.next_at <= bindparam("w_now"),
        t.lanes.c.lease_until <= bindparam("w_now"),
    )
    .order_by(t.lanes.c.next_at)
    .limit(bindparam("w_count"))
    .with_for_update(skip_locked=True)
    .cte("free")  # as a subquery, PostgreSQL may look more than once, and lease more than asked
)
_LEASE = Prepared(
    update(t.lanes)
    .where(t.lanes.c.id.in_(select(_FREE.c.id)))
    .values(
        lease_until=bindparam("w_until"),
        send_until=bindparam("w_send_until"),
        owner=bindparam("w_owner"),
        fence=t.lanes.c.fence + 1,
    )
    .returning(t.lanes.c.id, t.lanes.c.fence)
)


def _lease(conn: Connection, now: int, wish: Wish, count: int) -> dict[int, int]:
    rows = _LEASE.rows(
        conn,
        {
            "w_destination": wish.destination,
            "w_now": now,
            "w_count": count,
            "w_until": now + wish.lease,
            "w_send_until": now + wish.start + (wish.send or 0),
            "w_owner": wish.owner,
        },
    )
    return {row.id: row.fence for row in rows}


def _head_of(lane: ColumnElement[int]) -> ColumnElement[int]:
    heads = select(d.c.id).where(d.c.lane == lane, OPEN).order_by(d.c.place, d.c.id)
    return heads.limit(1).scalar_subquery()


_HEAD = Prepared(
    select(
        t.deliveries,
        t.events.c.hook,
        t.events.c.source,
        t.events.c.site,
        t.events.c.received,
        t.events.c.record,
        t.events.c.key,
        t.events.c.effects.label("told"),
        t.events.c.body,
        DRAINED.label("drained"),
    )
    .select_from(t.lanes)
    .join(t.deliveries, t.deliveries.c.id == _head_of(t.lanes.c.id))
    .join(t.events, t.events.c.id == t.deliveries.c.event)
    .where(t.lanes.c.id == bindparam("lane"))
)
RELEASE = Prepared(
    update(t.lanes)
    .where(t.lanes.c.id == bindparam("b_lane"))
    .values(lease_until=0, owner="", next_at=bindparam("b_next"), blocked=bindparam("b_blocked"))
)
_MARK = Prepared(
    update(t.deliveries)
    .where(t.deliveries.c.id == bindparam("b_id"))
    .values(state=State.SENDING, attempts=t.deliveries.c.attempts + 1)
)


_PROBE = Prepared(
    update(t.destinations)
    .where(t.destinations.c.name == bindparam("b_name"))
    .values(blocked_until=bindparam("b_until"))
)


def _heads(conn: Connection, now: int, leased: dict[int, int]) -> Sequence[Row[Any]]:
    fresh = now - PATIENCE
    rows = (_HEAD.first(conn, {"lane": lane, "b_fresh": fresh}) for lane in leased)
    return [row for row in rows if row is not None]


def _ready(conn: Connection, head: Row[Any], now: int) -> bool:
    """Put lanes back whose head turns out to have to wait.

    For an operator, for its grace to end, or for what may have been received before it.
    """
    if head.state in _BLOCKING:
        RELEASE.run(conn, {"b_lane": head.lane, "b_next": None, "b_blocked": True})
        return False
    if head.hold_until is not None and head.hold_until > now:
        RELEASE.run(conn, {"b_lane": head.lane, "b_next": head.hold_until, "b_blocked": False})
        return False
    if head.drained is not None and head.place >= head.drained:
        RELEASE.run(conn, {"b_lane": head.lane, "b_next": now + AGAIN, "b_blocked": False})
        return False
    return True


def _idle(conn: Connection, lanes: Iterable[int]) -> None:
    rows = [{"b_lane": lane, "b_next": None, "b_blocked": False} for lane in lanes]
    if rows:
        RELEASE.run(conn, rows)


def _claimed(head: Row[Any], fence: int) -> Claimed:
    return Claimed(
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
        effects=tuple(orjson.loads(head.effects)),
        told=tuple((e[0], e[1], e[2], e[3]) for e in orjson.loads(head.told)),
        writes=head.writes,
        attempts=head.attempts,
        doubt=head.state == State.SENDING,
        waiting=head.hold_until is not None,
        packed=head.body,
        late=bool(head.late),
    )
