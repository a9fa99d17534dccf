"""Split a filter into tokens, by the lexer of Atlassian's own parser."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from bridge.core.jql.lexicon import ESCAPE, KEYWORDS, RESERVED, UNQUOTABLE, WORD_CHARACTER
from bridge.core.jql.messages import bad_filter, shorten
from bridge.errors import BadFilter

_TOKEN: Final = re.compile(
    rf"""
      [ \t\r\n]++
    | (?P<word>(?:{WORD_CHARACTER}++|{ESCAPE})++)
    | (?P<string>"(?:[^"{UNQUOTABLE}]++|{ESCAPE})*+" | '(?:[^'{UNQUOTABLE}]++|{ESCAPE})*+')
    | (?P<symbol>&&|\|\||<=|>=|!=|!~|[(),\[\]!<>=~&|])
    | (?P<bad>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_NUMBER: Final = re.compile(r"-?[0-9]+")
_KINDS: Final = {
    "&": "AND",
    "&&": "AND",
    "|": "OR",
    "||": "OR",
} | {word: word for word in KEYWORDS | RESERVED}
_KINDS["NULL"] = "EMPTY"
_ESCAPES: Final = r"\', \", \\, \t, \n, \r, '\ ' and \uXXXX"
_WITHIN: Final = {
    quote: re.compile(rf"(?:[^{quote}{UNQUOTABLE}]++|{ESCAPE})*+") for quote in ("'", '"')
}


class Token(NamedTuple):
    """A piece of the text: its kind, the text as written, and its offset."""

    kind: str
    text: str
    start: int


def tokens(text: str) -> list[Token]:
    """Split the text into tokens; the last one has the kind "end"."""
    tokens = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind is None:
            continue
        if kind == "bad":
            raise _bad_character(text, match.start())
        piece = match.group()
        if kind != "string":
            kind = _kind(piece, kind)
        tokens.append(Token(kind, piece, match.start()))
    tokens.append(Token("end", "", len(text)))
    return tokens


def _kind(piece: str, kind: str) -> str:
    if kind == "symbol":
        return _KINDS.get(piece, piece)
    if _NUMBER.fullmatch(piece):
        return "number"
    return _KINDS.get(piece.upper(), kind) if piece.isascii() else kind


def _bad_character(text: str, start: int) -> BadFilter:
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
    message = f"The quoted string {shorten(text[start:])} has not been completed."
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
