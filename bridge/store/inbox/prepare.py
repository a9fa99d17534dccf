"""Entries before they are kept: new ones only, decided as far as can be, and storable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from bridge.core.dedup.changes import Entry
from bridge.core.snapshot import Snapshot, newest_of
from bridge.core.storable import is_storable, storable_event, storable_verdict
from bridge.core.unknown import resolve, wants_snapshot
from bridge.store import schema as t
from bridge.store.snapshots import latest_snapshot, snapshot_of


def is_ready(entry: Entry) -> bool:
    """Whether an entry can be kept without reading anything before."""
    return not entry.again and not _is_undecided(entry)


def storable_entry(entry: Entry) -> Entry:
    """Return an entry of which both databases take every value."""
    if is_storable(entry.event, entry.verdicts):
        return entry
    verdicts = tuple(map(storable_verdict, entry.verdicts))
    return replace(entry, event=storable_event(entry.event), verdicts=verdicts)


def prepare(conn: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that were not kept before, as they are to be kept.

    An event that its filter could not decide is decided by the newest snapshot of its record, which
    may be an event of the same batch.
    """
    latest: dict[tuple[str, str], Snapshot | None] = {}
    found = []
    for entry in map(storable_entry, _new(conn, entries)):
        event, plan = entry.event, entry.plan
        record = (event.site, event.record)
        if plan is not None and wants_snapshot(entry.verdicts, event):
            snapshot = newest_of(latest.get(record), latest_snapshot(conn, *record))
            verdicts = resolve(plan, event, event.received, snapshot=snapshot)
            found.append(storable_entry(replace(entry, verdicts=verdicts)))
        else:
            found.append(entry)
        if event.full and event.record:
            latest[record] = newest_of(snapshot_of(event), latest.get(record))
    return found


def _is_undecided(entry: Entry) -> bool:
    return entry.plan is not None and wants_snapshot(entry.verdicts, entry.event)


def _new(conn: Connection, entries: Sequence[Entry]) -> list[Entry]:
    doubtful = [entry.event.id for entry in entries if entry.again]
    if not doubtful:
        return list(entries)
    kept = set(conn.scalars(select(t.events.c.id).where(t.events.c.id.in_(doubtful))))
    return [entry for entry in entries if entry.event.id not in kept]
