"""Jira's webhooks, Cloud and Data Center: one body in, one event with its effects out."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from bridge.core import bodies
from bridge.core.changelog import changes, field_of
from bridge.core.jira_body import as_object, fields_of, issue_of
from bridge.errors import BadSignature, Unreadable
from bridge.model import Event, Request
from bridge.sources.jira.effects import ABOUT_ISSUES, EVENTS, RECORD_EVENTS, JiraEvent, effects
from bridge.sources.jira.values import digits, instant, issue_key, label, text
from bridge.sources.jira.versions import as_of, change_id

__all__ = ["EVENTS", "RECORD_EVENTS", "handshake", "read", "verify"]

_DEEPEST = 100
_METHODS = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}
_UNSAFE = ("md5", "sha1")
_SELF_LINK = re.compile(r"https?://([^/?#\s]{1,200}(?:/[^/?#\s]{1,100}){0,4}?)/rest/", re.ASCII)
_ISSUE_LINK = re.compile(r"/issue/(\d{1,20})/(?:comment|worklog)/", re.ASCII)


def verify(secrets: Sequence[str], request: Request) -> None:
    """Raise `BadSignature` unless `X-Hub-Signature` signs the raw body with one of the secrets."""
    keys = [secret.encode() for secret in secrets if secret]
    if not keys:
        return
    header = request.headers.get("x-hub-signature", "")
    if not header:
        raise BadSignature("X-Hub-Signature is missing: the webhook in Jira has no secret")
    method, _, given = header.strip().partition("=")
    method = method.lower()
    if method in _UNSAFE:
        raise BadSignature(f"signed with {method}, which is not safe: use sha256 or better")
    if method not in _METHODS:
        raise BadSignature("X-Hub-Signature is not sha256=, sha384= or sha512= and a hex number")
    claimed = given.strip().lower().encode()
    signed = [hmac.new(key, request.body, _METHODS[method]).hexdigest().encode() for key in keys]
    # Compare all, so that the time it takes reveals nothing about the secrets.
    matches = [hmac.compare_digest(each, claimed) for each in signed]
    if not any(matches):
        raise BadSignature


def handshake(request: Request) -> None:
    """Answer nothing: Jira has no handshake."""
    del request


def read(request: Request) -> tuple[Event, ...]:
    """Read one webhook body into one event; raises `Unreadable`, and nothing else, if it cannot."""
    body, note = _parse(request.body)
    name = _name(body)
    word = name.removeprefix("jira:")
    record, key = _subject(body, word, request.query)
    sent = instant(body.get("timestamp"))
    fields, items = fields_of(body), changes(body)
    known = JiraEvent(
        name=name, word=word, body=body, fields=fields, items=items, record=record, time=sent
    )
    found, empty = effects(known)
    actor, handles = _actor(known, request.query)
    event = Event(
        id=request.id,
        hook=request.hook,
        source="jira",
        site=request.site,
        received=request.received,
        name=name,
        time=sent,
        record=record,
        key=key,
        actor=actor,
        handles=handles,
        effects=found,
        empty=empty,
        # A worklog's event is not thin: the update after it reports a change, another effect.
        thin=word in ("comment_created", "comment_updated") and not fields,
        # The comment events of Jira Cloud contain six fields, and neither of these two.
        full="created" in fields and "updated" in fields,
        moved=_moved(items, key),
        as_of=as_of(fields, sent, word),
        change_id=change_id(body),
        delivery_id=text(request.headers.get("x-atlassian-webhook-identifier")),
        attempt=_attempt(request.headers.get("x-atlassian-webhook-retry")),
        note=note,
        body=body,
        origin=_origin(body),
    )
    return (event,)


def _parse(raw: bytes) -> tuple[dict[str, Any], str]:
    """Return a body, and which repair it needed, if any."""
    if not raw or raw.isspace():
        raise Unreadable('the body is empty: "Exclude body" is ticked for this webhook in Jira')
    try:
        body, note = bodies.read(raw)
    except bodies.TooMuch as error:
        raise Unreadable(str(error)) from None
    except orjson.JSONDecodeError as error:
        if "depth" in error.msg:
            raise Unreadable(f"the body is nested deeper than {_DEEPEST} levels") from None
        where = f"line {error.lineno}, column {error.colno}"
        raise Unreadable(f"the body is not JSON: {error.msg.split(':')[0]}, {where}") from None
    if not isinstance(body, dict):
        raise Unreadable("the body is JSON, but not an object")
    if raw.count(b"{") + raw.count(b"[") > _DEEPEST and _deeper(body, _DEEPEST):
        raise Unreadable(f"the body is nested deeper than {_DEEPEST} levels")
    return body, note


def _deeper(body: dict[str, Any], levels: int) -> bool:
    nodes: list[Any] = [body]
    for _ in range(levels):
        nodes = [
            child
            for node in nodes
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not nodes:
            return False
    return True


def _name(body: Mapping[str, Any]) -> str:
    name = body.get("webhookEvent")
    if name is None:
        if isinstance(body.get("transition"), dict):
            return "transition"  # a workflow's post-function, which names no event
        raise Unreadable("the body has no webhookEvent: Jira's webhooks always have one")
    if not isinstance(name, str) or not text(name):
        raise Unreadable("webhookEvent is not the name of an event")
    return name


def _subject(body: Mapping[str, Any], word: str, query: Mapping[str, str]) -> tuple[str, str]:
    """Return the record's id and key from the body, else from the query of the webhook's URL."""
    issue = issue_of(body)
    record = text(issue.get("id")) or _linked_issue(body)
    key = text(issue.get("key"))
    if word.startswith(ABOUT_ISSUES):
        record = record or digits(query.get("id")) or digits(query.get("issue"))
        key = key or issue_key(query.get("key")) or issue_key(query.get("issue"))
    return record, key


def _linked_issue(body: Mapping[str, Any]) -> str:
    # A link event is about its source issue; Jira sends another one, or none, for the other end.
    worklog, link_of = as_object(body.get("worklog")), as_object(body.get("issueLink"))
    issue = text(worklog.get("issueId")) or text(link_of.get("sourceIssueId"))
    if issue:
        return issue
    for part in (as_object(body.get("comment")), worklog):
        link = part.get("self")
        if isinstance(link, str) and (match := _ISSUE_LINK.search(link)):
            return match[1]
    return ""


def _origin(body: Mapping[str, Any]) -> str:
    """Return the address of this Jira (host, port, context path) from a link; "" without a link.

    For https://jira.acme.example/jira/rest/api/2/issue/10001 it is jira.acme.example/jira.
    """
    for name in ("issue", "comment", "worklog", "user"):
        link = as_object(body.get(name)).get("self")
        if isinstance(link, str) and (match := _SELF_LINK.match(link)):
            return match[1].lower()
    return ""


def _moved(items: Iterable[Mapping[str, Any]], key: str) -> bool:
    """Return whether the key or the project changed, whatever the changelog's language."""
    return any(field_of(item, key) in ("project", "issuekey") for item in items)


def _actor(event: JiraEvent, query: Mapping[str, str]) -> tuple[str, frozenset[str]]:
    person = _person(event)
    names = [label(person.get(n)) for n in ("displayName", "name", "emailAddress", "accountId")]
    other = label(person.get("key"))
    if not any(names):
        names = [label(query.get(n)) for n in ("user_id", "triggeredByUser")]
        other = label(query.get("user_key"))
    handles = frozenset(name.lower() for name in (*names, other) if name)
    return next(filter(None, names), ""), handles


def _person(event: JiraEvent) -> Mapping[str, Any]:
    if not event.word.startswith("user_"):  # there, `user` is the subject
        user = as_object(event.body.get("user"))
        # The author of a deleted part may differ from the person who deleted it: no echo by author.
        if user or event.word.endswith("_deleted"):
            return user
    for part in ("comment", "worklog", "attachment"):
        for role in ("updateAuthor", "author"):
            if author := as_object(as_object(event.body.get(part)).get(role)):
                return author
    return {}


def _attempt(header: str | None) -> int:
    return int(digits(header)[:5] or 0)
