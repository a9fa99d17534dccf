"""What the stand-in writes: reading a body as Aha! does, and applying it to a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

from bridge.core.changelog import changes, setting

#: Top-level keys that Rails takes for parameters of its own. The bridge has a list too; this one is
#: kept apart, so that the stand-in does not repeat a mistake of the bridge.
_CLASHES = frozenset({"token", "action", "controller", "format", "webhook", "product_id"})
#: The verb for the comment of an issue event, by `issue_event_type_name`; by default "created".
_VERBS = {"issue_comment_edited": "updated", "issue_comment_deleted": "deleted"}
_ONLY_RECORDED = "nothing is documented for this: recorded, not written"
UNDOCUMENTED = "nothing is documented for this event"


@dataclass(frozen=True, kw_only=True, slots=True)
class Integration:
    """A callback token of an Aha! account."""

    token: str = field(repr=False)
    name: str = "integration"
    #: Comments written twice are counted within one account.
    account: str = "sandbox"
    #: 1 or 2: each generation keeps its own records.
    generation: int = 2
    run_as: str = "Integration user"


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """One write that a body caused."""

    #: Counts from 1, in the order of writing.
    n: int
    #: In ms since the epoch.
    time: int
    integration: str
    account: str
    generation: int
    run_as: str
    #: comment | record | ignored
    kind: str
    #: created | updated | deleted, or ""
    verb: str = ""
    #: The host of the sender, within which ids are unique.
    site: str = ""
    record: str = ""
    key: str = ""
    comment: str = ""
    text: str = ""
    #: The sender's name of the event.
    event: str = ""
    #: The body's `timestamp`, unchanged.
    timestamp: object = None
    #: The same comment had been created before.
    double: bool = False
    #: Why it was ignored, or recorded without being written.
    note: str = ""
    body: object = field(default=None, repr=False)


@dataclass(kw_only=True, slots=True)
class Record:
    """The content of one record after all bodies about it.

    Every body sets the fields that it has, whatever its event. The edit or deletion of a comment
    is applied if the comment exists, and ignored otherwise: Aha! documents neither.
    """

    account: str
    generation: int
    #: The host of the sender, within which ids are unique.
    site: str
    record: str
    key: str = ""
    #: The last event about it was its deletion.
    deleted: bool = False
    #: The issue's fields as last received.
    fields: dict[str, Any] = field(default_factory=dict)
    #: By field id or name: the last `toString` of a changelog.
    changed: dict[str, object] = field(default_factory=dict)
    #: The texts of its comments by comment id; several if it was created several times.
    comments: dict[str, list[str]] = field(default_factory=dict)

    def apply(self, write: Written) -> None:
        """Update the record with one write."""
        body = write.body if isinstance(write.body, dict) else {}
        self.key = write.key or self.key
        self.fields |= part(part(body, "issue"), "fields")
        for item in changes(body):
            self.changed[setting(item)] = item.get("toString")
        if write.kind == "record":
            self.deleted = write.verb == "deleted"
        if write.kind == "comment":
            self._apply_comment(write)

    def _apply_comment(self, write: Written) -> None:
        if write.verb == "created":
            self.comments.setdefault(write.comment, []).append(write.text)
        elif write.verb == "deleted":
            self.comments.pop(write.comment, None)
        elif write.comment in self.comments:
            self.comments[write.comment] = [write.text]


def read(raw: bytes) -> Iterator[dict[str, Any]]:
    """Yield what a body makes Aha! write, as fields of `Written`: a comment, a record, or both."""
    body = json_object(raw)
    if body is None:
        yield {"kind": "ignored", "note": "not a JSON object"}
        return
    issue, comment = part(body, "issue"), part(body, "comment")
    event, record = str(body.get("webhookEvent") or ""), str(issue.get("id") or "")
    common = {
        "event": event,
        "timestamp": body.get("timestamp"),
        "record": record,
        "key": str(issue.get("key") or ""),
        "site": _host(comment) or _host(issue),
        "body": body,
    }
    note = _unusable(body, record)
    if note:
        yield {**common, "kind": "ignored", "note": note}
        return
    if comment:
        yield {**common, **_comment(body, comment, event)}
    if event.startswith("jira:issue_") and (not comment or "changelog" in body):
        yield {**common, "kind": "record", "verb": event.rpartition("_")[2]}
    elif not comment:
        yield {**common, "kind": "ignored", "note": UNDOCUMENTED}


def json_object(raw: bytes) -> dict[str, Any] | None:
    """Parse a body; None unless it is a JSON object."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return body if isinstance(body, dict) else None


def part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object inside a body; empty if it is missing or something else."""
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def _host(resource: Mapping[str, Any]) -> str:
    try:
        return urlsplit(str(resource.get("self") or "")).netloc
    except ValueError:
        return ""


def _unusable(body: Mapping[str, Any], record: str) -> str:
    """Return why Aha! cannot use a body, or ""."""
    clashes = sorted(_CLASHES & body.keys())
    if clashes:
        return f"taken for something of our own: {', '.join(clashes)}"
    return "" if record else "names no issue"


def _comment(body: Mapping[str, Any], comment: Mapping[str, Any], event: str) -> dict[str, Any]:
    verb = _verb(body, comment, event)
    return {
        "kind": "comment",
        "verb": verb,
        "comment": str(comment.get("id") or ""),
        "text": str(comment.get("body") or ""),
        "note": "" if verb == "created" else _ONLY_RECORDED,
    }


def _verb(body: Mapping[str, Any], comment: Mapping[str, Any], event: str) -> str:
    """Return what happened to a comment, by the event's name, its type, or the comment's dates."""
    if event.startswith("comment_"):
        return event.rpartition("_")[2]
    kind = body.get("issue_event_type_name")
    if kind is None and comment.get("updated") != comment.get("created"):
        return "updated"
    return _VERBS.get(str(kind), "created")
