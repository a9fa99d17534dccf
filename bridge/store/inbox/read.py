"""Read what `core.dedup` has to know about a batch: one trip, and one for the claims."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bridge.core.dedup.changes import (
    ClaimKey,
    Entry,
    Heir,
    Known,
    StateKey,
    Stored,
    Waiting,
    is_wanted,
)
from bridge.core.dedup.requests import Request, claims_of, heirs_needed, written_by_complete
from bridge.core.stale import Report
from bridge.model import State
from bridge.store.accepted import LAST_CHANGE, NEWER, SIGHTED, by_event, report_of_rows
from bridge.store.database.clocks import wall
from bridge.store.database.statements import json_rows_statement, to_json
from bridge.store.effects import decode_identities
from bridge.store.queue.lanes import LaneKey, lane_of, lock_lanes

_Fetch = Callable[[], list[Any]]

_CLAIM = """
    INSERT INTO claims (destination, site, identity, event, at)
    SELECT r.destination, r.site, r.identity, r.event, CAST(:now AS BIGINT) FROM {rows}
    WHERE {free} ON CONFLICT DO NOTHING RETURNING destination, site, identity
    """
#: Nothing else beside the NOT EXISTS: with an OR, PostgreSQL keeps a plan, made while the table was
#: small, that reads all of it each time.
_FREE = """NOT EXISTS (
        SELECT 1 FROM claims c
        WHERE c.destination = r.destination AND c.site = r.site AND c.identity = r.formerly
    )"""
_CLAIM_COLUMNS = dict.fromkeys(("destination", "site", "identity", "event", "formerly"), "TEXT")
#: Inserts the claims that are free, and returns them.
_RESERVE = json_rows_statement(_CLAIM.replace("{free}", "true"), **_CLAIM_COLUMNS)
#: The same where an older version may hold some by a former identity; null: it cannot.
_RESERVE_RENAMED = json_rows_statement(_CLAIM.replace("{free}", _FREE), **_CLAIM_COLUMNS)
#: Finds the events that hold claims, by an identity or a former one (`held_as`).
_HOLDERS = json_rows_statement(
    """
    SELECT c.destination, c.site, r.identity, c.event FROM {rows}
    JOIN claims c ON c.destination = r.destination AND c.site = r.site AND c.identity = r.held_as
    """,
    destination="TEXT",
    site="TEXT",
    held_as="TEXT",
    identity="TEXT",
)
_WAITING = json_rows_statement(
    """
    SELECT l.id, l.event, l.destination, l.lane, l.state, l.hold_until, l.effects, l.writes,
        l.late, s.hook, s.site, e.record
    FROM {rows}
    JOIN sightings s ON s.site = r.site AND s.identity = r.identity
    JOIN deliveries l ON l.event = s.event AND l.hold_until IS NOT NULL
    JOIN events e ON e.id = l.event
    ORDER BY l.id {lock}
    """,
    site="TEXT",
    identity="TEXT",
)
_HEIRS = json_rows_statement(
    """
    SELECT DISTINCT v.first, v.destination, v.event, v.route, e.hook FROM {rows}
    JOIN sightings s ON s.site = r.site AND s.identity = r.identity
    JOIN verdicts v ON v.event = s.event AND v.destination = r.destination AND v.first = r.first
        AND v.verdict = 'duplicate'
    JOIN events e ON e.id = v.event
    ORDER BY v.event, v.route
    """,
    site="TEXT",
    identity="TEXT",
    destination="TEXT",
    first="TEXT",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """The first statements of a batch, which were sent; their answers are not fetched yet."""

    #: The entries as the tables can hold them.
    entries: Sequence[Entry]
    #: (site, identity) of deletions, and of comments and worklogs, that may have been sighted.
    deletions: frozenset[tuple[str, str]]
    versions: frozenset[tuple[str, str]]
    #: The locked lanes.
    lanes: Callable[[], dict[LaneKey, int]]
    #: Rows of events with those deletions and versions, of newer events, and of thin ones.
    sighted: _Fetch
    newer: _Fetch
    waiting: _Fetch


def send_look(conn: Connection, entries: Sequence[Entry], settling: Sequence[int]) -> Look:
    """Lock the lanes of a batch, and of deliveries settled after it, and send its questions.

    Run it in one `pipeline` with other statements.
    """
    # Locked first: the answers then contain all that other processes committed in these lanes.
    lanes = _lock(conn, entries, settling)
    effects = [(entry.event.site, effect) for entry in entries for effect in entry.event.effects]
    deletions = frozenset((site, e.stale_after) for site, e in effects if e.stale_after)
    versions = frozenset((site, e.of) for site, e in effects if e.of)
    return Look(
        entries=entries,
        deletions=deletions,
        versions=versions,
        lanes=lanes,
        sighted=_ask(conn, SIGHTED, deletions | versions),
        newer=_ask(conn, NEWER, _oldest_states(entries)),
        waiting=_ask(conn, _WAITING, written_by_complete(entries)),
    )


def read(conn: Connection, now: int, look: Look) -> tuple[Known, dict[LaneKey, int]]:
    """Fetch the answers and reserve the claims; returns also the ids of the locked lanes.

    `now` is in ms.
    """
    lanes = look.lanes()
    sighted = look.sighted()
    deletions = {
        (row.site, row.identity): row.teller
        for row in sighted
        if (row.site, row.identity) in look.deletions
    }
    reports = _reports(look, sighted)
    waiting = _waiting(look.waiting())
    reserved, held = _reserve(conn, now, claims_of(look.entries, deletions))
    waiting += _read_late(conn, look.entries, held, waiting)
    needed = heirs_needed(look.entries, deletions, waiting)
    known = Known(
        deletions=deletions,
        reports=reports,
        waiting=waiting,
        reserved=reserved,
        held=held,
        heirs=read_heirs(conn, needed),
    )
    return known, lanes


def _lock(
    conn: Connection, entries: Sequence[Entry], settling: Sequence[int]
) -> Callable[[], dict[LaneKey, int]]:
    """Lock the lanes that a batch may touch, and make those where it may queue a delivery."""
    verdicts = [
        ((verdict.destination, lane_of(entry.event)), verdict)
        for entry in entries
        for verdict in entry.verdicts
        if verdict.identities and verdict.destination
    ]
    return lock_lanes(
        conn,
        known={key for key, _ in verdicts},
        new={key for key, verdict in verdicts if is_wanted(verdict)},
        ids=settling,
    )


def _ask(conn: Connection, statement: Any, rows: Collection[tuple[Any, ...]]) -> _Fetch:  # noqa: ANN401 - Prepared
    if not rows:
        return list
    fetch: _Fetch = statement.send(conn, {"rows": to_json(sorted(rows))})
    return fetch


# States that were accepted before


def _oldest_states(entries: Iterable[Entry]) -> list[tuple[str, str, int, int]]:
    """Return (site, record, as_of, change) of the oldest state of each record to be sent.

    Usually no event is newer: that costs a look into an index for each record.
    """
    oldest: dict[tuple[str, str], tuple[int, int]] = {}
    for entry in entries:
        event = entry.event
        if event.record and event.as_of and any(map(is_wanted, entry.verdicts)):
            record, state = (
                (event.site, event.record),
                (event.as_of, event.change_id or LAST_CHANGE),
            )
            oldest[record] = min(state, oldest.get(record, state))
    return [(*record, *state) for record, state in oldest.items()]


def _reports(look: Look, sighted: Iterable[Any]) -> dict[StateKey, list[Report]]:
    by_key: dict[StateKey, list[Any]] = {}
    for row in sighted:
        if row.event and (row.site, row.identity) in look.versions:
            by_key.setdefault((row.site, "", row.identity), []).append(row)
    for row in look.newer():
        by_key.setdefault((row.site, row.record, ""), []).append(row)
    return {
        key: [report_of_rows(several) for several in by_event(rows).values()]
        for key, rows in by_key.items()
    }


# Thin events that wait


def _waiting(rows: Iterable[Any]) -> list[Waiting]:
    return [
        Waiting(
            event=row.event,
            destination=row.destination,
            hook=row.hook,
            site=row.site,
            record=row.record,
            identities=decode_identities(row.effects),
            at=Stored(
                id=row.id,
                lane=row.lane,
                hold_until=row.hold_until,
                writes=bool(row.writes),
                late=bool(row.late),
            ),
        )
        for row in rows
        if row.state == State.QUEUED  # in another state, an operator has it in hand
    ]


def _read_late(
    conn: Connection,
    entries: Sequence[Entry],
    held: Mapping[ClaimKey, str],
    waiting: Sequence[Waiting],
) -> list[Waiting]:
    """Read the thin events that another process kept while our claims waited for its commit."""
    if conn.dialect.name == "sqlite":  # a writing transaction is alone
        return []
    known = {(each.event, each.destination) for each in waiting}
    late = {
        (site, identity)
        for (destination, site, identity), holder in held.items()
        if (holder, destination) not in known
    }
    return _waiting(_ask(conn, _WAITING, late & written_by_complete(entries))())


def read_heirs(conn: Connection, waiting: Iterable[Waiting]) -> dict[tuple[str, str], list[Heir]]:
    """Read the stored duplicates of waiting events, by (event, destination), the oldest first."""
    rows = {
        (each.site, identity, each.destination, each.event)
        for each in waiting
        for identity in each.identities
    }
    found: dict[tuple[str, str], list[Heir]] = {}
    for row in _ask(conn, _HEIRS, rows)():
        heir = Heir(event=row.event, hook=row.hook, route=row.route)
        found.setdefault((row.first, row.destination), []).append(heir)
    return found


# Claims


def _reserve(
    conn: Connection, now: int, requests: Mapping[ClaimKey, Request]
) -> tuple[dict[ClaimKey, str], dict[ClaimKey, str]]:
    """Insert the claims that are free; returns those, and the holders of the others."""
    reserved: dict[ClaimKey, str] = {}
    held: dict[ClaimKey, str] = {}
    left = sorted(requests)
    while left:  # once more where another process released a claim between the two statements
        # In one order everywhere, so that two processes cannot wait for each other in a circle.
        rows = [(*key, requests[key].event, requests[key].formerly or None) for key in left]
        statement = _RESERVE_RENAMED if any(row[-1] for row in rows) else _RESERVE
        free = statement.rows(conn, {"rows": to_json(rows), "now": wall(now)})
        keys = {(row.destination, row.site, row.identity) for row in free}
        reserved.update((key, requests[key].event) for key in keys)
        left = [key for key in left if key not in keys]
        if left:
            held.update(_read_holders(conn, left, requests))
            left = [key for key in left if key not in held]
    return reserved, held


def _read_holders(
    conn: Connection, keys: Sequence[ClaimKey], requests: Mapping[ClaimKey, Request]
) -> dict[ClaimKey, str]:
    names = [
        (*key[:2], name, key[2])
        for key in keys
        for name in (requests[key].formerly, key[2])
        if name
    ]
    found = _HOLDERS.rows(conn, {"rows": to_json(names)})
    return {(row.destination, row.site, row.identity): row.event for row in found}
