"""Full bodies that are kept: the latest of a record, and complete events of the same change."""

from __future__ import annotations

import zlib
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, select

from bridge.core import bodies
from bridge.core.snapshot import Snapshot
from bridge.model import Event
from bridge.store import schema as t


def pack(raw: bytes) -> bytes:
    """Compress a body for keeping."""
    return zlib.compress(raw, 1)


def unpack(packed: bytes) -> bytes:
    """Undo `pack`."""
    return zlib.decompress(packed)


_LATEST_FULL = (
    select(
        t.events.c.id,
        t.events.c.received,
        t.events.c.body,
        t.events.c.as_of,
        t.events.c.change_id,
    )
    .where(
        t.events.c.site == bindparam("site"),
        t.events.c.record == bindparam("record"),
        t.events.c.full.is_(True),
        t.events.c.body.is_not(None),
    )
    .order_by(t.events.c.as_of.desc(), t.events.c.change_id.desc(), t.events.c.id.desc())
    .limit(1)
)


def latest_snapshot(conn: Connection, site: str, record: str) -> Snapshot | None:
    """Read the full body with the newest state of a record."""
    if not record:
        return None
    row = conn.execute(_LATEST_FULL, {"site": site, "record": record}).first()
    if row is None:
        return None
    found = _snapshot(row.id, row.received, row.body, counterpart=False)
    return None if found is None else replace(found, state=(row.as_of, row.change_id))


def snapshot_of(event: Event) -> Snapshot:
    """Return the snapshot of a complete event that is not stored yet."""
    state = (event.as_of, event.change_id)
    return Snapshot(event=event.id, when=_when(event.received), body=event.body, state=state)


def counterpart_of(conn: Connection, event: Event) -> Snapshot | None:
    """Read a complete event with one of an event's effects, whatever its verdicts."""
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
    return None if row is None else _snapshot(row.id, row.received, row.body, counterpart=True)


def _snapshot(event: str, received: int, packed: bytes, *, counterpart: bool) -> Snapshot | None:
    try:
        body = bodies.read(unpack(packed)).value
    except bodies.TooMuch:  # an earlier version took it in
        return None
    return Snapshot(event=event, when=_when(received), body=body, counterpart=counterpart)


def _when(received: int) -> str:
    return datetime.fromtimestamp(received / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
