"""The decision log: the verdicts on each event, with their reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Select, exists, or_, select, union_all

from bridge.model import VerdictName
from bridge.store import schema as t
from bridge.store.effects import decode_effects
from bridge.store.history.deliveries import last_answers
from bridge.store.inbox.verdicts import LIVE

#: How many events are read at a time.
PAGE = 200

_COLUMNS = [column for column in t.events.c if column.name != "body"]

#: A verdict with what the log adds to it, by the names of columns and of `LogEntry`'s fields.
_Verdict = dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """Which entries of the log to read. An empty field excludes none."""

    #: An issue key, or the id of a record.
    issue: str = ""
    hook: str = ""
    route: str = ""
    destination: str = ""
    verdict: str = ""
    #: The stage that made the verdict, a word of `model.Stage`.
    stage: str = ""
    #: The state of a delivery.
    state: str = ""
    #: Only events that arrived from this instant on, in ms since the epoch.
    since: int | None = None
    #: Only events that arrived before this instant, in ms since the epoch.
    until: int | None = None
    #: Only events whose id sorts after this one.
    after: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogEntry:
    """A verdict on an event. The contract of `log --json` describes the fields."""

    event: str
    #: When the event arrived, in ms since the epoch.
    received: int
    hook: str
    source: str
    name: str
    record: str
    key: str
    route: str
    destination: str
    verdict: str
    #: The stage that made the verdict, or several where one entry stands for several routes; "" in
    #: rows of versions that kept none.
    stage: str
    reason: str
    #: The state of the delivery; "" when there is none.
    state: str
    #: The identities of the event's effects.
    identities: tuple[str, ...]
    #: For a duplicate, the event that reported the effects first.
    first: str = ""
    #: The last answer, for a delivery that waits for an operator; "" for any other.
    error: str = ""


def read(conn: Connection, query: Query, *, limit: int | None, newest: bool) -> Iterator[LogEntry]:
    """Read the log in order of arrival, or the newest events first.

    `limit` counts the events whose entries are returned.
    """
    left = limit
    cursor = ""
    while left is None or left > 0:
        count = PAGE if left is None else min(PAGE, left)
        rows = conn.execute(_events(query, cursor, newest=newest).limit(count)).all()
        found = list(_entries(conn, rows, query))
        yield from found
        if len(rows) < count:
            return
        cursor = rows[-1].id
        left = None if left is None else left - len({entry.event for entry in found})


# Which events


def _events(query: Query, cursor: str, *, newest: bool) -> Select[Any]:
    e = t.events.c
    statement = select(*_COLUMNS).order_by(e.id.desc() if newest else e.id)
    if cursor:
        statement = statement.where(e.id < cursor if newest else e.id > cursor)
    if query.after:
        statement = statement.where(e.id > query.after)
    if query.issue:
        # Two queries in place of an OR, for which SQLite would read every event there is.
        of_issue = union_all(
            select(e.id).where(e.key == query.issue), select(e.id).where(e.record == query.issue)
        )
        statement = statement.where(e.id.in_(of_issue))
    if query.hook:
        statement = statement.where(e.hook == query.hook)
    if query.since is not None:
        statement = statement.where(e.received >= query.since)
    if query.until is not None:
        statement = statement.where(e.received < query.until)
    return _with_verdict(_with_delivery(statement, query), query)


def _with_delivery(statement: Select[Any], query: Query) -> Select[Any]:
    if not query.state:
        return statement
    d = t.deliveries.c
    return statement.where(exists().where(d.event == t.events.c.id, d.state == query.state))


def _with_verdict(statement: Select[Any], query: Query) -> Select[Any]:
    """Narrow down to the events with such a verdict: in a row of its own, or in the event's."""
    e, v = t.events.c, t.verdicts.c
    if query.verdict in LIVE:
        statement = statement.where(exists().where(v.event == e.id, v.verdict == query.verdict))
    elif query.verdict:
        statement = statement.where(
            e.verdicts.contains(f'"verdict":"{query.verdict}"', autoescape=True)
        )
    for name in ("route", "destination", "stage"):
        wanted = getattr(query, name)
        if wanted:
            packed = f'"{name}":{orjson.dumps(wanted).decode()}'
            statement = statement.where(
                or_(
                    exists().where(v.event == e.id, v[name] == wanted),
                    e.verdicts.contains(packed, autoescape=True),
                )
            )
    return statement


# Their entries


def _entries(conn: Connection, rows: Sequence[Row[Any]], query: Query) -> Iterator[LogEntry]:
    ids = [row.id for row in rows]
    live = _by_event(conn, select(t.verdicts).where(t.verdicts.c.event.in_(ids)))
    d = t.deliveries.c
    deliveries = _by_event(conn, select(t.deliveries).where(d.event.in_(ids)).order_by(d.id))
    blocked = [d.id for found in deliveries.values() for d in found if d.state in t.BLOCKED]
    answers = last_answers(conn, blocked) if blocked else {}
    for row in rows:
        states = {
            (d.route, d.destination): (d.state, answers.get(d.id, ""))
            for d in deliveries.get(row.id, ())
        }
        verdicts = [_live_verdict(v, states) for v in live.get(row.id, ())] + _fixed_verdicts(row)
        for verdict in _worth_an_entry(verdicts, query):
            yield _entry(row, verdict)


def _by_event(conn: Connection, statement: Select[Any]) -> dict[str, list[Row[Any]]]:
    found: dict[str, list[Row[Any]]] = {}
    for row in conn.execute(statement):
        found.setdefault(row.event, []).append(row)
    return found


def _live_verdict(row: Row[Any], states: Mapping[tuple[str, str], tuple[str, str]]) -> _Verdict:
    delivered = row.verdict in (VerdictName.DELIVER, VerdictName.UNDECIDED)
    state, error = states.get((row.route, row.destination), ("", "")) if delivered else ("", "")
    return {
        "route": row.route,
        "destination": row.destination,
        "verdict": row.verdict,
        "stage": row.stage,
        "reason": row.reason,
        "first": row.first,
        "state": state,
        "error": error,
    }


def _fixed_verdicts(row: Row[Any]) -> list[_Verdict]:
    return [
        {"stage": "", "first": "", "state": "", "error": "", **verdict}
        for verdict in orjson.loads(row.verdicts)
    ]


def _worth_an_entry(verdicts: Sequence[_Verdict], query: Query) -> list[_Verdict]:
    """Pick the verdicts that match the query, without `filtered` ones unless there are no others.

    Several `filtered` verdicts become one, with the reasons of all.
    """
    names = ("route", "destination", "verdict", "stage", "state")
    asked = {name: getattr(query, name) for name in names}
    picked = [
        v for v in verdicts if all(not asked[name] or v[name] == asked[name] for name in asked)
    ]
    strong = [v for v in picked if v["verdict"] != VerdictName.FILTERED]
    if strong or len(picked) < 2:
        return strong or picked
    values = {name: list(dict.fromkeys(v[name] for v in picked)) for name in picked[0]}
    common = {name: several[0] if len(several) == 1 else "" for name, several in values.items()}
    joined = {"reason": "; ".join(values["reason"]), "stage": ", ".join(values["stage"])}
    return [common | joined]


def _entry(row: Row[Any], verdict: Mapping[str, str]) -> LogEntry:
    return LogEntry(
        event=row.id,
        received=row.received,
        hook=row.hook,
        source=row.source,
        name=row.name,
        record=row.record,
        key=row.key,
        route=verdict["route"],
        destination=verdict["destination"],
        verdict=verdict["verdict"],
        stage=verdict["stage"],
        reason=verdict["reason"],
        state=verdict["state"],
        identities=tuple(effect.identity for effect in decode_effects(row.effects)),
        first=verdict["first"],
        error=verdict["error"],
    )
