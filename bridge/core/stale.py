"""The effects that are left of an older event, given newer ones of its record.

Senders repeat minutes later and promise no order. So an event holds the state that it reports: of
the record (`Event.as_of`), and of a comment or worklog (`Effect.version`). A late event does not
report again what an accepted event set later, and its body is made of the newest state that the
destination was sent. Only the sender's own instants and counters are compared.
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
class Report:
    """An event, as far as it can make an older one stale, or be made stale by a newer one."""

    event: str
    #: As in `model.Event`.
    as_of: int = 0
    change_id: int = 0
    #: It has fields of the record, or ends it: only then others can be older than it is.
    state: bool = False
    #: It has all fields of the record, and not only some.
    full: bool = False
    effects: tuple[Effect, ...] = ()
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


def reports_state(event: Event) -> bool:
    """Whether an event has fields of its record, or ends it."""
    return bool(fields_of(event.body)) or _ends(event.effects)


def report_of(event: Event, carried: Mapping[str, frozenset[str]]) -> Report:
    """Return the report that other events are compared with."""
    return Report(
        event=event.id,
        as_of=event.as_of,
        change_id=event.change_id,
        state=reports_state(event),
        full=event.full,
        effects=event.effects,
        carried=carried,
    )


def is_newer(report: Report, than: Report) -> bool:
    """Whether an event reports a later state of the record than another one.

    For states of one instant, the sender's counter of changes decides, if both events have one.
    """
    if not (report.state and report.as_of and than.as_of):
        return False
    if report.as_of != than.as_of:
        return report.as_of > than.as_of
    return bool(report.change_id and than.change_id) and report.change_id > than.change_id


def judge(
    mine: Report, identities: Sequence[str], reports: Iterable[Report], destination: str
) -> Standing:
    """Return which of an event's effects are left, given the reports accepted before it.

    `identities` are the effects that it would carry to the destination.
    """
    others = [report for report in reports if report.event != mine.event]
    if not others:
        return Standing(left=tuple(identities))
    newer = [report for report in others if is_newer(report, mine)]
    stale = {
        effect.identity: by
        for effect in mine.effects
        if effect.identity in identities
        for by in [_overtaken(effect, newer, others, destination)]
        if by
    }
    left = tuple(name for name in identities if name not in stale)
    used = sources(mine, left, others, destination)
    return Standing(left=left, stale=stale, newest=used.newest, without=tuple(sorted(used.without)))


def _overtaken(
    effect: Effect, newer: Sequence[Report], others: Sequence[Report], destination: str
) -> str:
    """Return the event that leaves nothing of an effect, or ""."""
    if not effect.event.endswith(_DELETED):
        for report in newer:
            if _ends(report.effects):
                return report.event
    for report, other in _versions(effect, others):
        if other.event.endswith(_DELETED):
            return report.event
        if _carries(report, other, destination) and not effect.event.endswith(_CREATED):
            return report.event
    again = _set_again(effect, newer, destination)
    if effect.sets and len(again) == len(effect.sets):
        return next(iter(again.values()))
    return ""


def _ends(effects: Iterable[Effect]) -> bool:
    return any(effect.event == _RECORD_DELETED for effect in effects)


def _versions(effect: Effect, others: Iterable[Report]) -> list[tuple[Report, Effect]]:
    """Find the later versions of what an effect is a version of, the latest first."""
    if not effect.of or not effect.version or effect.event.endswith(_DELETED):
        return []
    found = [
        (report, other)
        for report in others
        for other in report.effects
        if other.of == effect.of and other.version > effect.version
    ]
    return sorted(found, key=lambda pair: pair[1].version, reverse=True)


def _carries(report: Report, effect: Effect, destination: str) -> bool:
    return effect.identity in report.carried.get(destination, ())


def _set_again(effect: Effect, newer: Iterable[Report], destination: str) -> dict[str, str]:
    """Find the settings of an effect that were set later: each with the newest event that did."""
    again: dict[str, str] = {}
    for report in sorted(newer, key=_age, reverse=True):
        for other in report.effects:
            if _carries(report, other, destination):
                for name in set(other.sets).intersection(effect.sets):
                    again.setdefault(name, report.event)
    return again


def _age(report: Report) -> tuple[int, int, str]:
    return report.as_of, report.change_id, report.event


# What goes out


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """The accepted events that hold the newest state of a late one's record."""

    #: Events whose fields replace its own, from the oldest to the newest.
    fields: tuple[str, ...] = ()
    #: For a comment or worklog that it creates: the part of the body, and the event that has it.
    part: str = ""
    version: str = ""
    #: The settings of its changelog that were set again later.
    without: frozenset[str] = frozenset()

    @property
    def newest(self) -> tuple[str, ...]:
        """The events that a reason names: the newest of the fields, and that of the version."""
        return tuple(dict.fromkeys(filter(None, (*self.fields[-1:], self.version))))

    @property
    def events(self) -> tuple[str, ...]:
        """All events whose bodies are needed."""
        return (*self.fields, self.version) if self.version else self.fields


def sources(
    mine: Report, identities: Sequence[str], reports: Iterable[Report], destination: str
) -> Sources:
    """Find the events whose state a late event's body is made of."""
    others = [report for report in reports if report.event != mine.event]
    newer = [
        report
        for report in sorted(others, key=_age)
        if is_newer(report, mine) and destination in report.carried and not _ends(report.effects)
    ]
    newest_full = max((n for n, report in enumerate(newer) if report.full), default=0)
    part, version = _latest_version(mine, identities, others, destination)
    return Sources(
        fields=tuple(each.event for each in newer[newest_full:]) if mine.state else (),
        part=part,
        version=version,
        without=frozenset(
            name for effect in mine.effects for name in _set_again(effect, newer, destination)
        ),
    )


def _latest_version(
    mine: Report, identities: Sequence[str], others: Sequence[Report], destination: str
) -> tuple[str, str]:
    """Find the latest version of the comment or worklog that an event creates: (part, event)."""
    for effect in mine.effects:
        if effect.identity in identities and effect.event.endswith(_CREATED):
            for report, other in _versions(effect, others):
                if _carries(report, other, destination):
                    return effect.event.removesuffix(_CREATED), report.event
    return "", ""


def renewed(
    body: Mapping[str, Any], used: Sources, bodies: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a late event's body with the newest state: `bodies` are those of `used.events`.

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
        items = [item for item in changes(body) if setting(item) not in used.without]
        sent["changelog"] = {**as_object(body.get("changelog")), "items": items}
    return sent


def _renew_issue(sent: dict[str, Any], newer: Mapping[str, Any]) -> None:
    """Put a newer issue over that of a body; a body with only some fields keeps only those."""
    issue, other = issue_of(sent), issue_of(newer)
    mine, theirs = fields_of(sent), fields_of(newer)
    if "updated" not in mine:
        theirs = {name: value for name, value in theirs.items() if name in mine}
    sent["issue"] = {**issue, **other, "fields": {**mine, **theirs}}
