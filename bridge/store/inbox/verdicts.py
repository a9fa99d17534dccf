"""Stored verdicts, and what the verdicts of an event amount to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import orjson
from sqlalchemy import Connection, Text, bindparam, case, select, update

from bridge.core.dedup.changes import Ended, Followed, Promoted
from bridge.core.printable import storable
from bridge.model import Stage, Verdict, VerdictName
from bridge.store import schema as t
from bridge.store.database.statements import Prepared, json_rows_statement, pipeline, to_json

#: The verdicts that may change, or that other verdicts refer to; the others are packed into the
#: event.
LIVE = frozenset({VerdictName.DELIVER, VerdictName.UNDECIDED, VerdictName.DUPLICATE})

#: The outcome of an event is the strongest of its verdicts, in this order.
STRENGTH = (
    VerdictName.DELIVER,
    VerdictName.UNDECIDED,
    VerdictName.DUPLICATE,
    VerdictName.STALE,
    VerdictName.ECHO,
    VerdictName.FORBIDDEN,
    VerdictName.FILTERED,
    VerdictName.REJECTED,
)

_v = t.verdicts.c
#: An undecided verdict is decided; without a route, the stored one stays.
_END = Prepared(
    update(t.verdicts)
    .where(
        _v.event == bindparam("b_event"),
        _v.destination == bindparam("b_destination"),
        _v.verdict == VerdictName.UNDECIDED,
    )
    .values(
        verdict=bindparam("b_verdict"),
        reason=bindparam("b_reason"),
        first=bindparam("b_first"),
        stage=bindparam("b_stage"),
        route=case(
            (bindparam("b_route", type_=Text) == "", _v.route),
            else_=bindparam("b_route", type_=Text),
        ),
    )
)
_PROMOTE = Prepared(
    update(t.verdicts)
    .where(
        _v.event == bindparam("b_event"),
        _v.destination == bindparam("b_destination"),
        _v.verdict == VerdictName.DUPLICATE,
        _v.first == bindparam("b_before"),
    )
    .values(
        verdict=VerdictName.UNDECIDED,
        reason=bindparam("b_reason"),
        first="",
        stage=Stage.TAKEN_OVER,
    )
)
_first = t.events.alias("first_event")
#: The body of a duplicate is not kept; that of the event before it holds the same.
_KEEP_BODY = Prepared(
    update(t.events)
    .where(t.events.c.id == bindparam("b_event"), t.events.c.body.is_(None))
    .values(
        body=select(_first.c.body).where(_first.c.id == bindparam("b_before")).scalar_subquery()
    )
)
_FOLLOW = json_rows_statement(
    """
    UPDATE verdicts SET first = :after
    WHERE first = :before AND destination = :destination AND verdict = 'duplicate'
    AND event IN (
        SELECT s.event FROM {rows} JOIN sightings s ON s.site = r.site AND s.identity = r.identity
    )
    """,
    site="TEXT",
    identity="TEXT",
)
_FINAL_AND_LIVE = json_rows_statement(
    """
    SELECT e.id, e.verdicts AS final, v.verdict FROM {rows}
    JOIN events e ON e.id = r.event LEFT JOIN verdicts v ON v.event = e.id
    """,
    event="TEXT",
)
_SET_OUTCOME = Prepared(
    update(t.events)
    .where(t.events.c.id == bindparam("b_event"))
    .values(outcome=bindparam("b_outcome"))
)


def strongest(names: Iterable[str]) -> str:
    """Return the verdict that an event's verdicts amount to."""
    found = set(names)
    return next((name for name in STRENGTH if name in found), VerdictName.FILTERED)


def set_verdict(conn: Connection, event: str, verdict: Verdict) -> None:
    """Decide the undecided verdict of an event for a destination.

    A verdict that names no route leaves the stored one.
    """
    change_verdicts(conn, [Ended(event=event, verdict=verdict)])


def change_verdicts(conn: Connection, changes: Sequence[Ended | Followed | Promoted]) -> None:
    """Change stored verdicts, in this order, and the outcomes of their events."""
    if not changes:
        return
    with pipeline(conn):
        for change in changes:
            _change(conn, change)
    refresh_outcomes(conn, {c.event for c in changes if not isinstance(c, Followed)})


def _change(conn: Connection, change: Ended | Followed | Promoted) -> None:
    if isinstance(change, Followed):
        rows = to_json([(change.site, identity) for identity in change.identities])
        values = {"before": change.before, "after": change.after}
        _FOLLOW.run(conn, {"rows": rows, "destination": change.destination, **values})
    elif isinstance(change, Promoted):
        values = {"b_event": change.event, "b_before": change.first}
        _KEEP_BODY.run(conn, values)
        reason = storable(change.reason)
        _PROMOTE.run(conn, {**values, "b_destination": change.destination, "b_reason": reason})
    else:
        verdict = change.verdict
        _END.run(
            conn,
            {
                "b_event": change.event,
                "b_destination": verdict.destination,
                "b_verdict": verdict.name,
                "b_reason": storable(verdict.reason),
                "b_first": verdict.first,
                "b_stage": verdict.stage,
                "b_route": verdict.route,
            },
        )


def refresh_outcome(conn: Connection, event: str) -> None:
    """Set the outcome of an event by its verdicts as they are now."""
    refresh_outcomes(conn, [event])


def refresh_outcomes(conn: Connection, events: Collection[str]) -> None:
    """Set the outcomes of events by their verdicts as they are now."""
    names: dict[str, set[str]] = {}
    rows = _FINAL_AND_LIVE.rows(conn, {"rows": to_json([[event] for event in sorted(events)])})
    for row in rows:
        found = names.setdefault(row.id, set())
        found.update(verdict["verdict"] for verdict in orjson.loads(row.final or "[]"))
        if row.verdict is not None:
            found.add(row.verdict)
    outcomes = [
        {"b_event": event, "b_outcome": strongest(found)} for event, found in sorted(names.items())
    ]
    if outcomes:
        _SET_OUTCOME.run(conn, outcomes)
