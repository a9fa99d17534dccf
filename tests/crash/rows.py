"""The bridge's rows, as the checks need them."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, func, select

from bridge.store import schema as t
from crash.story import Effect


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A delivery and what it carries."""

    id: int
    event: str
    state: str
    effects: tuple[Effect, ...]
    #: The record it is about.
    record: str

    @property
    def comments(self) -> tuple[Effect, ...]:
        """Return the effects that are written anew each time they are told."""
        return tuple(effect for effect in self.effects if effect[0] == "comment")


def deliveries(conn: Connection, *states: str) -> list[Delivery]:
    """Read the deliveries, of some states or all."""
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
    """Say an identity of the bridge in the words of the story."""
    kind, one, *more = identity.split(":")
    return (kind, one, "" if kind == "change" else more[0])


def events(conn: Connection) -> dict[str, str]:
    """Read what each event came to."""
    return {row.id: row.outcome for row in conn.execute(select(t.events.c.id, t.events.c.outcome))}


def stale(conn: Connection) -> set[Effect]:
    """Read which changes were told when newer ones had set all that they had."""
    e = t.events.c
    found = conn.scalars(select(e.effects).where(e.outcome == "stale"))
    effects = (effect_of(told[0]) for row in found for told in orjson.loads(row))
    return {effect for effect in effects if effect[0] == "change"}


def verdicts(conn: Connection) -> dict[tuple[str, str, str], str]:
    """Read the verdicts: (event, destination, verdict) -> the event that was first."""
    v = t.verdicts.c
    found = conn.execute(select(v.event, v.destination, v.verdict, v.first))
    return {(row.event, row.destination, row.verdict): row.first for row in found}


def unfinished(conn: Connection) -> int:
    """Count what is still on its way."""
    open_ones = t.deliveries.c.state.in_(t.OPEN)
    return conn.scalar(select(func.count()).select_from(t.deliveries).where(open_ones)) or 0
