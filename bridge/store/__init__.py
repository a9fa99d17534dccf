"""The store: all SQL, for two databases with one schema, and the spool for when they are away.

The rest of the bridge uses `Store` and the nouns named in `__all__`, and nothing further inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from bridge.core.dedup.changes import Entry
from bridge.core.retry import Policy
from bridge.core.snapshot import Snapshot
from bridge.model import Event, Request, Verdict
from bridge.store import retention
from bridge.store.database import files, schema_version
from bridge.store.database.clocks import Clocks, steady
from bridge.store.database.connect import connect, file_of, url_of
from bridge.store.database.copying import copy_database
from bridge.store.database.engine_clock import ahead, clock_of
from bridge.store.database.errors import Down, is_outage, without_values
from bridge.store.database.statements import now_ms
from bridge.store.database.transact import Work
from bridge.store.destinations import Destinations
from bridge.store.history import Delivery, EventHistory, History, LogEntry, Query, Totals
from bridge.store.inbox import origins
from bridge.store.inbox.grace import drop_after_grace, send_after_grace
from bridge.store.inbox.origins import Named
from bridge.store.operators import Operators, Replay
from bridge.store.queue.newest import Newest, find_newest
from bridge.store.queue.nouns import Leased, LeaseRequest, Next, Settlement
from bridge.store.queue.owners import Owner
from bridge.store.renaming import Names
from bridge.store.retention import Retention
from bridge.store.schema import OVER
from bridge.store.snapshots import counterpart_of, latest_snapshot, pack, unpack
from bridge.store.spool import Spool, SpoolUsage
from bridge.store.wakeups import Listener, WakeupPipe, Wakeups
from bridge.store.writer.jobs import Arrival, Callback, rejected_entry
from bridge.store.writer.loop import Writer
from bridge.timing import Timing

__all__ = [
    "OVER",
    "Arrival",
    "Clocks",
    "Delivery",
    "Down",
    "Entry",
    "EventHistory",
    "LeaseRequest",
    "Leased",
    "LogEntry",
    "Named",
    "Names",
    "Newest",
    "Next",
    "Query",
    "Replay",
    "Retention",
    "Settlement",
    "SpoolUsage",
    "Store",
    "Totals",
    "WakeupPipe",
    "copy_database",
    "pack",
    "rejected_entry",
    "steady",
    "unpack",
]


T = TypeVar("T")


class Store:
    """A database and its spool. All threads read; one thread, the writer, writes."""

    def __init__(
        self,
        url: str,
        *,
        spool: Path,
        spool_limit: int = 1 << 30,
        process: str = "bridge",
        clocks: Clocks | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.url = url_of(url)
        self._readers = connect(self.url)
        self._writers = connect(self.url, writing=True)
        self._spool = Spool(spool, limit=spool_limit, process=process)
        self._clocks = clocks or Clocks.of_machine()
        self._timing = timing or Timing()
        self._writer: Writer | None = None
        self._listener: Listener | None = None
        #: Notified when lanes may have work.
        self.wakeups = Wakeups()
        #: What happened to events, and which deliveries are on their way.
        self.history = History(self._reading)
        #: What operators may do to deliveries.
        self.operators = Operators(self._write_here, self.wakeups.notify)
        #: What happens to destinations when the mappings change.
        self.destinations = Destinations(
            reading=self._reading, transact=self._write, transact_here=self._write_here
        )

    @property
    def embedded(self) -> bool:
        """Whether the database is a SQLite file, or in memory."""
        return self._writers.dialect.name == "sqlite"

    def migrate(self) -> tuple[str, str]:
        """Bring the schema up to date; returns the revisions before and after."""
        files.secure(file_of(self.url), self._spool.folder)
        with _reached():
            return schema_version.migrate(self._writers)

    def require_schema(self) -> None:
        """Raise `WrongSchema` unless the schema is this version's."""
        with _reached():
            schema_version.require_schema(self._readers)

    def start(
        self,
        *,
        grace_ms: int,
        policy: Policy,
        adopt: bool = True,
        on_ready: Callable[[Mapping[str, int]], None] | None = None,
    ) -> None:
        """Start the writer; `policy` is how deliveries are retried.

        `adopt` takes over the spools of dead processes; `on_ready` is called with the
        lanes that have work, in place of `wakeups.notify`.
        """
        if not self.embedded:
            files.secure(None, self._spool.folder)
        self._writer = Writer(
            self._writers,
            self._spool,
            owner=Owner(self._spool.process, self._locks(), poll_s=self._timing.owner_poll_s),
            grace_ms=grace_ms,
            policy=policy,
            clock=clock_of(self._writers, self._clocks),
            timing=self._timing,
            on_ready=on_ready or self.wakeups.notify,
        )
        self._writer.start(adopt=adopt)
        if not self.embedded:
            self._listener = Listener(
                self.url, self.wakeups.notify, poll_s=self._timing.listener_poll_s
            )
            self._listener.start()

    def _locks(self) -> Path | None:
        """Return the folder for the lock files of the processes that share the database."""
        if not self.embedded:
            return self._spool.folder / "owners"
        database = str(self.url.database or "")
        return Path(f"{Path(database).resolve()}-owners") if database else None

    @property
    def outage(self) -> str:
        """Why the database cannot be reached; "" while it can."""
        return self._started_writer.outage_reason

    @property
    def backlog(self) -> bool:
        """Whether requests of this process wait in its spool."""
        return self._started_writer.backlog

    @property
    def verdicts(self) -> dict[tuple[str, str], int]:
        """How many verdicts this process kept with their events, by verdict and stage."""
        return self._started_writer.verdicts

    @property
    def replaced(self) -> int:
        """How many times another database was found in the place of the first."""
        return self._started_writer.replaced

    @property
    def _started_writer(self) -> Writer:
        """The writing thread, once started."""
        assert self._writer is not None, "the store was not started"  # noqa: S101
        return self._writer

    def can_keep(self) -> bool:
        """Whether the next request would be kept, in the database or in the spool."""
        spooling = bool(self.outage or self.backlog)
        return self._started_writer.alive and (not spooling or self._spool.has_room())

    def keep(self, arrival: Arrival) -> None:
        """Return once a request is kept for good; raises `errors.NotKept`."""
        self._started_writer.keep(arrival)

    def keep_soon(self, arrivals: Iterable[tuple[Arrival, Callback]]) -> None:
        """Return at once; each callback is called in another thread with the result.

        Raises `errors.NotKept` when the store was closed.
        """
        self._started_writer.keep_soon(arrivals)

    def next_spooled(self) -> Sequence[Request] | None:
        """Wait for requests of the spool to judge, in order; None: the store was closed."""
        return self._started_writer.handover.next_spooled()

    def keep_spooled(self, judged: Sequence[Arrival]) -> None:
        """Hand in the requests of the last `next_spooled`, judged; returns at once."""
        self._started_writer.handover.keep_spooled(judged)

    def settle_and_lease(self, settlement: Settlement | None, request: LeaseRequest | None) -> Next:
        """Settle a delivery and lease the next one; raises `Down`."""
        return self._started_writer.settle_and_lease(settlement, request)

    def _write(self, work: Work[T]) -> T:
        """Run work in the writer's next transaction; raises `Down`."""
        return cast("T", self._started_writer.run(work))

    def _write_here(self, work: Work[T]) -> T:
        """Run work in a transaction of this thread, beside a running bridge; raises `Down`."""
        with _reached(), self._writers.begin() as conn:
            return work(conn, clock_of(self._writers, self._clocks, beside=True).now(conn))

    def send_after_grace(self, leased: Leased, verdict: Verdict) -> bool:
        """Let a thin event be sent as a verdict decides; raises `Down`.

        False when a full event took its place, or the lane was leased again since.
        """
        return self._write(lambda conn, now: send_after_grace(conn, now, leased, verdict))

    def drop_after_grace(self, leased: Leased, verdict: Verdict) -> None:
        """Take a thin event that is not to be sent out of its lane; raises `Down`."""
        self._write(lambda conn, now: drop_after_grace(conn, now, leased, verdict))

    def find_snapshot(self, event: Event) -> Snapshot | None:
        """Find a full body for a thin event: its counterpart's, or the record's newest one.

        Through the writer, which raises `Down` at once while the database is away.
        """
        return self._write(
            lambda conn, _: (
                counterpart_of(conn, event) or latest_snapshot(conn, event.site, event.record)
            )
        )

    def find_newest(self, leased: Leased) -> Newest:
        """Find the newest accepted state for a late event; raises `Down` as `find_snapshot`."""
        return self._write(
            lambda conn, _: find_newest(conn, leased.event, leased.destination, leased.identities)
        )

    def origins(self) -> list[Named]:
        """List the installations that the bodies of each hook named lately; raises `Down`."""
        now = self.now()
        with self._reading() as conn:
            return origins.named(conn, now)

    def purge_expired(self, keep: Retention) -> None:
        """Delete all that has expired, unless another process is doing it; raises `Down`."""
        owner = self._spool.process
        if self._write(lambda conn, now: retention.acquire_job_lock(conn, now, "tidy", owner)):
            while self._write(lambda conn, now: retention.purge_expired(conn, now, keep)):
                pass

    @property
    def spool_folder(self) -> Path:
        """The folder with the spools of all processes that share the database's machine."""
        return self._spool.folder

    def spool_usage(self) -> SpoolUsage:
        """Measure what the spools of all processes hold."""
        return self._spool.usage()

    def now(self) -> int:
        """Read the clock of the database's host, in ms since the epoch."""
        if self._clocks.server is not None:
            return self._clocks.server()
        with self._reading() as conn:
            return conn.execute(select(now_ms())).scalar_one()

    def ahead(self) -> int:
        """By how many ms the engine's clock is ahead of the host's."""
        with self._reading() as conn:
            return ahead(conn, self._clocks)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Open a connection for reading; raises `Down`."""
        with _reached(), self._readers.connect() as conn:
            yield conn

    def close(self) -> None:
        """Write the pending requests and close everything."""
        if self._listener is not None:
            self._listener.stop()
        if self._writer is not None:
            self._writer.stop()
        self._readers.dispose()
        self._writers.dispose()


@contextmanager
def _reached() -> Iterator[None]:
    """Raise `Down` for a database error that is an outage."""
    try:
        yield
    except DBAPIError as error:
        if not is_outage(error):
            raise
        raise Down(f"the database cannot be reached: {without_values(error)}") from error
