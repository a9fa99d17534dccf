"""Totals: how many events and deliveries there are, and how the destinations are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, null, select

from bridge.model import State
from bridge.store import schema as t

#: The columns of a destination's row that are reported with the totals.
_OF_DESTINATIONS = ("paused", "blocked_until", "failures", "opened", "anyone_at")


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """All events by outcome, and all deliveries by state; each is counted once."""

    #: Events by their outcome.
    events: Mapping[str, int]
    #: Deliveries by state.
    deliveries: Mapping[str, int]
    #: By destination: deliveries that are not over, by state.
    open: Mapping[str, Mapping[str, int]]
    #: By destination: paused (why), blocked_until, failures, opened, anyone_at. The instants are
    #: ms of the engine's clock.
    destinations: Mapping[str, Mapping[str, Any]]
    #: When the oldest delivery that is not over was queued, in ms since the epoch.
    oldest: int | None


def count(conn: Connection) -> Totals:
    """Count every event and delivery once."""
    e, d = t.events.c, t.deliveries.c
    deliveries, unfinished = _deliveries(conn)
    destinations = conn.execute(select(t.destinations)).mappings()
    outcomes = conn.execute(select(e.outcome, func.count()).group_by(e.outcome))
    return Totals(
        events={row[0]: row[1] for row in outcomes},
        deliveries=deliveries,
        open=unfinished,
        destinations={
            row["name"]: {name: row[name] for name in _OF_DESTINATIONS}
            for row in destinations
            if not row["renamed_to"] or row["name"] in unfinished
        },
        oldest=conn.scalar(select(func.min(d.created)).where(d.state.in_(t.OPEN))),
    )


def _deliveries(conn: Connection) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Count deliveries by state, and those that are not over by destination and state."""
    d = t.deliveries.c
    # Nearly all deliveries are delivered. They are the rest of all, whose count needs no index.
    others = (
        select(d.destination, d.state, func.count().label("count"))
        .where(d.state.in_([state for state in State if state is not State.DELIVERED]))
        .group_by(d.state, d.destination)
    )
    every = select(null(), null(), func.count()).select_from(t.deliveries)
    states: dict[str, int] = {}
    unfinished: dict[str, dict[str, int]] = {}
    total = 0
    for destination, state, number in conn.execute(others.union_all(every)):
        if state is None:
            total = number
            continue
        states[state] = states.get(state, 0) + number
        if state in t.OPEN:
            unfinished.setdefault(destination, {})[state] = number
    delivered = total - sum(states.values())
    if delivered:
        states[State.DELIVERED.value] = delivered
    return states, unfinished
