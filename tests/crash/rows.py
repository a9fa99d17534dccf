"""The bridge's rows, as the checks need them."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, func, select

from bridge.store import schema as t
from crash.story import Effect


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A delivery with its effects."""

    id: int
    event: str
    state: str
    effects: tuple[Effect, ...]
    #: The record it is about.
    record: str

    @property
    def comments(self) -> tuple[Effect, ...]:
        """The comments, which Aha! writes again each time they are sent."""
        return tuple(effect for effect in self.effects if effect[0] == "comment")


def deliveries(conn: Connection, *states: str) -> list[Delivery]:
    """Return the deliveries in some states, or all."""
    d, e = t.deliveries.c, t.events.c
    statement = (
        select(d.id, d.event, d.state, d.effects, e.record)
        .join_from(t.deliveries, t.events, d.event == e.id)
        .order_by(d.id)
    )
    if states:
        statement = statement.where(d.state.in_(states))
    return [
        Delivery(
            id=row.id,
            event=row.event,
            state=row.state,
            record=row.record,
            effects=tuple(effect_of(name) for name in orjson.loads(row.effects)),
        )
        for row in conn.execute(statement)
    ]


def effect_of(identity: str) -> Effect:
    """Convert an identity of the bridge to an `Effect`."""
    kind, one, *more = identity.split(":")
    return (kind, one, "" if kind == "change" else more[0])


def events(conn: Connection) -> dict[str, str]:
    """Return the outcome of each event."""
    return {row.id: row.outcome for row in conn.execute(select(t.events.c.id, t.events.c.outcome))}


def stale(conn: Connection) -> set[Effect]:
    """Return the changes not sent because newer ones had set the same fields."""
    e = t.events.c
    found = conn.scalars(select(e.effects).where(e.outcome == "stale"))
    effects = (effect_of(name[0]) for row in found for name in orjson.loads(row))
    return {effect for effect in effects if effect[0] == "change"}


def verdicts(conn: Connection) -> dict[tuple[str, str, str], str]:
    """Return the verdicts: (event, destination, verdict) to the first event with the effect."""
    v = t.verdicts.c
    found = conn.execute(select(v.event, v.destination, v.verdict, v.first))
    return {(row.event, row.destination, row.verdict): row.first for row in found}


def unfinished(conn: Connection) -> int:
    """Count the open deliveries."""
    open_ones = t.deliveries.c.state.in_(t.OPEN)
    return conn.scalar(select(func.count()).select_from(t.deliveries).where(open_ones)) or 0
