"""What is said of a filter that cannot be used: in Jira's tone, with the nearest known word."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from bridge.core.jql.lexicon import (
    ESCAPE,
    KEYWORDS,
    LOOKALIKES,
    RESERVED,
    UNQUOTABLE,
)
from bridge.core.nearest import nearest
from bridge.core.printable import one_line
from bridge.errors import BadFilter

OPERATORS: Final = (
    "'=', '!=', '<', '>', '<=', '>=', '~', '!~', 'IN', 'NOT IN', 'IS', 'IS NOT', "
    "'WAS', 'WAS NOT', 'WAS IN', 'WAS NOT IN' and 'CHANGED'"
)
_ESCAPES: Final = r"\', \", \\, \t, \n, \r, '\ ' and \uXXXX"
#: What people write in place of an operator -> the operator.
_FOREIGN: Final = {
    "==": "=",
    "===": "=",
    "<>": "!=",
    "=!": "!=",
    "=~": "~",
    "=<": "<=",
    "=>": ">=",
    "contains": "~",
    "like": "~",
    "equals": "=",
    "has": "=",
}
_LOOKALIKE: Final = re.compile(f"[{''.join(LOOKALIKES)}]")
_WITHIN: Final = {
    quote: re.compile(rf"(?:[^{quote}{UNQUOTABLE}]++|{ESCAPE})*+") for quote in ("'", '"')
}
_WORDS: Final = ("in", "is", "was", "changed")
_LONGEST_GUESS: Final = 60


class Token(NamedTuple):
    """A piece of the text: its kind, as written, and where."""

    kind: str
    text: str
    start: int


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message that names the known word most like this one, or ""."""
    near = nearest(word, known)
    return f" Did you mean '{near}'?" if near else ""


def lookalike(text: str) -> tuple[int, str] | None:
    """Find the first character that looks like another and came by pasting, and say so."""
    found = _LOOKALIKE.search(text)
    if found is None:
        return None
    character = found.group()
    message = (
        f"There is {LOOKALIKES[character]} (U+{ord(character):04X}) at "
        f"{place(text, found.start())}, which Jira takes for a letter; type it anew."
    )
    return found.start(), message


def place(text: str, offset: int) -> str:
    """Name a place in a text as Jira does: both counted from 1."""
    line, character = position(text, offset)
    return f"line {line}, character {character}"


def position(text: str, offset: int) -> tuple[int, int]:
    """Give the line and character of an offset, both counted from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def caret(error: BadFilter) -> str:
    """Show an error: its message and place, the line of the filter, a caret under the spot."""
    line, character = position(error.text, error.offset)
    shown = error.text.split("\n")[line - 1].rstrip("\r")
    before = "".join(c if c == "\t" else " " for c in shown[: character - 1])
    return f"{error} (line {line}, character {character})\n{shown}\n{before}^"


def unexpected(text: str, token: Token, expecting: str, role: str = "") -> BadFilter:
    """Complain about a token in the wrong place; `role` is what quoting it would make it."""
    if token.kind == "end":
        message = f"Expecting {expecting} before the end of the query."
    elif role and token.kind in RESERVED:
        message = (
            f"'{token.text}' is a reserved JQL word. "
            f"You must surround it in quotation marks to use it as a {role}."
        )
    else:
        message = f"Expecting {expecting} but got '{_short(token.text)}'."
        if role and token.kind in KEYWORDS:
            message += (
                f" You must surround '{token.text}' in quotation marks to use it as a {role}."
            )
    return complaint(text, token.start, message)


def complaint(text: str, offset: int, message: str) -> BadFilter:
    """Complain about a place, and about pasted characters when the text has any."""
    _, strange = lookalike(text) or (0, "")
    return BadFilter(one_line(f"{message} {strange}".rstrip()), text=text, offset=offset)


def no_operator(text: str, token: Token) -> BadFilter:
    """Complain about what stands where an operator should."""
    got = (
        "before the end of the query" if token.kind == "end" else f"but got '{_short(token.text)}'"
    )
    meant = _FOREIGN.get(token.text.lower(), "")
    guess = f" Did you mean '{meant}'?" if meant else did_you_mean(token.text, _WORDS)
    message = f"Expecting operator {got}. The valid operators are {OPERATORS}.{guess}"
    return complaint(text, token.start, message)


def unfollowed(text: str, tokens: list[Token], at: int, expecting: str) -> BadFilter:
    """Complain about what stands behind a whole clause; a second word mostly wants quotes."""
    token, before = tokens[at], tokens[at - 1]
    error = unexpected(text, token, expecting)
    if token.kind == "word" and before.kind in ("word", "number"):
        both = f'"{before.text} {token.text}"'
        error = complaint(
            text, token.start, f"{error} A value of several words needs quotes: {both}."
        )
    return error


def no_operand(text: str, token: Token, written: str, expecting: str) -> BadFilter:
    """Complain about what stands behind an operator, which may itself be a foreign one."""
    meant = _FOREIGN.get(written + token.text)
    if meant:
        message = f"There is no operator '{written}{token.text}'. Did you mean '{meant}'?"
        return complaint(text, token.start, message)
    return unexpected(text, token, expecting, "value")


def unreadable(text: str, start: int) -> BadFilter:
    """Complain about a character no word, string or symbol begins with."""
    character = text[start]
    if character in "\"'":
        return _unfinished(text, start)
    if character == "\\":
        return _illegal_escape(text, start)
    if character < " " or "\x7f" <= character <= "\x9f" or character >= "\ufdd0":
        return _control(text, start)
    message = (
        f"The character '{character}' is a reserved JQL character. You must enclose it in a "
        f"string or use the escape '\\u{ord(character):04x}' instead."
    )
    return complaint(text, start, message)


def _unfinished(text: str, start: int) -> BadFilter:
    run = _WITHIN[text[start]].match(text, start + 1)
    at = run.end() if run else start
    if at < len(text):
        return _illegal_escape(text, at) if text[at] == "\\" else _control(text, at)
    message = f"The quoted string {_short(text[start:])} has not been completed."
    return complaint(text, start, message)


def _illegal_escape(text: str, at: int) -> BadFilter:
    message = (
        f"'{text[at : at + 2]}' is an illegal JQL escape sequence. "
        f"The valid escape sequences are {_ESCAPES}."
    )
    return complaint(text, at, message)


def _control(text: str, at: int) -> BadFilter:
    code = f"U+{ord(text[at]):04X}"
    return complaint(text, at, f"The character {code} must be written as an escape, inside quotes.")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_GUESS else f"{text[:_LONGEST_GUESS]}…"
