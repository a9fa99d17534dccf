"""A body's bytes read into JSON: so much of it and no more, also where a text is damaged."""

from __future__ import annotations

import re
import zlib
from typing import Any, Final, NamedTuple

import orjson

_PAIR: Final = rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF: Final = rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
#: Whatever is no half, as far as it goes, and then a half or the end.
_UP_TO_A_HALF: Final = re.compile(
    rb"((?:[^\\]++|%b|(?!%b)\\.?)*+)(%b|\Z)" % (_PAIR, _HALF, _HALF), re.DOTALL
)
_REPLACEMENT: Final = rb"\ufffd"
#: What tells zlib to expect the header and the checksum of gzip.
_GZIP: Final = 16 + zlib.MAX_WBITS
#: More of them than this are no accident of one that cut a text in two.
_MOST: Final = 10_000


#: How many values (objects, arrays, texts, numbers, literals) one body may hold. Each takes some
#: 60 to 250 bytes once it is read, so 32 MiB of `{},` would take more than 1 GB. The largest body
#: that Jira is known to have sent holds some 10,000.
VALUES: Final = 500_000
#: How many digits may stand in a row in a number. No 64-bit integer or float has so many.
DIGITS: Final = 1_000
#: A body of no more bytes than this holds neither too many values nor a number worth a look.
_SMALL: Final = 64 * 1024
#: How many bytes are counted at a time, so that a body with far too many values is soon refused.
_STRIDE: Final = 1 << 20
_LONG: Final = re.compile(rb"[0-9]{%d}" % (DIGITS + 1))
#: A text without escapes, also one without an end; or a mark that a value follows; or a number that
#: is too long.
_TOKEN: Final = re.compile(rb'("[^"]*+"?)|([{\[,])|[0-9]{%d}' % (DIGITS + 1))


class TooMuch(ValueError):
    """A body holds more than is read; the message says of what."""


class Read(NamedTuple):
    """A body as it was read."""

    value: Any
    #: What had to be mended for it, or "".
    note: str = ""


def read(raw: bytes) -> Read:
    r"""Read JSON; raises `orjson.JSONDecodeError`, or `TooMuch` before anything is built of it.

    Half of a surrogate pair (`\ud83d` alone) is no character, and JSON parsers differ about it:
    Jira sends it where something cut a text in the middle of an emoji. U+FFFD is read in its place.
    """
    if len(raw) > _SMALL:
        _require_bounded(raw)
    try:
        return Read(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        if "surrogate" not in error.msg:
            raise
    mended = _UP_TO_A_HALF.sub(_replaced, raw, count=_MOST)
    note = "half a character (a lone surrogate) in a text was read as U+FFFD"
    return Read(orjson.loads(mended), note)


def unpacked(raw: bytes, limit: int) -> bytes:
    """Undo gzip; raises `TooMuch` beyond `limit` bytes, and `zlib.error` when it is no gzip."""
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
    """Raise `TooMuch` for more than `VALUES` values, or a number of more than `DIGITS` digits.

    A quick count comes first. It counts what stands in texts, too, so only what is over the limit
    by it is looked at closely.
    """
    if not _may_exceed(raw):
        return
    without_escapes = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    texts = values = 0
    for token in _TOKEN.finditer(without_escapes):
        text, mark = token.groups()
        if text is None and mark is None:
            raise TooMuch(f"the body has a number of more than {DIGITS} digits")
        texts += text is not None
        values += mark is not None
        # A value has at most one text besides its own: its name. What has more is no JSON.
        if values > VALUES or texts > 2 * VALUES:
            raise TooMuch(f"the body has more than {VALUES} values")


def _may_exceed(raw: bytes) -> bool:
    marks = 0
    for start in range(0, len(raw), _STRIDE):
        marks += sum(raw.count(mark, start, start + _STRIDE) for mark in (b",", b"{", b"["))
        if marks > VALUES:
            return True
    return _LONG.search(raw) is not None


def _replaced(match: re.Match[bytes]) -> bytes:
    return match[1] + _REPLACEMENT if match[2] else match[1]
