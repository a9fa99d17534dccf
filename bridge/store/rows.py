"""Rows as they are written: events, verdicts, sightings, lanes and deliveries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, insert, select, text, update

from bridge.model import Effect, Event, Verdict, VerdictName
from bridge.store import tables as t
from bridge.store.batch import Batch, Entry
from bridge.store.claims import wanted
from bridge.store.dialect import Prepared, as_rows, listing
from bridge.store.fitting import short
from bridge.store.lanes import NEXT_AT
from bridge.store.listening import notify
from bridge.store.verdicts import LIVE, strongest

_EVENTS = Prepared(insert(t.events), [column.name for column in t.events.columns])
_COLUMNS = ", ".join(f'"{column.name}"' for column in t.events.columns)
#: PostgreSQL takes all rows in one, its driver is slow at a statement for each.
_EVENTS_AT_ONCE = Prepared(
    text(
        f"INSERT INTO events ({_COLUMNS}) SELECT {_COLUMNS} "  # noqa: S608 - our names
        "FROM json_populate_recordset(CAST(NULL AS events), CAST(:rows AS json))"
    )
)
_VERDICTS = listing(
    """
    INSERT INTO verdicts (event, destination, route, verdict, reason, first)
    SELECT {0}, {1}, {2}, {3}, {4}, {5} FROM {rows}
    """,
    6,
)
_SIGHTINGS = listing(
    """
    INSERT INTO sightings (site, identity, event, hook, at)
    SELECT {0}, {1}, {2}, {3}, CAST(:now AS BIGINT) FROM {rows}
    """,
    4,
)
#: The last place is now, or that of the last one there, should the clock have been put back.
_DELIVERIES = listing(
    """
    INSERT INTO deliveries
        (event, destination, route, lane, state, effects, writes, hold_until, created, updated,
        place)
    SELECT {0}, {1}, {2}, CAST({3} AS BIGINT), 'queued', {4}, CAST({5} AS BOOLEAN),
        CAST({6} AS BIGINT), CAST(:now AS BIGINT), CAST(:now AS BIGINT),
        COALESCE(CAST({7} AS BIGINT), (
            SELECT d.place FROM deliveries d
            WHERE d.lane = CAST({3} AS BIGINT)
                AND d.state IN ('queued','sending','retrying','in_doubt','parked')
                AND d.place > CAST(:now AS BIGINT)
            ORDER BY d.place DESC LIMIT 1
        ), CAST(:now AS BIGINT)) FROM {rows}
    """,
    8,
)


def lane_of(event: Event) -> str:
    """Name the lane of an event: its record at its site; what is about no record shares one."""
    return f"{event.site}/{short(event.record) or '-'}"


def write(conn: Connection, batch: Batch, entries: Sequence[Entry]) -> None:
    """Write the events, what was decided for them, and who told of what."""
    _write_events(conn, [_event_row(batch, entry) for entry in entries])
    rows = [
        (entry.event.id, v.destination, v.route, v.name, v.reason, v.first)
        for entry in entries
        for v in batch.verdicts[entry.event.id]
        if v.name in LIVE
    ]
    if rows:
        _VERDICTS.run(conn, {"rows": as_rows(rows)})
    seen = [row for entry in entries for row in _sightings(batch, entry.event)]
    if seen:
        _SIGHTINGS.run(conn, {"rows": as_rows(seen), "now": batch.now})


def _write_events(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    if conn.dialect.name == "sqlite":
        _EVENTS.run(conn, rows)
        return
    for row in rows:
        row["body"] = None if row["body"] is None else f"\\x{row['body'].hex()}"
    _EVENTS_AT_ONCE.run(conn, {"rows": orjson.dumps(rows).decode()})


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
        # The body of a duplicate tells nothing that the first one's does not; but an update that
        # carries a comment may be fuller than what told of the comment before.
        "body": entry.packed if outcome != VerdictName.DUPLICATE or _may_be_fuller(event) else None,
    }


def _may_be_fuller(event: Event) -> bool:
    return event.full and any(effect.part and effect.writes for effect in event.effects)


def _effects(effects: Sequence[Effect]) -> str:
    return orjson.dumps([[e.identity, e.event, e.part, e.writes] for e in effects]).decode()


def _fixed(found: Sequence[Verdict]) -> str:
    return orjson.dumps(
        [
            {"route": v.route, "destination": v.destination, "verdict": v.name, "reason": v.reason}
            for v in found
        ]
    ).decode()


def _sightings(batch: Batch, event: Event) -> list[tuple[str, str, str, str]]:
    """Remember who told of what, where anything can hang on it."""
    live = any(verdict.name in LIVE for verdict in batch.verdicts[event.id])
    told = {effect.identity: effect for effect in event.effects}
    return [
        (event.site, identity, event.id, event.hook)
        for identity, effect in told.items()
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
    if not batch.planned and not batch.hurried:
        return {}
    _hurry(conn, batch)
    places = _deliver(conn, batch) if batch.planned else set()
    ready = dict(Counter(destination for destination, _ in (*batch.hurried, *places)))
    notify(conn, ready)
    return ready


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


def move_up(conn: Connection, batch: Batch) -> None:
    """Let what is told of once more, but was received before, stand where it belongs."""
    moved = [
        {"b_destination": destination, "b_event": event, "b_record": lane, "b_place": place}
        for (destination, event, lane), place in batch.earlier.items()
    ]
    if moved:
        _MOVE_UP.run(conn, moved)


def _deliver(conn: Connection, batch: Batch) -> set[tuple[str, int]]:
    """Write the planned deliveries; returns (destination, lane) of each."""
    lanes = _lanes(conn, batch)
    rows = [
        (
            p.event.id,
            p.destination,
            p.route,
            lanes[p.destination, lane_of(p.event)],
            names(p.identities),
            writes(p.event, p.identities),
            p.hold_until,
            p.place,
        )
        for p in batch.planned
    ]
    _DELIVERIES.run(conn, {"rows": as_rows(rows), "now": batch.now})
    return {(destination, lane) for (destination, _), lane in lanes.items()} - {*batch.hurried}


_HOLD_LANES = listing(
    """
    SELECT l.id, l.destination, l.record FROM lanes l WHERE l.id IN (
        SELECT CAST({2} AS BIGINT) FROM {rows} UNION
        SELECT known.id FROM {rows}
        JOIN lanes known ON known.destination = {0} AND known.record = {1}
    ) ORDER BY l.id {lock}
    """,
    3,
)
_MAKE_LANES = listing(
    """
    INSERT INTO lanes (destination, record) SELECT {0}, {1} FROM {rows} WHERE true
    ON CONFLICT DO NOTHING
    """,
    2,
)
#: If what no longer waits was what the lane waited for.
_HURRY = Prepared(
    update(t.lanes)
    .where(t.lanes.c.id == bindparam("b_lane"), t.lanes.c.next_at == bindparam("b_hold_until"))
    .values(next_at=NEXT_AT)
)


def hold_lanes(
    conn: Connection, entries: Sequence[Entry], settling: Sequence[int]
) -> Callable[[], dict[tuple[str, str], int]]:
    """Keep all the lanes still that a transaction may touch, before it touches anything.

    In one order everywhere: two processes that queue, decide and settle in the same lanes must
    not wait for each other in a circle. And what waits in them is decided by nobody else then.
    What is returned gives those of events, by (destination, record).
    """
    if conn.dialect.name == "sqlite":  # whoever writes is alone
        return dict
    told = [
        ((verdict.destination, lane_of(entry.event)), verdict)
        for entry in entries
        for verdict in entry.verdicts
        if verdict.effects and verdict.destination
    ]
    needed = sorted({place for place, verdict in told if wanted(verdict)})
    if needed:  # before any is kept still: whoever waits for a new one has none that others want
        _MAKE_LANES.run(conn, {"rows": as_rows(needed)})
    rows: list[tuple[str, str, int | None]] = [("", "", lane) for lane in settling]
    rows += [(*place, None) for place in {place for place, _ in told}]
    if not rows:
        return dict
    found = _HOLD_LANES.ask(conn, {"rows": as_rows(rows)})
    return lambda: {(row.destination, row.record): row.id for row in found()}


def _hurry(conn: Connection, batch: Batch) -> None:
    """Let lanes go at once that waited for what no longer waits."""
    for (_, lane), hold_until in batch.hurried.items():
        values = {"b_lane": lane, "b_hold_until": hold_until, "b_now": batch.now}
        _HURRY.run(conn, values)


#: A head that waits or is tried again keeps its instant: the head stays the head.
_LANES = listing(
    """
    INSERT INTO lanes (destination, record, next_at)
    SELECT {0}, {1}, CAST({2} AS BIGINT) FROM {rows} WHERE true
    ON CONFLICT (destination, record) DO UPDATE SET next_at =
        CASE WHEN lanes.next_at IS NULL AND NOT lanes.blocked THEN excluded.next_at
        ELSE lanes.next_at END
    RETURNING id, destination, record
    """,
    3,
)


_SET_OFF = listing(
    """
    UPDATE lanes SET next_at = CAST({1} AS BIGINT) FROM {rows}
    WHERE lanes.id = CAST({0} AS BIGINT) AND lanes.next_at IS NULL AND NOT lanes.blocked
    """,
    2,
)


def _lanes(conn: Connection, batch: Batch) -> dict[tuple[str, str], int]:
    """Find or make the lanes, and set those off that had nothing to do."""
    first: dict[tuple[str, str], int] = {}
    for p in batch.planned:
        first.setdefault((p.destination, lane_of(p.event)), p.hold_until or batch.now)
    if first.keys() <= batch.lanes.keys():
        rows = as_rows([(batch.lanes[key], first[key]) for key in sorted(first)])
        _SET_OFF.run(conn, {"rows": rows})
        return {key: batch.lanes[key] for key in first}
    rows = as_rows([(*key, first[key]) for key in sorted(first)])
    return {(row.destination, row.record): row.id for row in _LANES.rows(conn, {"rows": rows})}
