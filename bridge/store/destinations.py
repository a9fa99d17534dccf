"""What a store does when the mappings change: destinations are registered, renamed, resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager

from sqlalchemy import Connection

from bridge.store import operators, renaming
from bridge.store.database.transact import Transact
from bridge.store.queue import destinations
from bridge.store.renaming import Names


class Destinations:
    """The destinations that a store knows. Every method raises `Down`."""

    def __init__(
        self,
        *,
        reading: Callable[[], AbstractContextManager[Connection]],
        transact: Transact,
        transact_here: Transact,
    ) -> None:
        self._reading = reading
        self._transact = transact
        self._transact_here = transact_here

    def register(self, tokens: Mapping[str, str]) -> None:
        """Register destinations: `tokens` maps each name to the hash of its token.

        A new token ends a pause; under a name that was given up, it is another destination.
        """
        self._transact(lambda conn, now: destinations.register(conn, now, tokens))

    def resume(self, names: Iterable[str]) -> None:
        """End the pauses of destinations and retry their deliveries at once."""
        several = sorted(names)
        self._transact(lambda conn, now: [destinations.resume(conn, now, name) for name in several])

    def requeue_unmappable(self, revisions: Mapping[str, str]) -> int:
        """Queue again what a mapping could not map, where that mapping was edited since.

        `revisions` are those of the mappings in use, by route. Returns how many deliveries.
        """
        return self._transact(lambda conn, now: operators.requeue_unmappable(conn, now, revisions))

    def compare_names(self, configured: Mapping[str, str]) -> Names:
        """Compare the destinations of the mappings with those of the database.

        `configured` has the former name, or "", of each destination by its name.
        """
        with self._reading() as conn:
            return renaming.compare(conn, configured)

    def rename(self, was: str, name: str) -> int:
        """Move everything of the destination `was` to `name`; returns how many are open.

        On a connection of its own: it can take longer than the writer waits for its database.
        """
        return self._transact_here(lambda conn, now: renaming.carry(conn, now, was, name))
