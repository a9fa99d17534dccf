"""The known word that a misspelt one probably stands for."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

#: How alike two words must be, from 0 to 1.
_CUTOFF: Final = 0.7
#: Longer words are not compared, as the time grows with the square of the length.
_LONGEST_WORD: Final = 60


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like this one, whatever the case; None when no word is near."""
    if len(word) > _LONGEST_WORD:
        return None
    by_fold = {name.casefold(): name for name in sorted(known, reverse=True)}
    found = get_close_matches(word.casefold(), sorted(by_fold), n=1, cutoff=_CUTOFF)
    return by_fold[found[0]] if found else None
