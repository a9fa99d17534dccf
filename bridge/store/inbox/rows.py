"""New rows: events, verdicts, sightings and deliveries, from one list of columns for each table.

SQLite gets a statement for each table. PostgreSQL gets all of them in one: its driver needs some
time for each statement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, insert, text

from bridge.core.dedup.changes import Changes, Entry, NewDelivery
from bridge.core.stale import reports_state
from bridge.model import Effect, Event, Verdict, VerdictName
from bridge.store import schema as t
from bridge.store.database.clocks import wall
from bridge.store.database.statements import Prepared, json_rows_statement, render, to_json
from bridge.store.effects import encode_effects, encode_identities, writes_any
from bridge.store.inbox.verdicts import LIVE, strongest
from bridge.store.queue.lanes import (
    OPEN,
    SET_OFF,
    SET_OFF_COLUMNS,
    LaneKey,
    lane_of,
    make_and_set_off,
)
from bridge.store.wakeups import CHANNEL, notify_processes

_NOW = "CAST(:now AS BIGINT)"
_WALL = "CAST(:wall AS BIGINT)"
#: The place of a delivery that has none yet is now; or that of the last one in its lane, should
#: the clock have been put back.
_PLACE = f"""COALESCE(r.place, (
            SELECT d.place FROM deliveries d
            WHERE d.lane = r.lane AND {OPEN} AND d.place > {_NOW}
            ORDER BY d.place DESC LIMIT 1
        ), {_NOW})"""  # noqa: S608 - our words


@dataclass(frozen=True, kw_only=True, slots=True)
class _Insert:
    """How rows of one table are inserted, in both databases."""

    table: str
    #: The columns of the rows that are given, in order, with their SQL types.
    given: Mapping[str, str]
    #: The columns whose values are expressions of SQL, which may use given columns.
    computed: Mapping[str, str]

    @property
    def sql(self) -> str:
        """The statement, for `json_rows_statement`."""
        columns = {name: f"r.{name}" for name in self.given} | dict(self.computed)
        names, values = ", ".join(columns), ", ".join(columns.values())
        return f"INSERT INTO {self.table} ({names}) SELECT {values} FROM {{rows}}"  # noqa: S608 - our words


_VERDICTS = _Insert(
    table="verdicts",
    given=dict.fromkeys(
        ("event", "destination", "route", "verdict", "reason", "first", "stage"), "TEXT"
    ),
    computed={},
)
_SIGHTINGS = _Insert(
    table="sightings",
    given=dict.fromkeys(("site", "identity", "event", "hook"), "TEXT"),
    computed={"at": _WALL},
)
_DELIVERIES = _Insert(
    table="deliveries",
    given={
        "event": "TEXT",
        "destination": "TEXT",
        "route": "TEXT",
        "lane": "BIGINT",
        "effects": "TEXT",
        "writes": "BOOLEAN",
        "hold_until": "BIGINT",
        "late": "BOOLEAN",
        "place": "BIGINT",
    },
    computed={"place": _PLACE, "state": "'queued'", "created": _WALL, "updated": _WALL},
)
_EVENT_COLUMNS = [column.name for column in t.events.columns]

# SQLite: one statement for each table; deliveries are also queued like this by operators.

_ADD_EVENTS = Prepared(insert(t.events), _EVENT_COLUMNS)
_ADD_VERDICTS, _ADD_SIGHTINGS, _ADD_DELIVERIES = (
    json_rows_statement(table.sql, **table.given) for table in (_VERDICTS, _SIGHTINGS, _DELIVERIES)
)


def _part(name: str, sql: str, columns: Mapping[str, str]) -> str:
    """Return a part of PostgreSQL's statement, whose rows are the parameter `name`."""
    return f"add_{name} AS ({render('postgresql', sql, columns, name)})"


_EVENTS = ", ".join(f'"{name}"' for name in _EVENT_COLUMNS)
_PARTS = [
    f"add_events AS (INSERT INTO events ({_EVENTS}) SELECT {_EVENTS} "  # noqa: S608 - our words
    "FROM json_populate_recordset(CAST(NULL AS events), CAST(:events AS json)))",
    *(_part(each.table, each.sql, each.given) for each in (_VERDICTS, _SIGHTINGS, _DELIVERIES)),
    _part("lanes", SET_OFF, SET_OFF_COLUMNS),
]
_ADD_ALL = Prepared(
    text(f"WITH {', '.join(_PARTS)} SELECT pg_notify('{CHANNEL}', :ready) WHERE :ready <> '{{}}'")
)


def add(
    conn: Connection,
    now: int,
    entries: Sequence[Entry],
    changes: Changes,
    lanes: Mapping[LaneKey, int],
) -> dict[str, int]:
    """Insert the events of a batch, their verdicts and sightings, and their new deliveries.

    `lanes` are the ids of the lanes that are locked. Returns how many lanes of each destination
    may have something to do now.
    """
    events = [_event(entry, changes.verdicts[entry.event.id]) for entry in entries]
    verdicts = [row for entry in entries for row in _verdicts(entry.event, changes)]
    sightings = [row for entry in entries for row in _sightings(entry.event, changes)]
    starting = _starting(now, changes.deliveries)
    ready = _count(changes.woken, starting)
    if conn.dialect.name == "postgresql" and starting.keys() <= lanes.keys():
        for row in events:
            row["body"] = None if row["body"] is None else f"\\x{row['body'].hex()}"
        values = {
            "now": now,
            "wall": wall(now),
            "events": orjson.dumps(events).decode(),
            "verdicts": to_json(verdicts),
            "sightings": to_json(sightings),
            "lanes": to_json([(lanes[key], at) for key, at in sorted(starting.items())]),
            "deliveries": to_json(_deliveries(changes.deliveries, lanes)),
            "ready": orjson.dumps(ready).decode(),
        }
        _ADD_ALL.run(conn, values)
        return ready
    _ADD_EVENTS.run(conn, events)
    if verdicts:
        _ADD_VERDICTS.run(conn, {"rows": to_json(verdicts)})
    if sightings:
        _ADD_SIGHTINGS.run(conn, {"rows": to_json(sightings), "wall": wall(now)})
    _queue(conn, now, changes.deliveries, starting)
    notify_processes(conn, ready)
    return ready


def queue(conn: Connection, now: int, deliveries: Sequence[NewDelivery]) -> None:
    """Queue deliveries of events that are stored, and wake their lanes."""
    starting = _starting(now, deliveries)
    _queue(conn, now, deliveries, starting)
    notify_processes(conn, _count(starting))


def _queue(
    conn: Connection, now: int, deliveries: Sequence[NewDelivery], starting: Mapping[LaneKey, int]
) -> None:
    if deliveries:
        rows = to_json(_deliveries(deliveries, make_and_set_off(conn, starting)))
        _ADD_DELIVERIES.run(conn, {"rows": rows, "now": now, "wall": wall(now)})


def _starting(now: int, deliveries: Iterable[NewDelivery]) -> dict[LaneKey, int]:
    """Return from when on, in ms, the lanes of new deliveries have something to do."""
    first: dict[LaneKey, int] = {}
    for delivery in deliveries:
        key = (delivery.destination, lane_of(delivery.event))
        first.setdefault(key, delivery.hold_until or now)
    return first


def _count(*lanes: Collection[tuple[str, Any]]) -> dict[str, int]:
    """Count lanes by their destination."""
    return dict(Counter(destination for several in lanes for destination, _ in several))


# Rows


def _event(entry: Entry, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    event = entry.event
    outcome = strongest(verdict.name for verdict in verdicts)
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
        "verdicts": _final(verdict for verdict in verdicts if verdict.name not in LIVE),
        # The body of a duplicate holds nothing that the first event's does not; but an update with
        # a comment may be fuller than the event that reported the comment before.
        "body": entry.packed if outcome != VerdictName.DUPLICATE or _may_be_fuller(event) else None,
        "as_of": event.as_of if state else 0,
        "change_id": event.change_id if state else 0,
    }


def _may_be_fuller(event: Event) -> bool:
    return event.full and any(effect.part and effect.writes for effect in event.effects)


def _final(verdicts: Iterable[Verdict]) -> str:
    """Pack the verdicts that can no longer change."""
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
            for v in verdicts
        ]
    ).decode()


def _verdicts(event: Event, changes: Changes) -> Iterable[tuple[str, ...]]:
    for v in changes.verdicts[event.id]:
        if v.name in LIVE:
            yield event.id, v.destination, v.route, v.name, v.reason, v.first, v.stage


def _sightings(event: Event, changes: Changes) -> Iterable[tuple[str, str, str, str]]:
    """Return the sightings of an event that later events may depend on."""
    live = any(verdict.name in LIVE for verdict in changes.verdicts[event.id])
    seen = {name: effect for effect in event.effects for name in (effect.identity, *effect.also)}
    seen |= {effect.of: effect for effect in event.effects if effect.of and _is_later(effect)}
    for identity, effect in seen.items():
        if live or (effect.writes and (event.full or not effect.stale_after)):
            yield event.site, identity, event.id, event.hook


def _is_later(effect: Effect) -> bool:
    """Whether an effect can make another version of the same comment or worklog stale."""
    return not effect.event.endswith("_created")


def _deliveries(
    deliveries: Iterable[NewDelivery], lanes: Mapping[LaneKey, int]
) -> list[tuple[str | int | bool | None, ...]]:
    return [
        (
            each.event.id,
            each.destination,
            each.route,
            lanes[each.destination, lane_of(each.event)],
            encode_identities(each.identities),
            writes_any(each.event.effects, each.identities),
            each.hold_until,
            each.late,
            each.place,
        )
        for each in deliveries
    ]
