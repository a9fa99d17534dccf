"""A destination gets another name: its claims, lanes, deliveries and verdicts move along.

The row of the former name stays, and contains the new one. Nothing is sent under a former name. A
process that still runs the old mapping files keeps events under it, and the processes that run the
new ones move those, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, literal, select, text, update

from bridge.model import Stage, State, VerdictName
from bridge.store import schema as t
from bridge.store.database.statements import insert_or_ignore
from bridge.store.effects import decode_identities, encode_identities
from bridge.store.inbox.verdicts import refresh_outcome
from bridge.store.wakeups import notify_processes

#: The states of a delivery that cannot have been written, as far as is known.
_UNSENT = frozenset({State.QUEUED, State.RETRYING, State.PARKED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """How the destinations in the database and those in the mappings differ.

    Pairs are (former name, name).
    """

    #: Destinations that the mappings rename, and the database does not yet.
    new: tuple[tuple[str, str], ...]
    #: Former names under which events were kept since.
    behind: tuple[tuple[str, str], ...]
    #: How many deliveries are open for each destination that is not in the mappings.
    homeless: Mapping[str, int]
    #: Destinations of the mappings that other processes have renamed, and their new names.
    renamed: Mapping[str, str]


def compare(conn: Connection, configured: Mapping[str, str]) -> Names:
    """Compare the destinations in the database with those configured: name -> its `was`, or ""."""
    rows = {row.name: row.renamed_to for row in conn.execute(select(t.destinations))}
    renamed = {name: rows[name] for name in configured if rows.get(name)}
    new = tuple(
        (was, name)
        for name, was in configured.items()
        if was and rows.get(was) != name and renamed.get(name, was) == was
    )
    behind = tuple(
        (was, name)
        for was, name in rows.items()
        if name in configured and was not in configured and _has_any(conn, was)
    )
    known = {*configured, *renamed.values(), *(was for was, _ in (*new, *behind))}
    counts = {name: _open_count(conn, name) for name in sorted(rows.keys() - known)}
    return Names(
        new=new,
        behind=behind,
        homeless={name: count for name, count in counts.items() if count},
        renamed=renamed,
    )


def _has_any(conn: Connection, destination: str) -> bool:
    lanes = exists().where(t.lanes.c.destination == destination)
    claims = exists().where(t.claims.c.destination == destination)
    return bool(conn.scalar(select(lanes | claims)))


def _open_count(conn: Connection, destination: str) -> int:
    d = t.deliveries.c
    found = select(func.count()).where(d.destination == destination, d.state.in_(t.OPEN))
    return conn.scalar(found) or 0


def carry(conn: Connection, now: int, was: str, name: str) -> int:
    """Move everything of the destination `was` to `name`; returns the number of open deliveries.

    An effect that both have claimed is sent once. A second call moves what was kept since the
    first. Where a record has a lane under both names, a leased lane stays until it is free.
    """
    if conn.dialect.name == "postgresql":
        # Other processes wait: events that they kept under the former name would stay there.
        conn.execute(text("LOCK TABLE lanes, claims IN SHARE ROW EXCLUSIVE MODE"))
    _rename(conn, was, name)
    claimed_twice = _carry_claims(conn, was, name)
    _carry_verdicts(conn, was, name)
    carried = _carry_lanes(conn, now, was, name)
    for twice in claimed_twice:
        _send_once(conn, now, name, twice)
    notify_processes(conn, {name: 1})
    return carried


def _rename(conn: Connection, was: str, name: str) -> None:
    """Write the name into the former one's row, which is copied if the name is new."""
    g = t.destinations.c
    conn.execute(insert_or_ignore(conn, t.destinations), [{"name": was}])
    names = select(t.destinations).where(g.name.in_((was, name))).order_by(g.name)
    rows = {row.name: row for row in conn.execute(names.with_for_update())}
    if name not in rows:
        row = {**rows[was]._asdict(), "name": name, "renamed_to": ""}
        conn.execute(insert_or_ignore(conn, t.destinations), [row])
    conn.execute(update(t.destinations).where(g.name == name).values(renamed_to=""))
    former = (g.name == was) | (g.renamed_to == was)
    conn.execute(update(t.destinations).where(former).values(renamed_to=name))


def _carry_claims(conn: Connection, was: str, name: str) -> Sequence[Any]:
    """Move claims; returns those that two events have made, one under each name."""
    old, new = t.claims.alias("old"), t.claims.alias("new")
    twice = select(old.c.identity, old.c.event.label("under_was"), new.c.event.label("under_name"))
    both = (new.c.site == old.c.site) & (new.c.identity == old.c.identity)
    held = conn.execute(
        twice.join_from(old, new, both)
        .where(old.c.destination == was, new.c.destination == name, old.c.event != new.c.event)
        .order_by(old.c.event, old.c.identity)
    ).all()
    c = t.claims.c
    columns = ("destination", "site", "identity", "event", "at")
    moved = select(literal(name), c.site, c.identity, c.event, c.at).where(c.destination == was)
    conn.execute(insert_or_ignore(conn, t.claims).from_select(columns, moved))
    conn.execute(delete(t.claims).where(c.destination == was))
    return held


def _carry_verdicts(conn: Connection, was: str, name: str) -> None:
    v, other = t.verdicts.c, t.verdicts.alias()
    taken = exists().where(
        other.c.event == v.event, other.c.route == v.route, other.c.destination == name
    )
    conn.execute(update(t.verdicts).where(v.destination == was, ~taken).values(destination=name))
    conn.execute(delete(t.verdicts).where(v.destination == was))


def _carry_lanes(conn: Connection, now: int, was: str, name: str) -> int:
    """Move lanes with their deliveries; returns how many deliveries are open."""
    lanes, other = t.lanes.c, t.lanes.alias()
    taken = exists().where(other.c.record == lanes.record, other.c.destination == name)
    conn.execute(update(t.lanes).where(lanes.destination == was, ~taken).values(destination=name))
    pairs = (
        select(t.lanes.c.id, t.lanes.c.lease_until, other.c.id.label("into"))
        .join_from(t.lanes, other, other.c.record == t.lanes.c.record)
        .where(t.lanes.c.destination == was, other.c.destination == name)
        .order_by(t.lanes.c.id)
    )
    for pair in conn.execute(pairs).all():
        if pair.lease_until <= now:
            _merge(conn, now, pair.id, pair.into)
    d = t.deliveries.c
    here = select(t.lanes.c.id).where(t.lanes.c.destination == name)
    moved = (d.destination == was) & d.lane.in_(here)
    carried = conn.scalar(select(func.count()).where(moved, d.state.in_(t.OPEN)))
    conn.execute(update(t.deliveries).where(moved).values(destination=name))
    return carried or 0


def _merge(conn: Connection, now: int, lane: int, into: int) -> None:
    conn.execute(update(t.deliveries).where(t.deliveries.c.lane == lane).values(lane=into))
    conn.execute(delete(t.lanes).where(t.lanes.c.id == lane))
    _wake(conn, now, into)


def _wake(conn: Connection, now: int, lane: int) -> None:
    """Make a lane due: the next worker that leases it finds out what it has to do."""
    found = update(t.lanes).where(t.lanes.c.id == lane)
    conn.execute(found.values(next_at=now, blocked=False))


def _send_once(conn: Connection, now: int, name: str, twice: Row[Any]) -> None:
    """Let one of two events carry an effect: the one that may have been sent, if any was."""
    under_was = _unsent(conn, name, twice.under_was, twice.identity)
    if under_was is not None:
        _leave_out(conn, now, under_was, twice.identity, twice.under_name)
        return
    under_name = _unsent(conn, name, twice.under_name, twice.identity)
    if under_name is not None and _carries(conn, name, twice.under_was, twice.identity):
        _leave_out(conn, now, under_name, twice.identity, twice.under_was)


def _deliveries(conn: Connection, name: str, event: str, identity: str) -> list[Row[Any]]:
    d = t.deliveries.c
    found = conn.execute(select(t.deliveries).where(d.event == event, d.destination == name))
    return [row for row in found if identity in decode_identities(row.effects)]


def _unsent(conn: Connection, name: str, event: str, identity: str) -> Row[Any] | None:
    rows = _deliveries(conn, name, event, identity)
    return next((row for row in rows if row.state in _UNSENT), None)


def _carries(conn: Connection, name: str, event: str, identity: str) -> bool:
    rows = _deliveries(conn, name, event, identity)
    return any(row.state != State.DISCARDED for row in rows)


def _leave_out(conn: Connection, now: int, row: Row[Any], identity: str, first: str) -> None:
    """Take an effect out of a delivery that has not been sent; without any, it is a duplicate."""
    left = [name for name in decode_identities(row.effects) if name != identity]
    this = t.deliveries.c.id == row.id
    if left:
        conn.execute(update(t.deliveries).where(this).values(effects=encode_identities(left)))
        return
    conn.execute(delete(t.attempts).where(t.attempts.c.delivery == row.id))
    conn.execute(delete(t.deliveries).where(this))
    _wake(conn, now, row.lane)
    v = t.verdicts.c
    conn.execute(
        update(t.verdicts)
        .where(v.event == row.event, v.destination == row.destination, v.route == row.route)
        .values(
            verdict=VerdictName.DUPLICATE,
            reason=f"event {first} reported {identity} before, to the destination's other name",
            first=first,
            stage=Stage.CLAIMED,
        )
    )
    refresh_outcome(conn, row.event)
