"""Keep what arrived: one transaction for a whole batch of waiting requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select

from bridge.core.snapshot import Snapshot, newest_of
from bridge.core.stale import Standing, judge, report_of
from bridge.core.storable import is_storable, storable_event, storable_verdict
from bridge.core.unknown import resolve, wants_snapshot
from bridge.model import Event, Stage, Verdict, VerdictName
from bridge.store import schema as t
from bridge.store.database.statements import together
from bridge.store.inbox.claims import claim, find_late, find_waiting, take, wanted
from bridge.store.inbox.newer import Gone, find_newer, find_told, known, note
from bridge.store.inbox.twins import end_waiting_twins, give_up, take_over
from bridge.store.inbox.write import hold_lanes, write
from bridge.store.nouns import Batch, Entry, Planned
from bridge.store.queue.lanes import lane_of
from bridge.store.snapshots import recall, remember


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What was asked about entries before their batch is accepted."""

    batch: Batch
    #: As they fit into the tables.
    entries: Sequence[Entry]
    #: Puts the answers into the batch, and returns the deletions, once all were asked.
    fetch: Callable[[], Gone]


def accept(  # noqa: PLR0913 - a transaction with all it needs
    conn: Connection,
    now: int,
    entries: Sequence[Entry],
    *,
    grace: int,
    settling: Sequence[int] = (),
    look: Look | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> dict[str, int]:
    """Keep events, claim their effects and queue their deliveries.

    Returns how many lanes of each destination may have something to do now. `now` and `grace`
    are in ms. An entry that was kept before changes nothing. `settling` are lanes that the same
    transaction settles afterwards. `look` is what `look_ahead` returned for the same entries in
    this transaction. `meanwhile` is called while a server is at work on the rows.
    """
    if look is None:
        entries = _resolved(conn, [_storable(entry) for entry in _not_kept(conn, entries)])
        if not entries:
            return {}
        with together(conn):
            look = _look(conn, entries, settling)
    batch, gone = look.batch, look.fetch()
    batch.now = now
    entries = [_without_stale(entry, gone) for entry in look.entries]
    claim(conn, batch, entries)
    find_late(conn, batch, entries)
    several = Counter((entry.event.site, entry.event.record) for entry in entries)
    for entry in entries:
        batch.events[entry.event.id] = entry.event
        batch.verdicts[entry.event.id] = [
            _settle_verdict(conn, batch, entry, verdict, grace) for verdict in entry.verdicts
        ]
        if several[entry.event.site, entry.event.record] > 1:
            note(batch, entry)
        end_waiting_twins(conn, batch, entry)
    return write(conn, batch, entries, meanwhile)


def look_ahead(conn: Connection, entries: Sequence[Entry], settling: Sequence[int]) -> Look | None:
    """Ask for what `accept` needs to know, for others to be asked `together` with it.

    None: these entries need an answer of the database before anything else can be asked.
    """
    if not entries or any(e.again or _wants_snapshot(e) for e in entries):
        return None
    return _look(conn, [_storable(entry) for entry in entries], settling)


def _look(conn: Connection, entries: Sequence[Entry], settling: Sequence[int]) -> Look:
    batch = Batch()
    held = hold_lanes(conn, entries, settling)
    # After that: what another process kept in these lanes meanwhile is to be seen.
    told = find_told(conn, batch, entries)
    newer = find_newer(conn, batch, entries)
    waiting = find_waiting(conn, batch, entries)

    def fetch() -> Gone:
        batch.lanes, gone = held(), told()
        newer()
        waiting()
        return gone

    return Look(batch=batch, entries=entries, fetch=fetch)


def _not_kept(conn: Connection, entries: Sequence[Entry]) -> list[Entry]:
    doubtful = [entry.event.id for entry in entries if entry.again]
    if not doubtful:
        return list(entries)
    kept = set(conn.scalars(select(t.events.c.id).where(t.events.c.id.in_(doubtful))))
    return [entry for entry in entries if entry.event.id not in kept]


def _wants_snapshot(entry: Entry) -> bool:
    return entry.plan is not None and wants_snapshot(entry.verdicts, entry.event)


def _resolved(conn: Connection, entries: Sequence[Entry]) -> list[Entry]:
    """Decide undecided events by the newest snapshot of their records, also of the same batch."""
    latest: dict[tuple[str, str], Snapshot | None] = {}
    found = []
    for entry in entries:
        event, plan = entry.event, entry.plan
        record = (event.site, event.record)
        if plan is not None and wants_snapshot(entry.verdicts, event):
            snapshot = newest_of(latest.get(record), remember(conn, *record))
            verdicts = resolve(plan, event, event.received, snapshot=snapshot)
            found.append(_storable(replace(entry, verdicts=verdicts)))
        else:
            found.append(entry)
        if event.full and event.record:
            latest[record] = newest_of(recall(event), latest.get(record))
    return found


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
    gone = [name for name in verdict.identities if name in stale]
    if not gone or not wanted(verdict):
        return verdict
    left = tuple(name for name in verdict.identities if name not in stale)
    reason = f"event {stale[gone[0]]} told before that the comment was deleted"
    if left:
        return replace(
            verdict, identities=left, reason=f"{verdict.reason}; stale in part: {reason}"
        )
    first = stale[gone[0]]
    return _ended(verdict, VerdictName.STALE, reason, first)


def _settle_verdict(
    conn: Connection, batch: Batch, entry: Entry, verdict: Verdict, grace: int
) -> Verdict:
    """Turn a wanted verdict into a planned delivery, or find that it is a duplicate."""
    if not wanted(verdict):
        return verdict
    event = entry.event
    mine, others = _divide(conn, batch, event, verdict)
    if entry.place is not None:
        _date_back(batch, entry, verdict.destination, others)
    first = "" if event.thin else _waiting_twin(batch, verdict.destination, others)
    given = tuple(name for name, holder in others.items() if holder == first)
    others = {name: holder for name, holder in others.items() if holder != first}
    standing = _standing(conn, batch, entry, verdict.destination, (*mine, *given))
    mine = tuple(name for name in verdict.identities if name in standing.left or name in given)
    if not mine:
        return _stale(verdict, standing) if standing.stale else _duplicate(event, verdict, others)
    found = replace(verdict, identities=mine, reason=_partly(verdict, others, standing))
    late = bool(standing.newest)
    if first and take_over(conn, batch, event, found, first, late=late):
        return found
    _plan(batch, entry, found, batch.now + grace if event.thin else None, late=late)
    return found


def _standing(
    conn: Connection, batch: Batch, entry: Entry, destination: str, effects: Sequence[str]
) -> Standing:
    """Compare an event with what was accepted before; what is stale is not claimed."""
    tellings = known(batch.tellings, entry, destination) if batch.tellings else ()
    if not tellings:
        return Standing(left=tuple(effects))
    event = entry.event
    standing = judge(report_of(event, {}), effects, tellings, destination)
    ours = [(destination, event.site, name) for name in standing.stale]
    ours += [other for key in ours for other in batch.also.get(key, ())]
    give_up(conn, batch, [key for key in ours if batch.held.get(key) == event.id])
    return standing


def _divide(
    conn: Connection, batch: Batch, event: Event, verdict: Verdict
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Take the claims that are free; returns those effects, and who holds each of the others."""
    keys = {name: (verdict.destination, event.site, name) for name in verdict.identities}
    holders = {name: take(conn, batch, key, event.id) for name, key in keys.items()}
    others = {name: holder for name, holder in holders.items() if holder}
    return tuple(name for name in keys if name not in others), others


def _date_back(batch: Batch, entry: Entry, destination: str, others: Mapping[str, str]) -> None:
    """Remember that what others carry was told of at this place already."""
    assert entry.place is not None  # noqa: S101 - asked by the caller
    for holder in others.values():
        key = (destination, holder, lane_of(entry.event))
        batch.earlier[key] = min(entry.place, batch.earlier.get(key, entry.place))


def _waiting_twin(batch: Batch, destination: str, others: Mapping[str, str]) -> str:
    """Name a thin event that holds some of the others and still waits for a fuller telling."""
    return next((e for e in others.values() if (e, destination) in batch.waiting), "")


def _partly(verdict: Verdict, others: Mapping[str, str], standing: Standing) -> str:
    """Add to a reason what is left out, and what it is made of instead."""
    said = [verdict.reason]
    if others:
        left = ", ".join(f"{name} (event {first})" for name, first in others.items())
        said.append(f"without what was already told: {left}")
    if standing.newest:
        newest = " and ".join(f"event {event}" for event in standing.newest)
        said.append(f"told late: it goes out with what {newest} told, which is newer")
    if standing.without:
        said.append(f"without what was set later: {', '.join(standing.without)}")
    if standing.stale:
        left = ", ".join(f"{name} (event {by})" for name, by in standing.stale.items())
        said.append(f"without what is stale: {left}")
    return "; ".join(said)


def _stale(verdict: Verdict, standing: Standing) -> Verdict:
    by = next(iter(standing.stale.values()))
    names = ", ".join(standing.stale)
    reason = f"event {by} was accepted before and is newer: nothing is left to tell of {names}"
    return _ended(verdict, VerdictName.STALE, reason, by)


def _duplicate(event: Event, verdict: Verdict, others: Mapping[str, str]) -> Verdict:
    first = next(iter(others.values()))
    reason = (
        "another route of this event already carries it"
        if first == event.id
        else f"event {first} told of {', '.join(others)} before"
    )
    return _ended(verdict, VerdictName.DUPLICATE, reason, first)


def _ended(verdict: Verdict, name: VerdictName, reason: str, first: str) -> Verdict:
    stage = Stage.STALE if name is VerdictName.STALE else Stage.CLAIMED
    return replace(verdict, name=name, reason=reason, first=first, identities=(), stage=stage)


def _plan(
    batch: Batch, entry: Entry, verdict: Verdict, hold_until: int | None, *, late: bool
) -> None:
    event = entry.event
    planned = Planned(
        event=event,
        place=entry.place,
        destination=verdict.destination,
        route=verdict.route,
        identities=verdict.identities,
        hold_until=hold_until,
        late=late,
    )
    batch.planned.append(planned)
    if hold_until is not None:
        batch.waiting[event.id, verdict.destination] = planned


def _storable(entry: Entry) -> Entry:
    """Return an entry of which both databases take every value."""
    if is_storable(entry.event, entry.verdicts):
        return entry
    verdicts = tuple(map(storable_verdict, entry.verdicts))
    return replace(entry, event=storable_event(entry.event), verdicts=verdicts)
