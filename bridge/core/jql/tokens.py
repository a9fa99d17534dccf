"""Split a filter into tokens, by the lexer of Atlassian's own parser."""

from __future__ import annotations

import re
from typing import Final

from bridge.core.jql import errors
from bridge.core.jql.errors import Token
from bridge.core.jql.lexicon import ESCAPE, KEYWORDS, RESERVED, UNQUOTABLE, WORD_CHARACTER

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


def tokens(text: str) -> list[Token]:
    """Split the text into tokens; the last one has the kind "end"."""
    tokens = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind is None:
            continue
        if kind == "bad":
            raise errors.bad_character(text, match.start())
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
