"""A body's bytes read into JSON, also where a text holds half a character."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import orjson

_PAIR: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF: Final = rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
#: Whatever is no half, as far as it goes, and then a half or the end.
_UP_TO_A_HALF: Final = re.compile(
    rb"((?:[^\\]++|%b|(?!%b)\\.?)*+)(%b|\Z)" % (_PAIR, _HALF, _HALF), re.DOTALL
)
_REPLACEMENT: Final = rb"\ufffd"
#: More of them than this are no accident of one that cut a text in two.
_MOST: Final = 10_000


class Read(NamedTuple):
    """A body as it was read."""

    value: Any
    #: What had to be mended for it, or "".
    note: str = ""


def read(raw: bytes) -> Read:
    r"""Read JSON; raises `orjson.JSONDecodeError`.

    Half of a surrogate pair (`\ud83d` alone) is no character, and JSON parsers differ about it:
    Jira sends it where something cut a text in the middle of an emoji. U+FFFD is read in its place.
    """
    try:
        return Read(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        if "surrogate" not in error.msg:
            raise
    mended = _UP_TO_A_HALF.sub(_replaced, raw, count=_MOST)
    note = "half a character (a lone surrogate) in a text was read as U+FFFD"
    return Read(orjson.loads(mended), note)


def _replaced(match: re.Match[bytes]) -> bytes:
    return match[1] + _REPLACEMENT if match[2] else match[1]
