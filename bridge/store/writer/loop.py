"""The one thread of a process that writes: jobs that wait together are committed together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import cast

import structlog
from sqlalchemy import Engine

from bridge.core.retry import Policy
from bridge.errors import NotKept, stack_frames
from bridge.store.database.clocks import Clocks
from bridge.store.database.engine_clock import Clock, clock_of
from bridge.store.database.errors import Down, Undecided, is_outage
from bridge.store.database.transact import Work
from bridge.store.queue.nouns import Exchange, LeaseRequest, Next, Settlement
from bridge.store.queue.owners import Owner
from bridge.store.spool import Spool
from bridge.store.writer.batch import BatchWriter, Ready
from bridge.store.writer.fallback import Fallback
from bridge.store.writer.handover import Handover
from bridge.store.writer.jobs import Arrival, Batch, Callback, Job, Message, Promise, batch_of
from bridge.store.writer.outage import Outage
from bridge.store.writer.places import Places
from bridge.store.writer.transaction import Transactions
from bridge.timing import Timing

log = structlog.get_logger()


class Writer:
    """The queue of jobs and the thread that works it off. All threads may hand jobs in."""

    def __init__(  # noqa: PLR0913 - a thread with all its parts
        self,
        engine: Engine,
        spool: Spool,
        *,
        owner: Owner | None = None,
        grace_ms: int,
        policy: Policy,
        clock: Clock | None = None,
        timing: Timing | None = None,
        on_ready: Callable[[Ready], None] = lambda _: None,
    ) -> None:
        self._timing = timing or Timing()
        self._spool = spool
        self._owner = owner or Owner(spool.process, None)
        self._clock = clock or clock_of(engine, Clocks.of_machine())
        self._on_ready = on_ready
        self._jobs: deque[Job] = deque()
        lock = threading.RLock()
        self._wake = threading.Condition(lock)
        self._stopping = self._ended = False
        self._outage = Outage(self._timing, embedded=engine.dialect.name == "sqlite")
        self._transactions = Transactions(engine, self._clock, self._outage, self._timing)
        self._places = Places(self._clock)
        shared = (self._outage, self._places, self._transactions)
        self._batches = BatchWriter(*shared, self._owner, grace_ms=grace_ms, policy=policy)
        #: Passes spooled requests to the thread that judges them.
        self.handover = Handover(lock, self._wake)
        self._fallback = Fallback(
            *shared, spool, self._batches, self.handover, timing=self._timing, on_ready=on_ready
        )
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self, *, adopt: bool = True) -> None:
        """Start the thread; `adopt` takes over the spool segments of dead processes."""
        adopted = self._spool.adopt() if adopt else 0
        if adopted:
            log.info("spool.adopted", segments=adopted)
        self._transactions.start()
        self._thread.start()

    def stop(self) -> None:
        """Write the waiting jobs and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self.handover.close()
        self._thread.join()
        self._spool.close()
        self._transactions.close()

    @property
    def backlog(self) -> bool:
        """Whether requests wait in the spool."""
        return self._spool.backlog

    @property
    def verdicts(self) -> dict[tuple[str, str], int]:
        """How many verdicts this process kept with their events, by verdict and stage."""
        return dict(self._batches.verdicts)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def outage_reason(self) -> str:
        """Why the database was unavailable at the last try; "" when it was available."""
        return self._outage.reason

    @property
    def replaced(self) -> int:
        """How many times another file was found in the place of the database."""
        return self._transactions.replaced

    @property
    def waiting(self) -> int:
        """How many jobs wait for the next turn."""
        return len(self._jobs)

    # Jobs

    def keep(self, arrival: Arrival) -> None:
        """Return once a request is kept; raises `NotKept` if it could not be."""
        done = Promise()
        self._hand_in([self._stamped(arrival, done)])
        done.result()

    def keep_soon(self, arrivals: Iterable[tuple[Arrival, Callback]]) -> None:
        """Return at once; each callback is called in the writer's thread with the result.

        Arrivals that are handed in together are committed together. Raises `Down` when the writer
        has stopped.
        """
        self._hand_in([self._stamped(arrival, Message(callback)) for arrival, callback in arrivals])

    def settle_and_lease(self, settlement: Settlement | None, request: LeaseRequest | None) -> Next:
        """Settle one delivery and lease another in one transaction; raises `Down`."""
        done = Promise()
        self._hand_in([Job(task=Exchange(settlement=settlement, request=request), done=done)])
        return cast("Next", done.result())

    def run(self, work: Work[object]) -> object:
        """Run any other writing in a transaction of its own; raises `Down`."""
        done = Promise()
        self._hand_in([Job(task=work, done=done)])
        return done.result()

    def _stamped(self, arrival: Arrival, done: Promise | Message) -> Job:
        """Return the job of an arrival, with the readings of the clocks that its place is from."""
        steady_ms, boot = self._clock.mark()
        host_ms = self._clock.host()
        return Job(task=arrival, done=done, host_ms=host_ms, steady_ms=steady_ms, boot=boot)

    def _hand_in(self, jobs: Iterable[Job]) -> None:
        with self._wake:
            if self._ended:
                raise Down("the bridge is stopping")
            self._jobs.extend(jobs)
            self._wake.notify()

    # The thread

    def _run(self) -> None:
        while (jobs := self._take()) is not None:
            try:
                self._turn(jobs, self._outage.now())
            except Exception as error:  # noqa: BLE001 - all callers wait for this thread
                self._fail(jobs, error)
        self._leave()
        self._transactions.disconnect()

    def _take(self) -> list[Job] | None:
        """Wait for jobs; an empty list is a turn for the spool or the owners, None the end."""
        with self._wake:
            backlog = self._spool.backlog
            if backlog:
                self._wake.wait_for(self._is_judged, self._timing.judging_limit_s)
            if not self._jobs and not self._stopping:
                self._wake.wait(self._patience_s(backlog=backlog))
            count = min(len(self._jobs), self._timing.writer_batch_size)
            if not count and self._stopping:
                self._ended = True
                return None
            if count < len(self._jobs):
                return [self._jobs.popleft() for _ in range(count)]
            jobs = list(self._jobs)
            self._jobs.clear()
            return jobs

    def _is_judged(self) -> bool:
        return self._stopping or not self.handover.is_pending

    def _patience_s(self, *, backlog: bool) -> float | None:
        """Return how long the thread may wait for a job; None: until one comes."""
        if backlog:
            if self._outage.reason:
                return self._timing.spool_poll_s
            if self.handover.is_ready or self.handover.is_wanted:
                return 0
        return self._timing.owner_poll_s if self._owner.is_known else None

    def _turn(self, jobs: Sequence[Job], started: float) -> None:
        if not self._outage.is_due(started):
            self._fallback.answer(jobs)
            return
        if self._spool.backlog:
            self._fallback.drain(started)
        batch = batch_of(jobs)
        if self._owner.is_due(self._transactions.conn, started) and (
            (batch.leases or self._owner.is_known) and not self._watch_owners(jobs, started)
        ):
            self._fallback.answer(jobs)
            return
        self._write(batch, started)

    def _watch_owners(self, jobs: Sequence[Job], started: float) -> bool:
        """Register this process as an owner, and free the lanes of dead ones.

        False: the database is unavailable, for the waiting jobs too.
        """
        try:
            self._transactions.run(lambda conn, now, _: self._owner.sweep(conn, now))
        except Exception as error:  # noqa: BLE001 - the jobs are tried all the same
            if is_outage(error):
                self._fallback.lose(error, self._places.stamp(jobs), started)
                return False
            log.warning("owner.not_looked", error=type(error).__name__)
        else:
            self._owner.finish_sweep(self._transactions.conn, started)
        return True

    def _write(self, batch: Batch, started: float) -> None:
        if batch.arrivals and self._spool.backlog:
            self._fallback.put_aside(batch.arrivals)
            batch = replace(batch, arrivals=(), entries=())
        if batch.arrivals or batch.exchanges:
            self._commit(batch, started)
        for job, work in batch.others:
            self._commit_other(job, work, started)

    def _commit(self, batch: Batch, started: float) -> None:
        """Commit arrivals and exchanges in one transaction."""
        jobs = (*batch.arrivals, *batch.exchanges)
        try:
            answers, ready = self._batches.write(batch, started)
        except Exception as error:  # noqa: BLE001 - every caller must learn of it
            if is_outage(error):
                self._lose(jobs, error, started)
            elif len(jobs) > 1:  # find the job that the database refuses, and commit the others
                for job in jobs:
                    self._write(batch_of([job]), started)
            else:
                self._refuse(jobs[0], error)
            return
        for job in batch.arrivals:
            job.done.set_result(None)
        for job, answer in zip(batch.exchanges, answers, strict=True):
            job.done.set_result(answer)
        self._on_ready(ready)

    def _commit_other(self, job: Job, work: Work[object], started: float) -> None:
        try:
            job.done.set_result(self._batches.run(work))
        except Exception as error:  # noqa: BLE001 - the caller must learn of it
            if is_outage(error) and not isinstance(error, Undecided):
                self._lose([job], error, started)
            else:
                job.done.set_exception(error)

    def _lose(self, jobs: Sequence[Job], error: Exception, started: float) -> None:
        self._fallback.lose(error, self._places.stamp(jobs), started)
        self._fallback.answer(jobs)

    def _refuse(self, job: Job, error: Exception) -> None:
        """Quarantine the request of a job that the database refuses."""
        if not isinstance(job.task, Arrival):
            job.done.set_exception(error)
            return
        try:
            self._fallback.quarantine(job.task.request, error)
        except OSError as full:
            job.done.set_exception(NotKept(f"the spool cannot be written: {full.strerror}"))
        else:
            job.done.set_result(None)

    def _fail(self, jobs: Sequence[Job], error: Exception) -> None:
        """Answer the callers of a turn that failed in an unforeseen way."""
        self._outage.fail(type(error).__name__)
        log.error("store.failed", error=type(error).__name__, where=stack_frames(error))
        for job in jobs:
            if job.done.is_open:
                job.done.set_exception(Down(f"the store failed: {type(error).__name__}"))

    def _leave(self) -> None:
        """Unregister this process as an owner of lanes."""
        left = False
        if self._owner.is_known and not self._outage.reason:
            with suppress(Exception):  # then the other processes find that it is dead
                left = self._transactions.run(lambda conn, _now, _again: self._owner.leave(conn))
        self._owner.close(left=left)
