"""Text from senders and receivers, made safe for a line, a terminal, a sheet or a database."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

#: How much of a destination's answer is kept, in characters.
ANSWER_CHARS: Final = 500
#: The longest text that can be part of a key, in characters. PostgreSQL's indexes take some 2,700
#: bytes in all, and a character can be four.
KEY_CHARS: Final = 250

#: Control characters, and those that change the direction of writing.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_GAPS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def one_line(text: str) -> str:
    """Return the text with a space for each character that is not printable."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def excerpt(text: str) -> str:
    """Return the text with one space for each run of white space and control characters."""
    return _GAPS.sub(" ", text).strip()


def for_terminal(text: str) -> str:
    r"""Return the text with an escape (`\x1b`) for each character that a terminal would obey."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def for_csv(text: str) -> str:
    """Return the text so that a spreadsheet does not calculate it as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def storable(text: str) -> str:
    """Return a text that both databases can store: U+FFFD for NUL, `?` for a lone surrogate."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def key_text(text: str) -> str:
    """Return a storable text of at most `KEY_CHARS`; a longer one ends with its digest."""
    clean = storable(text)
    if len(clean) <= KEY_CHARS:
        return clean
    digest = sha256(clean.encode()).hexdigest()
    return f"{clean[: KEY_CHARS - 65]}~{digest}"
