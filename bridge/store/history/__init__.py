"""Reading: what happened to events, and which deliveries are on their way. Nothing here writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection

from bridge.store.history import deliveries, entries, events, totals
from bridge.store.history.deliveries import Delivery
from bridge.store.history.entries import LogEntry, Query
from bridge.store.history.events import EventHistory
from bridge.store.history.totals import Totals

__all__ = ["Delivery", "EventHistory", "History", "LogEntry", "Query", "Totals"]


class History:
    """What a store answers about the past and the present. Every method raises `Down`."""

    def __init__(self, reading: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._reading = reading

    def entries(
        self, query: Query, *, limit: int | None = None, newest: bool = False
    ) -> Iterator[LogEntry]:
        """Read the decision log in order of arrival, or the newest events first.

        `limit` counts the events whose entries are returned.
        """
        with self._reading() as conn:
            yield from entries.read(conn, query, limit=limit, newest=newest)

    def find_events(self, prefix: str) -> list[str]:
        """Return the ids of up to two events that begin with a prefix."""
        with self._reading() as conn:
            return events.find(conn, prefix)

    def event(self, event: str) -> EventHistory | None:
        """Gather everything about one event; None when there is no such event."""
        with self._reading() as conn:
            return events.history_of(conn, event)

    def delivery(self, delivery: int) -> Delivery:
        """Find a delivery by its number; raises `NotFound`."""
        with self._reading() as conn:
            return deliveries.by_id(conn, delivery)

    def deliveries_of(self, event: str) -> list[Delivery]:
        """List an event's deliveries, the oldest first."""
        with self._reading() as conn:
            return deliveries.of_event(conn, event)

    def blocked(self, *, states: Sequence[str] = (), destination: str = "") -> list[Delivery]:
        """List the deliveries that are parked or in doubt, the oldest first.

        With `states` or `destination`, only those in these states, or to that destination.
        """
        with self._reading() as conn:
            return deliveries.blocked(conn, states=states, destination=destination)

    def longest_blocked(self, limit: int) -> list[tuple[Delivery, str]]:
        """List parked and doubtful deliveries with their last answer, the longest blocked first."""
        with self._reading() as conn:
            return deliveries.longest_blocked(conn, limit)

    def totals(self) -> Totals:
        """Count every event and delivery once."""
        with self._reading() as conn:
            return totals.count(conn)
