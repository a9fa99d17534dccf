"""What a Jira webhook changed, and by what every other telling of the same change is known.

Jira tells things at least once, in any order, and Data Center tells every comment twice: as
`comment_created` without its issue, and inside `jira:issue_updated`. So identities are made of what
was changed (comment, changelog, issue), never of the telling. What is not obvious:

- When a comment, worklog or issue was created is part of its identities, because a restored backup
  hands out the same ids again; for a change of the issue, too. Not to the millisecond, because
  databases lose or move those: see `cells`, also for why one change can have two identities.
- An edit is known by its content and by when it was made: going back to an earlier text within the
  same second is an edit of its own.
- The changelog of `jira:issue_created` belongs to the creation. Should an update repeat its id, it
  is told as the change it claims to be: two identities, nothing lost.
- Things that are only set to a state (a property, a version) carry their instant, so that going
  back to an earlier state is a change of its own; telling one twice does no harm.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from bridge.core.readers import is_private
from bridge.model import Effect
from bridge.sources.jira.cells import CHANGED, CREATED
from bridge.sources.jira.values import canonical, digest, instant, obj, text
from bridge.sources.jira.versions import settings, version

_AHA_COMMENT = re.compile(r"\s{0,9}Comment added by .{0,300}? in \[Aha!\|")
_COMMENT_KINDS = {"issue_commented": "created", "issue_comment_edited": "edited"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A body, and what is known of it before its effects are."""

    #: The sender's name of the event.
    name: str
    #: The same without `jira:`.
    word: str
    body: Mapping[str, Any]
    #: The issue's id, or "".
    record: str
    #: In ms since the epoch.
    time: int | None


def effects(told: Told) -> tuple[tuple[Effect, ...], str]:
    """Return the effects of a body, or none and the reason why."""
    # An update of the issue, which comes beside `worklog_updated` and only shares its word.
    reader = _update if told.name.startswith("jira:worklog_") else _READERS.get(told.word)
    if reader is None:
        return (), f"{told.name} is no event of Jira that is known here"
    found = reader(told)
    return found, "" if found else _why_empty(told)


def _why_empty(told: Told) -> str:
    if told.word.startswith("comment_"):
        return f"{told.name} does not hold its comment"
    kind = told.body.get("issue_event_type_name")
    if kind == "issue_comment_deleted":
        return "the update does not say which comment was deleted; comment_deleted does"
    if kind in ("issue_commented", "issue_comment_edited"):
        return "the update says that there is a comment, but does not hold it"
    return "the update does not say what changed (no changelog, no comment)"


def _issue(told: Told) -> tuple[Effect, ...]:
    action = told.word.removeprefix("issue_")
    named = f"issue:{told.record or digest(told.body)}:{action}"
    identity, *also = _names(named, _issue_created(told))
    return (Effect(identity=identity, also=tuple(also), event=told.word),)


def _issue_created(told: Told) -> tuple[str, ...]:
    """Name when the issue itself was created, as far as the body says."""
    return CREATED.cells(obj(obj(told.body.get("issue")).get("fields")).get("created"))


def _known_by(effect: Effect, cells: tuple[str, ...]) -> Effect:
    """End the effect's identity by its cell of time, and make it known by the next one's too."""
    first, *others = _names(effect.identity, cells)
    return replace(effect, identity=first, also=tuple(others))


def _names(identity: str, cells: tuple[str, ...]) -> list[str]:
    return [f"{identity}:{cell}" if cell else identity for cell in cells]


def _update(told: Told) -> tuple[Effect, ...]:
    """Read an update of an issue: its changelog and its comment are two effects, one, or none."""
    changelog, comment = obj(told.body.get("changelog")), obj(told.body.get("comment"))
    kind = told.body.get("issue_event_type_name")
    found = []
    if changelog.get("id") or changelog.get("items"):
        found.append(_change(changelog, told))
    if comment and kind != "issue_comment_deleted":
        found.append(_comment_effect(comment, _comment_action(comment, kind), part="comment"))
    return tuple(found)


def _change(changelog: Mapping[str, Any], told: Told) -> Effect:
    """Know a change by its id and when its issue was created, or by what it says and when."""
    known = text(changelog.get("id"))
    identity = f"change:{known or digest(changelog.get('items'))}:{told.record}"
    cells = _issue_created(told) if known else CHANGED.cells(told.time)
    first, *others = _names(identity, cells)
    return Effect(
        identity=first,
        also=tuple(others),
        event="issue_updated",
        part="changelog",
        sets=settings(told.body),
    )


def _comment_action(comment: Mapping[str, Any], kind: object) -> str:
    if isinstance(kind, str) and kind in _COMMENT_KINDS:
        return _COMMENT_KINDS[kind]
    created, updated = instant(comment.get("created")), instant(comment.get("updated"))
    if created is None or updated is None or abs(updated - created) <= 1000:
        return "created"
    return "edited"


def _comment(told: Told) -> tuple[Effect, ...]:
    comment = obj(told.body.get("comment"))
    action = "edited" if told.word == "comment_updated" else told.word.removeprefix("comment_")
    return (_comment_effect(comment, action, at=told.time),) if comment else ()


def _comment_effect(
    comment: Mapping[str, Any], action: str, part: str = "", at: int | None = None
) -> Effect:
    """Make the effect of one comment, the same for both of Data Center's tellings."""
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
        # Whoever deletes a comment of Aha!'s is telling something new.
        echo="" if deleted else _echo(comment.get("body")),
        stale_after="" if deleted else _names(f"{of}:deleted", created)[0],
        formerly=_former_comment(of, action, comment),
        of=of if comment.get("id") else "",
        version=version(comment, action, at),
    )


def _edits(part: Mapping[str, Any]) -> tuple[str, ...]:
    """Name an edit: what a comment or worklog has been since when."""
    said = _version(part)
    return tuple(f"{cell}:{said}" for cell in CHANGED.cells(part.get("updated")))


def _version(part: Mapping[str, Any]) -> str:
    """Digest what an edit can change: text as it reads, who may read it, the work and its date."""
    said = [_as_read(part), *_visibility(part)]
    if "timeSpentSeconds" in part or "started" in part:
        began = instant(part.get("started"))
        said += [part.get("timeSpentSeconds"), None if began is None else began // 1000]
    if is_private(part) and part.get("visibility") is None:
        said.append("internal")
    return digest(said)


def _as_read(part: Mapping[str, Any]) -> object:
    said = part.get("body", part.get("comment"))
    return said.replace("\r\n", "\n").rstrip() if isinstance(said, str) else said


def _visibility(part: Mapping[str, Any]) -> list[object]:
    readers = obj(part.get("visibility"))
    return [readers.get("type"), readers.get("value")]


def _former_comment(of: str, action: str, comment: Mapping[str, Any]) -> str:
    """Name a comment's effect as claims of before did: by the day, or the second of an edit."""
    if action != "edited":
        return f"{of}:{action}:{_day(comment.get('created'))}"
    version = digest([_as_read(comment), *_visibility(comment)])
    return f"{of}:edited:{_second(comment.get('updated'))}:{version}"


def _echo(body: object) -> str:
    if isinstance(body, str) and _AHA_COMMENT.match(body):
        return "the comment says that it was added in Aha!"
    return ""


def _worklog(told: Told) -> tuple[Effect, ...]:
    worklog = obj(told.body.get("worklog"))
    action = told.word.removeprefix("worklog_")
    identity = f"worklog:{text(worklog.get('id')) or digest(told.body)}:{action}"
    effect = Effect(
        identity=identity,
        event=told.word,
        writes=True,
        private=is_private(worklog),
        of=f"worklog:{text(worklog.get('id'))}" if worklog.get("id") else "",
        version=version(worklog, action, told.time),
        formerly=f"{identity}:{_second(worklog.get('updated'))}",
    )
    if action == "updated":
        return (_known_by(effect, _edits(worklog)),)
    return (_known_by(effect, CREATED.cells(worklog.get("created"))),)


def _once(told: Told) -> tuple[Effect, ...]:
    """Read what is created and deleted once, and never changed: an attachment, a link."""
    kind, action = told.word.split("_")
    part = obj(told.body.get("issueLink" if kind == "issuelink" else kind))
    identity = f"{kind}:{text(part.get('id')) or digest(told.body)}:{action}"
    effect = Effect(identity=identity, event=told.word)
    return (_known_by(effect, CREATED.cells(part.get("created"))),)


def _issue_property(told: Told) -> tuple[Effect, ...]:
    held = obj(told.body.get("property"))
    name = text(held.get("key")) or digest(held.get("key"))
    value = hashlib.sha1(canonical(held.get("value")), usedforsecurity=False).hexdigest()
    action = told.word.removeprefix("issue_property_")
    identity = f"issue_property:{told.record}:{name}:{action}:{value}"
    return (_known_by(Effect(identity=identity, event=told.word), CHANGED.cells(told.time)),)


def _dated(told: Told) -> tuple[Effect, ...]:
    """Read what happened to something that is no issue: known by its id and the instant."""
    kind = told.word.split("_")[0]
    part = obj(told.body.get(kind))
    thing = next(filter(None, (text(part.get(n)) for n in ("id", "accountId", "key"))), "")
    if not thing or told.time is None:
        return (Effect(identity=f"{told.word}:{digest(told.body)}", event=told.word),)
    effect = Effect(identity=f"{kind}:{thing}:{told.word}", event=told.word)
    return (_known_by(effect, CHANGED.cells(told.time)),)


def _transition(told: Told) -> tuple[Effect, ...]:
    """Read a workflow's post-function; its comment is a text without an id."""
    transition = text(obj(told.body.get("transition")).get("transitionId"))
    effect = Effect(
        identity=f"transition:{digest(told.body)}",
        event=told.word,
        writes=bool(told.body.get("comment")),
    )
    if not (transition and told.record and told.time is not None):
        return (effect,)
    of = f"transition:{told.record}:{transition}"
    effect = replace(effect, identity=of, formerly=f"{of}:{told.time}")
    return (_known_by(effect, CHANGED.cells(told.time)),)


def _day(value: object) -> str:
    """Name the day in UTC, such as 2019-06-04."""
    known = instant(value)
    return "" if known is None else _name_of(known // 86_400_000)


@lru_cache(maxsize=1024)
def _name_of(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()


def _second(value: object) -> str:
    known = instant(value)
    return "" if known is None else str(known // 1000)


_READERS: dict[str, Callable[[Told], tuple[Effect, ...]]] = {
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

#: What the words of events about an issue begin with.
ABOUT_ISSUES = tuple({f"{word.split('_')[0]}_" for word in _READERS if "_" in word})

#: The words of events about an issue: a route without `events` takes these.
RECORD_EVENTS: tuple[str, ...] = tuple(_READERS)

_READERS |= {f"{kind}_{act}": _dated for kind, acts in _OTHERS.items() for act in acts.split()}

#: Every word that a route's `events` can name.
EVENTS: tuple[str, ...] = tuple(_READERS)
