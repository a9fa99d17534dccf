"""Ids of events: letters that sort by the instant in them."""

from __future__ import annotations

#: Letters and digits in the order of their values, without similar-looking ones.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
#: How many random bits an id contains.
RANDOM_BITS = 50


def event_id(instant_ms: int, random: int = 0) -> str:
    """Return ten letters of an instant, in ms since the epoch, and ten of `RANDOM_BITS` bits.

    With `random` 0 the id sorts before all others of its instant.
    """
    number = (max(instant_ms, 0) << RANDOM_BITS) | random
    letters = []
    for _ in range(20):
        number, digit = divmod(number, 32)
        letters.append(_ALPHABET[digit])
    return "".join(reversed(letters))
