"""Text search with `~`, as far as it can be decided without the site's own index."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bridge.core.jql.lexicon import STOP_WORDS

#: Whether a text contains the words; None when only the site's own index knows.
Search = Callable[[str], bool | None]

_WORD: Final = re.compile(r"[^\W_]+")
_PIECE: Final = re.compile(r'"([^"]*)"|([^\s"]+)')
_ESCAPED: Final = re.compile(r"\\.", re.DOTALL)
#: Scripts that put no spaces between words: only the site's index knows where a word ends.
_UNSPACED: Final = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
)
#: Endings that a site's English stemmer may take off.
_ENDINGS: Final = tuple(
    re.findall(
        r"\w+",
        """
        s es ed ing er ers or ors ly y e al able ible ance ence ant ent ment ness ation ations
        ational ition ion ions ize izes ized izing izer izers ization ise ises ised ising isation
        ive ative ful fulness ous ousness ism ist ity ies ied ier iest est ally ate ates ated ator
        ic ical
        """,
    )
)
_SHORTEST_ROOT: Final = 2
_ALIKE: Final = 3
#: A sign with a meaning beyond words -> that meaning.
_SIGNS: Final = {
    "~": "a fuzzy or proximity search",
    "^": "a boost",
    "?": "a wildcard for one letter",
    "(": "a group",
    ")": "a group",
    "[": "a range",
    "]": "a range",
    "{": "a range",
    "}": "a range",
}
_REFUSED: Final = {
    "OR": "OR between words",
    "NOT": "NOT before a word",
    "&&": "&& between words",
    "||": "|| between words",
}


class Unfaithful(Exception):
    """The text search cannot be done as Jira does it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Term:
    """One word of a search."""

    text: str
    #: Whether any word that begins with it matches.
    prefix: bool
    #: The word without each ending it may have.
    roots: frozenset[str]

    def find(self, word: str) -> bool | None:
        """Compare with a word of the text; None when it depends on the stemmer."""
        if self.prefix:
            return word.startswith(self.text)
        if word == self.text or _singular(word) == _singular(self.text):
            return True
        if word[0] != self.text[0] and _without_accents(word[0]) != _without_accents(self.text[0]):
            return False
        return False if self.roots.isdisjoint(_roots(word)) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    """Words that are searched for side by side."""

    #: None for a word that the index leaves out.
    terms: Sequence[_Term | None]
    #: Whether they are in quotation marks, not only joined by punctuation.
    phrase: bool


def search(query: str) -> Search:
    """Compile a search; raises `Unfaithful` with the reason when Jira's result cannot be known."""
    plain = _ESCAPED.sub(".", query)
    if plain.count('"') % 2:
        raise Unfaithful("its quotation marks do not pair up")
    found = [_piece(phrase, chunk) for phrase, chunk in _PIECE.findall(plain)]
    pieces = [piece for piece in found if piece.terms]
    if not pieces:
        raise Unfaithful("it has no word that Jira's text index keeps")
    return lambda text: _all(pieces, text.casefold())


def _piece(phrase: str, chunk: str) -> _Piece:
    if not chunk:
        words = _WORD.findall(phrase.casefold())
        return _Piece(terms=_trimmed([_term(word) for word in words]), phrase=True)
    _refuse(chunk)
    words = _WORD.findall(chunk.casefold())
    if chunk.endswith("*"):
        last = _Term(text=words[-1], prefix=True, roots=frozenset())
        return _Piece(terms=[*map(_term, words[:-1]), last], phrase=False)
    return _Piece(terms=_trimmed([_term(word) for word in words]), phrase=False)


def _refuse(chunk: str) -> None:
    """Raise `Unfaithful` for syntax beyond words, on which Cloud and Data Center differ."""
    unsupported = _REFUSED.get(chunk) or next((_SIGNS[c] for c in chunk if c in _SIGNS), "")
    if chunk[0] in "-!":
        unsupported = f"'{chunk[0]}' before a word, which excludes it on Data Center only"
    if "*" in chunk[:-1] or (chunk[-1] == "*" and not _WORD.search(chunk[-2:-1])):
        unsupported = "a wildcard elsewhere than at the end of a word"
    if unsupported:
        raise Unfaithful(f"it asks for {unsupported}")


def _term(word: str) -> _Term | None:
    if word in STOP_WORDS:
        return None
    return _Term(text=word, prefix=False, roots=_roots(word))


def _trimmed(terms: list[_Term | None]) -> list[_Term | None]:
    while terms and terms[0] is None:
        del terms[0]
    while terms and terms[-1] is None:
        del terms[-1]
    return terms


def _all(pieces: Sequence[_Piece], text: str) -> bool | None:
    words = _WORD.findall(text)
    answer: bool | None = True
    for piece in pieces:
        found = _find(piece, words, text)
        if found is False:
            return False
        answer = answer and found
    return answer


def _find(piece: _Piece, words: Sequence[str], text: str) -> bool | None:
    terms = [term for term in piece.terms if term is not None]
    if any(_UNSPACED.search(term.text) for term in terms):
        return None if all(term.text in text for term in terms) else False
    if len(piece.terms) == 1:
        return _best(terms[0].find(word) for word in words)
    side_by_side = _best(
        _aligned(piece.terms, words[start : start + len(piece.terms)])
        for start in range(len(words) - len(piece.terms) + 1)
    )
    if side_by_side is False and not piece.phrase:
        apart = all(_best(map(term.find, words)) is not False for term in terms)
        return None if apart else False
    return side_by_side


def _best(answers: Iterable[bool | None]) -> bool | None:
    best: bool | None = False
    for answer in answers:
        if answer:
            return True
        if answer is None:
            best = None
    return best


def _aligned(terms: Sequence[_Term | None], words: Sequence[str]) -> bool | None:
    answer: bool | None = True
    for term, word in zip(terms, words, strict=False):
        found = True if term is None else term.find(word)
        if found is False:
            return False
        answer = answer and found
    return answer


def _singular(word: str) -> str:
    """Return the word without a plural ending, as every English stemmer does."""
    if len(word) <= _ALIKE or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("xes", "ches", "shes", "sses", "zes")):
        return word[:-2]
    return word[:-1]


def _roots(word: str) -> frozenset[str]:
    """Return the roots that a word may have, without accents and endings."""
    plain = _without_accents(word)
    roots = {_root(plain)}
    for ending in _ENDINGS:
        if plain.endswith(ending) and len(plain) - len(ending) >= _SHORTEST_ROOT:
            roots.add(_root(plain[: -len(ending)]))
    return frozenset(roots)


def _without_accents(word: str) -> str:
    """Return the word without accents."""
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))


def _root(stem: str) -> str:
    """Undo the spelling change before an ending: happi- to happy, stopp- to stop."""
    if len(stem) > _ALIKE and stem[-1] == stem[-2]:
        stem = stem[:-1]
    return stem[:-1] + "y" if len(stem) > _SHORTEST_ROOT and stem[-1] == "i" else stem
