"""Ids of events: letters that sort by the instant they were made at."""

from __future__ import annotations

#: Letters and digits that sort as their values do, without those that look alike.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
#: How many bits of chance an id holds.
CHANCE = 50


def made(instant: int, chance: int = 0) -> str:
    """Make an id of an instant in ms since the epoch: ten letters of it, and ten of chance.

    Without chance it sorts before every other id of its instant.
    """
    number = (max(instant, 0) << CHANCE) | chance
    letters = []
    for _ in range(20):
        number, digit = divmod(number, 32)
        letters.append(_ALPHABET[digit])
    return "".join(reversed(letters))
