"""The installations that the bodies of each hook name: two sites of one Jira, or two Jiras, show.

A row holds a hook, an installation that its bodies named, and the site that the hook had then. It
is written once a day at most, not for each event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from bridge.model import Event
from bridge.store import schema as t
from bridge.store.database.statements import upsert

_DAY = 24 * 3600 * 1000
#: How long a row counts after it was written last. A renamed installation, or a corrected mistake,
#: is forgotten after that.
FRESH_MS = 3 * _DAY
#: How many installations of one hook are written in a day at most, as a sender may name any.
MOST_A_DAY = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A hook whose bodies name an installation."""

    hook: str
    #: The hook's site when it did.
    site: str
    source: str
    #: The installation's host, and the path it is at.
    origin: str


class Origins:
    """The rows that this process wrote today. Only the store's writer uses it, in one thread."""

    def __init__(self) -> None:
        self._day = -1
        self._known: set[Named] = set()
        self._written: set[Named] = set()

    def note(self, conn: Connection, now: int, events: Iterable[Event]) -> None:
        """Write what events name for the first time today; call `noted` once it is committed."""
        if now // _DAY != self._day:
            self._day = now // _DAY
            self._known.clear()
        found = {_named(event) for event in events if event.origin} - self._known
        self._written = {named for named in found if self._believed(named)}
        if self._written:
            _write(conn, now, sorted(self._written, key=lambda it: (it.hook, it.origin, it.site)))

    def noted(self) -> None:
        """Do not write the same rows again today."""
        self._known |= self._written
        self._written = set()

    def _believed(self, named: Named) -> bool:
        return sum(1 for known in self._known if known.hook == named.hook) < MOST_A_DAY


def _named(event: Event) -> Named:
    return Named(hook=event.hook, site=event.site, source=event.source, origin=event.origin)


def _write(conn: Connection, now: int, several: Sequence[Named]) -> None:
    for named in several:
        row = {
            "hook": named.hook,
            "origin": named.origin,
            "site": named.site,
            "source": named.source,
            "seen": now,
        }
        statement = upsert(conn, t.origins).values(row)
        changed = {name: statement.excluded[name] for name in ("site", "source", "seen")}
        conn.execute(
            statement.on_conflict_do_update(index_elements=["hook", "origin"], set_=changed)
        )


def named(conn: Connection, now: int) -> list[Named]:
    """Read what the hooks' bodies named lately."""
    o = t.origins.c
    rows = conn.execute(
        select(o.hook, o.site, o.source, o.origin)
        .where(o.seen > now - FRESH_MS)
        .order_by(o.site, o.origin, o.hook)
    )
    return [Named(**row) for row in rows.mappings()]
