"""Rows as they are written: events, verdicts, sightings, lanes and deliveries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, insert, select, text, update

from bridge.core.stale import reports_state
from bridge.model import Effect, Event, Verdict, VerdictName
from bridge.store import schema as t
from bridge.store.database.clocks import wall
from bridge.store.database.statements import Prepared, as_rows, listing, spelled, together
from bridge.store.effects import encode_effects, encode_identities, writes_any
from bridge.store.inbox.claims import wanted
from bridge.store.inbox.verdicts import LIVE, strongest
from bridge.store.nouns import Batch, Entry
from bridge.store.queue.lanes import (
    OPEN,
    SET_OFF,
    lane_of,
    lock_lanes,
    make_and_set_off,
    wake_held,
)
from bridge.store.wakeups import CHANNEL, notify_processes

_EVENTS = Prepared(insert(t.events), [column.name for column in t.events.columns])
_VERDICTS = """
    INSERT INTO verdicts (event, destination, route, verdict, reason, first, stage)
    SELECT {0}, {1}, {2}, {3}, {4}, {5}, {6} FROM {rows}
    """
_SIGHTINGS = """
    INSERT INTO sightings (site, identity, event, hook, at)
    SELECT {0}, {1}, {2}, {3}, CAST(:wall AS BIGINT) FROM {rows}
    """
#: The last place is now, or that of the last one there, should the clock have been put back.
_DELIVERIES = f"""
    INSERT INTO deliveries
        (event, destination, route, lane, state, effects, writes, hold_until, created, updated,
        late, place)
    SELECT {{0}}, {{1}}, {{2}}, CAST({{3}} AS BIGINT), 'queued', {{4}}, CAST({{5}} AS BOOLEAN),
        CAST({{6}} AS BIGINT), CAST(:wall AS BIGINT), CAST(:wall AS BIGINT),
        CAST({{8}} AS BOOLEAN), COALESCE(CAST({{7}} AS BIGINT), (
            SELECT d.place FROM deliveries d
            WHERE d.lane = CAST({{3}} AS BIGINT) AND {OPEN} AND d.place > CAST(:now AS BIGINT)
            ORDER BY d.place DESC LIMIT 1
        ), CAST(:now AS BIGINT)) FROM {{rows}}
    """  # noqa: S608 - our words
_ADD_VERDICTS = listing(_VERDICTS, 7)
_ADD_SIGHTINGS = listing(_SIGHTINGS, 4)
_ADD_DELIVERIES = listing(_DELIVERIES, 9)


def _spelled(sql: str, columns: int, rows: str) -> str:
    return spelled("postgresql", sql, columns, rows)


_COLUMNS = ", ".join(f'"{column.name}"' for column in t.events.columns)
#: The same in one statement: PostgreSQL's driver takes its time with each.
_ALL_AT_ONCE = Prepared(
    text(
        f"""
        WITH written_events AS (
            INSERT INTO events ({_COLUMNS}) SELECT {_COLUMNS}
            FROM json_populate_recordset(CAST(NULL AS events), CAST(:events AS json))
        ), written_verdicts AS ({_spelled(_VERDICTS, 7, "verdicts")}
        ), written_sightings AS ({_spelled(_SIGHTINGS, 4, "sightings")}
        ), set_off AS ({_spelled(SET_OFF, 2, "lanes")}
        ), written_deliveries AS ({_spelled(_DELIVERIES, 9, "deliveries")}
        ) SELECT pg_notify('{CHANNEL}', :ready) WHERE :ready <> '{{}}'
        """  # noqa: S608 - our names
    )
)


def write(
    conn: Connection,
    batch: Batch,
    entries: Sequence[Entry],
    meanwhile: Callable[[], None] | None = None,
) -> dict[str, int]:
    """Write the events, what was decided for them, who told of what, and their deliveries.

    Returns how many lanes of each destination may have something to do now. `meanwhile` is called
    while a server is at work on it.
    """
    _hurry(conn, batch)
    _move_up(conn, batch)
    rows = [_event_row(batch, entry) for entry in entries]
    starting = _next(batch)
    if conn.dialect.name == "postgresql" and starting.keys() <= batch.lanes.keys():
        ready = _ready(batch, starting)
        with together(conn):
            _write_at_once(conn, batch, entries, rows, starting, ready)
            if meanwhile is not None:
                meanwhile()
        return ready
    _EVENTS.run(conn, rows)
    if verdicts := _verdicts(batch, entries):
        _ADD_VERDICTS.run(conn, {"rows": as_rows(verdicts)})
    if seen := _seen(batch, entries):
        _ADD_SIGHTINGS.run(conn, {"rows": as_rows(seen), "wall": wall(batch.now)})
    return queue(conn, batch)


def _write_at_once(
    conn: Connection,
    batch: Batch,
    entries: Sequence[Entry],
    rows: Sequence[dict[str, Any]],
    starting: Mapping[tuple[str, str], int],
    ready: Mapping[str, int],
) -> None:
    for row in rows:
        row["body"] = None if row["body"] is None else f"\\x{row['body'].hex()}"
    _ALL_AT_ONCE.run(
        conn,
        {
            "now": batch.now,
            "wall": wall(batch.now),
            "events": orjson.dumps(rows).decode(),
            "verdicts": as_rows(_verdicts(batch, entries)),
            "sightings": as_rows(_seen(batch, entries)),
            "lanes": as_rows([(batch.lanes[key], at) for key, at in sorted(starting.items())]),
            "deliveries": as_rows(_deliveries(batch, batch.lanes)),
            "ready": orjson.dumps(ready).decode(),
        },
    )


def _verdicts(batch: Batch, entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    return [
        (entry.event.id, v.destination, v.route, v.name, v.reason, v.first, v.stage)
        for entry in entries
        for v in batch.verdicts[entry.event.id]
        if v.name in LIVE
    ]


def _seen(batch: Batch, entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    return [row for entry in entries for row in _sightings(batch, entry.event)]


def _event_row(batch: Batch, entry: Entry) -> dict[str, Any]:
    event, found = entry.event, batch.verdicts[entry.event.id]
    outcome = strongest(verdict.name for verdict in found)
    state = reports_state(event)
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
        "effects": encode_effects(event.effects),
        "verdicts": _fixed([verdict for verdict in found if verdict.name not in LIVE]),
        # The body of a duplicate tells nothing that the first one's does not; but an update that
        # carries a comment may be fuller than what told of the comment before.
        "body": entry.packed if outcome != VerdictName.DUPLICATE or _may_be_fuller(event) else None,
        "as_of": event.as_of if state else 0,
        "change_id": event.change_id if state else 0,
    }


def _may_be_fuller(event: Event) -> bool:
    return event.full and any(effect.part and effect.writes for effect in event.effects)


def _fixed(found: Sequence[Verdict]) -> str:
    return orjson.dumps(
        [
            {
                "route": v.route,
                "destination": v.destination,
                "verdict": v.name,
                "reason": v.reason,
                "stage": v.stage,
                **({"first": v.first} if v.first else {}),
            }
            for v in found
        ]
    ).decode()


def _sightings(batch: Batch, event: Event) -> list[tuple[str, str, str, str]]:
    """Remember who told of what, where anything can hang on it."""
    live = any(verdict.name in LIVE for verdict in batch.verdicts[event.id])
    told = {name: effect for effect in event.effects for name in (effect.identity, *effect.also)}
    told |= {effect.of: effect for effect in event.effects if effect.of and _is_later(effect)}
    return [
        (event.site, identity, event.id, event.hook)
        for identity, effect in told.items()
        if live or (effect.writes and (event.full or not effect.stale_after))
    ]


def _is_later(effect: Effect) -> bool:
    """Tell whether an effect can make another version of the same stale."""
    return not effect.event.endswith("_created")


# Lanes and deliveries


def queue(conn: Connection, batch: Batch) -> dict[str, int]:
    """Queue the planned deliveries; returns how many lanes of each destination they are in."""
    starting = _next(batch)
    if starting:
        deliveries = as_rows(_deliveries(batch, make_and_set_off(conn, starting)))
        at = {"now": batch.now, "wall": wall(batch.now)}
        _ADD_DELIVERIES.run(conn, {"rows": deliveries, **at})
    ready = _ready(batch, starting)
    notify_processes(conn, ready)
    return ready


def _next(batch: Batch) -> dict[tuple[str, str], int]:
    """Tell from when on the lanes of the planned deliveries have something to do."""
    first: dict[tuple[str, str], int] = {}
    for p in batch.planned:
        first.setdefault((p.destination, lane_of(p.event)), p.hold_until or batch.now)
    return first


def _ready(batch: Batch, starting: Collection[tuple[str, str]]) -> dict[str, int]:
    return dict(Counter(destination for destination, _ in (*batch.hurried, *starting)))


def _deliveries(
    batch: Batch, lanes: Mapping[tuple[str, str], int]
) -> list[tuple[str | int | bool | None, ...]]:
    return [
        (
            p.event.id,
            p.destination,
            p.route,
            lanes[p.destination, lane_of(p.event)],
            encode_identities(p.identities),
            writes_any(p.event.effects, p.identities),
            p.hold_until,
            p.place,
            p.late,
        )
        for p in batch.planned
    ]


_MOVE_UP = Prepared(
    update(t.deliveries)
    .where(
        t.deliveries.c.event == bindparam("b_event"),
        t.deliveries.c.destination == bindparam("b_destination"),
        t.deliveries.c.place > bindparam("b_place"),
        t.deliveries.c.lane
        == select(t.lanes.c.id)
        .where(
            t.lanes.c.destination == bindparam("b_destination"),
            t.lanes.c.record == bindparam("b_record"),
        )
        .scalar_subquery(),
    )
    .values(place=bindparam("b_place"))
)


def _move_up(conn: Connection, batch: Batch) -> None:
    """Let what is told of once more, but was received before, stand where it belongs."""
    moved = [
        {"b_destination": destination, "b_event": event, "b_record": lane, "b_place": place}
        for (destination, event, lane), place in batch.earlier.items()
    ]
    if moved:
        _MOVE_UP.run(conn, moved)


def hold_lanes(
    conn: Connection, entries: Sequence[Entry], settling: Sequence[int]
) -> Callable[[], dict[tuple[str, str], int]]:
    """Lock the lanes that a batch may touch; those where it may queue something are made."""
    verdicts = [
        ((verdict.destination, lane_of(entry.event)), verdict)
        for entry in entries
        for verdict in entry.verdicts
        if verdict.identities and verdict.destination
    ]
    return lock_lanes(
        conn,
        known={key for key, _ in verdicts},
        new={key for key, verdict in verdicts if wanted(verdict)},
        ids=settling,
    )


def _hurry(conn: Connection, batch: Batch) -> None:
    """Let lanes go on at once whose head no longer waits for its grace."""
    for (_, lane), hold_until in batch.hurried.items():
        wake_held(conn, batch.now, lane, hold_until)
