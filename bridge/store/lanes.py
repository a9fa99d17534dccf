"""Lanes: who may send next, and what becomes of it. One lane, one delivery at a time, in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import (
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.sql import ColumnElement

from bridge.core.retry import Policy, breaker
from bridge.model import Limits, State, Verdict
from bridge.store import tables as t
from bridge.store.verdicts import set_verdict

#: Written out, so that both databases see that the partial index serves.
_OPEN = text("d.state IN ('queued','sending','retrying','in_doubt','parked')")
_POLICY = Policy()
_BLOCKING = frozenset({State.PARKED, State.IN_DOUBT})
_d = t.deliveries.alias("d")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What a worker asks for: a free lane of a destination."""

    destination: str
    #: Who asks; for people to read.
    owner: str
    #: How long the lane is its own, in ms.
    lease: int
    limits: Limits


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
    """Tell when a lane of a destination has something to do next; None: nothing is queued."""
    gate = _gate(conn, wish.destination)
    if gate is None or gate.paused:
        return None
    soonest = conn.scalar(_SOONEST, {"destination": wish.destination, "now": now})
    if soonest is None:
        return None
    return max(int(soonest), int(gate.blocked_until), *_allowed_at(gate, wish.limits), now + 1)


# Claim


def claim(conn: Connection, now: int, wish: Wish, count: int) -> list[Claimed]:
    """Lease up to `count` free lanes and mark their heads as being sent.

    Fewer, or none, when the destination is paused, blocked, or at its limits. The longest
    waiting lane goes first, so that no lane starves.
    """
    gate = _gate(conn, wish.destination)
    if gate is None or gate.paused or gate.blocked_until > now:
        return []
    probing = gate.failures >= _POLICY.breaks_after
    allowed = min(1 if probing else count, _permits(gate, now, wish.limits))
    if allowed < 1:
        return []
    leased = _lease(conn, now, wish, allowed)
    if not leased:
        return []
    if wish.limits.per_second or wish.limits.per_minute:
        _spend(conn, gate, now, wish.limits, len(leased))
    heads = _heads(conn, leased)
    _idle(conn, leased.keys() - {head.lane for head in heads})
    ready = [head for head in heads if _ready(conn, head, now)]
    fresh = [{"b_id": h.id} for h in ready if h.hold_until is None and h.state != State.SENDING]
    if fresh:
        conn.execute(_MARK, fresh)
    return [_claimed(head, leased[head.lane]) for head in ready]


_SOONEST = select(func.min(t.lanes.c.next_at)).where(
    t.lanes.c.destination == bindparam("destination"),
    t.lanes.c.next_at.is_not(None),
    t.lanes.c.lease_until <= bindparam("now"),
)
_GATE = select(t.destinations).where(t.destinations.c.name == bindparam("name"))


def _gate(conn: Connection, destination: str) -> Row[tuple[object, ...]] | None:
    return conn.execute(_GATE, {"name": destination}).first()


_FREE = (
    select(t.lanes.c.id)
    .where(
        t.lanes.c.destination == bindparam("w_destination"),
        t.lanes.c.next_at <= bindparam("w_now"),
        t.lanes.c.lease_until <= bindparam("w_now"),
    )
    .order_by(t.lanes.c.next_at)
    .limit(bindparam("w_count"))
    .with_for_update(skip_locked=True)
    .scalar_subquery()
)
_LEASE = (
    update(t.lanes)
    .where(t.lanes.c.id.in_(_FREE))
    .values(
        lease_until=bindparam("w_until"),
        owner=bindparam("w_owner"),
        fence=t.lanes.c.fence + 1,
    )
    .returning(t.lanes.c.id, t.lanes.c.fence)
)


def _lease(conn: Connection, now: int, wish: Wish, count: int) -> dict[int, int]:
    rows = conn.execute(
        _LEASE,
        {
            "w_destination": wish.destination,
            "w_now": now,
            "w_count": count,
            "w_until": now + wish.lease,
            "w_owner": wish.owner,
        },
    )
    return {row.id: row.fence for row in rows}


def _head_of(lane: ColumnElement[int]) -> ColumnElement[int]:
    return (
        select(_d.c.id).where(_d.c.lane == lane, _OPEN).order_by(_d.c.id).limit(1).scalar_subquery()
    )


_HEADS = (
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
    )
    .select_from(t.lanes)
    .join(t.deliveries, t.deliveries.c.id == _head_of(t.lanes.c.id))
    .join(t.events, t.events.c.id == t.deliveries.c.event)
    .where(t.lanes.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(t.lanes.c.next_at)
)
_MARK = (
    update(t.deliveries)
    .where(t.deliveries.c.id == bindparam("b_id"))
    .values(state=State.SENDING, attempts=t.deliveries.c.attempts + 1)
)


def _heads(conn: Connection, leased: dict[int, int]) -> Sequence[Row[tuple[object, ...]]]:
    return conn.execute(_HEADS, {"ids": list(leased)}).all()


def _ready(conn: Connection, head: Row[tuple[object, ...]], now: int) -> bool:
    """Put lanes back whose head turns out to wait for an operator or for its grace to end."""
    if head.state in _BLOCKING:
        conn.execute(_RELEASE, {"b_lane": head.lane, "b_next": None, "b_blocked": True})
        return False
    if head.hold_until is not None and head.hold_until > now:
        conn.execute(_RELEASE, {"b_lane": head.lane, "b_next": head.hold_until, "b_blocked": False})
        return False
    return True


def _idle(conn: Connection, lanes: Iterable[int]) -> None:
    rows = [{"b_lane": lane, "b_next": None, "b_blocked": False} for lane in lanes]
    if rows:
        conn.execute(_RELEASE, rows)


def _claimed(head: Row[tuple[object, ...]], fence: int) -> Claimed:
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
    )


# Limits: the generic cell rate algorithm, twice


def _cell(limit: int, period: int) -> tuple[float, float]:
    """Return (ms between two sends, ms of burst) so that no window of `period` holds more.

    A burst is a tenth of the limit, and the steady rate what is left of it.
    """
    burst = max(1, limit // 10)
    spacing = period / max(1, limit - burst)
    return spacing, (burst - 1) * spacing


def _permits(gate: Row[tuple[object, ...]], now: int, limits: Limits) -> int:
    allowed = 1_000
    for limit, period, arrival in _rates(gate, limits):
        spacing, slack = _cell(limit, period)
        room = now + slack - max(arrival, now)
        allowed = min(allowed, int(room // spacing) + 1 if room >= 0 else 0)
    return allowed


def _allowed_at(gate: Row[tuple[object, ...]], limits: Limits) -> list[int]:
    """When the limits next let one through."""
    return [
        int(arrival - _cell(limit, period)[1]) + 1
        for limit, period, arrival in _rates(gate, limits)
    ]


def _rates(gate: Row[tuple[object, ...]], limits: Limits) -> list[tuple[int, int, int]]:
    rates = []
    if limits.per_second:
        rates.append((limits.per_second, 1_000, int(gate.second)))
    if limits.per_minute:
        rates.append((limits.per_minute, 60_000, int(gate.minute)))
    return rates


def _spend(
    conn: Connection, gate: Row[tuple[object, ...]], now: int, limits: Limits, count: int
) -> None:
    values: dict[str, int] = {}
    if limits.per_second:
        spacing, _ = _cell(limits.per_second, 1_000)
        values["second"] = int(max(gate.second, now) + spacing * count) + 1
    if limits.per_minute:
        spacing, _ = _cell(limits.per_minute, 60_000)
        values["minute"] = int(max(gate.minute, now) + spacing * count) + 1
    conn.execute(update(t.destinations).where(t.destinations.c.name == gate.name).values(values))


# Settle

_SETTLE = (
    update(t.deliveries)
    .where(t.deliveries.c.id == bindparam("b_id"))
    .values(
        state=bindparam("b_state"),
        updated=bindparam("b_now"),
        cause=bindparam("b_cause"),
        revision=bindparam("b_revision"),
    )
)
_RELEASE = (
    update(t.lanes)
    .where(t.lanes.c.id == bindparam("b_lane"))
    .values(lease_until=0, owner="", next_at=bindparam("b_next"), blocked=bindparam("b_blocked"))
)
_next_head = (
    select(func.coalesce(_d.c.hold_until, bindparam("b_now")))
    .where(_d.c.lane == t.lanes.c.id, _OPEN)
    .order_by(_d.c.id)
    .limit(1)
    .scalar_subquery()
)
_ADVANCE = (
    update(t.lanes)
    .where(t.lanes.c.id == bindparam("b_lane"))
    .values(lease_until=0, owner="", blocked=False, next_at=_next_head)
)


def settle(conn: Connection, now: int, settlements: Sequence[Settlement]) -> list[Settlement]:
    """Write down what became of claimed deliveries and free their lanes.

    Guarded by the fence: a settlement whose lane was leased to somebody else since changes
    nothing. Returns those that counted.
    """
    fences = {
        row.id: row.fence
        for row in conn.execute(
            select(t.lanes.c.id, t.lanes.c.fence)
            .where(t.lanes.c.id.in_(sorted(s.lane for s in settlements)))
            .order_by(t.lanes.c.id)
            .with_for_update()
        )
    }
    valid = [s for s in settlements if fences.get(s.lane) == s.fence]
    if not valid:
        return []
    conn.execute(
        _SETTLE,
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
        conn.execute(insert(t.attempts), rows)


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
        conn.execute(_ADVANCE, advance)
    if release:
        conn.execute(_RELEASE, release)


def free_lane(conn: Connection, now: int, lane: int) -> None:
    """Give up a lease and let the lane's next delivery come up."""
    conn.execute(_ADVANCE, {"b_lane": lane, "b_now": now})


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
    gate = conn.execute(_GATE, {"name": name}).one()
    failures = gate.failures + times
    _set_gate(conn, name, failures=failures)
    until = breaker(failures, now, _POLICY)
    if until is not None:
        _set_gate(conn, name, blocked_until=max(gate.blocked_until, until))


def _came_through(conn: Connection, now: int, name: str) -> None:
    """Close the breaker; what had backed off while nothing came through is tried at once."""
    gate = conn.execute(_GATE, {"name": name}).one()
    if not gate.failures:
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


# Undecided deliveries, when their grace is over


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
