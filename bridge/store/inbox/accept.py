"""Keep events: read, decide, write, in one transaction for a whole batch of waiting requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, select

from bridge.core import dedup
from bridge.core.changes import Entry
from bridge.core.snapshot import Snapshot, newest_of
from bridge.core.storable import is_storable, storable_event, storable_verdict
from bridge.core.unknown import resolve, wants_snapshot
from bridge.model import Verdict
from bridge.store import schema as t
from bridge.store.database.statements import pipeline
from bridge.store.inbox.read import Look, read, send_look
from bridge.store.inbox.write import write
from bridge.store.snapshots import latest_snapshot, snapshot_of


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
        entries = _resolved(conn, [_storable(entry) for entry in _not_kept(conn, entries)])
        if not entries:
            return Accepted()
        with pipeline(conn):
            look = send_look(conn, entries, settling)
    known, lanes = read(conn, now, look)
    changes = dedup.decide(look.entries, known, now=now, grace_ms=grace_ms)
    ready = write(conn, now, look.entries, changes, lanes)
    return Accepted(ready=ready, verdicts=changes.verdicts)


def look_ahead(conn: Connection, entries: Sequence[Entry], settling: Sequence[int]) -> Look | None:
    """Send the questions of `accept` in one `pipeline` with the beginning of its transaction.

    None: another question has to be answered first.
    """
    if not entries or any(entry.again or _is_undecided(entry) for entry in entries):
        return None
    return send_look(conn, [_storable(entry) for entry in entries], settling)


def _not_kept(conn: Connection, entries: Sequence[Entry]) -> list[Entry]:
    doubtful = [entry.event.id for entry in entries if entry.again]
    if not doubtful:
        return list(entries)
    kept = set(conn.scalars(select(t.events.c.id).where(t.events.c.id.in_(doubtful))))
    return [entry for entry in entries if entry.event.id not in kept]


def _is_undecided(entry: Entry) -> bool:
    return entry.plan is not None and wants_snapshot(entry.verdicts, entry.event)


def _resolved(conn: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Decide undecided events by the newest snapshot of their records, also of the same batch."""
    latest: dict[tuple[str, str], Snapshot | None] = {}
    found = []
    for entry in entries:
        event, plan = entry.event, entry.plan
        record = (event.site, event.record)
        if plan is not None and wants_snapshot(entry.verdicts, event):
            snapshot = newest_of(latest.get(record), latest_snapshot(conn, *record))
            verdicts = resolve(plan, event, event.received, snapshot=snapshot)
            found.append(_storable(replace(entry, verdicts=verdicts)))
        else:
            found.append(entry)
        if event.full and event.record:
            latest[record] = newest_of(snapshot_of(event), latest.get(record))
    return found


def _storable(entry: Entry) -> Entry:
    """Return an entry of which both databases take every value."""
    if is_storable(entry.event, entry.verdicts):
        return entry
    verdicts = tuple(map(storable_verdict, entry.verdicts))
    return replace(entry, event=storable_event(entry.event), verdicts=verdicts)
