"""What was accepted of a record before: what makes a late telling stale, or renews it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from bridge.core.stale import Report, report_of
from bridge.model import VerdictName
from bridge.store.accepted import LAST_CHANGE, NEWER, SIGHTED, StateKey, by_event, report_of_rows
from bridge.store.database.statements import as_rows
from bridge.store.inbox.claims import wanted
from bridge.store.nouns import Batch, Entry

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
    told = SIGHTED.ask(conn, {"rows": as_rows(sorted(deletions | versions))})

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
            place, state = (event.site, event.record), (event.as_of, event.change_id or LAST_CHANGE)
            oldest[place] = min(state, oldest.get(place, state))
    if not oldest:
        return lambda: None
    told = NEWER.ask(conn, {"rows": as_rows(sorted((*k, *v) for k, v in oldest.items()))})
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


def known(
    tellings: Mapping[StateKey, Sequence[Report]], entry: Entry, destination: str
) -> list[Report]:
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
    tellings: dict[StateKey, list[Report]],
    rows: Iterable[Any],
    key: Callable[[Any], StateKey],
) -> None:
    """Add one telling for each event and key: an event has one row for each of its deliveries."""
    found: dict[StateKey, list[Any]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    for place, several in found.items():
        tellings.setdefault(place, []).extend(map(report_of_rows, by_event(several).values()))
