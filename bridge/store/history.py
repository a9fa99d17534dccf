"""Reading: what happened to events, and what is on its way. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Select, exists, func, null, or_, select, union_all

from bridge.model import State, VerdictName
from bridge.store import schema as t
from bridge.store.effects import decode_effects, decode_identities
from bridge.store.inbox.verdicts import LIVE
from bridge.store.snapshots import unpack

#: How many events are read at a time.
PAGE = 200

_STUCK = (State.PARKED, State.IN_DOUBT)
#: What the account says of a destination.
_OF_DESTINATIONS = ("paused", "blocked_until", "failures", "opened", "anyone_at")
_COLUMNS = [column for column in t.events.c if column.name != "body"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What the log is asked for; what is empty asks for everything."""

    #: An issue key, or a record id.
    issue: str = ""
    hook: str = ""
    route: str = ""
    destination: str = ""
    verdict: str = ""
    #: The state of a delivery.
    state: str = ""
    #: Instants of arrival, in ms since the epoch: from, and before.
    since: int | None = None
    until: int | None = None
    #: Only events after this one.
    after: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of the log: a verdict on an event. See the contract of `log --json`."""

    event: str
    #: In ms since the epoch.
    received: int
    hook: str
    source: str
    name: str
    record: str
    key: str
    route: str
    destination: str
    verdict: str
    reason: str
    #: Of the delivery; "" when there is none.
    state: str
    identities: tuple[str, ...]
    #: For a duplicate, the event that was first.
    first: str = ""
    #: Why its delivery waits for a person; "" when it does not.
    trouble: str = ""


def lines(conn: Connection, query: Query, *, limit: int | None, newest: bool) -> Iterator[Line]:
    """Read the log in order of arrival, or the newest first; `limit` counts events told of."""
    left = limit
    cursor = ""
    while left is None or left > 0:
        count = PAGE if left is None else min(PAGE, left)
        rows = conn.execute(_events(query, cursor, newest=newest).limit(count)).all()
        told = list(_lines(conn, rows, query))
        yield from told
        if len(rows) < count:
            return
        cursor = rows[-1].id
        left = None if left is None else left - len({line.event for line in told})


def _events(query: Query, cursor: str, *, newest: bool) -> Select[Any]:
    e = t.events.c
    statement = select(*_COLUMNS).order_by(e.id.desc() if newest else e.id)
    if cursor:
        statement = statement.where(e.id < cursor if newest else e.id > cursor)
    if query.after:
        statement = statement.where(e.id > query.after)
    if query.issue:
        # Not as an OR, for which SQLite would read every event there is.
        named = union_all(
            select(e.id).where(e.key == query.issue), select(e.id).where(e.record == query.issue)
        )
        statement = statement.where(e.id.in_(named))
    if query.hook:
        statement = statement.where(e.hook == query.hook)
    if query.since is not None:
        statement = statement.where(e.received >= query.since)
    if query.until is not None:
        statement = statement.where(e.received < query.until)
    return _of_verdict(_of_delivery(statement, query), query)


def _of_delivery(statement: Select[Any], query: Query) -> Select[Any]:
    if not query.state:
        return statement
    d = t.deliveries.c
    return statement.where(exists().where(d.event == t.events.c.id, d.state == query.state))


def _of_verdict(statement: Select[Any], query: Query) -> Select[Any]:
    e, v = t.events.c, t.verdicts.c
    if query.verdict in LIVE:
        statement = statement.where(exists().where(v.event == e.id, v.verdict == query.verdict))
    elif query.verdict:
        statement = statement.where(
            e.verdicts.contains(f'"verdict":"{query.verdict}"', autoescape=True)
        )
    for name in ("route", "destination"):
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


def _lines(conn: Connection, rows: Sequence[Row[Any]], query: Query) -> Iterator[Line]:
    ids = [row.id for row in rows]
    live = _by_event(conn, select(t.verdicts).where(t.verdicts.c.event.in_(ids)))
    d = t.deliveries.c
    moving = _by_event(conn, select(t.deliveries).where(d.event.in_(ids)).order_by(d.id))
    stuck = [m.id for found in moving.values() for m in found if m.state in _STUCK]
    said = _last_answers(conn, stuck) if stuck else {}
    for row in rows:
        states = {
            (m.route, m.destination): (m.state, said.get(m.id, "")) for m in moving.get(row.id, ())
        }
        told = [_live(v, states) for v in live.get(row.id, ())] + _fixed(row)
        for verdict in _worth_a_line(told, query):
            yield _line(row, verdict)


def _by_event(conn: Connection, statement: Select[Any]) -> dict[str, list[Row[Any]]]:
    found: dict[str, list[Row[Any]]] = {}
    for row in conn.execute(statement):
        found.setdefault(row.event, []).append(row)
    return found


def _last_answers(conn: Connection, deliveries: Sequence[int]) -> dict[int, str]:
    """Read what the last attempt of each delivery came to."""
    a = t.attempts.c
    last = select(func.max(a.id)).where(a.delivery.in_(deliveries)).group_by(a.delivery)
    return {
        row.delivery: row.answer
        for row in conn.execute(select(a.delivery, a.answer).where(a.id.in_(last)))
    }


def _live(row: Row[Any], states: Mapping[tuple[str, str], tuple[str, str]]) -> dict[str, str]:
    carried = row.verdict in (VerdictName.DELIVER, VerdictName.UNDECIDED)
    state, trouble = states.get((row.route, row.destination), ("", "")) if carried else ("", "")
    return {
        "route": row.route,
        "destination": row.destination,
        "verdict": row.verdict,
        "reason": row.reason,
        "first": row.first,
        "state": state,
        "trouble": trouble,
    }


def _fixed(row: Row[Any]) -> list[dict[str, str]]:
    return [
        {"first": "", "state": "", "trouble": "", **verdict}
        for verdict in orjson.loads(row.verdicts)
    ]


def _worth_a_line(told: Sequence[dict[str, str]], query: Query) -> list[dict[str, str]]:
    """Pick what every route said where something came of it; one line for what all let go."""
    asked = {name: getattr(query, name) for name in ("route", "destination", "verdict", "state")}
    picked = [v for v in told if all(not asked[name] or v[name] == asked[name] for name in asked)]
    strong = [v for v in picked if v["verdict"] != VerdictName.FILTERED]
    if strong or len(picked) < 2:
        return strong or picked
    said = {name: list(dict.fromkeys(v[name] for v in picked)) for name in picked[0]}
    alike = {name: values[0] if len(values) == 1 else "" for name, values in said.items()}
    return [{**alike, "reason": "; ".join(said["reason"])}]


def _line(row: Row[Any], verdict: Mapping[str, str]) -> Line:
    return Line(
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
        reason=verdict["reason"],
        state=verdict["state"],
        identities=tuple(effect.identity for effect in decode_effects(row.effects)),
        first=verdict["first"],
        trouble=verdict["trouble"],
    )


# One event's whole life


@dataclass(frozen=True, kw_only=True, slots=True)
class Life:
    """Everything that is known of one event."""

    event: Mapping[str, Any]
    #: The body as it came; None when it is not, or no longer, kept.
    body: bytes | None
    verdicts: tuple[Mapping[str, Any], ...]
    deliveries: tuple[Mapping[str, Any], ...]
    attempts: tuple[Mapping[str, Any], ...]
    #: Who else told of its effects: identity, event, hook, at.
    sightings: tuple[Mapping[str, Any], ...]
    actions: tuple[Mapping[str, Any], ...]


def life(conn: Connection, event: str) -> Life | None:
    """Gather everything about one event; None: there is no such event."""
    row = conn.execute(select(t.events).where(t.events.c.id == event)).first()
    if row is None:
        return None
    told = dict(row._mapping)  # noqa: SLF001 - the public name of a row's mapping
    body, packed = told.pop("body"), orjson.loads(told.pop("verdicts"))
    told["effects"] = [effect.identity for effect in decode_effects(told["effects"])]
    d, a = t.deliveries.c, t.actions.c
    deliveries = _rows(conn, select(t.deliveries).where(d.event == event).order_by(d.id))
    sighted = select(t.sightings).where(
        t.sightings.c.site == row.site, t.sightings.c.identity.in_(told["effects"])
    )
    return Life(
        event=told,
        body=None if body is None else unpack(body),
        verdicts=(
            *_rows(conn, select(t.verdicts).where(t.verdicts.c.event == event)),
            *({"first": "", **verdict, "event": event} for verdict in packed),
        ),
        deliveries=tuple(
            {**d, "effects": list(decode_identities(d["effects"]))} for d in deliveries
        ),
        attempts=_rows(
            conn,
            select(t.attempts)
            .where(t.attempts.c.delivery.in_([d["id"] for d in deliveries]))
            .order_by(t.attempts.c.id),
        ),
        sightings=_rows(conn, sighted.order_by(t.sightings.c.at, t.sightings.c.event)),
        actions=_rows(conn, select(t.actions).where(a.event == event).order_by(a.id)),
    )


def _rows(conn: Connection, statement: Select[Any]) -> tuple[Mapping[str, Any], ...]:
    return tuple(dict(row) for row in conn.execute(statement).mappings())


# What waits for a person


def stuck(conn: Connection, limit: int) -> tuple[Mapping[str, Any], ...]:
    """List deliveries that are parked or in doubt, the longest waiting first, and why they are."""
    d, e = t.deliveries.c, t.events.c
    found = _rows(
        conn,
        select(d.id, d.event, d.destination, e.key, e.record, d.state, d.updated)
        .join_from(t.deliveries, t.events, e.id == d.event)
        .where(d.state.in_(_STUCK))
        .order_by(d.updated, d.id)
        .limit(limit),
    )
    said = _last_answers(conn, [row["id"] for row in found])
    return tuple({**row, "why": said.get(row["id"], "")} for row in found)


# The account


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What arrived and what became of it; every event is counted once."""

    #: Events by what they came to.
    events: Mapping[str, int]
    #: Deliveries by state.
    deliveries: Mapping[str, int]
    #: By destination: deliveries that are not over, by state.
    open: Mapping[str, Mapping[str, int]]
    #: By destination: paused (why), blocked_until, failures, opened, anyone_at.
    destinations: Mapping[str, Mapping[str, Any]]
    #: The instant the oldest unfinished delivery was queued, in ms since the epoch.
    oldest: int | None


def account(conn: Connection) -> Account:
    """Count everything, from the rows alone."""
    e, d = t.events.c, t.deliveries.c
    # Nearly all are delivered: those are what is left of all, which are counted without a look.
    others = (
        select(d.destination, d.state, func.count().label("count"))
        .where(d.state.in_([state for state in State if state is not State.DELIVERED]))
        .group_by(d.state, d.destination)
    )
    every = select(null(), null(), func.count()).select_from(t.deliveries)
    states: dict[str, int] = {}
    unfinished: dict[str, dict[str, int]] = {}
    total = 0
    for destination, state, count in conn.execute(others.union_all(every)):
        if state is None:
            total = count
            continue
        states[state] = states.get(state, 0) + count
        if state in t.OPEN_STATES:
            unfinished.setdefault(destination, {})[state] = count
    delivered = total - sum(states.values())
    if delivered:
        states[State.DELIVERED.value] = delivered
    gates = conn.execute(select(t.destinations)).mappings()
    counted = conn.execute(select(e.outcome, func.count()).group_by(e.outcome))
    return Account(
        events={row[0]: row[1] for row in counted},
        deliveries=states,
        open=unfinished,
        destinations={
            row["name"]: {name: row[name] for name in _OF_DESTINATIONS}
            for row in gates
            if not row["renamed_to"] or row["name"] in unfinished
        },
        oldest=conn.scalar(select(func.min(d.created)).where(d.state.in_(t.OPEN_STATES))),
    )
