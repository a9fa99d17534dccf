"""The places of requests in the spool: when each was received, by the engine's clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bridge.model import Request
from bridge.store.database.clocks import Instant
from bridge.store.database.engine_clock import Clock
from bridge.store.database.server_clock import EXACT_MS
from bridge.store.writer.jobs import Arrival, Job


class Places:
    """Gives each event that comes late its place in its lane, in ms."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: The last place that was given; the next one is not before it.
        self.last = 0

    def advance(self, now: int) -> None:
        """Give no place before an instant any more."""
        self.last = max(self.last, now)

    def of(self, request: Request, now: Instant) -> int:
        """Return the place of a spooled request."""
        place = request.place or self._clock.at(request.ticks, request.boot)
        return max(self.last, min(now, place or request.received + _lead(now, now.wall)))

    def stamp(self, jobs: Iterable[Job]) -> list[Request]:
        """Return the requests among jobs, each with its place.

        The place is computed from the clocks' readings when the job was handed in: the job may have
        waited for the database since, and the host's clock may have stepped. The engine's clock is
        unknown until the database was available once. The request then carries the reading of the
        steady clock instead.
        """
        (steady_ms, _), guess = self._clock.mark(), self._clock.guess()
        stamped = []
        for job in jobs:
            if not isinstance(job.task, Arrival):
                continue
            request = job.task.request
            if guess is None:
                stamped.append(replace(request, ticks=job.steady_ms, boot=job.boot))
            else:
                lead = _lead(guess - (steady_ms - job.steady_ms), job.host_ms)
                stamped.append(replace(request, place=request.received + lead))
        return stamped


def _lead(engine_ms: int, host_ms: int) -> int:
    """Return by how much the engine's clock is ahead of the host's, in ms; 0 when nearly equal."""
    return engine_ms - host_ms if abs(engine_ms - host_ms) > EXACT_MS else 0
