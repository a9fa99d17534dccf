"""The one thread of a process that writes: what waits together is committed together."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol, TypeVar

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from bridge.core.changes import Entry
from bridge.core.retry import Policy
from bridge.errors import NotKept, stack_frames
from bridge.model import Event, Request, Stage, Verdict, VerdictName
from bridge.store.database.clocks import ABOUT, Clock, Instant, Keeper, Sources, clock_of, steady
from bridge.store.database.connect import file_of
from bridge.store.database.errors import (
    Down,
    Undecided,
    is_deadlock,
    is_outage,
    is_session_end,
    without_values,
)
from bridge.store.database.file_lock import FileLock
from bridge.store.database.files import DatabaseFile
from bridge.store.database.schema_version import require_schema
from bridge.store.database.statements import together
from bridge.store.database.watchdog import Watchdog
from bridge.store.inbox.accept import accept, look_ahead
from bridge.store.inbox.origins import Origins
from bridge.store.inbox.read import Look
from bridge.store.queue import watermark
from bridge.store.queue.exchange import settle_and_lease
from bridge.store.queue.nouns import Exchange, LeaseRequest, Next, Settlement
from bridge.store.queue.owners import LOOK, Owner
from bridge.store.spool import Spool

log = structlog.get_logger()

#: What is committed together at most.
BATCH = 128
#: How many requests are taken from the spool at a time: more than may come in meanwhile.
DRAIN = 2 * BATCH
#: How often a transaction is tried that is in another process's way, and the other in its.
TRIES = 5
#: How long a transaction is tried again while its sessions keep ending, in seconds. It is tried
#: again once in any case.
INSISTING = 5.0
#: How long the writer waits before it tries a database again that was not there, at least and at
#: most, in seconds.
PATIENCE = 0.5
LONGEST = 5.0
#: How long nothing is sent once a shared database is back, in seconds: long enough for the other
#: processes to notice, and to say what they still have in their spools.
SETTLING = 10.0
#: The same for a file, which has no others: long enough for those whose send ended meanwhile to say
#: so before anybody else takes their lanes.
BREATH = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A request with what was decided at the door."""

    request: Request
    #: Its body as it will be kept.
    packed: bytes
    #: None: the writer has it judged.
    entries: tuple[Entry, ...] | None = None


#: Any other writing: called inside the transaction with the instant in ms, and once more for each
#: time the transaction is tried again.
Work = Callable[[Connection, int], object]
_Done = TypeVar("_Done")
#: The same, told as well whether an earlier try may have been committed.
_Again = Callable[[Connection, Instant, bool], _Done]
#: Asks what a transaction needs to know at first, along with its beginning.
_Asks = Callable[[Connection], None]
#: Hears what became of a request: None once it is kept, else why it is not.
Told = Callable[[BaseException | None], None]


class Judge(Protocol):
    """What the writer asks of the floor above."""

    def __call__(self, request: Request, packed: bytes | None = None) -> tuple[Entry, ...]:
        """Read and judge a request; `packed` is its body as it will be kept, if made already."""
        ...


class _Promise:
    """What a job will come to. A bare lock: a Future costs several times as much to wait for."""

    __slots__ = ("_error", "_lock", "_value", "open")

    def __init__(self) -> None:
        #: Nothing came of it yet.
        self.open = True
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
        self.open = False
        self._lock.release()

    def set_exception(self, error: BaseException) -> None:
        """Let the waiting thread fail."""
        self._error = error
        self.open = False
        self._lock.release()


class _Message:
    """The same for a caller that does not wait: `told` is called in the writer's thread."""

    __slots__ = ("_told", "open")

    def __init__(self, told: Told) -> None:
        self.open = True
        self._told = told

    def set_result(self, _: object) -> None:
        """Say that it is done."""
        self.open = False
        self._told(None)

    def set_exception(self, error: BaseException) -> None:
        """Say that it failed."""
        self.open = False
        self._told(error)


@dataclass(kw_only=True, slots=True)
class _Job:
    task: Arrival | Exchange | Work
    done: _Promise | _Message
    #: What became of judging it ahead of its turn.
    entries: tuple[Entry, ...] | None = None
    #: Of an arrival: what the host's clock said when it was handed in, and the one that never
    #: steps, in ms, with the boot since which that counts.
    host: int = 0
    ticks: int = 0
    boot: str = ""


class Writer:
    """Owns the writing connection and the spool; everything else asks it through futures."""

    def __init__(  # noqa: PLR0913 - one thread with everything it needs
        self,
        engine: Engine,
        spool: Spool,
        *,
        owner: Owner | None = None,
        judge: Judge,
        grace: int,
        policy: Policy,
        clock: Clock | None = None,
        on_ready: Callable[[dict[str, int]], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._spool = spool
        self._owner = owner or Owner(spool.process, None)
        self._judge = judge
        self._grace = grace
        self._policy = policy
        self._clock = clock or clock_of(engine, Sources.given(None, None))
        self._keeper = Keeper()
        self._on_ready = on_ready
        self._jobs: deque[_Job] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._ended = False
        # On the clock that is never put back, in seconds: this turn, and the next try to connect.
        self._began = self._again_at = 0.0
        # Till when others may not have said yet what they have in their spools; same clock.
        self._settling = 0.0
        #: The last place in a lane that was given, in ms.
        self._place = 0
        self._conn: Connection | None = None
        #: The advisory lock that every transaction of this writer takes on a server.
        self._lock = secrets.randbits(63)
        #: Whether the last try of a transaction got as far as its commit.
        self._committing = False
        self._embedded = engine.dialect.name == "sqlite"
        path = file_of(engine.url)
        self._file = DatabaseFile(str(path)) if path is not None else None
        self._file_lock = FileLock(str(engine.url.database) if self._embedded else "")
        self._watchdog = Watchdog()
        self._origins = Origins()
        #: How many times another file was found in the place of the database.
        self.replaced = 0
        #: Whether the schema was looked at.
        self._fits = False
        #: Why the database was not there the last time; "" when it was.
        self.trouble = ""
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self, *, adopt: bool = True) -> None:
        """Begin; `adopt` takes over what dead processes left in the spool."""
        adopted = self._spool.adopt() if adopt else 0
        if adopted:
            log.info("spool.adopted", segments=adopted)
        if not self._embedded:
            self._watchdog.start()
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()
        self._spool.close()
        self._file_lock.close()
        self._watchdog.stop()

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
        done = _Promise()
        self._submit(arrival, done)
        done.result()

    def keep_soon(self, arrival: Arrival, told: Told) -> None:
        """Return at once; `told` hears, in the writer's thread, once a request is kept or not."""
        self._submit(arrival, _Message(told))

    def settle_and_lease(self, settlement: Settlement | None, request: LeaseRequest | None) -> Next:
        """Settle one delivery and claim another in one transaction; raises `Down`."""
        done = _Promise()
        self._submit(Exchange(settlement=settlement, request=request), done)
        turn = done.result()
        assert isinstance(turn, Next)  # noqa: S101 - what settle_and_lease returns
        return turn

    def run(self, work: Work) -> object:
        """Run any other writing in the writer's next transaction; raises `Down`."""
        done = _Promise()
        self._submit(work, done)
        return done.result()

    def _submit(self, task: Arrival | Exchange | Work, done: _Promise | _Message) -> None:
        job = _Job(task=task, done=done)
        if isinstance(task, Arrival):
            job.host = self._clock.host()
            job.ticks, job.boot = self._clock.mark()
        with self._wake:
            if self._ended:
                raise Down("the bridge is stopping")
            self._jobs.append(job)
            self._wake.notify()

    # The thread

    def _run(self) -> None:
        while (jobs := self._take()) is not None:
            self._began = time.monotonic()
            try:
                self._turn(jobs)
            except Exception as error:  # noqa: BLE001 - everything waits for this thread
                self._failed(jobs, error)
        self._leave()
        self._disconnect()

    def _leave(self) -> None:
        """Say that this process claims no more lanes."""
        left = False
        if self._owner.is_known and not self.trouble:
            with suppress(Exception):  # then others see that it is gone
                left = self._transaction(lambda conn, now, _: self._owner.leave(conn, now))
        self._owner.close(left=left)

    def _turn(self, jobs: list[_Job]) -> None:
        if self._began < self._again_at:
            self._do_without(jobs)
            return
        self._drain_some()
        asked = any(isinstance(job.task, Exchange) and job.task.request is not None for job in jobs)
        if (asked or self._owner.is_known) and not self._look_after_lanes(jobs):
            self._do_without(jobs)
            return
        self._write(jobs)

    def _look_after_lanes(self, jobs: Sequence[_Job]) -> bool:
        """Say that this process claims lanes, and free those of dead ones, now and then.

        False when the database is away, for all the jobs that wait.
        """
        if not self._owner.is_due(self._conn, self._began):
            return True
        try:
            self._transaction(lambda conn, now, _: self._owner.look(conn, now))
        except Exception as error:  # noqa: BLE001 - what waits is tried all the same
            if is_outage(error):
                self._lost(error, self._stamped(jobs))
                return False
            log.warning("owner.not_looked", error=type(error).__name__)
        else:
            self._owner.looked(self._conn, self._began)
        return True

    def _failed(self, jobs: Sequence[_Job], error: Exception) -> None:
        """Let nobody wait for what nobody foresaw."""
        self.trouble = type(error).__name__
        log.error("store.failed", error=type(error).__name__, where=stack_frames(error))
        for job in jobs:
            if job.done.open:
                job.done.set_exception(Down(f"the store failed: {type(error).__name__}"))

    def _take(self) -> list[_Job] | None:
        """Wait for work; an empty list is a turn for the spool, None the end."""
        with self._wake:
            if not self._jobs and not self._stopping:
                self._wake.wait(self._patience())
            count = min(len(self._jobs), BATCH)
            if not count and self._stopping:
                self._ended = True
                return None
            return [self._jobs.popleft() for _ in range(count)]

    def _patience(self) -> float | None:
        """Tell how long nothing needs to be done unless somebody asks, in seconds; None: ever."""
        if not self._spool.backlog:
            return LOOK if self._owner.is_known else None
        return PATIENCE if self.trouble else 0

    def _write(self, jobs: list[_Job]) -> None:
        arrivals = [job for job in jobs if isinstance(job.task, Arrival)]
        if arrivals and self._spool.backlog:
            # Order within a record: nothing overtakes what waits in the spool.
            self._put_aside(arrivals)
            jobs = [job for job in jobs if not isinstance(job.task, Arrival)]
        self._commit([job for job in jobs if isinstance(job.task, Arrival | Exchange)])
        for job in jobs:
            if not isinstance(job.task, Arrival | Exchange):
                self._commit([job])  # alone: what it keeps still, it does in an order of its own

    def _commit(self, jobs: list[_Job]) -> None:
        if not jobs:
            return
        try:
            results, ready = self._transact(jobs)
        except Undecided as error:
            for job in jobs:
                job.done.set_exception(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, each job must hear of it
            if is_outage(error):
                self._lost(error, self._stamped(jobs))
                self._do_without(jobs)
            else:
                self._one_by_one(jobs, error)
        else:
            for job, result in zip(jobs, results, strict=True):
                job.done.set_result(result)
            self._on_ready(ready)

    def _transact(self, jobs: Sequence[_Job]) -> tuple[list[object], dict[str, int]]:
        entries = [
            entry
            for job in jobs
            if isinstance(job.task, Arrival)
            for entry in job.entries
            or job.task.entries
            or self._judge(job.task.request, job.task.packed)
        ]
        exchanges = [job.task for job in jobs if isinstance(job.task, Exchange)]
        ahead = None if exchanges else self._judge_ahead
        settling = [e.settlement.lane for e in exchanges if e.settlement is not None]
        began = steady()
        look: Look | None = None

        def ask(conn: Connection) -> None:
            nonlocal look
            look = look_ahead(conn, entries, settling)

        def work(conn: Connection, now: int, again: bool) -> tuple[list[object], dict[str, int]]:
            mine = [replace(entry, again=True) for entry in entries] if again else entries
            seen = None if again else look
            ready = self._accept(conn, now, mine, settling, seen, ahead) if mine else {}
            self._place = max(self._place, now) if entries else self._place
            if entries or settling:
                self._keeper.keep(conn, now)
            since = began if self._may_deal() else None
            found = settle_and_lease(conn, now, exchanges, policy=self._policy, since=since)
            turns = dict(zip(map(id, exchanges), found, strict=True))
            return [_result(conn, now, job.task, turns) for job in jobs], ready

        repeatable = all(isinstance(job.task, Arrival | Exchange) for job in jobs)
        return self._transaction(work, ask=ask, repeatable=repeatable)

    def _may_deal(self) -> bool:
        if self.trouble or self._began < self._settling:
            return False
        return self._owner.is_enlisted(self._conn)

    def _accept(
        self,
        conn: Connection,
        now: int,
        entries: Sequence[Entry],
        settling: Sequence[int] = (),
        look: Look | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> dict[str, int]:
        ready = accept(
            conn,
            now,
            entries,
            grace=self._grace,
            settling=settling,
            look=look,
            meanwhile=meanwhile,
        )
        # After the lanes, everywhere: two processes must not wait for each other in a circle.
        self._origins.note(conn, now, [entry.event for entry in entries])
        return ready

    def _judge_ahead(self) -> None:
        """Judge what waits for its turn, while the database is at work."""
        with self._wake:
            waiting = list(islice(self._jobs, BATCH))
        for job in waiting:
            task = job.task
            if isinstance(task, Arrival) and task.entries is None:
                try:
                    job.entries = self._judge(task.request, task.packed)
                except Exception:  # noqa: BLE001 - it is told of when its turn comes
                    return

    def _do_without(self, jobs: list[_Job]) -> None:
        """Do what can be done without the database."""
        self._put_aside([job for job in jobs if isinstance(job.task, Arrival)])
        for job in jobs:
            if not isinstance(job.task, Arrival):
                job.done.set_exception(Down(f"the database cannot be reached: {self.trouble}"))

    def _one_by_one(self, jobs: list[_Job], error: Exception) -> None:
        """Find out which job the database will not have, and let the others pass."""
        if len(jobs) > 1:
            for job in jobs:
                self._write([job])
            return
        [job] = jobs
        if not isinstance(job.task, Arrival):
            job.done.set_exception(error)
            return
        try:
            self._quarantine(job.task.request, error)
        except OSError as full:
            job.done.set_exception(NotKept(f"the spool cannot be written: {full.strerror}"))
        else:
            job.done.set_result(None)

    def _quarantine(self, request: Request, error: Exception) -> None:
        """Keep a request out of the way that the database is there for, but refuses."""
        kind = type(error).__name__
        log.error("store.refused", event_id=request.id, error=kind)
        file = self._spool.quarantine(request)
        entry = _refused(request, f"the database refuses it ({kind}): it is kept in {file.name}")
        try:
            self._transaction(lambda conn, now, _: self._accept(conn, now, [entry]))
        except Exception as another:  # noqa: BLE001 - it is kept; this row only tells of it
            log.warning("store.untold", event_id=request.id, error=type(another).__name__)

    def _put_aside(self, jobs: Sequence[_Job]) -> None:
        """Keep requests in the spool for now."""
        if not jobs:
            return
        try:
            self._spool.append(self._stamped(jobs))
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
            if requests:
                self._keep_again(requests)
        except Exception as error:  # noqa: BLE001 - the writer must outlive whatever it is
            if is_outage(error):
                self._lost(error, requests)
                return
            if not self._keep_each_again(requests):
                return
        damaged = self._spool.drop(offset)
        if damaged is not None:
            log.error("spool.damaged", file=damaged.name)
        if not self._spool.backlog:
            log.info("spool.drained")
            self._tell_of_end()

    def _announce(self, aside: Sequence[Request]) -> None:
        """Make other processes hold back what was received after requests that go aside.

        Only a session that still works can do that: one that waited for a lock in vain, say.
        """
        conn = self._conn
        if not aside or self._embedded or conn is None:
            return
        with suppress(Exception), self._watchdog.over(conn), conn.begin():
            now = self._clock.now(conn)
            oldest = min(self._place_of(request, now) for request in aside)
            watermark.publish(conn, now, self._spool.process, oldest)

    def _tell_of_end(self) -> None:
        with suppress(Exception):  # then others wait a while longer, and that is all
            self._transaction(lambda conn, now, _: watermark.clear(conn, now, self._spool.process))

    def _keep_each_again(self, requests: Sequence[Request]) -> bool:
        for request in requests:
            try:
                self._keep_again([request])
            except Exception as error:  # noqa: BLE001 - as above
                if is_outage(error):
                    self._lost(error, [request])
                    return False
                self._quarantine(request, error)
        return True

    def _keep_again(self, requests: Sequence[Request]) -> None:
        judged = [(request, self._judge(request)) for request in requests]

        def work(conn: Connection, now: Instant, _: bool) -> dict[str, int]:
            placed = []
            for request, entries in judged:
                self._place = self._place_of(request, now)
                placed += [replace(entry, again=True, place=self._place) for entry in entries]
            if placed:
                watermark.publish(conn, now, self._spool.process, self._place)
            return self._accept(conn, now, placed)

        self._on_ready(self._transaction(work))

    def _place_of(self, request: Request, now: Instant) -> int:
        """Tell the place of what was received and put aside, by the engine's clock in ms."""
        place = request.place or self._clock.at(request.ticks, request.boot)
        return max(self._place, min(now, place or request.received + _apart(now, now.wall)))

    def _stamped(self, jobs: Sequence[_Job]) -> list[Request]:
        """Return the requests among jobs, and note the place of each.

        It is worked out by what the clocks said when the job was handed in: the job may have waited
        for the database since, and the host's clock may have stepped meanwhile. Without the
        engine's clock, as long as the database was never there, the instant on the clock that never
        steps is noted instead.
        """
        (ticks, _), guess = self._clock.mark(), self._clock.guess()
        stamped = []
        for job in jobs:
            if not isinstance(job.task, Arrival):
                continue
            request = job.task.request
            if guess is None:
                stamped.append(replace(request, ticks=job.ticks, boot=job.boot))
            else:
                apart = _apart(guess - (ticks - job.ticks), job.host)
                stamped.append(replace(request, place=request.received + apart))
        return stamped

    # The connection

    def _transaction(
        self, work: _Again[_Done], *, ask: _Asks | None = None, repeatable: bool = True
    ) -> _Done:
        """Run work in a transaction, and again after a deadlock or when the session ended.

        The end of a session is not an outage: the events would go into this process's spool, and
        other processes would overtake them. If the session ended during the commit, nobody knows
        whether it took effect: `repeatable` work is called again with `again` set and looks for
        itself, other work raises `Undecided`. `ask` is not called again then: what it asks for is
        known only once the writer has looked.
        """
        tries, again = _Tries(), False
        while True:
            try:
                done = self._once(work, None if again else ask, again=again)
            except DBAPIError as error:
                ended = is_session_end(error)
                if ended:
                    self._hang_up()
                if ended and self._committing and not repeatable:
                    raise Undecided(_UNDECIDED) from error
                if not tries.again(error, ended=ended):
                    raise
                again = again or self._committing
            else:
                self._recovered()
                return done

    def _once(self, work: _Again[_Done], ask: _Asks | None, *, again: bool) -> _Done:
        self._committing = False
        conn = self._connect()
        with self._file_lock.held(), self._watchdog.over(conn), conn.begin():
            done = work(conn, self._begun(conn, ask), again)
            self._committing = True
        if self._file is not None:
            self._file.require()  # or what was kept just now is nowhere that it will be found
        return done

    def _connect(self) -> Connection:
        if self._conn is None and self._file is not None and self._file.open():
            self._fits, self.replaced = False, self.replaced + 1
        if not self._fits:
            # A bridge may have started while the database was away; nothing is written to one
            # that has another version's schema.
            require_schema(self._engine)
            self._fits = True
        if self._conn is None:
            self._conn = self._engine.connect()
            self._clock.forget()
            if not self._embedded:
                self._settle_for(SETTLING - _end_lost_sessions(self._conn, self._lock))
        return self._conn

    def _begun(self, conn: Connection, ask: _Asks | None) -> Instant:
        """Return the instant of a transaction that was just begun, in ms.

        On a server it first waits for an earlier transaction of this writer whose session was
        lost: that one may still be committed. Both take the writer's lock. What is asked along with
        it takes no trip of its own, nor does the beginning; the server answers in this order.
        """
        with together(conn):
            begun = self._clock.ask(conn, self._lock)
            if ask is not None:
                ask(conn)
        return begun()

    def _settle_for(self, seconds: float) -> None:
        """Let nobody claim for so long."""
        seconds = min(seconds, BREATH) if self._embedded else seconds
        self._settling = max(self._settling, time.monotonic() + seconds)

    def _disconnect(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()

    def _lost(self, error: Exception, aside: Sequence[Request]) -> None:
        """Leave the database alone for a while: as long as it let everybody wait in vain.

        `aside` are the requests that go into the spool because of it, or stay there.
        """
        self._announce(aside)
        now = time.monotonic()
        self._again_at = now + min(LONGEST, max(PATIENCE, now - self._began))
        if not self.trouble:
            log.error("store.lost", detail=without_values(error))
        self.trouble = without_values(error)
        self._hang_up()

    def _hang_up(self) -> None:
        """Let go of a connection that is of no use any more."""
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.invalidate()
            conn.close()

    def _recovered(self) -> None:
        self._origins.noted()
        if self.trouble:
            log.info("store.back")
            self._settle_for(SETTLING)
        self.trouble = ""


_UNDECIDED = "the database session ended during the commit: it may or may not have taken effect"
#: PostgreSQL evaluates the columns from left to right: it reads the clock after the wait.
_UPTIME = text("SELECT EXTRACT(EPOCH FROM clock_timestamp() - pg_postmaster_start_time())")
#: A server does not notice that a client vanished while it waits for the client's next statement:
#: it would keep the transaction open, with its locks, for hours.
_END_LOST = text(
    """
    SELECT pg_terminate_backend(a.pid)
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
    AND (CAST(l.classid AS BIGINT) << 32) + CAST(l.objid AS BIGINT) = CAST(:lock AS BIGINT)
    AND a.state LIKE 'idle in transaction%' AND a.pid <> pg_backend_pid()
    """
)


def _end_lost_sessions(conn: Connection, lock: int) -> float:
    """End the sessions that a writer lost and that still hold its lock.

    Returns how long the server has been up, in seconds.
    """
    with conn.begin():
        conn.execute(_END_LOST, {"lock": lock})
        return float(conn.scalar(_UPTIME) or 0)


class _Tries:
    """Counts the tries of one transaction, and says whether there is another."""

    def __init__(self) -> None:
        self._left = TRIES
        self._until = time.monotonic() + INSISTING
        self._ended = 0

    def again(self, error: DBAPIError, *, ended: bool) -> bool:
        """Count a failed try and tell whether to try again; `ended`: the session ended."""
        if ended:
            self._ended += 1
            return self._ended == 1 or time.monotonic() < self._until
        self._left -= 1
        return bool(self._left) and is_deadlock(error)


def _apart(engine: int, wall: int) -> int:
    """Tell by how much the engine's clock is ahead of another, in ms."""
    return engine - wall if abs(engine - wall) > ABOUT else 0


def _refused(request: Request, reason: str) -> Entry:
    event = Event(
        id=request.id,
        hook=request.hook,
        source="",
        site=request.site,
        received=request.received,
        name="",
    )
    verdict = Verdict(name=VerdictName.REJECTED, reason=reason, stage=Stage.READ)
    return Entry(event=event, verdicts=(verdict,), packed=None, again=True)


def _result(conn: Connection, now: int, task: object, turns: dict[int, Next]) -> object:
    if isinstance(task, Exchange):
        return turns[id(task)]
    return None if isinstance(task, Arrival) else task(conn, now)  # type: ignore[operator]
