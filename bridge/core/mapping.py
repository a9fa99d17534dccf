"""Build the body to send: the lines of a route's `fields`, the run-as user, the author's name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.core.changelog import field_of
from bridge.core.fields import FORBIDDEN, Line, compile_line
from bridge.core.jira_body import as_object
from bridge.core.paths import DROP, NOTHING, BodyCopy, Path, value_at
from bridge.core.readers import is_private
from bridge.core.richtext import plain
from bridge.errors import BadField, Unmappable
from bridge.model import Mapper, Route, RunAs, Target

#: The parts of an issue, and of its fields, that Aha! needs to find, name and file a record.
#: `unmapped: drop` keeps these and the targets of the lines, and nothing else.
NEEDED = frozenset({"id", "key", "self"})
NEEDED_FIELDS = frozenset({"summary", "status", "issuetype", "project"})

#: Where a full issue contains its comments and worklogs.
_COMMENTS: Path = ("issue", "fields", "comment", "comments")
_WORKLOGS: Path = ("issue", "fields", "worklog", "worklogs")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fields:
    """The compiled `fields` of a route."""

    lines: tuple[Line, ...]
    #: The fields whose changelog items are sent, in lower case; None for all.
    kept: frozenset[str] | None

    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Map a body into a new one, which shares unwritten parts with it; raises Unmappable."""
        draft = BodyCopy(dict(body) if self.kept is None else _pruned(body, self.kept))
        for line in self.lines:
            value = line.result(body)
            if value is DROP:
                draft.remove(line.to)
            elif value is not NOTHING:
                _write(draft, line, value)
        return draft.root


def _write(draft: BodyCopy, line: Line, value: object) -> None:
    try:
        draft.write(line.to, value)
    except Unmappable as error:
        raise Unmappable(f"{line.name}: {error}") from error


def compile_fields(lines: Sequence[Mapping[str, object]], unmapped: str = "keep") -> Mapper:
    """Compile the `fields` lines of a route; raises `errors.BadField`.

    With `unmapped: drop`, the issue keeps the targets of the lines and the parts that Aha! needs:
    id, key, self, and the fields summary, status, issuetype and project. The changelog keeps the
    items about these fields. The rest of the body is not part of the issue and stays.
    """
    if unmapped not in ("keep", "drop"):
        raise BadField("`unmapped` is keep or drop", name="unmapped")
    compiled = tuple(compile_line(line) for line in lines)
    if unmapped == "keep":
        return Fields(lines=compiled, kept=None)
    fields = {line.to[2:3] for line in compiled if line.to[:2] == ("issue", "fields")}
    kept = NEEDED_FIELDS.union(str(name) for path in fields for name in path)
    return Fields(lines=compiled, kept=frozenset(map(str.lower, kept)))


def _pruned(body: Mapping[str, Any], kept: frozenset[str]) -> dict[str, Any]:
    pruned = dict(body)
    issue = body.get("issue")
    if isinstance(issue, dict):
        pruned["issue"] = {name: part for name, part in issue.items() if name in NEEDED}
        fields = issue.get("fields")
        if isinstance(fields, dict):
            pruned["issue"]["fields"] = {n: v for n, v in fields.items() if n in NEEDED_FIELDS}
    items = value_at(body, ("changelog", "items"))
    if isinstance(items, list):
        left = [item for item in items if _field_of(item) in kept]
        pruned["changelog"] = {**body["changelog"], "items": left}
    return pruned


def _field_of(item: object) -> str:
    """Return the lower-case id of an item's field; a changed key counts as a changed project."""
    name = field_of(item) if isinstance(item, dict) else ""
    return "project" if name == "issuekey" else name


def outgoing(
    body: Mapping[str, Any],
    *,
    record: str,
    key: str,
    drop: Collection[str],
    route: Route,
    target: Target,
) -> dict[str, Any]:
    """Return the body to send for an event; the event's own body is not changed.

    It lacks the top-level parts in `drop`, which another delivery carries, a comment that the event
    reports as deleted, and names that would mislead Aha!. The record's id and key are added where
    the body lacks them. Then the route's lines are applied, the author's name goes into the
    comment's text, and the acting `user` becomes the run-as user. Authors of comments, assignee and
    reporter are data and stay. Raises `errors.Unmappable`.
    """
    sent = {name: part for name, part in body.items() if name not in FORBIDDEN | set(drop)}
    if body.get("issue_event_type_name") == "issue_comment_deleted":
        _forget_comment(sent)
    _name_record(sent, record, key)
    if route.comments.private == "drop":
        _hide_private(sent)
    sent = route.mapper.apply(sent)
    _attribute(sent, route.comments.attribution)
    sent["user"] = _user(target.run_as)
    return sent


def parts_left_out(parts: Iterable[tuple[str, str]], carried: Collection[str]) -> frozenset[str]:
    """Return the top-level parts of a body whose effects are all carried by other deliveries.

    `parts` are the effects of the event, each an identity and its part ("" for none); `carried`
    are the identities that this delivery carries.
    """
    known = [(identity, part) for identity, part in parts if part]
    kept = {part for identity, part in known if identity in carried}
    return frozenset(part for _, part in known if part not in kept)


def _name_record(sent: dict[str, Any], record: str, key: str) -> None:
    issue = sent.get("issue")
    named = as_object(issue)
    missing = {n: v for n, v in (("id", record), ("key", key)) if record and v and not named.get(n)}
    if missing:
        sent["issue"] = {**named, **missing}


def _forget_comment(sent: dict[str, Any]) -> None:
    """Remove a deleted comment: beside a change, Aha! would write it as a new one."""
    comment = sent.pop("comment", None)
    held = value_at(sent, _COMMENTS)
    if isinstance(comment, dict) and comment.get("id") and isinstance(held, list):
        others = [c for c in held if not (isinstance(c, dict) and c.get("id") == comment["id"])]
        BodyCopy(sent).write(_COMMENTS, others)


def _hide_private(sent: dict[str, Any]) -> None:
    """Remove restricted comments and worklogs from the lists inside a full issue."""
    draft = BodyCopy(sent)
    for inside in (_COMMENTS, _WORKLOGS):
        held = value_at(sent, inside)
        if isinstance(held, list) and any(map(is_private, held)):
            draft.write(inside, [one for one in held if not is_private(one)])


def _attribute(sent: dict[str, Any], attribution: str) -> None:
    comment = sent.get("comment")
    if not attribution or not isinstance(comment, dict):
        return
    written = comment.get("body")
    words = {
        "{author}": _author(comment.get("author")),
        "{body}": plain(written) if isinstance(written, dict) else str(written or ""),
    }
    # In one pass: an author called {body} is a name, and not a reference to the text.
    filled = re.sub(r"\{author\}|\{body\}", lambda match: words[match.group()], attribution)
    sent["comment"] = {**comment, "body": filled}


def _author(author: object) -> str:
    """Return an author's name; Anonymous, as in Jira, for an author without an account."""
    known = as_object(author)
    names = (known.get(name) for name in ("displayName", "name", "emailAddress"))
    return next((str(name) for name in names if name), "Anonymous")


def _user(run_as: RunAs) -> dict[str, Any]:
    return {
        "name": run_as.name,
        "emailAddress": run_as.email,
        "displayName": run_as.name,
        "active": True,
    }
