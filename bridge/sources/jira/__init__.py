"""Jira's webhooks, Cloud and Data Center: one body in, one event with its effects out."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from bridge.core import bodies
from bridge.core.changelog import changes, field_of
from bridge.errors import BadSignature, Unreadable
from bridge.model import Event, Request
from bridge.sources.jira.effects import ABOUT_ISSUES, EVENTS, RECORD_EVENTS, Told, effects
from bridge.sources.jira.values import digits, instant, issue_key, label, obj, text
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
    matches = [hmac.compare_digest(each, claimed) for each in signed]  # all, to tell no secret
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
    told = Told(name=name, word=word, body=body, record=record, time=instant(body.get("timestamp")))
    found, empty = effects(told)
    actor, handles = _actor(told, request.query)
    fields = obj(obj(body.get("issue")).get("fields"))
    event = Event(
        id=request.id,
        hook=request.hook,
        source="jira",
        site=request.site,
        received=request.received,
        name=name,
        time=told.time,
        record=record,
        key=key,
        actor=actor,
        handles=handles,
        effects=found,
        empty=empty,
        # A worklog is not thin: what follows it tells a change of the issue, another effect.
        thin=word in ("comment_created", "comment_updated") and not fields,
        # Neither of the two is among the six fields that come with Cloud's comments.
        full="created" in fields and "updated" in fields,
        moved=_moved(body, key),
        as_of=as_of(body, word),
        change_id=change_id(body),
        delivery_id=text(request.headers.get("x-atlassian-webhook-identifier")),
        attempt=_attempt(request.headers.get("x-atlassian-webhook-retry")),
        note=note,
        body=body,
        origin=_origin(body),
    )
    return (event,)


def _parse(raw: bytes) -> tuple[dict[str, Any], str]:
    """Read a body, and what had to be mended for it."""
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
    """Find the record's id and key: in the body, else in what the webhook's URL adds."""
    issue = obj(body.get("issue"))
    record = text(issue.get("id")) or _linked_issue(body)
    key = text(issue.get("key"))
    if word.startswith(ABOUT_ISSUES):
        record = record or digits(query.get("id")) or digits(query.get("issue"))
        key = key or issue_key(query.get("key")) or issue_key(query.get("issue"))
    return record, key


def _linked_issue(body: Mapping[str, Any]) -> str:
    # A link is about its source issue; the other end is told by a link of its own or not at all.
    worklog = obj(body.get("worklog"))
    issue = text(worklog.get("issueId")) or text(obj(body.get("issueLink")).get("sourceIssueId"))
    if issue:
        return issue
    for part in (obj(body.get("comment")), worklog):
        link = part.get("self")
        if isinstance(link, str) and (match := _ISSUE_LINK.search(link)):
            return match[1]
    return ""


def _origin(body: Mapping[str, Any]) -> str:
    """Read off a link where this Jira is: host, port and context path; "" without one.

    https://jira.acme.example/jira/rest/api/2/issue/10001 is of jira.acme.example/jira.
    """
    for name in ("issue", "comment", "worklog", "user"):
        link = obj(body.get(name)).get("self")
        if isinstance(link, str) and (match := _SELF_LINK.match(link)):
            return match[1].lower()
    return ""


def _moved(body: Mapping[str, Any], key: str) -> bool:
    """Tell whether the key or the project changed, in whatever language the changelog is."""
    return any(field_of(item, key) in ("project", "issuekey") for item in changes(body))


def _actor(told: Told, query: Mapping[str, str]) -> tuple[str, frozenset[str]]:
    person = _person(told)
    names = [label(person.get(n)) for n in ("displayName", "name", "emailAddress", "accountId")]
    other = label(person.get("key"))
    if not any(names):
        names = [label(query.get(n)) for n in ("user_id", "triggeredByUser")]
        other = label(query.get("user_key"))
    handles = frozenset(name.lower() for name in (*names, other) if name)
    return next(filter(None, names), ""), handles


def _person(told: Told) -> Mapping[str, Any]:
    if not told.word.startswith("user_"):  # there `user` is whom it is about
        user = obj(told.body.get("user"))
        # Who wrote what was deleted need not be who deleted it, so it must not make an echo.
        if user or told.word.endswith("_deleted"):
            return user
    for part in ("comment", "worklog", "attachment"):
        for role in ("updateAuthor", "author"):
            if author := obj(obj(told.body.get(part)).get(role)):
                return author
    return {}


def _attempt(header: str | None) -> int:
    return int(digits(header)[:5] or 0)
