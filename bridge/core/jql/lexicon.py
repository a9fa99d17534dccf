"""The words and characters JQL keeps for itself."""

from __future__ import annotations

import re
from typing import Final

#: Words that mean something.
KEYWORDS: Final = frozenset(
    """
    and or not empty null in is was changed before after from to on during order by asc desc cf
    """.upper().split()
)

#: Words that mean nothing yet and still must be quoted.
RESERVED: Final = frozenset(
    """
    abort access add alias alter any as audit avg begin between boolean break byte catch
    char character check checkpoint collate collation column commit connect continue count
    create current date decimal declare decrement default defaults define delete delimiter
    difference distinct divide do double drop else encoding end equals escape exclusive exec
    execute exists explain false fetch file field first float for function go goto grant
    greater group having identified if immediate increment index initial inner inout input
    insert int integer intersect intersection into isempty isnull join last left less like
    limit lock long max min minus mode modify modulo more multiply next noaudit notin nowait
    number object of option outer output power previous prior privileges public raise raw
    remainder rename resource return returns revoke right row rowid rownum rows select
    session set share size sqrt start strict string subtract sum synonym table then trans
    transaction trigger true uid union unique update user validate values view when whenever
    where while with
    """.upper().split()
)

#: Words that a text index leaves out; never refused, but some Jira versions want them quoted.
STOP_WORDS: Final = frozenset(
    """
    A AN AND ARE AS AT BE BUT BY FOR IF IN INTO IS IT NO NOT OF ON OR SUCH THAT THE THEIR THEN THERE
    THESE THEY THIS TO WAS WILL WITH
    """.lower().split()
)

#: Everything a word must be quoted for when printed.
QUOTED: Final = KEYWORDS | RESERVED | {"ALL"} | {word.upper() for word in STOP_WORDS}

#: The characters an unquoted word is made of, and the escapes, as parts of regular expressions.
WORD_CHARACTER: Final = r"[^\x00-,/;-@\[-^{-\x9f\ufdd0-\ufdef\ufffe\uffff]"
ESCAPE: Final = r"""\\(?:[nrt"'\\ ]|u[0-9a-fA-F]{4})"""
#: The characters forbidden between quotes, beside the quote: a part of a character class.
UNQUOTABLE: Final = r"\x00-\x09\x0b\x0c\x0e-\x1f\\\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff"

_ESCAPED: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_MEANING: Final = {"n": "\n", "r": "\r", "t": "\t"}
_BARE: Final = re.compile(rf"{WORD_CHARACTER}+")
_NUMBER: Final = re.compile(r"-?[0-9]+")
_UNPRINTABLE: Final = re.compile(r"""["\\\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]""")
_PRINTED: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}

#: Characters that look like another one and come with text pasted from elsewhere.
LOOKALIKES: Final = {
    "\u00a0": "a non-breaking space",
    "\u2007": "a non-breaking space",
    "\u202f": "a non-breaking space",
    "\u200b": "an invisible space",
    "\ufeff": "an invisible byte order mark",
    "\u201c": "a curly quote",
    "\u201d": "a curly quote",
    "\u201e": "a curly quote",
    "\u2018": "a curly quote",
    "\u2019": "a curly quote",
}


def unescape(raw: str) -> str:
    """Give the text a quoted string or a word with escapes stands for."""
    if raw[:1] in ('"', "'"):
        raw = raw[1:-1]
    if "\\" not in raw:
        return raw
    text = _ESCAPED.sub(_meaning, raw)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _meaning(match: re.Match[str]) -> str:
    code, character = match.groups()
    return chr(int(code, 16)) if code else _MEANING.get(character, character)


def quote(text: str) -> str:
    """Print a text as JQL reads it back, in quotes only where it needs them."""
    bare = _BARE.fullmatch(text) and not _NUMBER.fullmatch(text) and text.upper() not in QUOTED
    return text if bare else f'"{_UNPRINTABLE.sub(_printed, text)}"'


def _printed(match: re.Match[str]) -> str:
    character = match.group()
    return _PRINTED.get(character) or f"\\u{ord(character):04x}"
