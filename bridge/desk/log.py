"""The decision log: what was decided of what arrived, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from bridge.desk import instant
from bridge.store import Store
from bridge.store.log import Line, Query, lines

#: What a line of the log says, in the order of the columns.
FIELDS = (
    "event",
    "time",
    "hook",
    "source",
    "name",
    "record",
    "key",
    "route",
    "destination",
    "verdict",
    "reason",
    "state",
    "effects",
    "first",
)
#: Events are looked at again for so long, in ms: what was kept a moment later than a younger event,
#: and what was undecided when it came.
WINDOW = 60_000
#: How long to wait between two looks, in seconds.
LOOK_AGAIN = 0.5


def told(line: Line) -> dict[str, Any]:
    """Say a line as plain data: the contract of `log --json`."""
    said = {name: getattr(line, name) for name in FIELDS if name != "time"}
    said |= {"time": instant(line.received), "effects": list(line.effects)}
    if not line.first:
        del said["first"]
    return {name: said[name] for name in FIELDS if name in said}


def read(store: Store, query: Query, *, limit: int | None = None) -> Iterator[Line]:
    """Read the log in order of arrival; with a limit, of so many events, the last ones."""
    with store.reading() as conn:
        if limit is None:
            yield from lines(conn, query, limit=None, newest=False)
            return
        found = list(lines(conn, query, limit=limit, newest=True))
    events = [list(several) for _, several in groupby(found, key=lambda line: line.event)]
    for several in reversed(events):
        yield from several


def follow(
    store: Store, query: Query, *, after: str = "", wait: Callable[[float], bool]
) -> Iterator[Line]:
    """Give what is decided from now on, also of undecided events; ends when `wait` says True.

    `after` is the last event that is known already.
    """
    seen = _Seen()
    first = True
    while True:
        since = store.now() - WINDOW
        for line in read(store, replace(query, since=max(since, query.since or 0))):
            if seen.anew(line) and not (first and line.event <= after):
                yield line
        seen.forget(since)
        first = False
        if wait(LOOK_AGAIN):
            return


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """The decisions that were given already, and when their events arrived."""

    lines: dict[tuple[str, str, str, str], int] = field(default_factory=dict)

    def anew(self, line: Line) -> bool:
        decision = (line.event, line.route, line.destination, line.verdict)
        return self.lines.setdefault(decision, line.received) is line.received

    def forget(self, before: int) -> None:
        for decision in [d for d, received in self.lines.items() if received < before]:
            del self.lines[decision]


def counted(found: Iterable[Line]) -> dict[str, int]:
    """Count lines by verdict."""
    counts: dict[str, int] = {}
    for line in found:
        counts[line.verdict] = counts.get(line.verdict, 0) + 1
    return counts
