"""Claims: the unique rows that let one event carry an effect, and make the others duplicates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete

from bridge.model import Verdict, VerdictName
from bridge.store import tables as t
from bridge.store.batch import Batch, ClaimKey, Entry, Waiting
from bridge.store.dialect import as_rows, listing


def wanted(verdict: Verdict) -> bool:
    """Tell whether a verdict asks for its effects to be carried."""
    return verdict.name in (VerdictName.DELIVER, VerdictName.UNDECIDED)


_CLAIM = listing(
    """
    INSERT INTO claims (destination, site, identity, event, at)
    SELECT {0}, {1}, {2}, {3}, CAST(:now AS BIGINT) FROM {rows} WHERE true
    ON CONFLICT DO NOTHING RETURNING destination, site, identity
    """,
    4,
)
_HOLDERS = listing(
    """
    SELECT c.destination, c.site, c.identity, c.event FROM {rows}
    JOIN claims c ON c.destination = {0} AND c.site = {1} AND c.identity = {2}
    """,
    3,
)
_WAITING = listing(
    """
    SELECT d.id, d.event, d.destination, d.lane, d.hold_until FROM {rows}
    JOIN deliveries d ON d.event = {0}
    WHERE d.state = 'queued' AND d.hold_until IS NOT NULL
    """,
    1,
)


def claim(conn: Connection, batch: Batch, entries: Sequence[Entry]) -> None:
    """Claim every wanted effect, and look up who holds those that were taken."""
    asked: dict[ClaimKey, str] = {}
    for entry in entries:
        for verdict in filter(wanted, entry.verdicts):
            for name in verdict.effects:
                key = (verdict.destination, entry.event.site, name)
                asked.setdefault(key, entry.event.id)
    looked_up = set(twin_keys(entries))
    if asked:
        # In one order everywhere, so that two processes cannot wait for each other in a circle.
        rows = as_rows([(*key, asked[key]) for key in sorted(asked)])
        taken = _CLAIM.rows(conn, {"rows": rows, "now": batch.now})
        batch.free = {(row.destination, row.site, row.identity) for row in taken}
        looked_up |= asked.keys() - batch.free
    looked_up -= batch.free
    if looked_up:
        held = _HOLDERS.rows(conn, {"rows": as_rows(sorted(looked_up))})
        batch.held = {(row.destination, row.site, row.identity): row.event for row in held}


def twin_keys(entries: Sequence[Entry]) -> list[ClaimKey]:
    """Name effects a thin event may be holding although this fuller telling was not wanted."""
    return [
        (verdict.destination, entry.event.site, effect.identity)
        for entry in entries
        if entry.event.full
        for verdict in entry.verdicts
        if not wanted(verdict) and verdict.destination
        for effect in entry.event.effects
        if effect.writes
    ]


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


def find_waiting(conn: Connection, batch: Batch, entries: Sequence[Entry]) -> None:
    """Find which holders are thin events that still wait for a fuller telling."""
    if not batch.held or all(entry.event.thin for entry in entries):
        return
    holders = sorted(set(batch.held.values()))
    for row in _WAITING.rows(conn, {"rows": as_rows([(holder,) for holder in holders])}):
        batch.waiting[row.event, row.destination] = Waiting(
            id=row.id, lane=row.lane, hold_until=row.hold_until
        )
