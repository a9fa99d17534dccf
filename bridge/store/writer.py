"""The one thread of a process that writes: what waits together is committed together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from bridge.errors import NotKept
from bridge.model import Request
from bridge.store.accept import accept
from bridge.store.batch import Entry, Resolve
from bridge.store.dialect import Prepared, now_ms
from bridge.store.lanes import Claimed, Settlement, Wish, claim, due
from bridge.store.settle import settle
from bridge.store.spool import Spool

log = structlog.get_logger()

#: What is committed together at most.
BATCH = 128
#: How many requests are taken from the spool at a time.
DRAIN = 64
#: How long the writer waits before it tries a database again that was not there, in seconds.
PATIENCE = 0.5


class Down(NotKept):
    """The database cannot be reached."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A request with what was decided at the door."""

    request: Request
    entries: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """A worker hands in what became of a delivery and asks for the next."""

    settlement: Settlement | None
    wish: Wish | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """What a worker gets: a delivery, or how long to wait for one."""

    claimed: Claimed | None
    #: In ms; None: nothing is queued.
    wait: int | None = None
    #: The settlement counted; False when the lane had been leased to somebody else since.
    settled: bool = True


#: Any other writing: called inside the transaction with the instant in ms.
Work = Callable[[Connection, int], object]


class Judge(Protocol):
    """What the writer asks of the floor above when it drains the spool."""

    def __call__(self, request: Request) -> tuple[Entry, ...]:
        """Read and judge a request again, as at the door."""
        ...


class _Promise:
    """What a job will come to. A bare lock: a Future costs several times as much to wait for."""

    __slots__ = ("_error", "_lock", "_value")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._value: object = None
        self._error: BaseException | None = None

    def result(self) -> object:
        """Wait for it; one thread only."""
        self._lock.acquire()
        if self._error is not None:
            raise self._error
        return self._value

    def set_result(self, value: object) -> None:
        """Let the waiting thread go on."""
        self._value = value
        self._lock.release()

    def set_exception(self, error: BaseException) -> None:
        """Let the waiting thread fail."""
        self._error = error
        self._lock.release()


@dataclass(kw_only=True, slots=True)
class _Job:
    task: Arrival | Exchange | Work
    done: _Promise = field(default_factory=_Promise)


class Writer:
    """Owns the writing connection and the spool; everything else asks it through futures."""

    def __init__(  # noqa: PLR0913 - one thread with everything it needs
        self,
        engine: Engine,
        spool: Spool,
        *,
        resolve: Resolve,
        judge: Judge,
        grace: int,
        clock: Callable[[], int] | None = None,
        on_ready: Callable[[dict[str, int]], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._spool = spool
        self._resolve = resolve
        self._judge = judge
        self._grace = grace
        self._clock = clock
        self._on_ready = on_ready
        self._jobs: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._conn: Connection | None = None
        #: Why the database was not there the last time; "" when it was.
        self.trouble = ""
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Take over what dead processes left in the spool, and begin."""
        adopted = self._spool.adopt()
        if adopted:
            log.info("spool.adopted", segments=adopted)
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()
        self._spool.close()

    @property
    def backlog(self) -> bool:
        """Whether requests wait in the spool."""
        return self._spool.backlog

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def keep(self, arrival: Arrival) -> None:
        """Return once a request is kept; raises `NotKept` if it could not be."""
        self._submit(arrival).result()

    def exchange(self, settlement: Settlement | None, wish: Wish | None) -> Turn:
        """Settle one delivery and claim another in one transaction; raises `Down`."""
        turn = self._submit(Exchange(settlement=settlement, wish=wish)).result()
        assert isinstance(turn, Turn)  # noqa: S101 - what _run_exchanges sets
        return turn

    def run(self, work: Work) -> object:
        """Run any other writing in the writer's next transaction; raises `Down`."""
        return self._submit(work).result()

    def _submit(self, task: Arrival | Exchange | Work) -> _Promise:
        job = _Job(task=task)
        with self._wake:
            if self._stopping and not self._thread.is_alive():
                raise Down("the bridge is stopping")
            self._jobs.append(job)
            self._wake.notify()
        return job.done

    # The thread

    def _run(self) -> None:
        while True:
            jobs = self._take()
            if jobs is None:
                break
            self._drain_some()
            self._write(jobs)
        self._disconnect()

    def _take(self) -> list[_Job] | None:
        """Wait for work; an empty list is a turn for the spool, None the end."""
        with self._wake:
            if not self._jobs and not self._stopping:
                self._wake.wait(PATIENCE if self._spool.backlog else None)
            count = min(len(self._jobs), BATCH)
            if not count and self._stopping:
                return None
            return [self._jobs.popleft() for _ in range(count)]

    def _write(self, jobs: list[_Job]) -> None:
        arrivals = [job for job in jobs if isinstance(job.task, Arrival)]
        if arrivals and self._spool.backlog:
            # Order within a record: nothing overtakes what waits in the spool.
            self._put_aside(arrivals)
            jobs = [job for job in jobs if not isinstance(job.task, Arrival)]
        if not jobs:
            return
        try:
            results, ready = self._transact(jobs)
        except Exception as error:  # noqa: BLE001 - whatever it is, each job must hear of it
            if is_outage(error):
                self._without_database(jobs, error)
            else:
                self._one_by_one(jobs, error)
        else:
            for job, result in zip(jobs, results, strict=True):
                job.done.set_result(result)
            self._on_ready(ready)

    def _transact(self, jobs: Sequence[_Job]) -> tuple[list[object], dict[str, int]]:
        conn = self._connect()
        with conn.begin():
            now = self._now(conn)
            entries = [
                entry for job in jobs if isinstance(job.task, Arrival) for entry in job.task.entries
            ]
            ready: dict[str, int] = {}
            if entries:
                ready = accept(conn, now, entries, grace=self._grace, resolve=self._resolve)
            turns = _run_exchanges(
                conn, now, [job.task for job in jobs if isinstance(job.task, Exchange)]
            )
            results = [_result(conn, now, job.task, turns) for job in jobs]
        self._recovered()
        return results, ready

    def _without_database(self, jobs: list[_Job], error: Exception) -> None:
        self._lost(error)
        self._put_aside([job for job in jobs if isinstance(job.task, Arrival)])
        for job in jobs:
            if not isinstance(job.task, Arrival):
                job.done.set_exception(Down(f"the database cannot be reached: {plain(error)}"))

    def _one_by_one(self, jobs: list[_Job], error: Exception) -> None:
        """Find out which job the database will not have, and let the others pass."""
        if len(jobs) > 1:
            for job in jobs:
                self._write([job])
            return
        [job] = jobs
        if isinstance(job.task, Arrival):
            self._quarantine(job.task.request, error)
            job.done.set_result(None)
        else:
            job.done.set_exception(error)

    def _quarantine(self, request: Request, error: Exception) -> None:
        """Keep a request out of the way that the database is there for, but refuses."""
        log.error("store.refused", event_id=request.id, error=type(error).__name__)
        self._spool.quarantine(request)

    def _put_aside(self, jobs: Sequence[_Job]) -> None:
        """Keep requests in the spool for now."""
        if not jobs:
            return
        requests = [job.task.request for job in jobs if isinstance(job.task, Arrival)]
        try:
            self._spool.append(requests)
        except NotKept as error:
            for job in jobs:
                job.done.set_exception(error)
        else:
            for job in jobs:
                job.done.set_result(None)

    def _drain_some(self) -> None:
        """Move the oldest requests of the spool into the database, if it is there."""
        if not self._spool.backlog:
            return
        requests, offset = self._spool.peek(DRAIN)
        try:
            self._keep_again(requests)
        except Exception as error:  # noqa: BLE001 - the writer must outlive whatever it is
            if is_outage(error):
                self._lost(error)
                return
            if not self._keep_each_again(requests):
                return
        self._spool.drop(offset)
        if not self._spool.backlog:
            log.info("spool.drained")

    def _keep_each_again(self, requests: Sequence[Request]) -> bool:
        for request in requests:
            try:
                self._keep_again([request])
            except Exception as error:  # noqa: BLE001 - as above
                if is_outage(error):
                    self._lost(error)
                    return False
                self._quarantine(request, error)
        return True

    def _keep_again(self, requests: Sequence[Request]) -> None:
        entries = [
            replace(entry, again=True) for request in requests for entry in self._judge(request)
        ]
        if not entries:
            return
        conn = self._connect()
        with conn.begin():
            now = self._now(conn)
            ready = accept(conn, now, entries, grace=self._grace, resolve=self._resolve)
        self._recovered()
        self._on_ready(ready)

    # The connection

    def _connect(self) -> Connection:
        if self._conn is None:
            self._conn = self._engine.connect()
        return self._conn

    def _disconnect(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()

    def _now(self, conn: Connection) -> int:
        if self._clock is not None:
            return self._clock()
        return int(_NOW.first(conn)[0])

    def _lost(self, error: Exception) -> None:
        if not self.trouble:
            log.error("store.lost", detail=plain(error))
        self.trouble = plain(error)
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.invalidate()
            conn.close()

    def _recovered(self) -> None:
        if self.trouble:
            log.info("store.back")
        self.trouble = ""


_NOW = Prepared(select(now_ms()))


def plain(error: Exception) -> str:
    """Say what a database said, without the statement and its values."""
    return str(getattr(error, "orig", error)).strip().splitlines()[0]


def is_outage(error: Exception) -> bool:
    """Tell a database that is not there from one that refuses a row."""
    return isinstance(error, DBAPIError) and not isinstance(
        error, IntegrityError | DataError | ProgrammingError
    )


def _result(conn: Connection, now: int, task: object, turns: dict[int, Turn]) -> object:
    if isinstance(task, Exchange):
        return turns[id(task)]
    return None if isinstance(task, Arrival) else task(conn, now)  # type: ignore[operator]


def _run_exchanges(conn: Connection, now: int, exchanges: Sequence[Exchange]) -> dict[int, Turn]:
    """Settle everything first, then deal the free lanes out."""
    settlements = [e.settlement for e in exchanges if e.settlement is not None]
    counted = settle(conn, now, settlements) if settlements else []
    dealt = _deal(conn, now, exchanges)
    return {
        id(e): Turn(
            claimed=dealt[id(e)][0],
            wait=dealt[id(e)][1],
            settled=e.settlement is None or e.settlement in counted,
        )
        for e in exchanges
    }


def _deal(
    conn: Connection, now: int, exchanges: Sequence[Exchange]
) -> dict[int, tuple[Claimed | None, int | None]]:
    by_destination: dict[str, list[Exchange]] = {}
    dealt: dict[int, tuple[Claimed | None, int | None]] = {}
    for e in exchanges:
        dealt[id(e)] = (None, None)
        if e.wish is not None:
            by_destination.setdefault(e.wish.destination, []).append(e)
    for asking in by_destination.values():
        wish = asking[0].wish
        assert wish is not None  # noqa: S101 - only wishes were gathered
        found = claim(conn, now, wish, len(asking))
        for e, claimed in zip(asking, found, strict=False):
            dealt[id(e)] = (claimed, 0)
        if len(found) < len(asking):
            at = due(conn, now, wish)
            wait = None if at is None else max(1, at - now)
            for e in asking[len(found) :]:
                dealt[id(e)] = (None, wait)
    return dealt
