"""The conversions that the `type` of a `fields` line can name; each raises ValueError."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.core.richtext import plain

_NUMBER = re.compile(r"[+-]?\d{1,300}(\.\d{1,300})?([eE][+-]?\d{1,3})?", re.ASCII)
_WORDS = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
#: The range of integers that JSON parsers and databases have in common.
_LARGEST = 2**63
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text(value: object) -> str:
    """Convert a text, a number (5.0 is "5"), true or false, or a rich-text document to text."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < _LARGEST:
            return str(int(value))
        case int() | float():
            return str(value)
        case {"type": "doc"}:
            return plain(value)
    raise ValueError("not a text, a number, true or false")


def number(value: object) -> int | float:
    """Convert a number, or a text that contains only a number."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value) if re.search("[.eE]", value) else int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return value
    raise ValueError("not a number")


def integer(value: object) -> int:
    """Convert a whole number; a number with a fraction is refused, not rounded."""
    found = number(value)
    if found != int(found):
        raise ValueError("not a whole number")
    return int(found)


def boolean(value: object) -> bool:
    """Convert true or false, or one of yes, no, on, off, 1 and 0."""
    if isinstance(value, bool):
        return value
    word = text(value).strip().lower()
    if word not in _WORDS:
        raise ValueError("neither true nor false")
    return _WORDS[word]


def day(value: object) -> str:
    """Convert a day, or an instant to the day in its own time zone: 2026-05-01. Numbers are ms."""
    return _instant(value).date().isoformat()


def instant(value: object) -> str:
    """Convert an instant, with its offset from UTC (default 0); a day becomes its midnight."""
    return _instant(value).isoformat(timespec="milliseconds")


def _instant(value: object) -> datetime:
    if isinstance(value, str):
        found = datetime.fromisoformat(value.strip())
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    try:
        return _EPOCH + timedelta(milliseconds=number(value))
    except OverflowError as error:
        raise ValueError("not an instant") from error


#: The words of `type` that convert a value. `list`, the only other word, converts none.
TRANSFORMS: Mapping[str, Callable[[Any], Any]] = {
    "text": text,
    "number": number,
    "integer": integer,
    "date": day,
    "datetime": instant,
    "boolean": boolean,
}
