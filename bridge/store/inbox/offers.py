"""The duplicates of a thin event that waits: they follow whoever takes its place in the lane.

A thin event that no route of its own hook wants is not the end of the matter: the same comment may
have come through other hooks, whose routes do want it, and became a duplicate of this one. So the
place in the lane goes to the first of those, which is decided by the routes of its own hook.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection, Select, and_, case, select, update
from sqlalchemy.sql import ColumnElement

from bridge.core.printable import storable
from bridge.model import Stage, State, Verdict, VerdictName
from bridge.store import schema as t
from bridge.store.effects import encode_identities
from bridge.store.inbox.verdicts import refresh_outcome
from bridge.store.nouns import Batch, Planned, Waiting


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What a thin event holds while it waits: its place in a lane, and its claims."""

    destination: str
    site: str
    event: str
    #: The hook it came through.
    hook: str
    identities: tuple[str, ...]


def offer(conn: Connection, now: int, delivery: int, place: Place) -> bool:
    """Hand a stored delivery on to the first duplicate from another hook; False: there is none.

    It is due at once: the routes of that hook decide on it as they would have after the grace.
    """
    heir = _first_heir(conn, place)
    if heir is None:
        return False
    _hand_on(conn, delivery, place, heir.id, heir.route, {"hold_until": now, "updated": now})
    _promote(conn, place, heir.id)
    return True


def offer_waiting(conn: Connection, batch: Batch, place: Place, waiting: Waiting | Planned) -> bool:
    """Hand on what still waits, to a duplicate kept before or now; False: there is none."""
    heir = _first_heir(conn, place) if isinstance(waiting, Waiting) else None
    heir = heir or _heir_in_batch(batch, place)
    if heir is None:
        return False
    if isinstance(waiting, Waiting):
        _hand_on(conn, waiting.id, place, heir.id, heir.route, {"updated": batch.now})
        batch.waiting[heir.id, place.destination] = replace(waiting, hook=heir.hook)
    else:
        _move_claims(conn, place, heir.id)
        waiting.event, waiting.route = batch.events[heir.id], heir.route
        batch.waiting[heir.id, place.destination] = waiting
    batch.held.update({(place.destination, place.site, n): heir.id for n in place.identities})
    _promote(conn, place, heir.id)
    _promote_in_batch(batch, place, heir.id)
    return True


def end(conn: Connection, place: Place, verdict: Verdict) -> None:
    """Make a stored event that waited a duplicate, and its own duplicates those of its `first`."""
    v = t.verdicts.c
    waited = (v.event == place.event) & (v.verdict == VerdictName.UNDECIDED)
    followed = (v.first == place.event) & (v.verdict == VerdictName.DUPLICATE)
    conn.execute(
        update(t.verdicts)
        .where(v.event.in_(_tellers(place)), v.destination == place.destination, waited | followed)
        .values(
            verdict=VerdictName.DUPLICATE,
            reason=case((waited, storable(verdict.reason)), else_=v.reason),
            first=verdict.first,
            stage=case((waited, verdict.stage), else_=v.stage),
        )
    )
    refresh_outcome(conn, place.event)


def follow_in_batch(batch: Batch, place: Place, new: str) -> None:
    """Let those of the same batch do so, too."""
    for event, found in batch.verdicts.items():
        if any(_is_of(verdict, place) for verdict in found):
            batch.verdicts[event] = [
                replace(verdict, first=new) if _is_of(verdict, place) else verdict
                for verdict in found
            ]


def _is_of(verdict: Verdict, place: Place) -> bool:
    """Tell whether a verdict says that something is a duplicate of what holds a place."""
    return (
        verdict.name is VerdictName.DUPLICATE
        and verdict.first == place.event
        and verdict.destination == place.destination
    )


def _tellers(place: Place) -> Select[tuple[str]]:
    s = t.sightings.c
    return select(s.event).where(s.site == place.site, s.identity.in_(list(place.identities)))


def _stored_duplicates(place: Place) -> ColumnElement[bool]:
    """Select the verdicts that name what holds a place as their first."""
    v = t.verdicts.c
    return and_(
        v.event.in_(_tellers(place)),
        v.destination == place.destination,
        v.verdict == VerdictName.DUPLICATE,
        v.first == place.event,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Heir:
    id: str
    hook: str
    route: str


def _first_heir(conn: Connection, place: Place) -> _Heir | None:
    e, v = t.events.c, t.verdicts.c
    row = conn.execute(
        select(e.id, e.hook, v.route)
        .join_from(t.events, t.verdicts, v.event == e.id)
        .where(_stored_duplicates(place), e.hook != place.hook)
        .order_by(e.id)
        .limit(1)
    ).first()
    return None if row is None else _Heir(id=row.id, hook=row.hook, route=row.route)


def _heir_in_batch(batch: Batch, place: Place) -> _Heir | None:
    for event, found in batch.verdicts.items():
        hook = batch.events[event].hook
        verdict = next((verdict for verdict in found if _is_of(verdict, place)), None)
        if verdict is not None and hook != place.hook:
            return _Heir(id=event, hook=hook, route=verdict.route)
    return None


def _hand_on(
    conn: Connection,
    delivery: int,
    place: Place,
    heir: str,
    route: str,
    values: dict[str, object],
) -> None:
    conn.execute(
        update(t.deliveries)
        .where(t.deliveries.c.id == delivery)
        .values(
            event=heir,
            route=route,
            effects=encode_identities(place.identities),
            state=State.QUEUED,
            **values,
        )
    )
    _move_claims(conn, place, heir)
    # The body of a duplicate is not kept; it says the same as that of the event it came after.
    told = select(t.events.c.body).where(t.events.c.id == place.event).scalar_subquery()
    conn.execute(
        update(t.events).where(t.events.c.id == heir, t.events.c.body.is_(None)).values(body=told)
    )


def _move_claims(conn: Connection, place: Place, heir: str) -> None:
    conn.execute(
        update(t.claims)
        .where(
            t.claims.c.destination == place.destination,
            t.claims.c.site == place.site,
            t.claims.c.event == place.event,
            t.claims.c.identity.in_(list(place.identities)),
        )
        .values(event=heir)
    )


def _reason(place: Place) -> str:
    return (
        f"event {place.event} told of {', '.join(place.identities)} before, but no route of the "
        f"hook {place.hook} wants it"
    )


def _promote(conn: Connection, place: Place, heir: str) -> None:
    """Let a stored duplicate be undecided again, and the other duplicates be its own."""
    conn.execute(
        update(t.verdicts)
        .where(_stored_duplicates(place), t.verdicts.c.event == heir)
        .values(
            verdict=VerdictName.UNDECIDED,
            reason=_reason(place),
            first="",
            stage=Stage.TAKEN_OVER,
        )
    )
    conn.execute(update(t.verdicts).where(_stored_duplicates(place)).values(first=heir))
    refresh_outcome(conn, heir)


def _promote_in_batch(batch: Batch, place: Place, heir: str) -> None:
    if heir in batch.verdicts:
        batch.verdicts[heir] = [
            replace(
                verdict,
                name=VerdictName.UNDECIDED,
                reason=_reason(place),
                first="",
                identities=place.identities,
                stage=Stage.TAKEN_OVER,
            )
            if _is_of(verdict, place)
            else verdict
            for verdict in batch.verdicts[heir]
        ]
    follow_in_batch(batch, place, heir)
