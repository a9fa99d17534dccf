"""What is left of an older telling when newer ones of its record were accepted before it.

Senders repeat minutes later and promise no order. So an event says what state it tells: of the
record (`Event.as_of`), and of a comment or worklog (`Effect.version`). What an accepted event set
later is not told again by one that came late, and what still goes out is made of the newest state
that the destination was told. Nothing is compared but the sender's own instants and counters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.core.changelog import changes, setting
from bridge.core.jira_body import as_object, fields_of, issue_of
from bridge.model import Effect, Event

_CREATED, _DELETED = "_created", "_deleted"
_RECORD_DELETED = "issue_deleted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """An event, as far as it can make an older one stale, or be made stale by a newer one."""

    event: str
    #: As in `model.Event`.
    as_of: int = 0
    change_id: int = 0
    #: It has fields of the record, or ends it: only then others can be older than it is.
    state: bool = False
    #: It tells the whole record, and not a few fields of it.
    full: bool = False
    told: tuple[Effect, ...] = ()
    #: Which of these effects it carries, by destination.
    carried: Mapping[str, frozenset[str]] = field(default_factory=dict)
    #: Where in its lane it waits to be sent for the first time, by destination.
    waiting: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What becomes of the effects of one event at one destination."""

    #: The identities that still go out.
    left: tuple[str, ...]
    #: The others, each with the event that overtook it.
    stale: Mapping[str, str] = field(default_factory=dict)
    #: The newest events that what goes out has to be made of; none when it goes out as it came.
    newest: tuple[str, ...] = ()
    #: The settings that are left out, because they were set again later.
    without: tuple[str, ...] = ()


def tells_state(event: Event) -> bool:
    """Tell whether an event has fields of its record, or ends it."""
    return bool(fields_of(event.body)) or _ends(event.effects)


def told_of(event: Event, carried: Mapping[str, frozenset[str]]) -> Telling:
    """Make of an event what others are compared with."""
    return Telling(
        event=event.id,
        as_of=event.as_of,
        change_id=event.change_id,
        state=tells_state(event),
        full=event.full,
        told=event.effects,
        carried=carried,
    )


def is_newer(telling: Telling, than: Telling) -> bool:
    """Tell whether an event tells a later state of the record than another one.

    Of one instant, the sender's counter of changes decides, if both have one.
    """
    if not (telling.state and telling.as_of and than.as_of):
        return False
    if telling.as_of != than.as_of:
        return telling.as_of > than.as_of
    return bool(telling.change_id and than.change_id) and telling.change_id > than.change_id


def judge(
    mine: Telling, identities: Sequence[str], tellings: Iterable[Telling], destination: str
) -> Standing:
    """Tell what is left of an event's effects, given what was accepted of the same record before.

    `identities` are the effects that it would carry to the destination.
    """
    others = [telling for telling in tellings if telling.event != mine.event]
    if not others:
        return Standing(left=tuple(identities))
    newer = [telling for telling in others if is_newer(telling, mine)]
    stale = {
        effect.identity: by
        for effect in mine.told
        if effect.identity in identities
        for by in [_overtaken(effect, newer, others, destination)]
        if by
    }
    left = tuple(name for name in identities if name not in stale)
    used = sources(mine, left, others, destination)
    return Standing(left=left, stale=stale, newest=used.newest, without=tuple(sorted(used.without)))


def _overtaken(
    effect: Effect, newer: Sequence[Telling], others: Sequence[Telling], destination: str
) -> str:
    """Name the event that leaves nothing to tell of an effect, or ""."""
    if not effect.event.endswith(_DELETED):
        for telling in newer:
            if _ends(telling.told):
                return telling.event
    for telling, other in _versions(effect, others):
        if other.event.endswith(_DELETED):
            return telling.event
        if _carries(telling, other, destination) and not effect.event.endswith(_CREATED):
            return telling.event
    again = _set_again(effect, newer, destination)
    if effect.sets and len(again) == len(effect.sets):
        return next(iter(again.values()))
    return ""


def _ends(effects: Iterable[Effect]) -> bool:
    return any(effect.event == _RECORD_DELETED for effect in effects)


def _versions(effect: Effect, others: Iterable[Telling]) -> list[tuple[Telling, Effect]]:
    """Find the later versions of what an effect is a version of, the latest first."""
    if not effect.of or not effect.version or effect.event.endswith(_DELETED):
        return []
    found = [
        (telling, other)
        for telling in others
        for other in telling.told
        if other.of == effect.of and other.version > effect.version
    ]
    return sorted(found, key=lambda pair: pair[1].version, reverse=True)


def _carries(telling: Telling, effect: Effect, destination: str) -> bool:
    return effect.identity in telling.carried.get(destination, ())


def _set_again(effect: Effect, newer: Iterable[Telling], destination: str) -> dict[str, str]:
    """Find the settings of an effect that were set later: each with the newest event that did."""
    again: dict[str, str] = {}
    for telling in sorted(newer, key=_age, reverse=True):
        for other in telling.told:
            if _carries(telling, other, destination):
                for name in set(other.sets).intersection(effect.sets):
                    again.setdefault(name, telling.event)
    return again


def _age(telling: Telling) -> tuple[int, int, str]:
    return telling.as_of, telling.change_id, telling.event


# What goes out


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Which accepted events hold the newest state of what a late one tells."""

    #: Those whose fields go over its own, from the oldest to the newest.
    fields: tuple[str, ...] = ()
    #: For a comment or worklog that it creates: the part of the body, and the event that has it.
    part: str = ""
    version: str = ""
    #: The settings of its changelog that are told no more.
    without: frozenset[str] = frozenset()

    @property
    def newest(self) -> tuple[str, ...]:
        """The events to be named for all of them: that of the fields, and that of the version."""
        return tuple(dict.fromkeys(filter(None, (*self.fields[-1:], self.version))))

    @property
    def events(self) -> tuple[str, ...]:
        """All events whose bodies are needed."""
        return (*self.fields, self.version) if self.version else self.fields


def sources(
    mine: Telling, identities: Sequence[str], tellings: Iterable[Telling], destination: str
) -> Sources:
    """Find what an event is to be made of when it goes out after newer ones of its record."""
    others = [telling for telling in tellings if telling.event != mine.event]
    newer = [
        telling
        for telling in sorted(others, key=_age)
        if is_newer(telling, mine) and destination in telling.carried and not _ends(telling.told)
    ]
    newest_full = max((n for n, telling in enumerate(newer) if telling.full), default=0)
    part, version = _latest_version(mine, identities, others, destination)
    return Sources(
        fields=tuple(each.event for each in newer[newest_full:]) if mine.state else (),
        part=part,
        version=version,
        without=frozenset(
            name for effect in mine.told for name in _set_again(effect, newer, destination)
        ),
    )


def _latest_version(
    mine: Telling, identities: Sequence[str], others: Sequence[Telling], destination: str
) -> tuple[str, str]:
    """Find the latest version of the comment or worklog that an event creates: (part, event)."""
    for effect in mine.told:
        if effect.identity in identities and effect.event.endswith(_CREATED):
            for telling, other in _versions(effect, others):
                if _carries(telling, other, destination):
                    return effect.event.removesuffix(_CREATED), telling.event
    return "", ""


def renewed(
    body: Mapping[str, Any], used: Sources, bodies: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Make a late body tell the newest state: `bodies` are those of `used.events`, by event.

    A body that is no longer kept adds nothing.
    """
    sent = dict(body)
    for name in used.fields:
        if name in bodies:
            _renew_issue(sent, bodies[name])
    newest = bodies.get(used.version, {}).get(used.part)
    if isinstance(newest, dict):
        sent[used.part] = {**as_object(sent.get(used.part)), **newest}
    if used.without:
        told = [item for item in changes(body) if setting(item) not in used.without]
        sent["changelog"] = {**as_object(body.get("changelog")), "items": told}
    return sent


def _renew_issue(sent: dict[str, Any], newer: Mapping[str, Any]) -> None:
    """Put a newer issue over that of a body; what told only some fields goes on telling those."""
    issue, other = issue_of(sent), issue_of(newer)
    mine, theirs = fields_of(sent), fields_of(newer)
    if "updated" not in mine:
        theirs = {name: value for name, value in theirs.items() if name in mine}
    sent["issue"] = {**issue, **other, "fields": {**mine, **theirs}}
