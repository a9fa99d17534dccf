"""Claims: the unique rows that let one event carry an effect, and make the others duplicates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, select

from bridge.model import Verdict, VerdictName
from bridge.store import tables as t
from bridge.store.batch import Batch, ClaimKey, Entry, Waiting
from bridge.store.dialect import insert_or_ignore


def wanted(verdict: Verdict) -> bool:
    """Tell whether a verdict asks for its effects to be carried."""
    return verdict.name in (VerdictName.DELIVER, VerdictName.UNDECIDED)


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
        rows = [
            {"destination": d, "site": s, "identity": i, "event": asked[d, s, i], "at": batch.now}
            for d, s, i in sorted(asked)
        ]
        statement = insert_or_ignore(conn, t.claims).returning(
            t.claims.c.destination, t.claims.c.site, t.claims.c.identity
        )
        batch.free = {(r[0], r[1], r[2]) for r in conn.execute(statement, rows)}
        looked_up |= asked.keys() - batch.free
    batch.held = _holders(conn, looked_up - batch.free)


def _holders(conn: Connection, keys: Iterable[ClaimKey]) -> dict[ClaimKey, str]:
    by_place: dict[tuple[str, str], list[str]] = {}
    for destination, site, identity in keys:
        by_place.setdefault((destination, site), []).append(identity)
    found = {}
    for (destination, site), names in by_place.items():
        rows = conn.execute(
            select(t.claims.c.identity, t.claims.c.event).where(
                t.claims.c.destination == destination,
                t.claims.c.site == site,
                t.claims.c.identity.in_(names),
            )
        )
        found.update({(destination, site, row.identity): row.event for row in rows})
    return found


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
    if not any(not entry.event.thin for entry in entries) or not batch.held:
        return
    rows = conn.execute(
        select(
            t.deliveries.c.id,
            t.deliveries.c.event,
            t.deliveries.c.destination,
            t.deliveries.c.lane,
            t.deliveries.c.hold_until,
        ).where(
            t.deliveries.c.event.in_(sorted(set(batch.held.values()))),
            t.deliveries.c.state == "queued",
            t.deliveries.c.hold_until.is_not(None),
        )
    )
    for row in rows:
        batch.waiting[row.event, row.destination] = Waiting(
            id=row.id, lane=row.lane, hold_until=row.hold_until
        )
