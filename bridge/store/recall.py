"""What the bridge remembers: full bodies of records, fuller tellings, deletions."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, select

from bridge.core import bodies
from bridge.core.decide import Memory
from bridge.model import Event
from bridge.store import tables as t
from bridge.store.dialect import as_rows, listing


def pack(raw: bytes) -> bytes:
    """Compress a body for keeping."""
    return zlib.compress(raw, 1)


def unpack(packed: bytes) -> bytes:
    """Undo `pack`."""
    return zlib.decompress(packed)


_LATEST_FULL = (
    select(t.events.c.id, t.events.c.received, t.events.c.body)
    .where(
        t.events.c.site == bindparam("site"),
        t.events.c.record == bindparam("record"),
        t.events.c.full.is_(True),
        t.events.c.body.is_not(None),
    )
    .order_by(t.events.c.id.desc())
    .limit(1)
)


def remember(conn: Connection, site: str, record: str) -> Memory | None:
    """Find the latest full body of a record."""
    if not record:
        return None
    row = conn.execute(_LATEST_FULL, {"site": site, "record": record}).first()
    return None if row is None else _memory(row.id, row.received, row.body, twin=False)


def recall(event: Event) -> Memory:
    """Remember a full body that is only about to be kept."""
    return Memory(event=event.id, when=_when(event.received), body=event.body)


def twin(conn: Connection, event: Event) -> Memory | None:
    """Find a fuller telling of one of an event's effects, whatever became of it."""
    names = [effect.identity for effect in event.effects]
    row = conn.execute(
        select(t.events.c.id, t.events.c.received, t.events.c.body)
        .join(t.sightings, t.sightings.c.event == t.events.c.id)
        .where(
            t.sightings.c.site == event.site,
            t.sightings.c.identity.in_(names),
            t.events.c.full.is_(True),
            t.events.c.body.is_not(None),
        )
        .order_by(t.events.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else _memory(row.id, row.received, row.body, twin=True)


def _memory(event: str, received: int, packed: bytes, *, twin: bool) -> Memory | None:
    try:
        body = bodies.read(unpack(packed)).value
    except bodies.TooMuch:  # an earlier version took it in
        return None
    return Memory(event=event, when=_when(received), body=body, twin=twin)


def _when(received: int) -> str:
    return datetime.fromtimestamp(received / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


_SIGHTED = listing(
    """
    SELECT s.site, s.identity, s.event FROM {rows}
    JOIN sightings s ON s.site = {0} AND s.identity = {1}
    """,
    2,
)


def deletions(
    conn: Connection, events: Iterable[Event]
) -> Callable[[], dict[tuple[str, str], str]]:
    """Ask what makes effects of these events stale: (site, identity of it) -> its event."""
    asked = {
        (event.site, effect.stale_after)
        for event in events
        for effect in event.effects
        if effect.stale_after
    }
    if not asked:
        return dict
    told = _SIGHTED.ask(conn, {"rows": as_rows(sorted(asked))})
    return lambda: {(row.site, row.identity): row.event for row in told()}
