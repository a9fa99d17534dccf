"""What operators do to deliveries. Every deed leaves a row in `actions` that names the operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, exists, insert, select, tuple_, update

from bridge.core.dedup.changes import NewDelivery
from bridge.core.printable import key_text
from bridge.core.storable import storable_event
from bridge.errors import NotFound, WrongState
from bridge.model import Event, State
from bridge.store import renaming
from bridge.store import schema as t
from bridge.store.database.clocks import wall
from bridge.store.database.statements import insert_or_ignore
from bridge.store.database.transact import Transact
from bridge.store.history import deliveries
from bridge.store.history.deliveries import Delivery
from bridge.store.inbox.rows import queue
from bridge.store.queue import destinations
from bridge.store.queue.lanes import advance
from bridge.store.wakeups import Ready, notify_processes

#: The states in which a delivery can be discarded.
_DISCARDABLE = (*t.BLOCKED, State.QUEUED, State.RETRYING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """One more delivery of an event, despite earlier ones."""

    event: str
    #: The route whose mapping makes the body.
    route: str
    destination: str
    #: The identities of the effects that it carries.
    identities: tuple[str, ...]


class Operators:
    """What a store lets operators do, each in a transaction of its own; raises `Down`."""

    def __init__(self, transact: Transact, notify: Callable[[Ready], None]) -> None:
        self._transact = transact
        self._notify = notify

    def retry(self, delivery: int, *, who: str) -> Delivery:
        """Send a parked or doubtful delivery again; raises `NotFound` or `WrongState`.

        Returns the delivery as it was before; so do the others.
        """
        found = self._transact(lambda conn, now: retry(conn, now, delivery, who=who))
        self._notify({found.destination: 1})
        return found

    def discard(self, delivery: int, *, who: str, reason: str) -> Delivery:
        """Give a delivery up, so that its lane goes on; raises `NotFound` or `WrongState`."""
        found = self._transact(
            lambda conn, now: discard(conn, now, delivery, who=who, reason=reason)
        )
        self._notify({found.destination: 1})
        return found

    def replay(self, event: Event, replays: Sequence[Replay], *, who: str) -> None:
        """Queue an event once more for each of the replays, at the end of its lane."""
        self._transact(lambda conn, now: replay(conn, now, event, replays, who=who))
        self._notify({each.destination: 1 for each in replays})

    def resume(self, destination: str, *, who: str) -> None:
        """End a destination's pause and retry its deliveries at once; raises `NotFound`."""
        self._transact(lambda conn, now: resume(conn, now, destination, who=who))
        self._notify({destination: 1})

    def send_to(self, *, was: str, name: str, who: str) -> list[Delivery]:
        """Move all deliveries of the destination `was` to another one; returns the open ones."""
        return self._transact(lambda conn, now: send_to(conn, now, was=was, name=name, who=who))


def retry(conn: Connection, now: int, delivery: int, *, who: str) -> Delivery:
    """Send a parked or doubtful delivery again; raises `NotFound` or `WrongState`."""
    found = _lock(conn, delivery)
    if found.state not in t.BLOCKED:
        raise WrongState(f"delivery {delivery} is {found.state}, neither parked nor in doubt")
    requeue(conn, now, found.id, found.lane)
    notify_processes(conn, {found.destination: 1})
    note(conn, now, who=who, what="retry", event=found.event, delivery=found.id)
    return found


def discard(conn: Connection, now: int, delivery: int, *, who: str, reason: str) -> Delivery:
    """Give a delivery up, so that its lane goes on; raises `NotFound` or `WrongState`."""
    found = _lock(conn, delivery)
    if found.state not in _DISCARDABLE:
        raise WrongState(f"delivery {delivery} is {found.state}: it cannot be discarded now")
    d = t.deliveries.c
    discarded = (
        update(t.deliveries)
        # A thin event in its grace may yet become a duplicate of a full one.
        .where(d.id == found.id, d.hold_until.is_(None))
        .values(state=State.DISCARDED, updated=wall(now))
    )
    if conn.execute(discarded).rowcount != 1:
        raise WrongState(f"delivery {delivery} waits for a complete event, for some seconds more")
    if not _behind_another(conn, found) or _blocked_by_nothing(conn, found.lane):
        advance(conn, now, [found.lane])
        notify_processes(conn, {found.destination: 1})
    note(conn, now, who=who, what="discard", event=found.event, delivery=found.id, why=reason)
    return found


def replay(
    conn: Connection, now: int, event: Event, replays: Sequence[Replay], *, who: str
) -> None:
    """Queue an event once more for each of the replays, at the end of its lane.

    Effects that no event has claimed are claimed, so that a later event with one of them is a
    duplicate.
    """
    event, queued = storable_event(event), []
    for each in replays:
        identities = tuple(map(key_text, each.identities))
        claims = [
            {
                "destination": each.destination,
                "site": event.site,
                "identity": identity,
                "event": event.id,
                "at": wall(now),
            }
            for identity in identities
        ]
        conn.execute(insert_or_ignore(conn, t.claims), claims)
        queued.append(
            NewDelivery(
                event=event,
                destination=each.destination,
                route=each.route,
                identities=identities,
                late=True,  # it must not set back what later events wrote
            )
        )
        why = f"by {each.route} to {each.destination}"
        note(conn, now, who=who, what="replay", event=event.id, why=why)
    queue(conn, now, queued)


def resume(conn: Connection, now: int, destination: str, *, who: str) -> None:
    """End a destination's pause and retry its deliveries at once; raises `NotFound`."""
    if not destinations.resume(conn, now, destination):
        raise NotFound(f"there is no destination {destination}")
    notify_processes(conn, {destination: 1})
    note(conn, now, who=who, what="resume", why=destination)


def send_to(conn: Connection, now: int, *, was: str, name: str, who: str) -> list[Delivery]:
    """Move all deliveries of the destination `was` to another one; returns the open ones."""
    found = deliveries.open_for(conn, was)
    renaming.carry(conn, now, was, name)
    for delivery in found:
        why, event = f"from {was} to {name}", delivery.event
        note(conn, now, who=who, what="send to", event=event, delivery=delivery.id, why=why)
    return found


def note(  # noqa: PLR0913 - the columns of a row
    conn: Connection,
    now: int,
    *,
    who: str,
    what: str,
    event: str = "",
    delivery: int | None = None,
    why: str = "",
) -> None:
    """Write a row of `actions`."""
    row = {
        "at": wall(now),
        "who": who,
        "what": what,
        "event": event,
        "delivery": delivery,
        "note": why,
    }
    conn.execute(insert(t.actions), [row])


def _lock(conn: Connection, delivery: int) -> Delivery:
    """Lock a delivery's lane until the commit, and read the delivery; raises `NotFound`."""
    lane = deliveries.by_id(conn, delivery).lane
    conn.execute(select(t.lanes.c.id).where(t.lanes.c.id == lane).with_for_update())
    return deliveries.by_id(conn, delivery)


def _behind_another(conn: Connection, delivery: Delivery) -> bool:
    """Whether another open delivery is before this one in its lane."""
    this, other = t.deliveries.alias().c, t.deliveries.alias().c
    before = exists().where(
        this.id == delivery.id,
        other.lane == this.lane,
        tuple_(other.place, other.id) < tuple_(this.place, this.id),
        other.state.in_(t.OPEN),
    )
    return bool(conn.scalar(select(before)))


def _blocked_by_nothing(conn: Connection, lane: int) -> bool:
    """Whether a lane is blocked although none of its deliveries is parked or in doubt.

    The delivery that blocked it need not have been the first: a late event may be before it.
    """
    d = t.deliveries.c
    blocked = exists().where(d.lane == lane, d.state.in_(t.BLOCKED))
    return bool(conn.scalar(select(t.lanes.c.blocked).where(t.lanes.c.id == lane, ~blocked)))


# Blocked lanes


def requeue_unmappable(conn: Connection, now: int, revisions: Mapping[str, str]) -> int:
    """Queue again what a mapping could not map, where that mapping was edited since.

    `revisions` are those of the mappings in use, by route. Returns how many deliveries it freed.
    """
    d = t.deliveries.c
    parked = conn.execute(
        select(d.id, d.lane, d.route, d.revision, d.cause).where(
            d.state == State.PARKED, d.cause.in_(("mapping", "route"))
        )
    ).all()
    edited = [
        row
        for row in parked
        if row.route in revisions and (row.cause == "route" or revisions[row.route] != row.revision)
    ]
    lanes = sorted({row.lane for row in edited})
    locked = select(t.lanes.c.id).where(t.lanes.c.id.in_(lanes)).order_by(t.lanes.c.id)
    conn.execute(locked.with_for_update())
    for row in edited:
        requeue(conn, now, row.id, row.lane)
    return len(edited)


def requeue(conn: Connection, now: int, delivery: int, lane: int) -> None:
    """Let a blocked head be sent again; its lane goes on from there."""
    d = t.deliveries.c
    queued = conn.execute(
        update(t.deliveries)
        .where(d.id == delivery, d.state.in_(t.BLOCKED))
        .values(state=State.QUEUED, cause="", revision="", updated=wall(now))
    )
    if queued.rowcount:  # otherwise another process has freed it already, and may have sent it
        unblock(conn, now, lane)


def unblock(conn: Connection, now: int, lane: int) -> None:
    """Let a blocked lane go on, without its former failures: one more would park it at once."""
    conn.execute(
        update(t.lanes)
        .where(t.lanes.c.id == lane, t.lanes.c.blocked.is_(True))
        .values(blocked=False, next_at=now, failures=0, failing_since=now)
    )
