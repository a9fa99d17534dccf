"""Read a body's bytes as JSON, up to fixed limits; a damaged text is repaired."""

from __future__ import annotations

import re
import zlib
from typing import Any, Final, NamedTuple

import orjson

_PAIR: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF: Final = rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
#: Text without a lone half of a surrogate pair, then one half or the end.
_UP_TO_A_HALF: Final = re.compile(
    rb"((?:[^\\]++|%b|(?!%b)\\.?)*+)(%b|\Z)" % (_PAIR, _HALF, _HALF), re.DOTALL
)
_REPLACEMENT: Final = rb"\ufffd"
#: The window bits that make zlib expect gzip's header and checksum.
_GZIP: Final = 16 + zlib.MAX_WBITS
#: How many lone halves are replaced. A body with more of them was not damaged by cut texts.
_MAX_HALVES: Final = 10_000


#: How many values (objects, arrays, texts, numbers, literals) one body may hold. A parsed value
#: takes some 60 to 250 bytes, so 32 MiB of `{},` would take more than 1 GB. The largest body that
#: Jira is known to have sent holds some 10,000.
MAX_VALUES: Final = 500_000
#: How many digits in a row a number may have. No 64-bit integer or float has so many.
MAX_DIGITS: Final = 1_000
#: A body of at most so many bytes cannot exceed the limits by enough to matter.
_SMALL: Final = 64 * 1024
#: How many bytes are counted at a time, so that a body far over the limit is refused early.
_STRIDE: Final = 1 << 20
_LONG: Final = re.compile(rb"[0-9]{%d}" % (MAX_DIGITS + 1))
#: A text without escapes, even an unterminated one; or a character that a value follows; or a
#: number that is too long.
_TOKEN: Final = re.compile(rb'("[^"]*+"?)|([{\[,])|[0-9]{%d}' % (MAX_DIGITS + 1))


class TooMuch(ValueError):
    """A body exceeds a limit, which the message names."""


class Read(NamedTuple):
    """A parsed body."""

    value: Any
    #: Which repair the body needed, or "".
    note: str = ""


def read(raw: bytes) -> Read:
    r"""Parse JSON; raises `orjson.JSONDecodeError`, or `TooMuch` before any value is built.

    Half of a surrogate pair (`\ud83d` alone) is no character, and JSON parsers differ about it:
    Jira sends it where a text was cut in the middle of an emoji. It becomes U+FFFD.
    """
    if len(raw) > _SMALL:
        _require_bounded(raw)
    try:
        return Read(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        if "surrogate" not in error.msg:
            raise
    repaired = _UP_TO_A_HALF.sub(_replaced, raw, count=_MAX_HALVES)
    note = "half a character (a lone surrogate) in a text was read as U+FFFD"
    return Read(orjson.loads(repaired), note)


def gunzip(raw: bytes, limit: int) -> bytes:
    """Decompress gzip; raises `TooMuch` beyond `limit` bytes, `zlib.error` for other data."""
    stream = zlib.decompressobj(wbits=_GZIP)
    found = stream.decompress(raw, limit + 1)
    if len(found) > limit:
        raise TooMuch(f"the body unpacks to more than {limit} bytes")
    if not stream.eof:
        raise zlib.error("it ends too early")
    if stream.unused_data:
        raise zlib.error("something follows its end")
    return found


def _require_bounded(raw: bytes) -> None:
    """Raise `TooMuch` for more than `MAX_VALUES` values, or a number with too many digits.

    A quick count comes first. It includes characters inside texts, so a body over the limit by that
    count is then read token by token.
    """
    if not _may_exceed(raw):
        return
    without_escapes = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    texts = values = 0
    for token in _TOKEN.finditer(without_escapes):
        text, mark = token.groups()
        if text is None and mark is None:
            raise TooMuch(f"the body has a number of more than {MAX_DIGITS} digits")
        texts += text is not None
        values += mark is not None
        # A value has at most two texts: its name and its own. A body with more is not JSON.
        if values > MAX_VALUES or texts > 2 * MAX_VALUES:
            raise TooMuch(f"the body has more than {MAX_VALUES} values")


def _may_exceed(raw: bytes) -> bool:
    marks = 0
    for start in range(0, len(raw), _STRIDE):
        marks += sum(raw.count(mark, start, start + _STRIDE) for mark in (b",", b"{", b"["))
        if marks > MAX_VALUES:
            return True
    return _LONG.search(raw) is not None


def _replaced(match: re.Match[bytes]) -> bytes:
    return match[1] + _REPLACEMENT if match[2] else match[1]
