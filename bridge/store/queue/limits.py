"""Limits of a destination: the generic cell rate algorithm, by the second and by the minute."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, bindparam, update

from bridge.model import Limits
from bridge.store import schema as t
from bridge.store.database.statements import Prepared

#: A destination's row.
Gate = Row[Any]

#: Rates are counted in us: a thousand a second leave one ms each, and rounding must not halve it.
_US = 1_000
_SECOND = 1_000_000


def _cell(limit: int, period: int) -> tuple[int, int]:
    """Return (time between two sends, time of a burst) so that no window of `period` holds more.

    A burst is a tenth of the limit, and the steady rate what is left of it.
    """
    burst = max(1, limit // 10)
    spacing = -(-period // (limit - burst + 1))
    return spacing, (burst - 1) * spacing


def permits(gate: Gate, now: int, limits: Limits) -> int:
    """Tell how many may be sent now."""
    allowed = 1_000
    for limit, period, arrival in _rates(gate, limits, now):
        spacing, slack = _cell(limit, period)
        room = now * _US + slack - max(arrival, now * _US)
        allowed = min(allowed, room // spacing + 1 if room >= 0 else 0)
    return allowed


def allowed_at(gate: Gate, now: int, limits: Limits) -> list[int]:
    """Tell when each limit next lets one through, in ms since the epoch."""
    return [
        -(-(arrival - _cell(limit, period)[1]) // _US)
        for limit, period, arrival in _rates(gate, limits, now)
    ]


def _rates(gate: Gate, limits: Limits, now: int) -> list[tuple[int, int, int]]:
    """List (limit, period, when the next one would come at the steady rate), in us."""
    rates = []
    for limit, period, arrival in (
        (limits.per_second, _SECOND, gate.second),
        (limits.per_minute, 60 * _SECOND, gate.minute),
    ):
        if limit:
            # Further ahead than a period it can only be when the clock was put back.
            rates.append((limit, period, min(arrival, now * _US + period)))
    return rates


def spent(gate: Gate, now: int, limits: Limits, count: int) -> tuple[int, int]:
    """Tell what `second` and `minute` of a destination's row are once so many more are sent."""
    after = {
        period: max(arrival, now * _US) + _cell(limit, period)[0] * count
        for limit, period, arrival in _rates(gate, limits, now)
    }
    return after.get(_SECOND, gate.second), after.get(60 * _SECOND, gate.minute)


def spend(conn: Connection, gate: Gate, now: int, limits: Limits, count: int) -> None:
    """Count what is about to be sent."""
    second, minute = spent(gate, now, limits, count)
    _SPEND.run(conn, {"b_name": gate.name, "b_second": second, "b_minute": minute})


_SPEND = Prepared(
    update(t.destinations)
    .where(t.destinations.c.name == bindparam("b_name"))
    .values(second=bindparam("b_second"), minute=bindparam("b_minute"))
)
