"""Write `Changes`: the stored rows that change, and the new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, select, update

from bridge.core.dedup.changes import Changes, Entry
from bridge.model import State
from bridge.store import schema as t
from bridge.store.database.clocks import wall
from bridge.store.database.statements import Prepared, pipeline
from bridge.store.effects import encode_identities
from bridge.store.inbox.rows import add
from bridge.store.inbox.verdicts import change_verdicts
from bridge.store.queue.lanes import LaneKey, lane_name, wake_held

_THIS_CLAIM = (
    t.claims.c.destination == bindparam("b_destination"),
    t.claims.c.site == bindparam("b_site"),
    t.claims.c.identity == bindparam("b_identity"),
)
_RELEASE = Prepared(delete(t.claims).where(*_THIS_CLAIM))
_MOVE_CLAIM = Prepared(
    update(t.claims)
    .where(*_THIS_CLAIM, t.claims.c.event == bindparam("b_before"))
    .values(event=bindparam("b_after"))
)
_REWRITE = Prepared(
    update(t.deliveries)
    .where(t.deliveries.c.id == bindparam("b_id"))
    .values(
        event=bindparam("b_event"),
        route=bindparam("b_route"),
        effects=bindparam("b_identities"),
        writes=bindparam("b_writes"),
        hold_until=bindparam("b_hold_until"),
        late=bindparam("b_late"),
        state=State.QUEUED,
        updated=bindparam("b_wall"),
    )
)
_REMOVE = Prepared(delete(t.deliveries).where(t.deliveries.c.id == bindparam("b_id")))
_MOVE_FORWARD = Prepared(
    update(t.deliveries)
    .where(
        t.deliveries.c.event == bindparam("b_event"),
        t.deliveries.c.destination == bindparam("b_destination"),
        t.deliveries.c.place > bindparam("b_place"),
        t.deliveries.c.lane
        == select(t.lanes.c.id)
        .where(
            t.lanes.c.destination == bindparam("b_destination"),
            t.lanes.c.record == bindparam("b_record"),
        )
        .scalar_subquery(),
    )
    .values(place=bindparam("b_place"))
)


def write(
    conn: Connection,
    now: int,
    entries: Sequence[Entry],
    changes: Changes,
    lanes: Mapping[LaneKey, int],
) -> dict[str, int]:
    """Write what a batch of events changes; `lanes` are the ids of the locked lanes.

    Returns how many lanes of each destination may have something to do now.
    """
    change_stored(conn, now, changes)
    for (_, lane), hold_until in changes.woken.items():
        wake_held(conn, now, lane, hold_until)
    _move_forward(conn, changes)
    return add(conn, now, entries, changes, lanes)


def change_stored(conn: Connection, now: int, changes: Changes) -> None:
    """Change the rows that are stored: claims, deliveries and verdicts."""
    with pipeline(conn):
        _change_claims(conn, changes)
        _change_deliveries(conn, now, changes)
    change_verdicts(conn, changes.stored)


def _change_claims(conn: Connection, changes: Changes) -> None:
    if changes.released:
        _RELEASE.run(conn, [_claim(*key) for key in changes.released])
    if changes.moved:
        rows = [
            {**_claim(*moved.key), "b_before": moved.before, "b_after": moved.after}
            for moved in changes.moved
        ]
        _MOVE_CLAIM.run(conn, rows)


def _claim(destination: str, site: str, identity: str) -> dict[str, str]:
    return {"b_destination": destination, "b_site": site, "b_identity": identity}


def _change_deliveries(conn: Connection, now: int, changes: Changes) -> None:
    if changes.rewritten:
        rows = [
            {
                "b_id": each.id,
                "b_event": each.event,
                "b_route": each.route,
                "b_identities": encode_identities(each.identities),
                "b_writes": each.writes,
                "b_hold_until": each.hold_until,
                "b_late": each.late,
                "b_wall": wall(now),
            }
            for each in changes.rewritten
        ]
        _REWRITE.run(conn, rows)
    if changes.removed:
        _REMOVE.run(conn, [{"b_id": id} for id in changes.removed])


def _move_forward(conn: Connection, changes: Changes) -> None:
    """Let the first event of an effect stand where an event from a spool reported it."""
    rows = [
        {
            "b_destination": destination,
            "b_event": holder,
            "b_record": lane_name(site, record),
            "b_place": place,
        }
        for (destination, holder, site, record), place in changes.forward.items()
    ]
    if rows:
        _MOVE_FORWARD.run(conn, rows)
