"""Events that were accepted before, by the state they report: of a record, a comment or a worklog.

The inbox compares a new event with them; the queue renews a late event from them when it is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bridge.core.stale import Report
from bridge.model import State
from bridge.store.database.statements import json_rows_statement
from bridge.store.effects import decode_effects, decode_identities

#: Sorts after every number of a change: no change of the same instant is newer.
LAST_CHANGE = 2**63 - 1

_COLUMNS = """e.id AS event, e.as_of, e.change_id, e."full", e.effects,
        d.destination, d.route, d.effects AS carried, d.state, d.attempts, d.place"""
_DELIVERED = "LEFT JOIN deliveries d ON d.event = e.id AND d.state <> 'discarded'"
#: Events that were sighted with (site, identity), one row for each delivery.
SIGHTED = json_rows_statement(
    f"""
    SELECT s.site, s.identity, s.event AS teller, {_COLUMNS} FROM {{rows}}
    JOIN sightings s ON s.site = r.site AND s.identity = r.identity
    LEFT JOIN events e ON e.id = s.event {_DELIVERED}
    """,  # noqa: S608 - our words
    site="TEXT",
    identity="TEXT",
)
#: Events that report a newer state than (site, record, as_of, change), one row for each delivery.
NEWER = json_rows_statement(
    f"""
    SELECT e.site, e.record, {_COLUMNS} FROM {{rows}}
    JOIN events e ON e.site = r.site AND e.record = r.record
        AND (e.as_of, e.change_id) > (r.as_of, r.change_id)
    {_DELIVERED}
    """,  # noqa: S608 - our words
    site="TEXT",
    record="TEXT",
    as_of="BIGINT",
    change_id="BIGINT",
)


def report_of_rows(rows: Sequence[Any]) -> Report:
    """Return what one event reports, given its rows of `SIGHTED` or `NEWER`."""
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


def by_event(rows: Iterable[Any]) -> dict[str, list[Any]]:
    """Group rows by their event."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.event, []).append(row)
    return found
