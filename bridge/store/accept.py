"""Keep what arrived: one transaction for a whole batch of waiting requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, select

from bridge.core.decide import wants_memory
from bridge.model import Event, Verdict, VerdictName
from bridge.store import tables as t
from bridge.store.batch import Batch, Entry, Planned, Resolve
from bridge.store.claims import claim, find_waiting, release, wanted
from bridge.store.recall import deletions, remember
from bridge.store.rows import queue, write
from bridge.store.twins import end_waiting_twins, take_over


def accept(
    conn: Connection, now: int, entries: Sequence[Entry], *, grace: int, resolve: Resolve
) -> dict[str, int]:
    """Keep events, claim their effects and queue their deliveries.

    Returns how many lanes of each destination may have something to do now. `now` and `grace`
    are in ms. An entry that was kept before changes nothing.
    """
    entries = [_recall(conn, entry, resolve) for entry in _not_kept(conn, entries)]
    if not entries:
        return {}
    batch = Batch(now=now)
    gone = deletions(conn, [entry.event for entry in entries])
    entries = [_without_stale(entry, gone) for entry in entries]
    claim(conn, batch, entries)
    find_waiting(conn, batch, entries)
    for entry in entries:
        batch.verdicts[entry.event.id] = [
            _settle_verdict(conn, batch, entry.event, verdict, grace) for verdict in entry.verdicts
        ]
        end_waiting_twins(conn, batch, entry)
    release(conn, batch.free)
    write(conn, batch, entries)
    return queue(conn, batch)


def _not_kept(conn: Connection, entries: Sequence[Entry]) -> list[Entry]:
    doubtful = [entry.event.id for entry in entries if entry.again]
    if not doubtful:
        return list(entries)
    kept = set(conn.scalars(select(t.events.c.id).where(t.events.c.id.in_(doubtful))))
    return [entry for entry in entries if entry.event.id not in kept]


def _recall(conn: Connection, entry: Entry, resolve: Resolve) -> Entry:
    if not wants_memory(entry.verdicts, entry.event):
        return entry
    memory = remember(conn, entry.event.site, entry.event.record)
    return replace(entry, verdicts=resolve(entry.event, memory))


def _without_stale(entry: Entry, gone: dict[tuple[str, str], str]) -> Entry:
    event = entry.event
    stale = {
        effect.identity: gone[event.site, effect.stale_after]
        for effect in event.effects
        if (event.site, effect.stale_after) in gone
    }
    gone.update({(event.site, e.identity): event.id for e in event.effects})
    if not stale:
        return entry
    return replace(entry, verdicts=tuple(_without(v, stale) for v in entry.verdicts))


def _without(verdict: Verdict, stale: Mapping[str, str]) -> Verdict:
    left = tuple(name for name in verdict.effects if name not in stale)
    if left or not verdict.effects:
        return replace(verdict, effects=left)
    by = next(iter(stale.values()))
    reason = f"stale: event {by} told before that the comment was deleted"
    return replace(verdict, name=VerdictName.FILTERED, reason=reason, effects=())


def _settle_verdict(
    conn: Connection, batch: Batch, event: Event, verdict: Verdict, grace: int
) -> Verdict:
    """Turn a wanted verdict into a planned delivery, or find that it is a duplicate."""
    if not wanted(verdict):
        return verdict
    keys = {name: (verdict.destination, event.site, name) for name in verdict.effects}
    mine = [name for name, key in keys.items() if key in batch.free]
    others = {name: batch.held[key] for name, key in keys.items() if key in batch.held}
    for name in mine:
        batch.free.discard(keys[name])
        batch.held[keys[name]] = event.id
    if not event.thin:
        for first in dict.fromkeys(others.values()):
            if first != event.id and (first, verdict.destination) in batch.waiting:
                taken = [name for name, holder in others.items() if holder == first]
                carried = tuple(dict.fromkeys((*mine, *taken)))
                if take_over(conn, batch, event, replace(verdict, effects=carried), first):
                    return replace(verdict, effects=carried)
    if not mine:
        return _duplicate(event, verdict, others)
    found = replace(verdict, effects=tuple(mine), reason=_partly(verdict, others))
    hold = batch.now + grace if event.thin else None
    _plan(batch, event, found, hold)
    return found


def _partly(verdict: Verdict, others: Mapping[str, str]) -> str:
    if not others:
        return verdict.reason
    left = ", ".join(f"{name} (event {first})" for name, first in others.items())
    return f"{verdict.reason}; without what was already told: {left}"


def _duplicate(event: Event, verdict: Verdict, others: Mapping[str, str]) -> Verdict:
    first = next(iter(others.values()))
    reason = (
        "another route of this event already carries it"
        if first == event.id
        else f"event {first} told of {', '.join(others)} before"
    )
    return replace(verdict, name=VerdictName.DUPLICATE, reason=reason, first=first, effects=())


def _plan(batch: Batch, event: Event, verdict: Verdict, hold_until: int | None) -> None:
    planned = Planned(
        event=event,
        destination=verdict.destination,
        route=verdict.route,
        identities=verdict.effects,
        hold_until=hold_until,
    )
    batch.planned.append(planned)
    if hold_until is not None:
        batch.waiting[event.id, verdict.destination] = planned
