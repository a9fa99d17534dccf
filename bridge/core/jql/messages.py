"""Errors about a position in a filter, worded like Jira's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from bridge.core.jql.lexicon import LOOKALIKES
from bridge.core.nearest import nearest
from bridge.core.printable import one_line
from bridge.errors import BadFilter

_LOOKALIKE: Final = re.compile(f"[{''.join(LOOKALIKES)}]")
_LONGEST: Final = 60


def bad_filter(text: str, offset: int, message: str) -> BadFilter:
    """Return the error for an offset; it also names a pasted look-alike in the text."""
    _, strange = find_lookalike(text) or (0, "")
    return BadFilter(one_line(f"{message} {strange}".rstrip()), text=text, offset=offset)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message that names the known word most like this one, or ""."""
    near = nearest(word, known)
    return f" Did you mean '{near}'?" if near else ""


def find_lookalike(text: str) -> tuple[int, str] | None:
    """Return offset and warning for the first pasted character that looks like another one."""
    found = _LOOKALIKE.search(text)
    if found is None:
        return None
    character = found.group()
    message = (
        f"There is {LOOKALIKES[character]} (U+{ord(character):04X}) at "
        f"{position_text(text, found.start())}, which Jira takes for a letter; type it anew."
    )
    return found.start(), message


def position_text(text: str, offset: int) -> str:
    """Return an offset as Jira writes it, both counted from 1: `line 1, character 5`."""
    line, character = position(text, offset)
    return f"line {line}, character {character}"


def position(text: str, offset: int) -> tuple[int, int]:
    """Return the line and the character of an offset, both counted from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def caret(error: BadFilter) -> str:
    """Return an error on three lines: message and position, the filter's line, a caret."""
    line, character = position(error.text, error.offset)
    shown = error.text.split("\n")[line - 1].rstrip("\r")
    before = "".join(c if c == "\t" else " " for c in shown[: character - 1])
    return f"{error} (line {line}, character {character})\n{shown}\n{before}^"


def shorten(text: str) -> str:
    """Return a piece of a filter, cut when it is long."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
