"""What operators do to deliveries; each is a row in `actions` that says who did it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, exists, insert, select, tuple_, update

from bridge.core.printable import key_text
from bridge.core.storable import storable_event
from bridge.errors import NotFound, WrongState
from bridge.model import Event, State
from bridge.store import renaming
from bridge.store import retention as keeping
from bridge.store import schema as t
from bridge.store.database.clocks import wall
from bridge.store.database.statements import insert_or_ignore
from bridge.store.inbox.write import queue
from bridge.store.nouns import Batch, Planned
from bridge.store.queue.settle import free_lane
from bridge.store.wakeups import notify_processes

#: What waits for an operator.
STUCK = (State.PARKED, State.IN_DOUBT)
_UNFINISHED = (*STUCK, State.QUEUED, State.RETRYING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """A delivery as operators know it."""

    id: int
    event: str
    destination: str
    route: str
    lane: int
    state: str
    #: The readable key of the record, or "".
    key: str
    #: The receiver would write something new if it were sent twice.
    writes: bool


# Finding


def find_events(conn: Connection, beginning: str) -> list[str]:
    """Find up to two events whose id begins so."""
    e = t.events.c
    last = beginning.ljust(20, "z")
    ids = select(e.id).where(e.id >= beginning, e.id <= last).order_by(e.id).limit(2)
    return list(conn.scalars(ids))


def stuck(conn: Connection, *, states: Sequence[str], destination: str = "") -> list[Parcel]:
    """List deliveries that wait for an operator, the longest waiting first."""
    statement = _parcels().where(t.deliveries.c.state.in_(states))
    if destination:
        statement = statement.where(t.deliveries.c.destination == destination)
    return _read(conn, statement)


def of_event(conn: Connection, event: str) -> list[Parcel]:
    """List an event's deliveries."""
    return _read(conn, _parcels().where(t.deliveries.c.event == event))


def by_id(conn: Connection, delivery: int) -> Parcel:
    """Find a delivery; raises `NotFound`."""
    found = _read(conn, _parcels().where(t.deliveries.c.id == delivery))
    if not found:
        raise NotFound(f"there is no delivery {delivery}")
    return found[0]


def _parcels() -> Select[tuple[object, ...]]:
    d = t.deliveries.c
    return (
        select(d.id, d.event, d.destination, d.route, d.lane, d.state, t.events.c.key, d.writes)
        .join_from(t.deliveries, t.events, t.events.c.id == d.event)
        .order_by(d.id)
    )


def _read(conn: Connection, statement: Select[tuple[object, ...]]) -> list[Parcel]:
    return [Parcel(**row) for row in conn.execute(statement).mappings()]


# Doing


def retry(conn: Connection, now: int, delivery: int, *, who: str) -> Parcel:
    """Send again what is parked or in doubt; raises `NotFound` or `WrongState`."""
    parcel = _held(conn, delivery)
    if parcel.state not in STUCK:
        raise WrongState(f"delivery {delivery} is {parcel.state}, neither parked nor in doubt")
    keeping.requeue(conn, now, parcel.id, parcel.lane)
    notify_processes(conn, {parcel.destination: 1})
    note(conn, now, who=who, what="retry", event=parcel.event, delivery=parcel.id)
    return parcel


def send_to(conn: Connection, now: int, *, was: str, name: str, who: str) -> list[Parcel]:
    """Let another destination have all that is open for `was`; returns it, as it was."""
    d = t.deliveries.c
    found = _read(conn, _parcels().where(d.destination == was, d.state.in_(t.OPEN_STATES)))
    renaming.carry(conn, now, was, name)
    for parcel in found:
        why = f"from {was} to {name}"
        note(conn, now, who=who, what="send to", event=parcel.event, delivery=parcel.id, why=why)
    return found


def discard(conn: Connection, now: int, delivery: int, *, who: str, reason: str) -> Parcel:
    """Give a delivery up, so that its lane goes on; raises `NotFound` or `WrongState`."""
    parcel = _held(conn, delivery)
    if parcel.state not in _UNFINISHED:
        raise WrongState(f"delivery {delivery} is {parcel.state}: it cannot be discarded now")
    d = t.deliveries.c
    given_up = (
        update(t.deliveries)
        # A thin event that still waits for a fuller telling may yet become a duplicate of it.
        .where(d.id == parcel.id, d.hold_until.is_(None))
        .values(state=State.DISCARDED, updated=wall(now))
    )
    if conn.execute(given_up).rowcount != 1:
        raise WrongState(f"delivery {delivery} waits for a fuller telling, for some seconds more")
    if not _behind_another(conn, parcel) or _blocked_by_nothing(conn, parcel.lane):
        free_lane(conn, now, parcel.lane)
        notify_processes(conn, {parcel.destination: 1})
    note(conn, now, who=who, what="discard", event=parcel.event, delivery=parcel.id, why=reason)
    return parcel


def replay(
    conn: Connection,
    now: int,
    event: Event,
    plans: Sequence[tuple[str, str, Sequence[str]]],
    who: str,
) -> dict[str, int]:
    """Queue an event once more, at the end of its lane, whatever was delivered before.

    `plans` are (route, destination, identities to carry). Effects that nobody holds are claimed,
    so that a later telling of them is a duplicate. Returns how many lanes have something to do.
    """
    batch, event = Batch(now=now), storable_event(event)
    for route, destination, given in plans:
        identities = tuple(map(key_text, given))
        claims = [
            {
                "destination": destination,
                "site": event.site,
                "identity": name,
                "event": event.id,
                "at": wall(now),
            }
            for name in identities
        ]
        conn.execute(insert_or_ignore(conn, t.claims), claims)
        batch.planned.append(
            Planned(
                event=event,
                destination=destination,
                route=route,
                identities=identities,
                hold_until=None,
                late=True,  # whatever was accepted since is not set back
            )
        )
        note(conn, now, who=who, what="replay", event=event.id, why=f"by {route} to {destination}")
    return queue(conn, batch)


def resume(conn: Connection, now: int, destination: str, *, who: str) -> None:
    """End a destination's pause and try at once what waits there; raises `NotFound`."""
    if not keeping.resume(conn, now, destination):
        raise NotFound(f"there is no destination {destination}")
    notify_processes(conn, {destination: 1})
    note(conn, now, who=who, what="resume", why=destination)


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
    """Write down what an operator did."""
    row = {
        "at": wall(now),
        "who": who,
        "what": what,
        "event": event,
        "delivery": delivery,
        "note": why,
    }
    conn.execute(insert(t.actions), [row])


def _held(conn: Connection, delivery: int) -> Parcel:
    """Read a delivery as it is while no worker can take its lane; raises `NotFound`."""
    lane = by_id(conn, delivery).lane
    conn.execute(select(t.lanes.c.id).where(t.lanes.c.id == lane).with_for_update())
    return by_id(conn, delivery)


def _behind_another(conn: Connection, parcel: Parcel) -> bool:
    this, other = t.deliveries.alias().c, t.deliveries.alias().c
    before = exists().where(
        this.id == parcel.id,
        other.lane == this.lane,
        tuple_(other.place, other.id) < tuple_(this.place, this.id),
        other.state.in_(t.OPEN_STATES),
    )
    return bool(conn.scalar(select(before)))


def _blocked_by_nothing(conn: Connection, lane: int) -> bool:
    """Tell whether what blocked a lane is gone; what came late may be before it."""
    d = t.deliveries.c
    stuck = exists().where(d.lane == lane, d.state.in_(STUCK))
    return bool(conn.scalar(select(t.lanes.c.blocked).where(t.lanes.c.id == lane, ~stuck)))
