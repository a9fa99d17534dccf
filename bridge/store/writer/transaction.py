"""One transaction of the writer, from the connection to the commit.

A transaction that a deadlock or the end of a session interrupts is repeated. The end of a session
is not an outage: during an outage requests go into the spool of this process, and the requests of
other processes overtake them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from bridge.store.database.clocks import Instant
from bridge.store.database.connect import file_of
from bridge.store.database.engine_clock import Clock
from bridge.store.database.errors import Undecided, is_deadlock, is_session_end
from bridge.store.database.file_lock import FileLock
from bridge.store.database.files import DatabaseFile
from bridge.store.database.schema_version import require_schema
from bridge.store.database.statements import pipeline
from bridge.store.database.watchdog import Watchdog
from bridge.store.writer.outage import Outage
from bridge.timing import Timing

_Done = TypeVar("_Done")
#: Called with the instant, and with whether an earlier try may have been committed.
Repeatable = Callable[[Connection, Instant, bool], _Done]
#: Sends the first queries of a transaction along with its BEGIN.
Ask = Callable[[Connection], None]

_UNDECIDED = "the database session ended during the commit: it may or may not have taken effect"
_UPTIME_S = text("SELECT EXTRACT(EPOCH FROM clock_timestamp() - pg_postmaster_start_time())")
#: A server does not notice that a client vanished between two statements: it would keep the
#: transaction open, with its locks, for hours.
_END_LOST = text(
    """
    SELECT pg_terminate_backend(a.pid)
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
    AND (CAST(l.classid AS BIGINT) << 32) + CAST(l.objid AS BIGINT) = CAST(:lock AS BIGINT)
    AND a.state LIKE 'idle in transaction%' AND a.pid <> pg_backend_pid()
    """
)


class Transactions:
    """The writer's connection, and the transactions on it, one at a time."""

    def __init__(self, engine: Engine, clock: Clock, outage: Outage, timing: Timing) -> None:
        self._engine = engine
        self._clock = clock
        self._outage = outage
        self._timing = timing
        #: The open connection; None after it was lost, until the next transaction.
        self.conn: Connection | None = None
        #: Whether the database is a file.
        self.embedded = engine.dialect.name == "sqlite"
        #: How many times another file was found in the place of the database.
        self.replaced = 0
        path = file_of(engine.url)
        self._file = DatabaseFile(str(path)) if path is not None else None
        self._file_lock = FileLock(str(engine.url.database) if self.embedded else "")
        self._watchdog = Watchdog(timing)
        #: The advisory lock that every transaction of this writer takes on a server.
        self._lock = secrets.randbits(63)
        #: Whether the last try of a transaction got as far as its commit.
        self._committing = False
        #: Whether the schema was checked.
        self._is_checked = False

    def start(self) -> None:
        """Start the watchdog, which a server needs."""
        if not self.embedded:
            self._watchdog.start()

    def close(self) -> None:
        """Release the file lock and stop the watchdog."""
        self._file_lock.close()
        self._watchdog.stop()

    def run(
        self, work: Repeatable[_Done], *, ask: Ask | None = None, repeatable: bool = True
    ) -> _Done:
        """Run `work` in a transaction and return its result.

        A deadlock or the end of the session repeats it. If the session ended during the commit, it
        is unknown whether that took effect: `repeatable` work is called with True then, and looks
        for what it may have written; other work raises `Undecided`. `ask` is not called then,
        because its queries depend on what the work finds.
        """
        began, tries, again = time.monotonic(), None, False
        while True:
            try:
                done = self._try(work, None if again else ask, again=again)
            except DBAPIError as error:
                ended = is_session_end(error)
                if ended:
                    self.hang_up()
                if ended and self._committing and not repeatable:
                    raise Undecided(_UNDECIDED) from error
                tries = tries or _Tries(self._timing, began)
                if not tries.has_another(error, ended=ended):
                    raise
                again = again or self._committing
            else:
                if self._outage.reason:
                    self._outage.end()
                return done

    def run_if_connected(self, work: Callable[[Connection, Instant], object]) -> None:
        """Run `work` once if there is a connection, and ignore every failure."""
        conn = self.conn
        if conn is not None:
            with suppress(Exception), self._watchdog.over(conn), conn.begin():
                work(conn, self._clock.now(conn))

    def disconnect(self) -> None:
        """Close the connection."""
        conn, self.conn = self.conn, None
        if conn is not None:
            conn.close()

    def hang_up(self) -> None:
        """Close a connection that is of no further use."""
        conn, self.conn = self.conn, None
        if conn is not None:
            conn.invalidate()
            conn.close()

    def _try(self, work: Repeatable[_Done], ask: Ask | None, *, again: bool) -> _Done:
        self._committing = False
        conn = self.conn or self._connect()
        alone = self._file_lock.held() if self.embedded else self._watchdog.over(conn)
        with alone, conn.begin():
            done = work(conn, self._begin(conn, ask), again)
            if self._file is not None:
                # A lease in a file that is moved back later would block its lane: no worker
                # learns of it.
                self._file.require()
            self._committing = True
        if self._file is not None:
            self._file.require()  # otherwise the rows went into a file that is gone
        return done

    def _connect(self) -> Connection:
        if self.conn is None and self._file is not None and self._file.open():
            self._is_checked, self.replaced = False, self.replaced + 1
        if not self._is_checked:
            # A bridge can start while the database is unavailable. It writes nothing to a database
            # with the schema of another version.
            require_schema(self._engine)
            self._is_checked = True
        if self.conn is None:
            self.conn = self._engine.connect()
            self._clock.forget()
            if not self.embedded:
                self._outage.connected(_end_lost_sessions(self.conn, self._lock))
        return self.conn

    def _begin(self, conn: Connection, ask: Ask | None) -> Instant:
        """Return the instant of a transaction that was just begun, in ms.

        On a server the transaction waits for an earlier one of this writer whose session was lost
        and which may still be committed: both take the writer's lock. BEGIN, the lock, the clock
        and the queries of `ask` share one round trip; the server answers in this order.
        """
        if self.embedded:
            now = self._clock.now(conn)
            if ask is not None:
                ask(conn)
            return now
        with pipeline(conn):
            instant = self._clock.ask(conn, self._lock)
            if ask is not None:
                ask(conn)
        return instant()


def _end_lost_sessions(conn: Connection, lock: int) -> float:
    """End the sessions that a writer lost and that still hold its lock.

    Returns how long the server has been up, in seconds.
    """
    with conn.begin():
        conn.execute(_END_LOST, {"lock": lock})
        return float(conn.scalar(_UPTIME_S) or 0)


class _Tries:
    """The tries of one transaction."""

    def __init__(self, timing: Timing, began: float) -> None:
        self._left = timing.deadlock_tries
        self._until = began + timing.session_retry_s
        self._ended = 0

    def has_another(self, error: DBAPIError, *, ended: bool) -> bool:
        """Count a failed try, and return whether there is another; `ended`: the session ended."""
        if ended:
            self._ended += 1
            return self._ended == 1 or time.monotonic() < self._until
        self._left -= 1
        return bool(self._left) and is_deadlock(error)
