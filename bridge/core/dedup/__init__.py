"""Deduplication: which effects an event still has to deliver, given the events accepted before.

Read it in this order: `changes` has the nouns, `requests` names the rows that have to be known,
`STEPS` below is the way of each wanted verdict, `takeover` lets a complete event take the place of
a thin one; `claims` and `draft` hold what a batch has come to so far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bridge.core.dedup.changes import (
    Changes,
    ClaimKey,
    Entry,
    Known,
    NewDelivery,
    StateKey,
    Waiting,
    is_wanted,
)
from bridge.core.dedup.claims import Claims
from bridge.core.dedup.draft import Draft
from bridge.core.dedup.requests import with_deleted
from bridge.core.dedup.takeover import end_unwanted, take_over
from bridge.core.stale import Report, Standing, judge, report_of
from bridge.model import Event, Stage, Verdict, VerdictName


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What all events of a batch are decided by."""

    draft: Draft
    #: Accepted events, also of this batch, by the state they report.
    reports: dict[StateKey, list[Report]]
    #: How long a thin event waits for a complete one, and the instant to count from, in ms.
    grace_ms: int
    now: int


_AS_IT_CAME = Standing(left=())


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One wanted verdict of an event, on its way through the steps."""

    entry: Entry
    verdict: Verdict
    #: Effects of the event that are deleted -> the event that reported it.
    deleted: Mapping[str, str]
    #: Effects that the event holds the claims of, and those that it takes from `waiting`.
    mine: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    #: The other effects -> the events that hold them.
    others: Mapping[str, str] = field(default_factory=dict)
    #: The deliveries of thin events that this event takes over.
    waiting: tuple[Waiting, ...] = ()
    #: What newer events leave of it.
    standing: Standing = _AS_IT_CAME

    @property
    def event(self) -> Event:
        """The event."""
        return self.entry.event


def drop_deleted(case: Case, _: Batch) -> Case | Verdict:
    """Take effects out whose deletion was reported before."""
    verdict = case.verdict
    gone = [name for name in verdict.identities if name in case.deleted]
    if not gone:
        return case
    left = tuple(name for name in verdict.identities if name not in case.deleted)
    first = case.deleted[gone[0]]
    reason = f"event {first} reported the comment's deletion before"
    if not left:
        return _ended(verdict, VerdictName.STALE, reason, first)
    reason = f"{verdict.reason}; stale in part: {reason}"
    return replace(case, verdict=replace(verdict, identities=left, reason=reason))


def take_claims(case: Case, batch: Batch) -> Case:
    """Take the free claims of the effects, and those of a thin event that waits for this one."""
    event, destination, draft = case.event, case.verdict.destination, batch.draft
    aliases = _aliases(event)
    holders = {
        name: draft.claims.take(_keys(case, name, aliases), event.id)
        for name in case.verdict.identities
    }
    others = {name: holder for name, holder in holders.items() if holder}
    if case.entry.place is not None:
        for holder in others.values():
            draft.move_forward(event, destination, holder, case.entry.place)
    waiting = draft.waiting(destination, others.values()) if others and not event.thin else ()
    firsts = {each.event for each in waiting}
    return Case(
        entry=case.entry,
        verdict=case.verdict,
        deleted=case.deleted,
        mine=tuple(name for name in holders if name not in others),
        taken=tuple(name for name, holder in others.items() if holder in firsts),
        others={name: holder for name, holder in others.items() if holder not in firsts},
        waiting=waiting,
    )


def _aliases(event: Event) -> dict[str, tuple[str, ...]]:
    """Return the other identities of the effects that have any."""
    return {effect.identity: effect.also for effect in event.effects if effect.also}


def _keys(case: Case, identity: str, aliases: Mapping[str, Sequence[str]]) -> list[ClaimKey]:
    """Return the keys of an effect's claims: one for each of its identities."""
    destination, site = case.verdict.destination, case.event.site
    return [(destination, site, name) for name in (identity, *aliases.get(identity, ()))]


def drop_stale(case: Case, batch: Batch) -> Case | Verdict:
    """Take effects out that newer events leave nothing of, and give their claims up."""
    verdict, ours = case.verdict, (*case.mine, *case.taken)
    reports = _comparable(batch.reports, case.entry, verdict.destination) if ours else []
    if not reports:
        return case
    standing = judge(report_of(case.event, {}), ours, reports, verdict.destination)
    _give_up(case, batch, standing.stale)
    mine = tuple(name for name in case.mine if name in standing.left)
    if standing.stale and not mine and not case.taken:
        return _stale(verdict, standing)
    return replace(case, mine=mine, standing=standing)


def _give_up(case: Case, batch: Batch, stale: Iterable[str]) -> None:
    aliases = _aliases(case.event)
    keys = [key for name in stale for key in _keys(case, name, aliases)]
    claims, event = batch.draft.claims, case.event.id
    claims.release([key for key in keys if claims.holder(key) == event], event)


def _comparable(
    reports: Mapping[StateKey, Sequence[Report]], entry: Entry, destination: str
) -> list[Report]:
    """Return the reports that an event comes after at a destination, and can be compared with.

    An event from a spool goes before an event that was received later and still waits in the lane.
    """
    event, place = entry.event, entry.place
    if not reports:
        return []
    keys = {(event.site, "", effect.of) for effect in event.effects if effect.of}
    return [
        report
        for key in ((event.site, event.record, ""), *sorted(keys))
        for report in reports.get(key, ())
        if place is None or report.waiting.get(destination, place) <= place
    ]


def drop_duplicate(case: Case, _: Batch) -> Case | Verdict:
    """End a case of which other events hold every effect."""
    if case.mine or case.taken:
        return case
    first = next(iter(case.others.values()))
    reason = (
        "another route of this event already carries it"
        if first == case.event.id
        else f"event {first} reported {', '.join(case.others)} before"
    )
    return _ended(case.verdict, VerdictName.DUPLICATE, reason, first)


def deliver(case: Case, batch: Batch) -> Verdict:
    """Send the effects that are left, in the place of a waiting thin event or at the lane's end."""
    event, waiting, late = case.event, case.waiting, bool(case.standing.newest)
    verdict = _narrowed(case)
    if waiting and take_over(batch.draft, event, verdict, waiting, late=late):
        return verdict
    batch.draft.queue(
        NewDelivery(
            event=event,
            destination=verdict.destination,
            route=verdict.route,
            identities=verdict.identities,
            hold_until=batch.now + batch.grace_ms if event.thin else None,
            place=case.entry.place,
            late=late,
        )
    )
    return verdict


Step = Callable[[Case, Batch], Case | Verdict]
#: What a wanted verdict passes through, in this order. A step ends it with another verdict, or
#: passes it on; the last one delivers.
STEPS: tuple[Step, ...] = (drop_deleted, take_claims, drop_stale, drop_duplicate, deliver)


def decide(entries: Sequence[Entry], known: Known, *, now: int, grace_ms: int) -> Changes:
    """Decide what a batch of events changes, given what the database knows.

    `now` is the instant by the engine's clock in ms; a thin event waits for `grace_ms` from then.
    """
    draft = Draft(Claims(known.reserved, known.held), known.waiting, known.heirs)
    reports = {key: list(found) for key, found in known.reports.items()}
    batch = Batch(draft=draft, reports=reports, grace_ms=grace_ms, now=now)
    records = Counter((entry.event.site, entry.event.record) for entry in entries)
    for entry, deleted in with_deleted(entries, known.deletions):
        event = entry.event
        draft.begin(event)
        draft.verdicts[event.id] = [_decide(entry, v, deleted, batch) for v in entry.verdicts]
        if records[event.site, event.record] > 1:
            _report(batch, event)
        end_unwanted(draft, entry, deleted)
    return draft.changes()


def _decide(entry: Entry, verdict: Verdict, deleted: Mapping[str, str], batch: Batch) -> Verdict:
    if not is_wanted(verdict):
        return verdict
    found: Case | Verdict = Case(entry=entry, verdict=verdict, deleted=deleted)
    for step in STEPS:
        if isinstance(found, Verdict):
            break
        found = step(found, batch)
    assert isinstance(found, Verdict)  # noqa: S101 - the last step always ends the case
    return found


def _report(batch: Batch, event: Event) -> None:
    """Let the events after this one in the batch be compared with it."""
    carried = {
        verdict.destination: frozenset(verdict.identities)
        for verdict in batch.draft.verdicts[event.id]
        if is_wanted(verdict)
    }
    report = report_of(event, carried)
    keys = {(event.site, "", effect.of) for effect in event.effects if effect.of}
    if report.state and event.record:
        keys.add((event.site, event.record, ""))
    for key in keys:
        batch.reports.setdefault(key, []).append(report)


def _narrowed(case: Case) -> Verdict:
    """Return the verdict with the effects that are left; its reason names the others."""
    verdict, standing = case.verdict, case.standing
    if len(case.mine) == len(verdict.identities) and standing is _AS_IT_CAME:
        return verdict
    left = tuple(name for name in verdict.identities if name in case.mine or name in case.taken)
    return replace(verdict, identities=left, reason=_reason(case))


def _reason(case: Case) -> str:
    """Add the effects that are left out, and the newer events, to a reason."""
    standing, parts = case.standing, [case.verdict.reason]
    if case.others:
        parts.append(f"without effects reported before: {_with_events(case.others)}")
    if standing.newest:
        newest = " and ".join(f"event {event}" for event in standing.newest)
        parts.append(f"late: sent with the newer state of {newest}")
    if standing.without:
        parts.append(f"without what was set later: {', '.join(standing.without)}")
    if standing.stale:
        parts.append(f"without what is stale: {_with_events(standing.stale)}")
    return "; ".join(parts)


def _with_events(effects: Mapping[str, str]) -> str:
    return ", ".join(f"{name} (event {event})" for name, event in effects.items())


def _stale(verdict: Verdict, standing: Standing) -> Verdict:
    by = next(iter(standing.stale.values()))
    names = ", ".join(standing.stale)
    reason = f"event {by} was accepted before and is newer: nothing is left to send of {names}"
    return _ended(verdict, VerdictName.STALE, reason, by)


def _ended(verdict: Verdict, name: VerdictName, reason: str, first: str) -> Verdict:
    stage = Stage.STALE if name is VerdictName.STALE else Stage.CLAIMED
    return replace(verdict, name=name, reason=reason, first=first, identities=(), stage=stage)
