"""The newest accepted state of a record, from which a late event is made when it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select

from bridge.core.dedup.changes import StateKey
from bridge.core.stale import Report, Sources, sources
from bridge.model import Effect
from bridge.store import schema as t
from bridge.store.accepted import LAST_CHANGE, NEWER, SIGHTED, by_event, report_of_rows
from bridge.store.database.statements import Prepared, json_rows_statement, to_json
from bridge.store.effects import decode_effects


@dataclass(frozen=True, kw_only=True, slots=True)
class Late:
    """An event that goes out after newer ones of its record were accepted."""

    event: str
    site: str
    record: str
    #: The state of the record that the event reports: an instant of the sender in ms, and the
    #: number of the change. 0: none, or not known.
    as_of: int
    change_id: int
    #: All effects of the event.
    effects: tuple[Effect, ...]
    destination: str
    #: The identities of the effects that it carries to that destination.
    carried: Sequence[str]

    @property
    def versions(self) -> set[tuple[str, str]]:
        """(site, identity) of each comment or worklog of which the event reports a version."""
        return {(self.site, effect.of) for effect in self.effects if effect.of}


@dataclass(frozen=True, kw_only=True, slots=True)
class Newest:
    """The accepted events from which a late delivery is made."""

    sources: Sources
    #: The packed bodies of the events in `sources`, by event; without those that retention took.
    packed: Mapping[str, bytes]
    #: The route by which the newest fields went to the destination, or "".
    route: str


#: The columns of an event that `late_of` reads.
STATE = tuple(t.events.c[name] for name in ("site", "record", "as_of", "change_id"))
_STATE = Prepared(
    select(*STATE, t.events.c.effects.label("event_effects")).where(
        t.events.c.id == bindparam("event")
    )
)
_BODIES = json_rows_statement(
    "SELECT e.id, e.body FROM {rows} JOIN events e ON e.id = r.event", event="TEXT"
)


def find_newest(conn: Connection, event: str, destination: str, carried: Sequence[str]) -> Newest:
    """Find the newest accepted state for one late event."""
    row = _STATE.first(conn, {"event": event})
    return find_newest_of_each(conn, [late_of(row, event, destination, carried)])[0]


def late_of(row: Any, event: str, destination: str, carried: Sequence[str]) -> Late:  # noqa: ANN401 - a row
    """Read a row with the columns `STATE` and the event's effects as `event_effects`."""
    return Late(
        event=event,
        site=row.site,
        record=row.record,
        as_of=row.as_of,
        change_id=row.change_id,
        effects=decode_effects(row.event_effects),
        destination=destination,
        carried=carried,
    )


def find_newest_of_each(conn: Connection, several: Sequence[Late]) -> list[Newest]:
    """Find the newest accepted state for several late events, with one query for all of them."""
    rows = _newer_rows(conn, several)
    found = [_sources(late, rows) for late in several]
    bodies = _bodies(conn, sorted({event for used, _ in found for event in used.events}))
    return [
        Newest(
            sources=used,
            packed={event: bodies[event] for event in used.events if event in bodies},
            route=routes.get(used.fields[-1], "") if used.fields else "",
        )
        for used, routes in found
    ]


def _newer_rows(conn: Connection, several: Sequence[Late]) -> dict[StateKey, list[Any]]:
    """Find the rows of all events that may be newer, by the state that they report."""
    oldest: dict[tuple[str, str], tuple[int, int]] = {}
    for late in several:
        if late.as_of:
            record, state = (late.site, late.record), (late.as_of, late.change_id or LAST_CHANGE)
            oldest[record] = min(state, oldest.get(record, state))
    versions = sorted(set[tuple[str, str]]().union(*(late.versions for late in several)))
    found: dict[StateKey, list[Any]] = {}
    if oldest:
        rows = to_json([(*record, *state) for record, state in sorted(oldest.items())])
        for row in NEWER.rows(conn, {"rows": rows}):
            found.setdefault((row.site, row.record, ""), []).append(row)
    if versions:
        for row in SIGHTED.rows(conn, {"rows": to_json(versions)}):
            if row.event:
                found.setdefault((row.site, "", row.identity), []).append(row)
    return found


def _sources(late: Late, newer: Mapping[StateKey, list[Any]]) -> tuple[Sources, dict[str, str]]:
    """Pick the sources of a late event, and the route of each newer event to its destination."""
    keys = [(site, "", of) for site, of in sorted(late.versions)]
    if late.as_of:
        keys.insert(0, (late.site, late.record, ""))
    rows = [row for key in keys for row in newer.get(key, ())]
    mine = Report(
        event=late.event,
        as_of=late.as_of,
        change_id=late.change_id,
        state=late.as_of > 0,
        effects=late.effects,
    )
    others = [report_of_rows(each) for each in by_event(rows).values()]
    used = sources(mine, late.carried, others, late.destination)
    return used, {row.event: row.route for row in rows if row.destination == late.destination}


def _bodies(conn: Connection, events: Sequence[str]) -> dict[str, bytes]:
    if not events:
        return {}
    rows = _BODIES.rows(conn, {"rows": to_json([[event] for event in events])})
    return {row.id: row.body for row in rows if row.body is not None}
