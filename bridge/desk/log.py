"""The decision log: what was decided of what arrived, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

from bridge.core import ids
from bridge.desk import instant
from bridge.store import Store
from bridge.store.history import Line, Query, lines

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
    "trouble",
)
#: Events are looked at again for so long, in ms: what was kept a moment later than a younger event,
#: and what was undecided when it came.
WINDOW = 60_000
#: An event's id is made when its first byte arrives; so much later, in ms, its body has.
_UPLOAD = 300_000
#: How long to wait between two looks, in seconds.
LOOK_AGAIN = 0.5


def told(line: Line) -> dict[str, Any]:
    """Say a line as plain data: the contract of `log --json`."""
    said = {name: getattr(line, name) for name in FIELDS if name not in ("time", "effects")}
    said |= {"time": instant(line.received), "effects": list(line.identities)}
    for name in ("first", "trouble"):
        if not said[name]:
            del said[name]
    return {name: said[name] for name in FIELDS if name in said}


def read(store: Store, query: Query, *, limit: int | None = None) -> Iterator[Line]:
    """Read the log in order of arrival; with a limit, of so many events, the last ones."""
    bounded = _bounded(query)
    with store.reading() as conn:
        if limit is None:
            yield from lines(conn, bounded, limit=None, newest=False)
            return
        found = list(lines(conn, bounded, limit=limit, newest=True))
    events = [list(several) for _, several in groupby(found, key=lambda line: line.event)]
    for several in reversed(events):
        yield from several


def _bounded(query: Query) -> Query:
    """Skip by their ids the events that arrived before: their instants are in no index."""
    if query.since is None or query.after:
        return query
    return replace(query, after=ids.made(query.since - _UPLOAD))


def follow(
    store: Store, query: Query, *, after: str = "", wait: Callable[[float], bool]
) -> Iterator[Line]:
    """Give what is decided from now on, also of events that were undecided when they came.

    `after` is the last event that is known already. Once `wait` said True, there is one last look.
    """
    seen: dict[tuple[str, ...], int] = {}
    known, ended = after, False
    while True:
        since = store.now() - WINDOW
        for line in read(store, replace(query, since=max(since, query.since or 0))):
            decision = (line.event, line.route, line.destination, line.verdict)
            if decision not in seen and line.event > known:
                yield line
            seen[decision] = line.received
        seen = {decision: at for decision, at in seen.items() if at >= since}
        if ended:
            return
        known, ended = "", wait(LOOK_AGAIN)
