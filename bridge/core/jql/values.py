"""Comparisons by equality: by name, key, id, person or words."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bridge.core.jira_body import as_object
from bridge.core.jql.context import CompileContext
from bridge.core.jql.field_defs import FieldDef
from bridge.core.jql.syntax import Value
from bridge.core.jql.text_search import Unfaithful, search
from bridge.core.jql.view import View, handle

#: Whether a value passes; None: the body holds too little of it.
Accepts = Callable[[Any, View], bool | None]

KEY: Final = re.compile(r"[^\W\d_]\w*-\d{1,15}")
_PROJECT_KEY: Final = re.compile(r"[A-Z][A-Z0-9_]+")
_ACCOUNT: Final = re.compile(r"[0-9a-f]{24}|\d+:[0-9a-f-]{36}|(?:qm|ug):.+", re.IGNORECASE)
_USER: Final = ("accountId", "name", "key", "emailAddress", "displayName")
#: Cloud's status categories: English name -> key, which is the same in every language.
_CATEGORIES: Final = {"to do": "new", "in progress": "indeterminate", "done": "done"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """A comparison of one value, and the reason for its unknown answers."""

    accepts: Accepts
    #: Why an answer is unknown.
    because: str
    #: "always", "sometimes" or "never": whether a body holds enough to decide.
    decidable: str = "always"
    #: Whether a field without a value passes.
    empty: bool = False


def in_body(field: FieldDef, accepts: Accepts) -> Match:
    """Return a comparison whose answer is unknown only for a malformed value."""
    return Match(accepts=accepts, because=f"{field.name} is not in a form that can be read")


def fold(values: Sequence[Value]) -> frozenset[str]:
    """Return the values' texts in the form in which names are compared."""
    return frozenset(value.text.casefold() for value in values)


def by_name(field: FieldDef, values: Sequence[Value]) -> Match:
    """Compare objects by name, key or id."""
    wanted = fold(values)
    if field.kind == "category":
        wanted |= {_CATEGORIES[name] for name in wanted & _CATEGORIES.keys()}
    handles = field.handles
    # Only a number can be an id; a word in capitals can be a project's key.
    by_id = any(value.text.isdecimal() for value in values)
    keyed = "key" in handles
    by_key = keyed and any(not value.text.isdecimal() for value in values)
    by_name = any(
        not (value.text.isdecimal() or (keyed and _PROJECT_KEY.fullmatch(value.text)))
        for value in values
    )
    needed = [
        part
        for part, asked in (("id", by_id), ("key", by_key), ("name", by_name))
        if asked and part in handles
    ]

    def accepts(item: object, _view: View) -> bool | None:
        if not isinstance(item, dict):
            return None
        for part in handles:
            present = item.get(part)
            if (present.casefold() if isinstance(present, str) else handle(present)) in wanted:
                return True
        for part in needed:
            if handle(item.get(part)) is None:
                return None
        return False

    parts = " or ".join(needed)
    return Match(accepts=accepts, because=f"the {parts} of {field.name} is not in the body")


def by_user(values: Sequence[Value]) -> Match:
    """Compare people by account id, user name, key, e-mail or display name."""
    wanted = fold(values)
    mails = any("@" in value.text for value in values)
    accounts = any(_ACCOUNT.fullmatch(value.text) for value in values)
    names = any("@" not in v.text and not _ACCOUNT.fullmatch(v.text) for v in values)

    def accepts(item: object, _view: View) -> bool | None:
        if not isinstance(item, dict):
            return None
        present = {part: handle(item.get(part)) for part in _USER}
        if not wanted.isdisjoint(present.values()):
            return True
        # Cloud has no user names and Data Center no account ids: one of them is enough.
        field = present["accountId"] or present["name"]
        unsure = (
            (mails and present["emailAddress"] is None)
            or (accounts and field is None)
            or (names and (present["displayName"] is None or field is None))
        )
        return None if unsure else False

    because = "the body lacks the user's e-mail address, or any id of the user"
    return Match(accepts=accepts, because=f"{because}; account ids are surest")


def by_key(field: FieldDef, values: Sequence[Value], context: CompileContext) -> Match:
    """Compare issues by key or id."""
    loose = [v for v in values if not (v.text.isdecimal() or KEY.fullmatch(v.text))]
    if loose and field.kind == "key":
        message = f"The issue key '{loose[0].text}' for field '{field.name}' is invalid."
        raise context.refuse(loose[0].offset, message)
    inner = by_name(field, values)

    def accepts(item: object, view: View) -> bool | None:
        found = inner.accepts({"key": item} if isinstance(item, str) else item, view)
        return None if loose and not found else found

    because = f"{field.name} is in the body by key, not by name" if loose else inner.because
    return Match(accepts=accepts, because=because)


def by_word(field: FieldDef, values: Sequence[Value], _setting: CompileContext) -> Match:
    """Compare plain words."""
    wanted = fold(values)
    return in_body(field, lambda item, _view: _is_wanted(handle(item), wanted))


def _is_wanted(found: str | None, wanted: frozenset[str]) -> bool | None:
    return None if found is None else found in wanted


def by_search(field: FieldDef, value: Value, context: CompileContext) -> Match:
    """Search for words, or for a name with wildcards; raises `BadFilter` with the reason."""
    if field.kind in ("key", "version"):
        # Only * and ? are wildcards here; a key that begins with a hyphen is a number alone.
        text = value.text.casefold().replace("[", "[[]")
        text = f"*{text}" if field.kind == "key" and text.startswith("-") else text
        pattern = re.compile(fnmatch.translate(text))
        return in_body(field, lambda item, _view: _like(pattern, item, field.handles[0]))
    try:
        found = search(value.text)
    except Unfaithful as error:
        message = (
            f"The text search for '{value.text}' cannot be done faithfully here: {error}. "
            'Words, "phrases" and a * at the end of a word can.'
        )
        raise context.refuse(value.offset, message) from error
    because = "only the site's text index knows whether a form of the word counts"
    return Match(
        accepts=lambda item, _view: found(item) if isinstance(item, str) else None, because=because
    )


def _like(pattern: re.Pattern[str], item: object, part: str) -> bool | None:
    found = handle(as_object(item).get(part))
    return None if found is None else pattern.match(found) is not None
