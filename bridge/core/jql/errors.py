"""Errors for filters that cannot be used, worded like Jira's, with the nearest known word."""

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
#: Operators of other languages -> the operator of JQL.
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


def unexpected(text: str, token: Token, expecting: str, role: str = "") -> BadFilter:
    """Return the error for an unexpected token; in quotes it could be a `role`."""
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
    return bad_filter(text, token.start, message)


def bad_filter(text: str, offset: int, message: str) -> BadFilter:
    """Return the error for an offset; it also names a pasted look-alike in the text."""
    _, strange = find_lookalike(text) or (0, "")
    return BadFilter(one_line(f"{message} {strange}".rstrip()), text=text, offset=offset)


def no_operator(text: str, token: Token) -> BadFilter:
    """Return the error for a token in the position of an operator."""
    got = (
        "before the end of the query" if token.kind == "end" else f"but got '{_short(token.text)}'"
    )
    meant = _FOREIGN.get(token.text.lower(), "")
    guess = f" Did you mean '{meant}'?" if meant else did_you_mean(token.text, _WORDS)
    message = f"Expecting operator {got}. The valid operators are {OPERATORS}.{guess}"
    return bad_filter(text, token.start, message)


def unexpected_after_clause(text: str, tokens: list[Token], at: int, expecting: str) -> BadFilter:
    """Return the error for a token after a complete clause; mostly a value needs quotes."""
    token, before = tokens[at], tokens[at - 1]
    error = unexpected(text, token, expecting)
    if token.kind == "word" and before.kind in ("word", "number"):
        both = f'"{before.text} {token.text}"'
        error = bad_filter(
            text, token.start, f"{error} A value of several words needs quotes: {both}."
        )
    return error


def no_operand(text: str, token: Token, written: str, expecting: str) -> BadFilter:
    """Return the error for a token after an operator, which may be of another language."""
    meant = _FOREIGN.get(written + token.text)
    if meant:
        message = f"There is no operator '{written}{token.text}'. Did you mean '{meant}'?"
        return bad_filter(text, token.start, message)
    return unexpected(text, token, expecting, "value")


def bad_character(text: str, start: int) -> BadFilter:
    """Return the error for a character that starts no word, string or symbol."""
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
    return bad_filter(text, start, message)


def _unfinished(text: str, start: int) -> BadFilter:
    run = _WITHIN[text[start]].match(text, start + 1)
    at = run.end() if run else start
    if at < len(text):
        return _illegal_escape(text, at) if text[at] == "\\" else _control(text, at)
    message = f"The quoted string {_short(text[start:])} has not been completed."
    return bad_filter(text, start, message)


def _illegal_escape(text: str, at: int) -> BadFilter:
    message = (
        f"'{text[at : at + 2]}' is an illegal JQL escape sequence. "
        f"The valid escape sequences are {_ESCAPES}."
    )
    return bad_filter(text, at, message)


def _control(text: str, at: int) -> BadFilter:
    code = f"U+{ord(text[at]):04X}"
    return bad_filter(
        text, at, f"The character {code} must be written as an escape, inside quotes."
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_GUESS else f"{text[:_LONGEST_GUESS]}…"
