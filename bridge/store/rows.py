"""Rows as they are written: events, verdicts, sightings, lanes and deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, and_, case, insert

from bridge.model import Effect, Event, Verdict, VerdictName
from bridge.store import tables as t
from bridge.store.batch import Batch, Entry
from bridge.store.dialect import upsert
from bridge.store.verdicts import LIVE, strongest


def lane_of(event: Event) -> str:
    """Name the lane of an event: its record at its site; what is about no record shares one."""
    return f"{event.site}/{event.record or '-'}"


def write(conn: Connection, batch: Batch, entries: Sequence[Entry]) -> None:
    """Write the events, what was decided for them, and who told of what."""
    conn.execute(insert(t.events), [_event_row(batch, entry) for entry in entries])
    rows = [
        {
            "event": entry.event.id,
            "destination": verdict.destination,
            "route": verdict.route,
            "verdict": verdict.name,
            "reason": verdict.reason,
            "first": verdict.first,
        }
        for entry in entries
        for verdict in batch.verdicts[entry.event.id]
        if verdict.name in LIVE
    ]
    if rows:
        conn.execute(insert(t.verdicts), rows)
    seen = [row for entry in entries for row in _sightings(batch, entry.event)]
    if seen:
        conn.execute(insert(t.sightings), seen)


def _event_row(batch: Batch, entry: Entry) -> dict[str, Any]:
    event, found = entry.event, batch.verdicts[entry.event.id]
    outcome = strongest(verdict.name for verdict in found)
    return {
        "id": event.id,
        "received": event.received,
        "hook": event.hook,
        "source": event.source,
        "site": event.site,
        "name": event.name,
        "record": event.record,
        "key": event.key,
        "time": event.time,
        "actor": event.actor,
        "delivery_id": event.delivery_id,
        "attempt": event.attempt,
        "thin": event.thin,
        "full": event.full,
        "outcome": outcome,
        "effects": _effects(event.effects),
        "verdicts": _fixed([verdict for verdict in found if verdict.name not in LIVE]),
        # The body of a duplicate tells nothing that the first one's does not.
        "body": None if outcome == VerdictName.DUPLICATE else entry.packed,
    }


def _effects(effects: Sequence[Effect]) -> str:
    return orjson.dumps([[e.identity, e.event, e.part, e.writes] for e in effects]).decode()


def _fixed(found: Sequence[Verdict]) -> str:
    return orjson.dumps(
        [
            {"route": v.route, "destination": v.destination, "verdict": v.name, "reason": v.reason}
            for v in found
        ]
    ).decode()


def _sightings(batch: Batch, event: Event) -> list[dict[str, Any]]:
    """Remember who told of what, where anything can hang on it."""
    live = any(verdict.name in LIVE for verdict in batch.verdicts[event.id])
    return [
        {
            "site": event.site,
            "identity": effect.identity,
            "event": event.id,
            "hook": event.hook,
            "at": batch.now,
        }
        for effect in {effect.identity: effect for effect in event.effects}.values()
        if live or (effect.writes and (event.full or not effect.stale_after))
    ]


def names(identities: Sequence[str]) -> str:
    """Pack the identities a delivery carries."""
    return orjson.dumps(list(identities)).decode()


def writes(event: Event, identities: Sequence[str]) -> bool:
    """Tell whether carrying these effects makes the receiver write something new."""
    return any(effect.writes for effect in event.effects if effect.identity in identities)


# Lanes and deliveries


def queue(conn: Connection, batch: Batch) -> dict[str, int]:
    """Queue the planned deliveries; returns how many lanes of each destination they are in."""
    if not batch.planned:
        return {}
    lanes = _lanes(conn, batch)
    conn.execute(
        insert(t.deliveries),
        [
            {
                "event": p.event.id,
                "destination": p.destination,
                "route": p.route,
                "lane": lanes[p.destination, lane_of(p.event)],
                "state": "queued",
                "effects": names(p.identities),
                "writes": writes(p.event, p.identities),
                "hold_until": p.hold_until,
                "created": batch.now,
                "updated": batch.now,
            }
            for p in batch.planned
        ],
    )
    ready: dict[str, int] = {}
    for destination, _ in lanes:
        ready[destination] = ready.get(destination, 0) + 1
    return ready


def _lanes(conn: Connection, batch: Batch) -> dict[tuple[str, str], int]:
    """Find or make the lanes, and set those off that had nothing to do."""
    first: dict[tuple[str, str], int] = {}
    for p in batch.planned:
        first.setdefault((p.destination, lane_of(p.event)), p.hold_until or batch.now)
    insertion = upsert(conn, t.lanes)
    idle = and_(t.lanes.c.next_at.is_(None), t.lanes.c.blocked.is_(False))
    statement = insertion.on_conflict_do_update(
        index_elements=["destination", "record"],
        # A head that waits or is tried again keeps its instant: the head stays the head.
        set_={"next_at": case((idle, insertion.excluded.next_at), else_=t.lanes.c.next_at)},
    ).returning(t.lanes.c.id, t.lanes.c.destination, t.lanes.c.record)
    rows = [
        {"destination": destination, "record": record, "next_at": first[destination, record]}
        for destination, record in sorted(first)
    ]
    return {(row.destination, row.record): row.id for row in conn.execute(statement, rows)}
