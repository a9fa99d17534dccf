"""Clocks: one that never steps, for whatever must last as long as it was meant to."""

from __future__ import annotations

import time

#: Goes on while the machine sleeps, where there is such a clock.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady() -> int:
    """Read the clock that never steps, the same for all processes of a machine, in ms."""
    return time.clock_gettime_ns(_CLOCK) // 1_000_000
