"""Effects as the tables keep them: JSON lists of effects and of identities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from bridge.model import Effect


def encode_effects(effects: Iterable[Effect]) -> str:
    """Return the value of `events.effects`."""
    return orjson.dumps([_row(effect) for effect in effects]).decode()


def decode_effects(kept: str) -> tuple[Effect, ...]:
    """Read a value of `events.effects`; fields that it does not hold have their defaults."""
    return tuple(map(_effect, orjson.loads(kept)))


def encode_identities(identities: Iterable[str]) -> str:
    """Return the value of `deliveries.effects`."""
    return orjson.dumps(list(identities)).decode()


def decode_identities(kept: str) -> tuple[str, ...]:
    """Read a value of `deliveries.effects`."""
    return tuple(orjson.loads(kept))


def writes_any(effects: Iterable[Effect], identities: Sequence[str]) -> bool:
    """Whether a receiver of these of the effects writes something new each time."""
    return any(effect.writes for effect in effects if effect.identity in identities)


def _row(effect: Effect) -> list[object]:
    row: list[object] = [effect.identity, effect.event, effect.part, effect.writes]
    if effect.of or effect.sets:
        row += [effect.of, effect.version, effect.sets]
    return row


def _effect(row: Sequence[Any]) -> Effect:
    identity, event, part, writes = row[:4]
    if len(row) == 4:
        return Effect(identity=identity, event=event, part=part, writes=writes)
    return Effect(
        identity=identity,
        event=event,
        part=part,
        writes=writes,
        of=row[4],
        version=row[5],
        sets=tuple(row[6]),
    )
