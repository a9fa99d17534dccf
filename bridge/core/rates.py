"""Rate limits of a destination, by the generic cell rate algorithm (GCRA).

For each limit one instant is kept: the theoretical arrival time (TAT), when the next send would
come if all of them kept the steady rate. Two limits apply at once, one a second and one a minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bridge.model import Limits

#: Instants of this module are in µs: a thousand sends a second leave one ms each, and rounding
#: must not halve it.
_US_PER_MS = 1_000
_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US
#: How many sends are permitted at a time where no limit is set.
_UNLIMITED = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """The theoretical arrival times of a destination, in µs since the epoch; 0: none yet."""

    tat_second_us: int = 0
    tat_minute_us: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cell:
    """One limit, and its theoretical arrival time."""

    period_us: int
    tat_us: int
    #: The time between two sends at the steady rate.
    spacing_us: int
    #: How far the arrival time may be ahead: the time of a burst.
    slack_us: int


def permits(rates: Rates, now: int, limits: Limits) -> int:
    """Return how many may be sent now; `now` is in ms since the epoch."""
    allowed = _UNLIMITED
    now_us = now * _US_PER_MS
    for cell in _cells(rates, now_us, limits):
        room = now_us + cell.slack_us - max(cell.tat_us, now_us)
        allowed = min(allowed, room // cell.spacing_us + 1 if room >= 0 else 0)
    return allowed


def allowed_at(rates: Rates, now: int, limits: Limits) -> list[int]:
    """Return when each limit next permits a send, in ms since the epoch."""
    cells = _cells(rates, now * _US_PER_MS, limits)
    return [-(-(cell.tat_us - cell.slack_us) // _US_PER_MS) for cell in cells]


def after_sending(rates: Rates, now: int, limits: Limits, count: int) -> Rates:
    """Count so many sends; a limit that is not set keeps its arrival time."""
    now_us = now * _US_PER_MS
    arrivals = {
        cell.period_us: max(cell.tat_us, now_us) + cell.spacing_us * count
        for cell in _cells(rates, now_us, limits)
    }
    return Rates(
        tat_second_us=arrivals.get(_SECOND_US, rates.tat_second_us),
        tat_minute_us=arrivals.get(_MINUTE_US, rates.tat_minute_us),
    )


def _cells(rates: Rates, now_us: int, limits: Limits) -> Iterator[_Cell]:
    for limit, period_us, tat_us in (
        (limits.per_second, _SECOND_US, rates.tat_second_us),
        (limits.per_minute, _MINUTE_US, rates.tat_minute_us),
    ):
        if limit:
            yield _cell(limit, period_us, min(tat_us, now_us + period_us))


def _cell(limit: int, period_us: int, tat_us: int) -> _Cell:
    """Return a cell that allows at most `limit` sends in any window of its period.

    A burst may be a tenth of the limit; the steady rate is the rest of it.
    """
    burst = max(1, limit // 10)
    spacing_us = -(-period_us // (limit - burst + 1))
    slack_us = (burst - 1) * spacing_us
    return _Cell(period_us=period_us, tat_us=tat_us, spacing_us=spacing_us, slack_us=slack_us)
