"""A fuller telling takes the place of a thin one that still waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, delete, update

from bridge.model import Event, Stage, Verdict, VerdictName
from bridge.store import schema as t
from bridge.store.database.clocks import wall
from bridge.store.effects import encode_identities, writes_any
from bridge.store.inbox.claims import release, wanted
from bridge.store.inbox.offers import Place, end, follow_in_batch, offer_waiting
from bridge.store.inbox.verdicts import set_verdict
from bridge.store.nouns import Batch, ClaimKey, Entry, Planned, Waiting


def take_over(
    conn: Connection, batch: Batch, event: Event, verdict: Verdict, first: str, *, late: bool
) -> bool:
    """Let `event` have what the waiting thin event `first` holds, which is its duplicate then.

    True when it is sent in its place too; False when it has to be queued, in another lane.
    """
    waiting = batch.waiting.pop((first, verdict.destination))
    _hand_over(conn, batch, event, verdict, first, waiting)
    if waiting.record != event.record:
        _leave(conn, batch, verdict.destination, waiting)
        return False
    if isinstance(waiting, Planned):
        waiting.event, waiting.route = event, verdict.route
        waiting.identities, waiting.hold_until = verdict.identities, None
        waiting.late = late
    else:
        _rewrite(conn, batch, event, verdict, waiting, late=late)
    return True


def _rewrite(
    conn: Connection,
    batch: Batch,
    event: Event,
    verdict: Verdict,
    waiting: Waiting,
    *,
    late: bool,
) -> None:
    conn.execute(
        update(t.deliveries)
        .where(t.deliveries.c.id == waiting.id)
        .values(
            event=event.id,
            route=verdict.route,
            effects=encode_identities(verdict.identities),
            writes=writes_any(event.effects, verdict.identities),
            hold_until=None,
            late=late,
            updated=wall(batch.now),
        )
    )
    batch.hurried[verdict.destination, waiting.lane] = waiting.hold_until


def _leave(conn: Connection, batch: Batch, destination: str, waiting: Waiting | Planned) -> None:
    """Take what waited out of its lane."""
    if isinstance(waiting, Planned):
        batch.planned.remove(waiting)
        return
    conn.execute(delete(t.deliveries).where(t.deliveries.c.id == waiting.id))
    batch.hurried[destination, waiting.lane] = waiting.hold_until


def _hand_over(
    conn: Connection,
    batch: Batch,
    event: Event,
    verdict: Verdict,
    first: str,
    waiting: Waiting | Planned,
) -> None:
    """Give the claims to the fuller event and make the thin one its duplicate."""
    keys = [(verdict.destination, event.site, name) for name in verdict.identities]
    batch.held.update(dict.fromkeys(keys, event.id))
    conn.execute(
        update(t.claims)
        .where(
            t.claims.c.destination == verdict.destination,
            t.claims.c.site == event.site,
            t.claims.c.event == first,
            t.claims.c.identity.in_(list(verdict.identities)),
        )
        .values(event=event.id)
    )
    place = Place(
        destination=verdict.destination,
        site=event.site,
        event=first,
        hook=waiting.hook,
        identities=waiting.identities,
    )
    taken = Verdict(
        name=VerdictName.DUPLICATE,
        reason=f"event {event.id} tells the same more fully and stands in its place",
        destination=verdict.destination,
        first=event.id,
        stage=Stage.TAKEN_OVER,
    )
    if first in batch.verdicts:
        _make_duplicate(batch, first, taken)
    else:
        end(conn, place, taken)
    follow_in_batch(batch, place, event.id)


def _make_duplicate(batch: Batch, thin: str, verdict: Verdict) -> None:
    batch.verdicts[thin] = [
        replace(verdict, route=v.route)
        if v.name is VerdictName.UNDECIDED and v.destination == verdict.destination
        else v
        for v in batch.verdicts[thin]
    ]


def end_waiting_twins(conn: Connection, batch: Batch, entry: Entry) -> None:
    """End the waiting of a thin event whose fuller telling no route wanted.

    Only through the same hook, whose routes are the same: another hook's may want it, and its
    telling of the same waits in that place then.
    """
    event = entry.event
    if not event.full:
        return
    for (first, destination), waiting in list(batch.waiting.items()):
        if (waiting.hook, waiting.site) == (event.hook, event.site) and _is_unwanted(
            entry, destination, waiting.identities
        ):
            del batch.waiting[first, destination]
            verdict = Verdict(
                name=VerdictName.DUPLICATE,
                reason=f"event {event.id} tells the same more fully, and is not wanted",
                destination=destination,
                first=event.id,
                stage=Stage.TAKEN_OVER,
            )
            if first in batch.verdicts:
                _make_duplicate(batch, first, verdict)
            else:
                set_verdict(conn, first, verdict)
            place = Place(
                destination=destination,
                site=event.site,
                event=first,
                hook=waiting.hook,
                identities=waiting.identities,
            )
            if not offer_waiting(conn, batch, place, waiting):
                _leave(conn, batch, destination, waiting)
                give_up(conn, batch, [(destination, event.site, n) for n in waiting.identities])


def _is_unwanted(entry: Entry, destination: str, identities: Sequence[str]) -> bool:
    """Tell whether an event tells of these effects, and none of its verdicts asks for them."""
    told = {effect.identity for effect in entry.event.effects}.intersection(identities)
    return bool(told) and not any(
        wanted(v) and v.destination == destination and told.intersection(v.identities)
        for v in entry.verdicts
    )


def give_up(conn: Connection, batch: Batch, keys: Sequence[ClaimKey]) -> None:
    """Give claims up, so that a later telling can have them."""
    release(conn, keys)
    for key in keys:
        batch.held.pop(key, None)
