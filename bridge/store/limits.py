"""Limits of a destination: the generic cell rate algorithm, by the second and by the minute."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, update

from bridge.model import Limits
from bridge.store import tables as t

#: A destination's row.
Gate = Row[Any]


def _cell(limit: int, period: int) -> tuple[float, float]:
    """Return (ms between two sends, ms of burst) so that no window of `period` holds more.

    A burst is a tenth of the limit, and the steady rate what is left of it.
    """
    burst = max(1, limit // 10)
    spacing = period / max(1, limit - burst)
    return spacing, (burst - 1) * spacing


def permits(gate: Gate, now: int, limits: Limits) -> int:
    """Tell how many may be sent now."""
    allowed = 1_000
    for limit, period, arrival in _rates(gate, limits):
        spacing, slack = _cell(limit, period)
        room = now + slack - max(arrival, now)
        allowed = min(allowed, int(room // spacing) + 1 if room >= 0 else 0)
    return allowed


def allowed_at(gate: Gate, limits: Limits) -> list[int]:
    """Tell when each limit next lets one through."""
    return [
        int(arrival - _cell(limit, period)[1]) + 1
        for limit, period, arrival in _rates(gate, limits)
    ]


def _rates(gate: Gate, limits: Limits) -> list[tuple[int, int, int]]:
    rates = []
    if limits.per_second:
        rates.append((limits.per_second, 1_000, int(gate.second)))
    if limits.per_minute:
        rates.append((limits.per_minute, 60_000, int(gate.minute)))
    return rates


def spend(conn: Connection, gate: Gate, now: int, limits: Limits, count: int) -> None:
    """Count what is about to be sent."""
    values: dict[str, int] = {}
    if limits.per_second:
        spacing, _ = _cell(limits.per_second, 1_000)
        values["second"] = int(max(gate.second, now) + spacing * count) + 1
    if limits.per_minute:
        spacing, _ = _cell(limits.per_minute, 60_000)
        values["minute"] = int(max(gate.minute, now) + spacing * count) + 1
    conn.execute(update(t.destinations).where(t.destinations.c.name == gate.name).values(values))
