"""Keep events: read, decide, write, in one transaction for a whole batch of waiting requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from bridge.core import dedup
from bridge.core.dedup.changes import Entry
from bridge.model import Verdict
from bridge.store.database.statements import pipeline
from bridge.store.inbox.prepare import is_ready, prepare, storable_entry
from bridge.store.inbox.read import Look, read, send_look
from bridge.store.inbox.write import write


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """What one transaction kept."""

    #: How many lanes of each destination may have something to do now.
    ready: dict[str, int] = field(default_factory=dict)
    #: The verdicts of the events that were kept, by event.
    verdicts: Mapping[str, Sequence[Verdict]] = field(default_factory=dict)


def accept(
    conn: Connection,
    now: int,
    entries: Sequence[Entry],
    *,
    grace_ms: int,
    settling: Sequence[int] = (),
    look: Look | None = None,
) -> Accepted:
    """Keep events, claim their effects and queue their deliveries.

    `now` is in ms. An entry that was kept before changes nothing. `settling` are lanes
    that the same transaction settles afterwards. `look` is what `look_ahead` returned for the same
    entries in this transaction.
    """
    if look is None:
        entries = prepare(conn, entries)
        if not entries:
            return Accepted()
        with pipeline(conn):
            look = send_look(conn, entries, settling)
    known, lanes = read(conn, now, look)
    changes = dedup.decide(look.entries, known, now=now, grace_ms=grace_ms)
    ready = write(conn, now, look.entries, changes, lanes)
    return Accepted(ready=ready, verdicts=changes.verdicts)


def look_ahead(conn: Connection, entries: Sequence[Entry], settling: Sequence[int]) -> Look | None:
    """Send the questions of `accept` `together` with the beginning of its transaction.

    None: another question has to be answered first.
    """
    if not entries or not all(map(is_ready, entries)):
        return None
    return send_look(conn, list(map(storable_entry, entries)), settling)
