"""Deliveries as operators see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select

from bridge.errors import NotFound
from bridge.store import schema as t


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A delivery of one event to one destination."""

    id: int
    #: The id of its event.
    event: str
    destination: str
    #: The route whose mapping it is sent by.
    route: str
    #: The id of its lane.
    lane: int
    state: str
    #: The id of the record, or "".
    record: str
    #: The readable key of the record, or "".
    key: str
    #: Whether sending it twice would write something twice.
    writes: bool
    #: When its state was written last, in ms since the epoch.
    updated: int


def of_event(conn: Connection, event: str) -> list[Delivery]:
    """List an event's deliveries, the oldest first."""
    return _read(conn, _deliveries().where(t.deliveries.c.event == event))


def by_id(conn: Connection, delivery: int) -> Delivery:
    """Find a delivery by its number; raises `NotFound`."""
    found = _read(conn, _deliveries().where(t.deliveries.c.id == delivery))
    if not found:
        raise NotFound(f"there is no delivery {delivery}")
    return found[0]


def open_for(conn: Connection, destination: str) -> list[Delivery]:
    """List a destination's deliveries that are not over, the oldest first."""
    d = t.deliveries.c
    return _read(conn, _deliveries().where(d.destination == destination, d.state.in_(t.OPEN)))


def blocked(
    conn: Connection, *, states: Sequence[str] = (), destination: str = ""
) -> list[Delivery]:
    """List deliveries that are parked or in doubt, or in `states`, the oldest first."""
    statement = _deliveries().where(t.deliveries.c.state.in_(states or t.BLOCKED))
    if destination:
        statement = statement.where(t.deliveries.c.destination == destination)
    return _read(conn, statement)


def longest_blocked(conn: Connection, limit: int) -> list[tuple[Delivery, str]]:
    """List parked and doubtful deliveries with their last answer, the longest blocked first."""
    d = t.deliveries.c
    statement = _deliveries().where(d.state.in_(t.BLOCKED)).order_by(None)
    found = _read(conn, statement.order_by(d.updated, d.id).limit(limit))
    answers = last_answers(conn, [delivery.id for delivery in found])
    return [(delivery, answers.get(delivery.id, "")) for delivery in found]


def last_answers(conn: Connection, deliveries: Sequence[int]) -> dict[int, str]:
    """Read the answer to the last attempt of each delivery."""
    a = t.attempts.c
    last = select(func.max(a.id)).where(a.delivery.in_(deliveries)).group_by(a.delivery)
    rows = conn.execute(select(a.delivery, a.answer).where(a.id.in_(last)))
    return {row.delivery: row.answer for row in rows}


def _deliveries() -> Select[Any]:
    d, e = t.deliveries.c, t.events.c
    own = (d.id, d.event, d.destination, d.route, d.lane, d.state, d.writes, d.updated)
    return (
        select(*own, e.record, e.key)
        .join_from(t.deliveries, t.events, e.id == d.event)
        .order_by(d.id)
    )


def _read(conn: Connection, statement: Select[Any]) -> list[Delivery]:
    return [Delivery(**row) for row in conn.execute(statement).mappings()]
