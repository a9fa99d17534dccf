"""Claims: which event of a batch, or of the database, may carry which effect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bridge.core.dedup.changes import ClaimKey, MovedClaim


class Claims:
    """The claims that one batch requests, as they change while it is decided.

    A reserved claim is free until an event of the batch takes it: its row was inserted in this
    transaction. `moved` and `released` are how the rows have to change in the end.
    """

    def __init__(self, reserved: Mapping[ClaimKey, str], held: Mapping[ClaimKey, str]) -> None:
        #: The event that the row of each claim names.
        self._rows = {**held, **reserved}
        self._holders = dict(held)

    def take(self, keys: Sequence[ClaimKey], event: str) -> str:
        """Take the free ones of an effect's claims for an event, unless another one holds any.

        Returns the holder, or "" when the event has the effect now.
        """
        holder = next((self._holders[key] for key in keys if key in self._holders), "")
        for key in keys:
            self._holders.setdefault(key, holder or event)
        return holder

    def holder(self, key: ClaimKey) -> str:
        """Return the event that holds a claim, or ""."""
        return self._holders.get(key, "")

    def move(self, keys: Iterable[ClaimKey], before: str, after: str) -> None:
        """Hand claims on from one event to another."""
        for key in keys:
            self._rows.setdefault(key, before)
            self._holders[key] = after

    def release(self, keys: Iterable[ClaimKey], holder: str) -> None:
        """Give claims up, so that a later event can have them."""
        for key in keys:
            self._rows.setdefault(key, holder)
            self._holders.pop(key, None)

    @property
    def moved(self) -> tuple[MovedClaim, ...]:
        """The rows that name another event than the one that holds them now, in order."""
        moved = [
            (key, event)
            for key, event in self._rows.items()
            if self._holders.get(key, event) != event
        ]
        return tuple(
            MovedClaim(key=key, before=event, after=self._holders[key])
            for key, event in sorted(moved)
        )

    @property
    def released(self) -> tuple[ClaimKey, ...]:
        """The rows that no event needs any more, in order."""
        return tuple(sorted(key for key in self._rows if key not in self._holders))
