"""Claims: the unique rows that let one event carry an effect, and make the others duplicates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete

from bridge.model import State, Verdict, VerdictName
from bridge.store import schema as t
from bridge.store.database.clocks import wall
from bridge.store.database.statements import as_rows, listing
from bridge.store.effects import decode_identities
from bridge.store.nouns import Batch, ClaimKey, Entry, Waiting


def wanted(verdict: Verdict) -> bool:
    """Tell whether a verdict asks for its effects to be carried."""
    return verdict.name in (VerdictName.DELIVER, VerdictName.UNDECIDED)


_CLAIMED = """
    INSERT INTO claims (destination, site, identity, event, at)
    SELECT {{0}}, {{1}}, {{2}}, {{3}}, CAST(:now AS BIGINT) FROM {{rows}}
    WHERE {free} ON CONFLICT DO NOTHING RETURNING destination, site, identity
    """
#: Nothing else beside the NOT EXISTS: with an OR, PostgreSQL keeps a plan, made while the table was
#: small, that reads all of it each time.
_FREE = """NOT EXISTS (
        SELECT 1 FROM claims c
        WHERE c.destination = {0} AND c.site = {1} AND c.identity = {4}
    )"""
_CLAIM = listing(_CLAIMED.format(free="true"), 4)
#: The same where some of them may be claimed by a former name; null: there is none.
_CLAIM_RENAMED = listing(_CLAIMED.format(free=_FREE), 5)
_HOLDERS = listing(
    """
    SELECT c.destination, c.site, {3} AS identity, c.event FROM {rows}
    JOIN claims c ON c.destination = {0} AND c.site = {1} AND c.identity = {2}
    """,
    4,
)
_WAITING = listing(
    """
    SELECT l.id, l.event, l.destination, l.lane, l.state, l.hold_until, l.effects,
        s.hook, s.site, e.record
    FROM {rows}
    JOIN sightings s ON s.site = {0} AND s.identity = {1}
    JOIN deliveries l ON l.event = s.event AND l.hold_until IS NOT NULL
    JOIN events e ON e.id = l.event
    ORDER BY l.id {lock}
    """,
    2,
)


def find_waiting(conn: Connection, batch: Batch, entries: Sequence[Entry]) -> Callable[[], None]:
    """Ask for the thin events that still wait for a fuller telling, where one may have come.

    They are in the batch once what is returned was called.
    """
    return _find_waiting(conn, batch, _written(entries))


def find_late(conn: Connection, batch: Batch, entries: Sequence[Entry]) -> None:
    """Find those that another process kept while our claims waited for its own."""
    if conn.dialect.name == "sqlite":  # whoever writes is alone
        return
    late = {
        (site, identity)
        for (destination, site, identity), holder in batch.held.items()
        if (holder, destination) not in batch.waiting
    }
    _find_waiting(conn, batch, late & _written(entries))()


def _written(entries: Sequence[Entry]) -> set[tuple[str, str]]:
    """Name the effects that a thin event could have told of before these entries."""
    return {
        (entry.event.site, effect.identity)
        for entry in entries
        if not entry.event.thin
        for effect in entry.event.effects
        if effect.writes
    }


def _find_waiting(
    conn: Connection, batch: Batch, asked: Collection[tuple[str, str]]
) -> Callable[[], None]:
    if not asked:
        return lambda: None
    told = _WAITING.ask(conn, {"rows": as_rows(sorted(asked))})
    return lambda: _note_waiting(batch, told())


def _note_waiting(batch: Batch, rows: Iterable[Any]) -> None:
    for row in rows:
        if row.state != State.QUEUED:  # an operator has it in hand
            continue
        batch.waiting[row.event, row.destination] = Waiting(
            id=row.id,
            lane=row.lane,
            hold_until=row.hold_until,
            hook=row.hook,
            site=row.site,
            record=row.record,
            identities=decode_identities(row.effects),
        )


def claim(conn: Connection, batch: Batch, entries: Sequence[Entry]) -> None:
    """Claim every wanted effect, and look up who holds those that were taken."""
    asked: dict[ClaimKey, str] = {}
    for entry in entries:
        event = entry.event
        batch.formerly.update(
            ((event.site, name), effect.formerly)
            for effect in event.effects
            if effect.formerly
            for name in (effect.identity, *effect.also)
        )
        also = {effect.identity: effect.also for effect in event.effects if effect.also}
        for verdict in filter(wanted, entry.verdicts):
            for name in verdict.identities:
                key = (verdict.destination, event.site, name)
                others = tuple((*key[:2], other) for other in also.get(name, ()))
                if others:
                    batch.also[key] = others
                for each in (key, *others):
                    asked.setdefault(each, event.id)
    claim_each(conn, batch, asked)


def take(conn: Connection, batch: Batch, key: ClaimKey, event: str) -> str:
    """Take an effect's claim for an event; returns who holds it already, or ""."""
    keys = (key, *batch.also.get(key, ()))
    given_up = {k: event for k in keys if k not in batch.free and k not in batch.held}
    if given_up:
        claim_each(conn, batch, given_up)
    holder = next((batch.held[k] for k in keys if k not in batch.free), "")
    for each in batch.free.intersection(keys):
        batch.free.discard(each)
        batch.held[each] = holder or event
    return holder


def claim_each(conn: Connection, batch: Batch, asked: Mapping[ClaimKey, str]) -> None:
    """Claim effects for events: each is `free` for its event then, or `held` by another."""
    left = sorted(asked)
    while left:  # again where a claim was given up between the two statements
        # In one order everywhere, so that two processes cannot wait for each other in a circle.
        former = {key: batch.formerly.get(key[1:]) for key in left}
        rows = as_rows([(*key, asked[key], former[key]) for key in left])
        statement = _CLAIM_RENAMED if any(former.values()) else _CLAIM
        taken = statement.rows(conn, {"rows": rows, "now": wall(batch.now)})
        batch.free.update((row.destination, row.site, row.identity) for row in taken)
        left = [key for key in left if key not in batch.free]
        if left:
            names = [(*k[:2], name, k[2]) for k in left for name in (former[k], k[2]) if name]
            held = _HOLDERS.rows(conn, {"rows": as_rows(names)})
            batch.held.update(((r.destination, r.site, r.identity), r.event) for r in held)
            left = [key for key in left if key not in batch.held]


def release(conn: Connection, keys: Iterable[ClaimKey]) -> None:
    """Give claims up."""
    for destination, site, identity in keys:
        conn.execute(
            delete(t.claims).where(
                t.claims.c.destination == destination,
                t.claims.c.site == site,
                t.claims.c.identity == identity,
            )
        )
