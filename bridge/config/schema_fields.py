"""The kinds of values in mapping files, as marshmallow fields with messages for people."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields
from marshmallow.types import ErrorMessages

from bridge.config.variables import FilledText, display_text
from bridge.config.words import quote, suggestion

#: Raises ValidationError for a text that is not allowed.
Check = Callable[[str], object]

#: Names are used in addresses, metrics and commands.
_NAMES = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
_NAMES_ARE = "a name is made of letters, digits, `-`, `_` and `.`, at most 64 of them"
_MESSAGES: ErrorMessages = {"required": "is missing", "null": "needs a value"}


class KeyMessage(str):
    """A message about a key itself, not about its value."""

    __slots__ = ()


class Section:
    """A mapping with known keys; an unknown key is an error that names the nearest known one."""

    def __init__(
        self,
        keys: dict[str, fields.Field[Any]],
        judge: Callable[[dict[str, Any]], dict[str, Any]] = lambda _valid: {},
    ) -> None:
        """Take the field of each key, and a check of all valid values together."""
        self.keys = frozenset(keys)
        self._schema = Schema.from_dict(keys)(unknown=EXCLUDE)
        self._judge = judge

    def load(self, value: object) -> dict[str, Any]:
        """Check a mapping and fill in defaults; the ValidationError holds the valid values."""
        if not isinstance(value, dict):
            raise ValidationError("must be a mapping: lines of `key: value`")
        strange = [key for key in value if key not in self.keys]
        wrong = {key: [KeyMessage(f"unknown key{suggestion(key, self.keys)}")] for key in strange}
        try:
            valid: Any = self._schema.load(value)
        except ValidationError as error:
            valid = error.valid_data
            wrong |= error.messages_dict
        wrong |= self._judge(valid)
        if wrong:
            raise ValidationError(dict(wrong), valid_data=valid)
        return dict(valid)


class _Field(fields.Field[Any]):
    """A field whose messages for a missing value are for people."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - marshmallow's
        super().__init__(error_messages=_MESSAGES, **options)


class Text(_Field):
    """A text; in YAML, numbers and true have to be quoted to be texts."""

    def __init__(self, *checks: Check, empty: bool = False, **options: Any) -> None:  # noqa: ANN401 - marshmallow's
        super().__init__(validate=checks, post_load=str, **options)
        self._empty = empty

    def _deserialize(self, value: object, *_args: object, **_kwargs: object) -> str:
        if not isinstance(value, str):
            raise ValidationError(_not_text(value))
        if not value and not self._empty:
            raise ValidationError("must not be empty")
        return value


def _not_text(value: object) -> str:
    if isinstance(value, (dict, list)):
        return f"must be a text, not a {'mapping' if isinstance(value, dict) else 'list'}"
    return "must be a text: put it in quotes"


class Boolean(_Field):
    """True or false."""

    def _deserialize(self, value: object, *_args: object, **_kwargs: object) -> bool:
        if isinstance(value, FilledText):
            value = {"true": True, "false": False}.get(value.lower(), value)
        if not isinstance(value, bool):
            raise ValidationError("must be true or false")
        return value


class Integer(_Field):
    """A whole number in a range, or `none` where that is allowed."""

    def __init__(self, allowed: range, *, none: bool = False, **options: Any) -> None:  # noqa: ANN401 - marshmallow's
        super().__init__(**options)
        self._allowed = allowed
        self._none = none

    def _deserialize(self, value: object, *_args: object, **_kwargs: object) -> int | None:
        if self._none and value == "none":
            return None
        if isinstance(value, FilledText) and re.fullmatch(r"[0-9]{1,18}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value not in self._allowed:
            raise ValidationError(f"must be {self._wanted()}")
        return value

    def _wanted(self) -> str:
        if len(self._allowed) < 3:
            return " or ".join(map(str, self._allowed))
        wanted = f"a whole number from {self._allowed[0]} to {self._allowed[-1]}"
        return f"{wanted}, or `none`" if self._none else wanted


class TextList(_Field):
    """A text or a list of texts, none of them twice."""

    def __init__(
        self,
        *checks: Check,
        empty: str = "must name at least one",
        **options: Any,  # noqa: ANN401 - marshmallow's
    ) -> None:
        super().__init__(**options)
        self._checks = checks
        self._empty = empty

    def _deserialize(self, value: object, *_args: object, **_kwargs: object) -> tuple[str, ...]:
        if isinstance(value, str):
            self._check(value, ())
            return (str(value),)
        if not isinstance(value, list):
            raise ValidationError("must be a text or a list of texts")
        if not value and self._empty:
            raise ValidationError(self._empty)
        wrong: dict[int, list[str]] = {}
        for index, item in enumerate(value):
            try:
                self._check(item, value[:index])
            except ValidationError as error:
                wrong[index] = [str(message) for message in error.messages]
        if wrong:
            raise ValidationError(dict(wrong))
        return tuple(str(item) for item in value)

    def _check(self, item: object, before: Collection[object]) -> None:
        if not isinstance(item, str):
            raise ValidationError(_not_text(item))
        if not item:
            raise ValidationError("must not be empty")
        if item in before:
            raise ValidationError("is in the list twice")
        for check in self._checks:
            check(item)


class HttpStatuses(_Field):
    """An HTTP status or a list of them, out of the statuses that are retried by default."""

    def _deserialize(self, value: object, *_args: object, **_kwargs: object) -> frozenset[int]:
        listed = value if isinstance(value, list) else [value]
        wrong = {
            index: ["must be 408, 425, or a status from 500 to 599: others are not retried"]
            for index, item in enumerate(listed)
            if type(item) is not int or item not in (408, 425, *range(500, 600))
        }
        if wrong:
            raise ValidationError(dict(wrong) if isinstance(value, list) else wrong[0])
        return frozenset(listed)


class Secrets(TextList):
    """No secret, one, or two while one replaces the other; empty ones do not count."""

    def _deserialize(self, value: object, *args: object, **kwargs: object) -> tuple[str, ...]:
        if value == "":
            return ()
        if isinstance(value, list):
            value = [item for item in value if item not in ("", None)]
            if not value:
                return ()
            if len(value) > 2:
                raise ValidationError("at most two at once: the old one and the new")
        return super()._deserialize(value, *args, **kwargs)


class Nested(_Field):
    """A section inside another; its defaults apply when it is left out."""

    def __init__(self, section: Section, **options: Any) -> None:  # noqa: ANN401 - marshmallow's
        default = {} if options.get("required") else {"load_default": lambda: section.load({})}
        super().__init__(**default, **options)
        self._part = section

    def _deserialize(self, value: object, *_args: object, **_kwargs: object) -> dict[str, Any]:
        return self._part.load(value)


class NamedItems(_Field):
    """A mapping from freely chosen names to values of one kind."""

    def __init__(
        self,
        load: Callable[[Any], object],
        *,
        names: str = _NAMES,
        **options: Any,  # noqa: ANN401 - marshmallow's
    ) -> None:
        super().__init__(**options)
        self._load = load
        self._names = re.compile(names)

    def _deserialize(self, value: object, *_args: object, **_kwargs: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValidationError("must be a mapping: lines of `name: …`")
        found: dict[str, Any] = {}
        wrong: dict[str, list[Any]] = {}
        for name, item in value.items():
            if not self._names.fullmatch(name):
                wrong[name] = [KeyMessage(_NAMES_ARE)]
            try:
                found[name] = self._load(item)
            except ValidationError as error:
                wrong.setdefault(name, []).append(error.messages)
                if error.valid_data is not None:
                    found[name] = error.valid_data
        if wrong:
            raise ValidationError(dict(wrong), valid_data=found)
        return found


def one_of(*known: str) -> Check:
    """Return a check for one of these words."""

    def check(word: str) -> None:
        if word not in known:
            raise ValidationError(
                f"{quote(display_text(word))} is not known{suggestion(word, known)}"
            )

    return check


def matching(pattern: str, message: str) -> Check:
    """Return a check for a form; its message must not quote the text, which can be a secret."""
    compiled = re.compile(pattern)

    def check(text: str) -> None:
        if not compiled.fullmatch(text):
            raise ValidationError(message)

    return check


def flatten(messages: object) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield marshmallow's nested messages as pairs of steps and message."""
    if isinstance(messages, str):
        yield (), messages
    elif isinstance(messages, list):
        for inner in messages:
            yield from flatten(inner)
    elif isinstance(messages, dict):
        for step, inner in messages.items():
            for below, message in flatten(inner):
                yield below if step == "_schema" else (step, *below), message
