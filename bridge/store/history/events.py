"""One event: everything that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Select, select

from bridge.store import schema as t
from bridge.store.effects import decode_effects, decode_identities
from bridge.store.snapshots import unpack


@dataclass(frozen=True, kw_only=True, slots=True)
class EventHistory:
    """Everything that is known of one event. Rows are mappings from the names of columns."""

    #: The row of the event, with the identities of its effects and without body and verdicts.
    event: Mapping[str, Any]
    #: The body as it arrived; None when it was never kept, or is no longer.
    body: bytes | None
    verdicts: tuple[Mapping[str, Any], ...]
    deliveries: tuple[Mapping[str, Any], ...]
    attempts: tuple[Mapping[str, Any], ...]
    #: The events that reported one of its effects, itself included: identity, event, hook, at.
    sightings: tuple[Mapping[str, Any], ...]
    #: What operators did to it.
    actions: tuple[Mapping[str, Any], ...]


def find(conn: Connection, prefix: str) -> list[str]:
    """Return the ids of up to two events that begin with a prefix."""
    e = t.events.c
    last = prefix.ljust(20, "z")
    ids = select(e.id).where(e.id >= prefix, e.id <= last).order_by(e.id).limit(2)
    return list(conn.scalars(ids))


def history_of(conn: Connection, event: str) -> EventHistory | None:
    """Gather everything about one event; None when there is no such event."""
    row = conn.execute(select(t.events).where(t.events.c.id == event)).first()
    if row is None:
        return None
    columns = dict(row._mapping)  # noqa: SLF001 - the public name of a row's mapping
    body, fixed = columns.pop("body"), orjson.loads(columns.pop("verdicts"))
    columns["effects"] = [effect.identity for effect in decode_effects(columns["effects"])]
    v, d, a, s = t.verdicts.c, t.deliveries.c, t.attempts.c, t.sightings.c
    deliveries = _rows(conn, select(t.deliveries).where(d.event == event).order_by(d.id))
    attempts = select(t.attempts).where(a.delivery.in_([d["id"] for d in deliveries]))
    sightings = select(t.sightings).where(s.site == row.site, s.identity.in_(columns["effects"]))
    actions = select(t.actions).where(t.actions.c.event == event)
    return EventHistory(
        event=columns,
        body=None if body is None else unpack(body),
        verdicts=(
            *_rows(conn, select(t.verdicts).where(v.event == event)),
            *({"first": "", "stage": "", **verdict, "event": event} for verdict in fixed),
        ),
        deliveries=tuple(
            {**d, "effects": list(decode_identities(d["effects"]))} for d in deliveries
        ),
        attempts=_rows(conn, attempts.order_by(a.id)),
        sightings=_rows(conn, sightings.order_by(s.at, s.event)),
        actions=_rows(conn, actions.order_by(t.actions.c.id)),
    )


def _rows(conn: Connection, statement: Select[Any]) -> tuple[Mapping[str, Any], ...]:
    return tuple(dict(row) for row in conn.execute(statement).mappings())
