"""The effects of a Jira webhook, with an identity that every report of the same change shares.

Jira sends events at least once and in any order, and Data Center reports every comment twice: as
`comment_created` without its issue, and inside `jira:issue_updated`. So an identity depends only on
the change (comment, changelog, issue), never on the event that reports it. Less obvious rules:

- The creation time of a comment, worklog or issue is part of its identities, and of those of the
  issue's changes, because Jira assigns the same ids again after a backup was restored. It is not
  exact to the millisecond, because databases lose or move those: see `cells`, also for why one
  change can have two identities.
- An edit is identified by its content and its time: going back to an earlier text within the same
  second is another edit.
- The changelog of `jira:issue_created` belongs to the creation. An update that repeats its id
  counts as another change: two identities, and no change is lost.
- The identity of an event that only sets a state (a property, a version) contains its time, so that
  going back to an earlier state is another change; delivering one twice is harmless.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from bridge.core.jira_body import as_object
from bridge.core.readers import is_private
from bridge.model import Effect
from bridge.sources.jira.cells import CHANGED, CREATED
from bridge.sources.jira.values import canonical, digest, instant, text
from bridge.sources.jira.versions import settings, version

_AHA_COMMENT = re.compile(r"\s{0,9}Comment added by .{0,300}? in \[Aha!\|")
_COMMENT_KINDS = {"issue_commented": "created", "issue_comment_edited": "edited"}


@dataclass(frozen=True, kw_only=True, slots=True)
class JiraEvent:
    """A body, with the values that its effects are made of."""

    #: The sender's name of the event.
    name: str
    #: The same without `jira:`.
    word: str
    body: Mapping[str, Any]
    #: The fields of the body's issue; {} without any.
    fields: Mapping[str, Any]
    #: The items of the body's changelog.
    items: Sequence[Mapping[str, Any]]
    #: The issue's id, or "".
    record: str
    #: The body's `timestamp`, in ms since the epoch.
    time: int | None


def effects(event: JiraEvent) -> tuple[tuple[Effect, ...], str]:
    """Return the effects of a body, or none and the reason why."""
    # `jira:worklog_updated` is an update of the issue, sent besides `worklog_updated`.
    reader = _update if event.name.startswith("jira:worklog_") else _READERS.get(event.word)
    if reader is None:
        return (), f"{event.name} is no event of Jira that is known here"
    found = reader(event)
    return found, "" if found else _why_empty(event)


def _why_empty(event: JiraEvent) -> str:
    if event.word.startswith("comment_"):
        return f"{event.name} does not hold its comment"
    kind = event.body.get("issue_event_type_name")
    if kind == "issue_comment_deleted":
        return "the update does not say which comment was deleted; comment_deleted does"
    if kind in ("issue_commented", "issue_comment_edited"):
        return "the update announces a comment, but does not hold it"
    return "the update does not say what changed (no changelog, no comment)"


def _issue(event: JiraEvent) -> tuple[Effect, ...]:
    action = event.word.removeprefix("issue_")
    named = f"issue:{event.record or digest(event.body)}:{action}"
    identity, *also = _names(named, _issue_created(event))
    return (Effect(identity=identity, also=tuple(also), event=event.word),)


def _issue_created(event: JiraEvent) -> tuple[str, ...]:
    """Return the cells of the issue's creation; ("",) when the body lacks it."""
    return CREATED.cells(event.fields.get("created"))


def _known_by(effect: Effect, cells: tuple[str, ...]) -> Effect:
    """Append the cell of time to an effect's identity, and the next cell to a second identity."""
    first, *others = _names(effect.identity, cells)
    return replace(effect, identity=first, also=tuple(others))


def _names(identity: str, cells: tuple[str, ...]) -> list[str]:
    return [f"{identity}:{cell}" if cell else identity for cell in cells]


def _update(event: JiraEvent) -> tuple[Effect, ...]:
    """Read an update of an issue: its changelog and its comment are an effect each."""
    body = event.body
    changelog, comment = as_object(body.get("changelog")), as_object(body.get("comment"))
    kind = body.get("issue_event_type_name")
    found = []
    if changelog.get("id") or changelog.get("items"):
        found.append(_change(changelog, event))
    if comment and kind != "issue_comment_deleted":
        found.append(_comment_effect(comment, _comment_action(comment, kind), part="comment"))
    return tuple(found)


def _change(changelog: Mapping[str, Any], event: JiraEvent) -> Effect:
    """Return a change's effect: identified by id and issue, or without an id by items and time."""
    known = text(changelog.get("id"))
    identity = f"change:{known or digest(changelog.get('items'))}:{event.record}"
    cells = _issue_created(event) if known else CHANGED.cells(event.time)
    first, *others = _names(identity, cells)
    return Effect(
        identity=first,
        also=tuple(others),
        event="issue_updated",
        part="changelog",
        sets=settings(event.items),
    )


def _comment_action(comment: Mapping[str, Any], kind: object) -> str:
    if isinstance(kind, str) and kind in _COMMENT_KINDS:
        return _COMMENT_KINDS[kind]
    created, updated = instant(comment.get("created")), instant(comment.get("updated"))
    if created is None or updated is None or abs(updated - created) <= 1000:
        return "created"
    return "edited"


def _comment(event: JiraEvent) -> tuple[Effect, ...]:
    comment = as_object(event.body.get("comment"))
    action = "edited" if event.word == "comment_updated" else event.word.removeprefix("comment_")
    return (_comment_effect(comment, action, at=event.time),) if comment else ()


def _comment_effect(
    comment: Mapping[str, Any], action: str, part: str = "", at: int | None = None
) -> Effect:
    """Return the effect of a comment, the same for both of Data Center's events about it."""
    of = f"comment:{text(comment.get('id')) or digest(comment)}"
    created, deleted = CREATED.cells(comment.get("created")), action == "deleted"
    cells = _edits(comment) if action == "edited" else created
    identity, *also = _names(f"{of}:{action}", cells)
    return Effect(
        identity=identity,
        also=tuple(also),
        event="comment_updated" if action == "edited" else f"comment_{action}",
        part=part,
        writes=True,
        private=is_private(comment),
        # Deleting a comment that Aha! wrote is a change of its own, and no echo.
        echo="" if deleted else _echo(comment.get("body")),
        stale_after="" if deleted else _names(f"{of}:deleted", created)[0],
        formerly=_former_comment(of, action, comment),
        of=of if comment.get("id") else "",
        version=version(comment, action, at),
    )


def _edits(part: Mapping[str, Any]) -> tuple[str, ...]:
    """Return an edit's cells of time, each with the digest of the edited content."""
    content = _version(part)
    return tuple(f"{cell}:{content}" for cell in CHANGED.cells(part.get("updated")))


def _version(part: Mapping[str, Any]) -> str:
    """Return the digest of the values that an edit can change: text, readers, work and its date."""
    values = [_text(part), *_visibility(part)]
    if "timeSpentSeconds" in part or "started" in part:
        began = instant(part.get("started"))
        values += [part.get("timeSpentSeconds"), None if began is None else began // 1000]
    if is_private(part) and part.get("visibility") is None:
        values.append("internal")
    return digest(values)


def _text(part: Mapping[str, Any]) -> object:
    """Return the text of a comment or worklog, without differences that no reader sees."""
    written = part.get("body", part.get("comment"))
    return written.replace("\r\n", "\n").rstrip() if isinstance(written, str) else written


def _visibility(part: Mapping[str, Any]) -> list[object]:
    readers = as_object(part.get("visibility"))
    return [readers.get("type"), readers.get("value")]


def _former_comment(of: str, action: str, comment: Mapping[str, Any]) -> str:
    """Return the identity that earlier versions gave: by the day, or by the second of an edit."""
    if action != "edited":
        return f"{of}:{action}:{_day(comment.get('created'))}"
    version = digest([_text(comment), *_visibility(comment)])
    return f"{of}:edited:{_second(comment.get('updated'))}:{version}"


def _echo(body: object) -> str:
    if isinstance(body, str) and _AHA_COMMENT.match(body):
        return "the comment's text marks it as added in Aha!"
    return ""


def _worklog(event: JiraEvent) -> tuple[Effect, ...]:
    worklog = as_object(event.body.get("worklog"))
    action = event.word.removeprefix("worklog_")
    identity = f"worklog:{text(worklog.get('id')) or digest(event.body)}:{action}"
    effect = Effect(
        identity=identity,
        event=event.word,
        writes=True,
        private=is_private(worklog),
        of=f"worklog:{text(worklog.get('id'))}" if worklog.get("id") else "",
        version=version(worklog, action, event.time),
        formerly=f"{identity}:{_second(worklog.get('updated'))}",
    )
    if action == "updated":
        return (_known_by(effect, _edits(worklog)),)
    return (_known_by(effect, CREATED.cells(worklog.get("created"))),)


def _once(event: JiraEvent) -> tuple[Effect, ...]:
    """Read an event about a thing that never changes: an attachment or a link."""
    kind, action = event.word.split("_")
    part = as_object(event.body.get("issueLink" if kind == "issuelink" else kind))
    identity = f"{kind}:{text(part.get('id')) or digest(event.body)}:{action}"
    effect = Effect(identity=identity, event=event.word)
    return (_known_by(effect, CREATED.cells(part.get("created"))),)


def _issue_property(event: JiraEvent) -> tuple[Effect, ...]:
    held = as_object(event.body.get("property"))
    name = text(held.get("key")) or digest(held.get("key"))
    value = hashlib.sha1(canonical(held.get("value")), usedforsecurity=False).hexdigest()
    action = event.word.removeprefix("issue_property_")
    identity = f"issue_property:{event.record}:{name}:{action}:{value}"
    return (_known_by(Effect(identity=identity, event=event.word), CHANGED.cells(event.time)),)


def _dated(event: JiraEvent) -> tuple[Effect, ...]:
    """Read an event about a thing other than an issue: identified by its id and its time."""
    kind = event.word.split("_")[0]
    part = as_object(event.body.get(kind))
    thing = next(filter(None, (text(part.get(n)) for n in ("id", "accountId", "key"))), "")
    if not thing or event.time is None:
        return (Effect(identity=f"{event.word}:{digest(event.body)}", event=event.word),)
    effect = Effect(identity=f"{kind}:{thing}:{event.word}", event=event.word)
    return (_known_by(effect, CHANGED.cells(event.time)),)


def _transition(event: JiraEvent) -> tuple[Effect, ...]:
    """Read the event of a workflow's post-function; its comment is a text without an id."""
    transition = text(as_object(event.body.get("transition")).get("transitionId"))
    effect = Effect(
        identity=f"transition:{digest(event.body)}",
        event=event.word,
        writes=bool(event.body.get("comment")),
    )
    if not (transition and event.record and event.time is not None):
        return (effect,)
    of = f"transition:{event.record}:{transition}"
    effect = replace(effect, identity=of, formerly=f"{of}:{event.time}")
    return (_known_by(effect, CHANGED.cells(event.time)),)


def _day(value: object) -> str:
    """Return an instant's day in UTC, such as 2019-06-04; "" without an instant."""
    known = instant(value)
    return "" if known is None else _day_name(known // 86_400_000)


@lru_cache(maxsize=1024)
def _day_name(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()


def _second(value: object) -> str:
    known = instant(value)
    return "" if known is None else str(known // 1000)


_READERS: dict[str, Callable[[JiraEvent], tuple[Effect, ...]]] = {
    "issue_created": _issue,
    "issue_updated": _update,
    "issue_deleted": _issue,
    "comment_created": _comment,
    "comment_updated": _comment,
    "comment_deleted": _comment,
    "worklog_created": _worklog,
    "worklog_updated": _worklog,
    "worklog_deleted": _worklog,
    "attachment_created": _once,
    "attachment_deleted": _once,
    "issuelink_created": _once,
    "issuelink_deleted": _once,
    "issue_property_set": _issue_property,
    "issue_property_deleted": _issue_property,
    "transition": _transition,
}
_OTHERS = {
    "project": "created updated deleted soft_deleted restored_deleted archived restored_archived",
    "version": "created updated released unreleased moved merged deleted",
    "sprint": "created updated deleted started closed",
    "board": "created updated deleted configuration_changed",
    "user": "created updated deleted",
    "filter": "created updated deleted",
    "issuetype": "created updated deleted",
    "option": "voting_changed watching_changed unassigned_issues_changed subtasks_changed"
    " issuelinks_changed attachments_changed timetracking_changed timetracking_provider_changed",
    "jira": "expression_evaluation_failed",
    "app": "access_to_objects_blocked access_to_objects_in_container_blocked",
}

#: The beginnings of the words of events about an issue.
ABOUT_ISSUES = tuple({f"{word.split('_')[0]}_" for word in _READERS if "_" in word})

#: The words of events about an issue: a route without `events` takes these.
RECORD_EVENTS: tuple[str, ...] = tuple(_READERS)

_READERS |= {f"{kind}_{act}": _dated for kind, acts in _OTHERS.items() for act in acts.split()}

#: The words that a route's `events` can name.
EVENTS: tuple[str, ...] = tuple(_READERS)
