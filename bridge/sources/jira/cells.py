"""Instants as parts of identities: equal for all that may be one, different for what are two.

Two tellings of one change can give its instant a little differently: a database drops the
milliseconds, or moves them. So an instant stands in an identity as the cell of time that it falls
into. Next to the edge of two cells, a change is known by the other one too: whoever tells of it
from beyond the edge knows it by both as well.
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
    """How time is cut into cells. All numbers are ms."""

    width: int
    #: How far two tellings of one instant may lie apart.
    slack: int
    #: Where the cells begin, after a full multiple of the width.
    offset: int
    #: Writes a cell, by its middle.
    name: Callable[[int], str]

    def cells(self, value: object) -> tuple[str, ...]:
        """Name the cell of an instant, then the next one if it is near; ("",) for no instant."""
        at = instant(value)
        if at is None or at >= _YEAR_9999:
            return ("",)
        number, within = divmod(at - self.offset, self.width)
        if within < self.slack:
            return self._named(number), self._named(number - 1)
        if within >= self.width - self.slack:
            return self._named(number), self._named(number + 1)
        return (self._named(number),)

    def _named(self, number: int) -> str:
        return self.name(number * self.width + self.offset + self.width // 2)


@lru_cache(maxsize=1024)
def _minute(middle: int) -> str:
    return datetime.fromtimestamp(middle // 1000, UTC).strftime("%Y-%m-%dT%H:%M")


def _moment(middle: int) -> str:
    second, ms = divmod(middle, 1000)
    return f"{second}.{ms // 10:02d}"


#: Of what is created: ids come again after a backup was restored, which takes longer than this. A
#: second of slack, for databases that keep no ms. The edges lie off the minute, on which scheduled
#: jobs create things.
CREATED = Grid(width=600_000, slack=1_000, offset=330_000, name=_minute)
#: Of what changes again and again: two changes within this are no two a person made. The edges lie
#: off the round numbers, which is all that some databases keep.
CHANGED = Grid(width=50, slack=2, offset=25, name=_moment)
