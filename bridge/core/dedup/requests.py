"""The rows that have to be known before a batch of events is decided: claims, and heirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bridge.core.dedup.changes import ClaimKey, Entry, Waiting, is_wanted
from bridge.core.dedup.takeover import is_unwanted


def with_deleted(
    entries: Iterable[Entry], deletions: Mapping[tuple[str, str], str]
) -> Iterator[tuple[Entry, dict[str, str]]]:
    """Add to each entry which of its effects are deleted: effect -> event that reported it.

    An event of the batch deletes effects of those after it.
    """
    entries = list(entries)
    if not any(effect.stale_after for entry in entries for effect in entry.event.effects):
        yield from ((entry, {}) for entry in entries)
        return
    known = dict(deletions)
    for entry in entries:
        event = entry.event
        yield (
            entry,
            {
                effect.identity: known[event.site, effect.stale_after]
                for effect in event.effects
                if (event.site, effect.stale_after) in known
            },
        )
        known.update(((event.site, effect.identity), event.id) for effect in event.effects)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A claim to be requested for an event."""

    key: ClaimKey
    event: str
    #: The identity under which an older version of the bridge may have claimed the effect, or "".
    formerly: str


def claims_of(
    entries: Iterable[Entry], deletions: Mapping[tuple[str, str], str]
) -> dict[ClaimKey, Request]:
    """Return the claims of all wanted effects that are not deleted, each for its first event."""
    requests: dict[ClaimKey, Request] = {}
    for entry, deleted in with_deleted(entries, deletions):
        event = entry.event
        known = {e.identity: e for e in event.effects if e.also or e.formerly}
        for verdict in filter(is_wanted, entry.verdicts):
            for identity in verdict.identities:
                if identity not in deleted:
                    effect = known.get(identity)
                    names = (identity,) if effect is None else (identity, *effect.also)
                    formerly = "" if effect is None else effect.formerly
                    for name in names:
                        key = (verdict.destination, event.site, name)
                        if key not in requests:
                            requests[key] = Request(key=key, event=event.id, formerly=formerly)
    return requests


def written_by_complete(entries: Iterable[Entry]) -> set[tuple[str, str]]:
    """Return (site, identity) of the effects that a thin event could have reported before."""
    return {
        (entry.event.site, effect.identity)
        for entry in entries
        if not entry.event.thin
        for effect in entry.event.effects
        if effect.writes
    }


def heirs_needed(
    entries: Iterable[Entry],
    deletions: Mapping[tuple[str, str], str],
    waiting: Sequence[Waiting],
) -> list[Waiting]:
    """Return the waiting deliveries that a complete event may end, so that a duplicate inherits."""
    if not waiting:
        return []
    complete = [(e, deleted) for e, deleted in with_deleted(entries, deletions) if e.event.full]
    return [
        each
        for each in waiting
        if any(
            (entry.event.hook, entry.event.site) == (each.hook, each.site)
            and is_unwanted(entry, deleted, each)
            for entry, deleted in complete
        )
    ]
