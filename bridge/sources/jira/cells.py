"""Instants as parts of identities: equal for one change, different for two changes.

Two reports of one change can contain slightly different instants: a database drops the
milliseconds, or moves them. So an identity contains the cell of time that the instant falls into.
A change near the edge of its cell gets a second identity with the neighbouring cell; a report with
an instant beyond the edge has both identities, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from bridge.sources.jira.values import instant

_YEAR_9999 = 253_370_764_800_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """A division of time into cells. All numbers are ms."""

    width: int
    #: How far two reports of one instant may be apart.
    slack: int
    #: The distance of a cell's beginning from a multiple of the width.
    offset: int
    #: Returns a cell's name for its middle, in ms since the epoch.
    name: Callable[[int], str]

    def cells(self, value: object) -> tuple[str, ...]:
        """Return the name of an instant's cell, and of a cell near it; ("",) for no instant."""
        at = instant(value)
        if at is None or at >= _YEAR_9999:
            return ("",)
        number, within = divmod(at - self.offset, self.width)
        if within < self.slack:
            return self._name_of(number), self._name_of(number - 1)
        if within >= self.width - self.slack:
            return self._name_of(number), self._name_of(number + 1)
        return (self._name_of(number),)

    def _name_of(self, number: int) -> str:
        return self.name(number * self.width + self.offset + self.width // 2)


@lru_cache(maxsize=1024)
def _minute(middle: int) -> str:
    return datetime.fromtimestamp(middle // 1000, UTC).strftime("%Y-%m-%dT%H:%M")


def _moment(middle: int) -> str:
    second, ms = divmod(middle, 1000)
    return f"{second}.{ms // 10:02d}"


#: Cells for creations. Restoring a backup, after which ids are assigned again, takes longer than
#: the width. The slack of a second is for databases without ms. The edges are off the full minute,
#: at which scheduled jobs create things.
CREATED = Grid(width=600_000, slack=1_000, offset=330_000, name=_minute)
#: Cells for repeated changes: no person makes two changes within the width. The edges are off the
#: round numbers that some databases round instants to.
CHANGED = Grid(width=50, slack=2, offset=25, name=_moment)
