"""What was accepted of a record before: what makes a late telling stale, or renews it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select

from bridge.core.stale import Report, Sources, report_of, sources
from bridge.model import Effect, State, VerdictName
from bridge.store import schema as t
from bridge.store.database.statements import Prepared, as_rows, listing
from bridge.store.effects import decode_effects, decode_identities
from bridge.store.inbox.claims import wanted
from bridge.store.nouns import Batch, Entry

#: Sorts after every number of a change: nothing of the same instant is newer.
_LAST = 2**63 - 1

_COLUMNS = """e.id AS event, e.as_of, e.change_id, e."full", e.effects,
        d.destination, d.route, d.effects AS carried, d.state, d.attempts, d.place"""
_DELIVERED = "LEFT JOIN deliveries d ON d.event = e.id AND d.state <> 'discarded'"
_TOLD = listing(
    f"""
    SELECT s.site, s.identity, s.event AS teller, {_COLUMNS} FROM {{rows}}
    JOIN sightings s ON s.site = {{0}} AND s.identity = {{1}}
    LEFT JOIN events e ON e.id = s.event {_DELIVERED}
    """,  # noqa: S608 - our words
    2,
)
_NEWER = listing(
    f"""
    SELECT e.site, e.record, {_COLUMNS} FROM {{rows}}
    JOIN events e ON e.site = {{0}} AND e.record = {{1}}
        AND (e.as_of, e.change_id) > (CAST({{2}} AS BIGINT), CAST({{3}} AS BIGINT))
    {_DELIVERED}
    """,  # noqa: S608 - our words
    4,
)

#: (site, record, "") for the state of a record, (site, "", what) for versions of a comment.
Key = tuple[str, str, str]
#: (site, identity) -> the event that told of it.
Gone = dict[tuple[str, str], str]


def find_told(conn: Connection, batch: Batch, entries: Iterable[Entry]) -> Callable[[], Gone]:
    """Ask for deletions that make effects of these events stale, and for other versions of them.

    The versions are in the batch once what is returned was called; it returns the deletions.
    """
    effects = [(entry.event.site, effect) for entry in entries for effect in entry.event.effects]
    deletions = {(site, effect.stale_after) for site, effect in effects if effect.stale_after}
    versions = {(site, effect.of) for site, effect in effects if effect.of}
    if not deletions | versions:
        return dict
    told = _TOLD.ask(conn, {"rows": as_rows(sorted(deletions | versions))})

    def fetch() -> Gone:
        rows = told()
        versioned = [row for row in rows if row.event and (row.site, row.identity) in versions]
        _gather(batch.tellings, versioned, lambda row: (row.site, "", row.identity))
        return {
            (row.site, row.identity): row.teller
            for row in rows
            if (row.site, row.identity) in deletions
        }

    return fetch


def find_newer(conn: Connection, batch: Batch, entries: Iterable[Entry]) -> Callable[[], None]:
    """Ask for newer states of the records that these events would be sent of.

    They are in the batch once what is returned was called. Usually there are none: that costs a
    look into an index for each record.
    """
    oldest: dict[tuple[str, str], tuple[int, int]] = {}
    for entry in entries:
        event = entry.event
        if event.record and event.as_of and any(map(wanted, entry.verdicts)):
            place, state = (event.site, event.record), (event.as_of, event.change_id or _LAST)
            oldest[place] = min(state, oldest.get(place, state))
    if not oldest:
        return lambda: None
    told = _NEWER.ask(conn, {"rows": as_rows(sorted((*k, *v) for k, v in oldest.items()))})
    return lambda: _gather(batch.tellings, told(), lambda row: (row.site, row.record, ""))


def note(batch: Batch, entry: Entry) -> None:
    """Let what comes later in the batch be compared with an event, too."""
    event = entry.event
    carried = {
        verdict.destination: frozenset(verdict.identities)
        for verdict in batch.verdicts[event.id]
        if verdict.name in (VerdictName.DELIVER, VerdictName.UNDECIDED)
    }
    telling = report_of(event, carried)
    keys = {(event.site, "", effect.of) for effect in event.effects if effect.of}
    if telling.state and event.record:
        keys.add((event.site, event.record, ""))
    for key in keys:
        batch.tellings.setdefault(key, []).append(telling)


def known(tellings: Mapping[Key, Sequence[Report]], entry: Entry, destination: str) -> list[Report]:
    """Pick those that an event comes after at a destination, and can be compared with.

    What comes out of a spool goes before what was received later and waits in the lane still.
    """
    event, place = entry.event, entry.place
    keys = {(event.site, "", effect.of) for effect in event.effects if effect.of}
    return [
        telling
        for key in ((event.site, event.record, ""), *sorted(keys))
        for telling in tellings.get(key, ())
        if place is None or telling.waiting.get(destination, place) <= place
    ]


def _gather(
    tellings: dict[Key, list[Report]], rows: Iterable[Any], key: Callable[[Any], Key]
) -> None:
    """Make one telling of the rows of each event: one row for each of its deliveries."""
    for (place, _), several in _grouped(rows, key).items():
        tellings.setdefault(place, []).append(_telling(several))


def _grouped(rows: Iterable[Any], key: Callable[[Any], Key]) -> dict[tuple[Key, str], list[Any]]:
    found: dict[tuple[Key, str], list[Any]] = {}
    for row in rows:
        found.setdefault((key(row), row.event), []).append(row)
    return found


def _telling(rows: Sequence[Any]) -> Report:
    carried: dict[str, frozenset[str]] = {}
    for row in rows:
        if row.destination is not None:
            before = carried.get(row.destination, frozenset())
            carried[row.destination] = before.union(decode_identities(row.carried))
    row = rows[0]
    return Report(
        event=row.event,
        as_of=row.as_of,
        change_id=row.change_id,
        state=row.as_of > 0,
        full=bool(row.full),
        effects=decode_effects(row.effects),
        carried=carried,
        waiting={
            each.destination: each.place
            for each in rows
            if each.state == State.QUEUED and not each.attempts
        },
    )


# At the time of sending


@dataclass(frozen=True, kw_only=True, slots=True)
class Late:
    """An event that goes out after newer ones of its record were accepted."""

    event: str
    site: str
    record: str
    as_of: int
    change_id: int
    told: tuple[Effect, ...]
    destination: str
    #: The identities that it carries there.
    carried: Sequence[str]

    @property
    def versions(self) -> set[tuple[str, str]]:
        """What it tells versions of: (site, identity)."""
        return {(self.site, effect.of) for effect in self.told if effect.of}


@dataclass(frozen=True, kw_only=True, slots=True)
class Newest:
    """What a late delivery is made of."""

    sources: Sources
    #: The bodies of the events that it names, packed as they are kept, as far as they still are.
    packed: Mapping[str, bytes]
    #: The route by which the newest of the fields went to the destination, or "".
    route: str


#: The columns of an event that `late_of` reads.
STATE = tuple(t.events.c[name] for name in ("site", "record", "as_of", "change_id"))
_STATE = Prepared(
    select(*STATE, t.events.c.effects.label("told")).where(t.events.c.id == bindparam("event"))
)
_BODIES = listing("SELECT e.id, e.body FROM {rows} JOIN events e ON e.id = {0}", 1)


def newest(conn: Connection, event: str, destination: str, carried: Sequence[str]) -> Newest:
    """Find what an event that goes out late has to be made of, by what was accepted by now."""
    row = _STATE.first(conn, {"event": event})
    return newest_of(conn, [late_of(row, event, destination, carried)])[0]


def late_of(row: Any, event: str, destination: str, carried: Sequence[str]) -> Late:  # noqa: ANN401 - a row
    """Make it of a row with the columns `STATE`, and the event's effects as `told`."""
    return Late(
        event=event,
        site=row.site,
        record=row.record,
        as_of=row.as_of,
        change_id=row.change_id,
        told=decode_effects(row.told),
        destination=destination,
        carried=carried,
    )


def newest_of(conn: Connection, several: Sequence[Late]) -> list[Newest]:
    """Find the same for several events: the database is asked once for all of them."""
    tellers = _tellers(conn, several)
    found = [_sources(late, tellers) for late in several]
    bodies = _bodies(conn, sorted({event for used, _ in found for event in used.events}))
    return [
        Newest(
            sources=used,
            packed={event: bodies[event] for event in used.events if event in bodies},
            route=routes.get(used.fields[-1], "") if used.fields else "",
        )
        for used, routes in found
    ]


def _tellers(conn: Connection, several: Sequence[Late]) -> dict[Key, list[Any]]:
    """Find the rows of all that may be newer, by what they tell the state of."""
    oldest: dict[tuple[str, str], tuple[int, int]] = {}
    for late in several:
        if late.as_of:
            place, state = (late.site, late.record), (late.as_of, late.change_id or _LAST)
            oldest[place] = min(state, oldest.get(place, state))
    versions = sorted(set[tuple[str, str]]().union(*(late.versions for late in several)))
    found: dict[Key, list[Any]] = {}
    if oldest:
        asked = as_rows([(*place, *state) for place, state in sorted(oldest.items())])
        for row in _NEWER.rows(conn, {"rows": asked}):
            found.setdefault((row.site, row.record, ""), []).append(row)
    if versions:
        for row in _TOLD.rows(conn, {"rows": as_rows(versions)}):
            if row.event:
                found.setdefault((row.site, "", row.identity), []).append(row)
    return found


def _sources(late: Late, tellers: Mapping[Key, list[Any]]) -> tuple[Sources, dict[str, str]]:
    """Pick what an event is made of; returns also by which route each other one went there."""
    keys = [(site, "", of) for site, of in sorted(late.versions)]
    if late.as_of:
        keys.insert(0, (late.site, late.record, ""))
    rows = [row for key in keys for row in tellers.get(key, ())]
    by_event: dict[str, list[Any]] = {}
    for row in rows:
        by_event.setdefault(row.event, []).append(row)
    mine = Report(
        event=late.event,
        as_of=late.as_of,
        change_id=late.change_id,
        state=late.as_of > 0,
        effects=late.told,
    )
    others = [_telling(each) for each in by_event.values()]
    used = sources(mine, late.carried, others, late.destination)
    return used, {row.event: row.route for row in rows if row.destination == late.destination}


def _bodies(conn: Connection, events: Sequence[str]) -> dict[str, bytes]:
    if not events:
        return {}
    rows = _BODIES.rows(conn, {"rows": as_rows([[event] for event in events])})
    return {row.id: row.body for row in rows if row.body is not None}
