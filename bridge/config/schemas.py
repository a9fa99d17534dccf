"""The keys of `bridge.yaml` and of a route file, and the allowed values of each one."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from marshmallow import ValidationError, fields

from bridge import destinations, sources
from bridge.config.documents import Document, Findings
from bridge.config.schema_fields import (
    Boolean,
    Check,
    HttpStatuses,
    Integer,
    KeyMessage,
    NamedItems,
    Nested,
    Secrets,
    Section,
    Text,
    TextList,
    flatten,
    matching,
    one_of,
)
from bridge.config.variables import display_text
from bridge.config.words import PLANNED_DESTINATIONS, PLANNED_SOURCES, quote, suggestion
from bridge.core.addresses import is_private

_SAFE = r"[A-Za-z0-9._~-]*"
_URL_SAFE = matching(_SAFE, "may only hold letters, digits, `-`, `_`, `.` and `~`")
_LONG_ENOUGH = matching(r"(?s).{16,}", "is shorter than 16 characters, and so could be guessed")
_LAST_WORDS = ("deliver", "drop")
_CUSTOM_FIELD = Text(matching("customfield_[0-9]+", "must look like customfield_10016"))
_VERSION = Integer(range(1, 2), required=True)


def _kind_of(known: Collection[str], planned: Collection[str]) -> Check:
    def check(word: str) -> None:
        if word in planned and word not in known:
            raise ValidationError(
                f"{quote(word)} is not supported yet; known: {', '.join(sorted(known))}"
            )
        one_of(*known)(word)

    return check


def _event(word: str) -> None:
    prefix, _, rest = word.partition(":")
    if rest in sources.events():
        raise ValidationError(f"write {quote(rest)}, without `{prefix}:`")
    one_of(*sources.events())(word)


def _timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        known = available_timezones()
        message = f"{quote(display_text(name))} is no time zone{suggestion(name, known)}"
        raise ValidationError(message) from error


def _attribution(text: str) -> None:
    for word in re.findall(r"\{(\w*)\}", text):
        if word not in ("author", "body"):
            raise ValidationError(f"`{{{word}}}` is not known: only {{author}} and {{body}} are")


def _split(text: str) -> SplitResult | None:
    try:
        url = urlsplit(text)
        is_sound = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return None
    return url if is_sound else None


def _web_address(text: str) -> None:
    """Refuse all but scheme, host and port; the message quotes nothing, as it may be a token."""
    url = _split(text)
    if url is None:
        raise ValidationError("must be a web address like https://acme.aha.io")
    if url.path not in ("", "/") or url.query or url.fragment or url.username is not None:
        raise ValidationError("must end after the host: the callback's token goes under `token`")


def _not_public(url: SplitResult) -> str:
    if url.scheme == "http":
        return "must begin with https:// (http:// is for a destination with `private: true`)"
    if is_private(url.hostname or ""):
        return "is a private address: say `private: true` if that is meant"
    return ""


def _reachable(target: dict[str, Any]) -> dict[str, Any]:
    """Refuse an address that events may not be sent to."""
    if "url" not in target or target.get("private") is not False:
        return {}
    message = _not_public(urlsplit(target["url"]))
    return {"url": [message]} if message else {}


def _last_word_last(route: dict[str, Any]) -> dict[str, Any]:
    """Refuse words after `deliver` and `drop`: they would never be used."""
    for index, word in enumerate(route.get("unknown", ())[:-1]):
        if word in _LAST_WORDS:
            message = f"nothing after {quote(word)} is tried: it has to be last"
            return {"unknown": {index: [message]}}
    return {}


class _Limits(Nested):
    """A mapping of limits, or the word `none`."""

    def _deserialize(self, value: object, *_args: object, **_kwargs: object) -> dict[str, Any]:
        if value == "none":
            return {"per_second": None, "per_minute": None}
        if isinstance(value, str):
            raise ValidationError("must be `none` or a mapping with per_second and per_minute")
        return super()._deserialize(value)


class _Lines(fields.Field[Any]):
    """The list of `fields`, returned as it is after a check for unknown keys."""

    def _deserialize(self, value: object, *_args: object, **_kwargs: object) -> list[Any]:
        if not isinstance(value, list):
            raise ValidationError("must be a list: lines of `- {from: …, to: …}`")
        wrong: dict[int, Any] = {}
        for index, line in enumerate(value):
            try:
                LINE.load(line)
            except ValidationError as error:
                wrong[index] = error.messages
        if wrong:
            raise ValidationError(dict(wrong), valid_data=value)
        return value


_RUN_AS = Section(
    {
        "name": Text(required=True),
        "email": Text(matching(r"[^@\s]+@[^@\s]+", "is no e-mail address"), required=True),
    }
)
_LIMITS = Section(
    {
        "per_second": Integer(range(1, 10_001), none=True, load_default=20),
        "per_minute": Integer(range(1, 600_001), none=True, load_default=300),
    }
)
_HOOK = Section(
    {
        "source": Text(_kind_of(sources.names(), PLANNED_SOURCES), required=True),
        "site": Text(load_default=None),
        "token": Text(_URL_SAFE, _LONG_ENOUGH, required=True),
        "secret": Secrets(load_default=(), allow_none=True),
        "enabled": Boolean(load_default=True),
    }
)
_DESTINATION = Section(
    {
        "kind": Text(_kind_of(destinations.names(), PLANNED_DESTINATIONS), required=True),
        "url": Text(_web_address, required=True),
        "token": Text(_URL_SAFE, required=True),
        "integration": Integer(range(1, 3), load_default=2),
        "run_as": Nested(_RUN_AS, required=True),
        "workspaces": TextList(
            empty="an empty list would mean everywhere: leave `workspaces` out if you want that",
            load_default=(),
        ),
        "limits": _Limits(_LIMITS),
        "on_doubt": Text(one_of("verify", "hold", "resend"), load_default="verify"),
        "doubt": HttpStatuses(load_default=frozenset),
        "private": Boolean(load_default=False),
        "was": Text(load_default=""),
    },
    _reachable,
)
_SITE = Section(
    {
        "timezone": Text(_timezone, load_default="UTC"),
        "week_starts": Text(one_of("sunday", "monday"), load_default="sunday"),
        "priorities": TextList(empty="", load_default=()),
        "fields": NamedItems(_CUSTOM_FIELD.deserialize, names=".+", load_default=dict),
    }
)
_BRIDGE = Section(
    {
        "version": _VERSION,
        "hooks": NamedItems(_HOOK.load, required=True),
        "destinations": NamedItems(_DESTINATION.load, required=True),
        "sites": NamedItems(_SITE.load, load_default=dict),
        "ignore": Nested(Section({"actors": TextList(empty="", load_default=())})),
    }
)
#: One line of `fields`; `core.fields` checks the values.
LINE = Section(
    {
        key: fields.Raw(allow_none=True)
        for key in ("from", "to", "values", "otherwise", "type", "join", "default", "template")
    }
)
_COMMENTS = Section(
    {
        "private": Text(one_of("drop", "keep"), load_default="drop"),
        "attribution": Text(_attribution, empty=True, load_default=""),
    }
)
_ROUTE = Section(
    {
        "version": _VERSION,
        "description": Text(empty=True, load_default=""),
        "from": TextList(required=True),
        "to": TextList(required=True),
        "workspace": Text(load_default=""),
        "when": Text(empty=True, load_default="", allow_none=True),
        "events": TextList(
            _event,
            empty="with an empty list nothing would pass: leave `events` out to let all pass",
            load_default=(),
        ),
        "unknown": TextList(
            one_of("remember", "lookup", *_LAST_WORDS), load_default=("remember", "deliver")
        ),
        "moves": Text(one_of("follow", "filter"), load_default="follow"),
        "comments": Nested(_COMMENTS),
        "unmapped": Text(one_of("keep", "drop"), load_default="keep"),
        "fields": _Lines(load_default=list, allow_none=True),
    },
    _last_word_last,
)


def check_bridge(document: Document, findings: Findings) -> dict[str, Any]:
    """Check bridge.yaml on its own; returns the valid values, errors go to the findings."""
    return _check(_BRIDGE, document, findings)


def check_route(document: Document, findings: Findings) -> dict[str, Any]:
    """Check a route's file on its own; returns the valid values, errors go to the findings."""
    return _check(_ROUTE, document, findings)


def _check(section: Section, document: Document, findings: Findings) -> dict[str, Any]:
    try:
        return section.load(document.content)
    except ValidationError as error:
        # A value that could not be read has an error already.
        messages = [
            (steps, message)
            for steps, message in flatten(error.messages)
            if not findings.has_error(document, steps)
        ]
        for steps, message in messages:
            position = document.key_position(steps) if isinstance(message, KeyMessage) else None
            findings.error(document, steps, message, position)
        valid = error.valid_data
        return valid if isinstance(valid, dict) else {}
