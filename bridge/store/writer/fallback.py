"""The writer's way without the database: it spools, drains and quarantines requests.

Events of one record stay in order: while requests wait in the spool, new ones go behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
from sqlalchemy import Connection

from bridge.errors import NotKept
from bridge.model import Request
from bridge.store.database.clocks import Instant
from bridge.store.database.errors import Down, is_outage, without_values
from bridge.store.queue import watermark
from bridge.store.spool import Spool
from bridge.store.writer.batch import BatchWriter, Ready
from bridge.store.writer.handover import Handover
from bridge.store.writer.jobs import Arrival, Job, rejected_entry
from bridge.store.writer.outage import Outage
from bridge.store.writer.places import Places
from bridge.store.writer.transaction import Transactions
from bridge.timing import Timing

log = structlog.get_logger()


class Fallback:
    """The spool of this process and the outage that fills it. The writer's thread alone uses it."""

    def __init__(  # noqa: PLR0913 - the parts of one writer
        self,
        outage: Outage,
        places: Places,
        transactions: Transactions,
        spool: Spool,
        batches: BatchWriter,
        handover: Handover,
        *,
        timing: Timing,
        on_ready: Callable[[Ready], None],
    ) -> None:
        self._spool = spool
        self._outage = outage
        self._places = places
        self._transactions = transactions
        self._batches = batches
        self._handover = handover
        self._timing = timing
        self._on_ready = on_ready
        #: The offset in the oldest segment behind the requests that were offered last.
        self._offset = 0

    # The database is unavailable

    def lose(self, error: Exception, aside: Sequence[Request], started: float) -> None:
        """Begin an outage in the turn that `started` then.

        `aside` are the requests that go into the spool because of it, or stay there.
        """
        self._announce(aside)
        self._outage.begin(without_values(error), started)
        self._transactions.hang_up()
        self._handover.discard()

    def answer(self, jobs: Sequence[Job]) -> None:
        """Spool the arrivals among jobs, and fail the others."""
        self.put_aside([job for job in jobs if isinstance(job.task, Arrival)])
        for job in jobs:
            if not isinstance(job.task, Arrival):
                reason = f"the database cannot be reached: {self._outage.reason}"
                job.done.set_exception(Down(reason))

    def put_aside(self, jobs: Sequence[Job]) -> None:
        """Put arrivals into the spool; a spool that cannot take them fails them all."""
        if not jobs:
            return
        try:
            self._spool.append(self._places.stamp(jobs))
        except NotKept as error:
            for job in jobs:
                job.done.set_exception(error)
        else:
            for job in jobs:
                job.done.set_result(None)

    def _announce(self, aside: Sequence[Request]) -> None:
        """Make other processes hold back events received after requests that are put aside.

        That needs a session that still works, such as one that waited too long for a lock.
        """
        if not aside or self._transactions.embedded:
            return

        def work(conn: Connection, now: Instant) -> None:
            oldest = min(self._places.of(request, now) for request in aside)
            watermark.publish(conn, now, self._spool.process, oldest)

        self._transactions.run_if_connected(work)

    # The database is back

    def drain(self, started: float) -> None:
        """Move judged requests from the spool into the database, and have the next ones judged."""
        judged = self._handover.take()
        if judged is not None:
            if not self._keep_again(judged, started):
                return
            self._drop()
        while self._spool.backlog and self._handover.is_wanted:
            requests, self._offset = self._spool.peek(self._timing.drain_batch_size)
            if requests:
                self._handover.offer(requests)
                return
            self._drop()

    def _keep_again(self, judged: Sequence[Arrival], started: float) -> bool:
        """Commit judged requests; False: the database is unavailable, and they stay spooled."""
        try:
            self._on_ready(self._batches.keep_again(judged, self._spool.process))
        except Exception as error:  # noqa: BLE001 - the writer must survive any failure
            if is_outage(error):
                self.lose(error, [arrival.request for arrival in judged], started)
                return False
            if len(judged) > 1:
                return all(self._keep_again([arrival], started) for arrival in judged)
            self.quarantine(judged[0].request, error)
        return True

    def _drop(self) -> None:
        damaged = self._spool.drop(self._offset)
        if damaged is not None:
            log.error("spool.damaged", file=damaged.name)
        if not self._spool.backlog:
            log.info("spool.drained")
            with suppress(Exception):  # then other processes hold back a while longer
                self._transactions.run(
                    lambda conn, now, _: watermark.clear(conn, now, self._spool.process)
                )

    # The database refuses a request

    def quarantine(self, request: Request, error: Exception) -> None:
        """Put a request aside that the available database refuses, and keep a row that names it.

        Raises `OSError` when the disk does not take it.
        """
        kind = type(error).__name__
        log.error("store.refused", event_id=request.id, error=kind)
        file = self._spool.quarantine(request)
        reason = f"the database refuses it ({kind}): it is kept in {file.name}"
        try:
            self._batches.keep_refused(rejected_entry(request, reason))
        except Exception as another:  # noqa: BLE001 - the request is safe without the row
            log.warning("store.untold", event_id=request.id, error=type(another).__name__)
