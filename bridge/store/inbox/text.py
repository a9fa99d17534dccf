"""What senders may write, made to fit what both databases take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from bridge.model import Effect, Event, Verdict
from bridge.store.nouns import Entry

#: In characters. PostgreSQL's indexes take some 2,700 bytes in all, and a character can be four.
_LONGEST = 250
_BIGINT = 2**63
_INTEGER = 2**31


def plain(text: str) -> str:
    """Return a text that both databases can keep: NUL and halves of characters are marked."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def short(text: str) -> str:
    """Return a text that can be part of a key: what is too long ends with its digest."""
    clean = plain(text)
    if len(clean) <= _LONGEST:
        return clean
    digest = sha256(clean.encode()).hexdigest()
    return f"{clean[: _LONGEST - 65]}~{digest}"


def fit(entry: Entry) -> Entry:
    """Return an entry of which both databases take every value."""
    event = entry.event
    keys = [event.record, event.key]
    for effect in event.effects:
        keys += (effect.identity, *effect.also, effect.stale_after, effect.formerly)
    texts = [event.name, event.actor, event.delivery_id, *(v.reason for v in entry.verdicts)]
    if (
        max(map(len, keys)) <= _LONGEST
        and _are_plain((*keys, *texts))
        and abs(event.time or 0) < _BIGINT
        and event.attempt < _INTEGER
    ):
        return entry
    return replace(entry, event=as_kept(event), verdicts=tuple(map(_fitting, entry.verdicts)))


def as_kept(event: Event) -> Event:
    """Return an event as it is kept, and found again."""
    return replace(
        event,
        name=plain(event.name),
        record=short(event.record),
        key=short(event.key),
        actor=plain(event.actor),
        delivery_id=plain(event.delivery_id),
        time=event.time if abs(event.time or 0) < _BIGINT else None,
        attempt=min(event.attempt, _INTEGER - 1),
        effects=tuple(map(_fitting_effect, event.effects)),
    )


def _fitting_effect(effect: Effect) -> Effect:
    return replace(
        effect,
        identity=short(effect.identity),
        also=tuple(map(short, effect.also)),
        stale_after=short(effect.stale_after),
        formerly=short(effect.formerly),
    )


def _fitting(verdict: Verdict) -> Verdict:
    return replace(
        verdict,
        reason=plain(verdict.reason),
        identities=tuple(map(short, verdict.identities)),
    )


def _are_plain(texts: Sequence[str]) -> bool:
    together = "".join(texts)
    return plain(together) == together
