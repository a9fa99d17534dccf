"""Events and verdicts with nothing in them that one of the two databases would refuse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from bridge.core.printable import KEY_CHARS, key_text, storable
from bridge.model import Effect, Event, Verdict

_BIGINT: Final = 2**63
_INTEGER: Final = 2**31


def is_storable(event: Event, verdicts: Iterable[Verdict]) -> bool:
    """Return whether both databases take every value as it is: nearly always."""
    keys = [event.record, event.key]
    for effect in event.effects:
        keys += (effect.identity, *effect.also, effect.stale_after, effect.formerly)
    texts = [event.name, event.actor, event.delivery_id, *(v.reason for v in verdicts)]
    return (
        max(map(len, keys)) <= KEY_CHARS
        and _are_storable((*keys, *texts))
        and abs(event.time or 0) < _BIGINT
        and event.attempt < _INTEGER
    )


def storable_event(event: Event) -> Event:
    """Return an event as both databases store it, and as it is read from them."""
    return replace(
        event,
        name=storable(event.name),
        record=key_text(event.record),
        key=key_text(event.key),
        actor=storable(event.actor),
        delivery_id=storable(event.delivery_id),
        time=event.time if abs(event.time or 0) < _BIGINT else None,
        attempt=min(event.attempt, _INTEGER - 1),
        effects=tuple(map(_storable_effect, event.effects)),
    )


def storable_verdict(verdict: Verdict) -> Verdict:
    """Return a verdict as both databases store it."""
    return replace(
        verdict,
        reason=storable(verdict.reason),
        identities=tuple(map(key_text, verdict.identities)),
    )


def _storable_effect(effect: Effect) -> Effect:
    return replace(
        effect,
        identity=key_text(effect.identity),
        also=tuple(map(key_text, effect.also)),
        stale_after=key_text(effect.stale_after),
        formerly=key_text(effect.formerly),
    )


def _are_storable(texts: Sequence[str]) -> bool:
    together = "".join(texts)
    return storable(together) == together
