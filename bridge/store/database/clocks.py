"""The clocks of a process: the host's, the steady one, and the database's.

The host's clock may step. It serves people, and deletion after days. The steady clock
never steps, counts from the machine's boot, and is the same for all processes of a machine. The
database's clock is read by a query. The engine's clock (`engine_clock`) is made from them: leases,
retries, graces, limits and places are instants of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: Goes on while the machine sleeps, where there is such a clock.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def steady() -> int:
    """Read the steady clock of this machine, in ms."""
    return time.clock_gettime_ns(_CLOCK) // 1_000_000


def host() -> int:
    """Read the clock of this host, in ms since the epoch."""
    return time.time_ns() // 1_000_000


def boot() -> str:
    """Return the id of this machine's boot; "" where the system has none."""
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clocks:
    """The clocks that a process reads, in ms. A test gives its own."""

    #: The host's clock, which stamps requests.
    host: Callable[[], int] = host
    #: The steady clock; None: the host's clock never steps and is the engine's clock, too.
    steady: Callable[[], int] | None = steady
    #: The boot since which the steady clock counts.
    boot: str = ""
    #: The clock of a database server, in place of a query; None: the server is asked.
    server: Callable[[], int] | None = None

    @classmethod
    def of_machine(cls) -> Clocks:
        """Return the clocks of this machine and of its database."""
        return cls(boot=boot())

    @classmethod
    def given(
        cls,
        host: Callable[[], int],
        steady: Callable[[], int] | None = None,
        *,
        server: Callable[[], int] | None = None,
    ) -> Clocks:
        """Return the clocks of a test; the database's clock equals the host's by default."""
        return cls(host=host, steady=steady, boot="given", server=server or host)

    def ticks(self) -> int:
        """Read the steady clock."""
        return (self.steady or self.host)()


class Instant(int):
    """An instant of the engine's clock in ms, with the reading of the host's clock then."""

    #: In ms since the epoch.
    wall: int

    @classmethod
    def of(cls, engine: int, wall: int) -> Instant:
        """Make an instant from the two readings."""
        instant = cls(engine)
        instant.wall = wall
        return instant


def wall(now: int) -> int:
    """Return the reading of the host's clock at an instant; a plain number is both."""
    return now.wall if isinstance(now, Instant) else now
