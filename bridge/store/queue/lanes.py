"""Lanes: who may send next, and what becomes of it. One lane, one delivery at a time, in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

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

from bridge.core import breaker
from bridge.core.breaker import Allowed, Breaker
from bridge.core.retry import Policy
from bridge.model import Effect, Limits, State
from bridge.store import schema as t
from bridge.store.database.statements import Prepared
from bridge.store.effects import decode_effects, decode_identities
from bridge.store.inbox.newer import STATE, Newest, late_of, newest_of
from bridge.store.queue import leasing
from bridge.store.queue.destinations import breaker_of, gate_of, set_breaker
from bridge.store.queue.limits import Gate, allowed_at, permits, spend
from bridge.store.queue.watermark import AGAIN, DRAINED, PATIENCE

#: Written out, so that both databases see that the partial index serves.
OPEN = text("d.state IN ('queued','sending','retrying','in_doubt','parked')")
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
    #: How many lanes that have failed its process may have at a time: a record whose sends take
    #: long and fail must not occupy every worker.
    retrying: int = 8
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
    identities: tuple[str, ...]
    #: All effects of the event.
    effects: tuple[Effect, ...]
    writes: bool
    #: How often it was tried before this time.
    attempts: int
    #: How often the lane failed since something of it last came through; since when, in ms since
    #: the epoch; and for how long, in ms.
    failures: int
    failing_since: int
    failing_for: int
    #: Other lanes of the destination came through meanwhile.
    alone: bool
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
    #: That state, for a late one that was decided before: a transaction of its own to look for it
    #: would cost more than all else that a delivery needs of the database.
    newest: Newest | None = None


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
    soonest = leasing.soonest(conn, _asked(now, wish))
    if soonest is None:
        return None
    at = breaker.next_instant(breaker_of(gate), now)
    return max(soonest, at, *allowed_at(gate, now, wish.limits), now + 1)


# Claim


def claim(conn: Connection, now: int, wish: Wish, count: int, policy: Policy) -> list[Claimed]:
    """Lease up to `count` free lanes and mark their heads as being sent.

    Fewer, or none, when the destination is paused, blocked, or at its limits. The longest
    waiting lane goes first, so that no lane starves.
    """
    limited = wish.limits.any
    gate = _open_gate(conn, now, wish.destination, policy, hold=limited)
    if gate is None:
        return []
    state = breaker_of(gate)
    allowed = min(1 if state.opened else count, permits(gate, now, wish.limits))
    if allowed < 1:
        return []
    asked = _asked(now, wish)
    probe = None
    if state.opened:
        anyone = breaker.allowed(state, now, policy) is Allowed.ONE
        probe = leasing.find_probe(conn, asked, state, anyone=anyone)
        leased = {} if probe is None else leasing.lease_one(conn, asked, probe.id)
    else:
        leased = leasing.lease(conn, now, asked, allowed)
    heads = _heads(conn, now, leased)
    _idle(conn, leased.keys() - {head.lane for head in heads})
    ready = [head for head in heads if _ready(conn, head, now)]
    if ready and limited:
        spend(conn, gate, now, wish.limits, len(ready))
    if ready and probe is not None:
        newcomer = leasing.is_newcomer(probe, state)
        sent = breaker.probing(state, probe.id, newcomer=newcomer, now=now, policy=policy)
        set_breaker(conn, gate, sent)
    sending = [{"b_id": head.id} for head in ready if head.hold_until is None]
    if sending:
        _MARK.run(conn, sending)
    claimed = [_claimed(head, leased[head.lane], now, state) for head in ready]
    return _with_newest(conn, ready, claimed)


def _asked(now: int, wish: Wish) -> dict[str, object]:
    return {
        "w_destination": wish.destination,
        "w_now": now,
        "w_owner": wish.owner,
        "w_retrying": wish.retrying,
        "w_until": now + wish.lease,
        "w_send_until": now + wish.start + (wish.send or 0),
    }


def _open_gate(
    conn: Connection, now: int, destination: str, policy: Policy, *, hold: bool
) -> Gate | None:
    """Read a destination that can be sent to now, or None; the breaker's probe is held alone."""
    gate = gate_of(conn, destination, hold=hold)
    if gate is None or gate.paused:
        return None
    if breaker.allowed(breaker_of(gate), now, policy) is Allowed.NONE:
        return None
    if gate.opened and not hold:
        return _open_gate(conn, now, destination, policy, hold=True)
    return gate


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
        t.events.c.effects.label("told"),
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


def _with_newest(
    conn: Connection, heads: Sequence[Row[Any]], claimed: Sequence[Claimed]
) -> list[Claimed]:
    late = {
        one.lane: late_of(head, one.event, one.destination, one.identities)
        for head, one in zip(heads, claimed, strict=True)
        if one.late and not one.waiting
    }
    if not late:
        return list(claimed)
    found = dict(zip(late, newest_of(conn, list(late.values())), strict=True))
    return [replace(one, newest=found.get(one.lane)) for one in claimed]


def _claimed(head: Row[Any], fence: int, now: int, state: Breaker) -> Claimed:
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
        identities=decode_identities(head.effects),
        effects=decode_effects(head.told),
        writes=head.writes,
        attempts=head.attempts,
        failures=head.failures,
        failing_since=head.failing_since,
        failing_for=max(now - head.failing_since, 0) if head.failing_since else 0,
        alone=breaker.alone(state, head.failing_since),
        doubt=head.state == State.SENDING,
        waiting=head.hold_until is not None,
        packed=head.body,
        late=bool(head.late),
    )
