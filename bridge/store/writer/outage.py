"""An outage of the database: when the writer tries again, and the quiet period afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from bridge.timing import Timing

log = structlog.get_logger()


class Outage:
    """Whether the database is unavailable. Instants are in seconds on a clock that never steps."""

    def __init__(
        self, timing: Timing, *, embedded: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        #: Why the database was unavailable at the last try; "" when it was available.
        self.reason = ""
        self._timing = timing
        self._quiet_period_s = timing.file_quiet_period_s if embedded else timing.quiet_period_s
        self._clock = clock
        self._retry_at = self._quiet_until = 0.0

    def now(self) -> float:
        """Read the clock."""
        return self._clock()

    def is_due(self, instant: float) -> bool:
        """Return whether the database is to be tried at an instant."""
        return instant >= self._retry_at

    def is_quiet(self, instant: float) -> bool:
        """Return whether no lane may be leased yet."""
        return bool(self.reason) or instant < self._quiet_until

    def begin(self, reason: str, started: float) -> None:
        """Leave the database alone for as long as the failed turn that `started` then has taken.

        Every caller of the writer waited in vain meanwhile: a failure that takes long is repeated
        less often. The pause has a lower and an upper limit.
        """
        if not self.reason:
            log.error("store.lost", detail=reason)
        self.reason = reason
        now, timing = self._clock(), self._timing
        pause_s = min(timing.database_retry_max_s, max(timing.database_retry_min_s, now - started))
        self._retry_at = now + pause_s

    def fail(self, reason: str) -> None:
        """Note an unforeseen error; the database is tried again at once."""
        self.reason = reason

    def end(self) -> None:
        """Note that a transaction was committed; after an outage the quiet period begins."""
        if self.reason:
            log.info("store.back")
            self._stay_quiet(self._quiet_period_s)
        self.reason = ""

    def connected(self, uptime_s: float) -> None:
        """Begin the quiet period of a server that was started so long ago."""
        self._stay_quiet(self._quiet_period_s - uptime_s)

    def _stay_quiet(self, seconds: float) -> None:
        self._quiet_until = max(self._quiet_until, self._clock() + seconds)
