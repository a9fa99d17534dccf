"""Read values of a JSON body: each function accepts a value of any type and never raises."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import orjson

from bridge.core.printable import one_line

_LONGEST_ID = 100
_LONGEST_LABEL = 200
_LONGEST_INSTANT = 40
_YEAR_10000 = 253_402_300_800_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISSUE_KEY = re.compile(r"[^\W\d_]\w{0,50}-[0-9]{1,12}")

#: Keys that digests ignore: their values differ between two webhooks that report one change.
_PER_WEBHOOK = frozenset({"matchedWebhookIds"})


def text(value: object) -> str:
    """Return an id or a key as a string; "" for any other value."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and len(value) <= _LONGEST_ID and value.isprintable():
        return value
    return ""


def label(value: object) -> str:
    """Return a name on one line and of bounded length; "" for a value that is no text."""
    if not isinstance(value, str):
        return ""
    return one_line(value[:_LONGEST_LABEL])


def digits(value: object) -> str:
    """Return an id of digits; "" for any other value."""
    if isinstance(value, str) and len(value) <= _LONGEST_ID:
        return value if value.isascii() and value.isdigit() else ""
    return ""


def issue_key(value: object) -> str:
    """Return an issue's key; "" for any other value."""
    return value if isinstance(value, str) and _ISSUE_KEY.fullmatch(value) else ""


def instant(value: object) -> int | None:
    """Return ms since the epoch from such a number, its digits or an ISO instant; else None."""
    if isinstance(value, str):
        value = _read(value) if len(value) <= _LONGEST_INSTANT else None
    elif isinstance(value, float):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < _YEAR_10000 else None


# A body contains most of its instants several times, and so do the next bodies about its issue.
@lru_cache(maxsize=4096)
def _read(value: str) -> int | None:
    if digits(value):
        return int(value)
    try:
        when = datetime.fromisoformat(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return (when - _EPOCH) // timedelta(milliseconds=1)


def digest(value: object) -> str:
    """Return a short digest that does not depend on the order of keys."""
    return hashlib.sha256(canonical(value)).hexdigest()[:32]


def canonical(value: object) -> bytes:
    """Return a JSON value as bytes that do not depend on the order of keys."""
    if isinstance(value, dict):
        value = {name: each for name, each in value.items() if name not in _PER_WEBHOOK}
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
