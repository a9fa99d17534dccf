"""Who wakes whom: a worker without work waits until a lane of its destination has some.

A wake-up is a number of lanes for each destination, such as `{"aha": 2}`. Workers wait for theirs
at the `Wakeups` of their own process, which are notified from three sides:

- by the writer of the same process, after a commit that gave lanes work;
- by the process that receives, where a bridge runs as two processes on one machine: a `WakeupPipe`;
- by any other process that shares a PostgreSQL database: `notify_processes` sends a NOTIFY with
  the commit, and a `Listener` of each process receives it.

A wake-up may be lost. Workers look for work every second without one; it only makes them quicker.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

import orjson
import structlog
from sqlalchemy import URL, Connection, bindparam, func, select

from bridge.store.database.statements import Prepared

log = structlog.get_logger()

#: The number of lanes with work, by destination.
Ready = Mapping[str, int]

#: How many wake-ups of a destination wait at most: enough for all its workers, and so few that
#: after a busy time the workers do not look for work in vain for long.
MAX_PENDING = 64
#: A line of at most this many bytes is written to a pipe whole or not at all, also when several
#: processes write at once.
PIPE_ATOMIC_BYTES = 4096
#: PostgreSQL's channel for NOTIFY.
CHANNEL = "aha_bridge"


# In one process


class Wakeups:
    """The wake-ups of one process. One that comes before a worker waits is kept for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pending: dict[str, int] = {}

    def notify(self, ready: Ready) -> None:
        """Wake as many workers of each destination as it has lanes with work."""
        if not ready:
            return
        with self._changed:
            for name, count in ready.items():
                self._pending[name] = min(self._pending.get(name, 0) + count, MAX_PENDING)
            self._changed.notify_all()

    def wait(self, destination: str, timeout_s: float) -> None:
        """Return at the next wake-up of a destination, or after a time in seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending.get(destination, 0) > 0, timeout_s)
            left = self._pending.get(destination, 0)
            self._pending[destination] = max(0, left - 1)


# Between two processes of one machine


class WakeupPipe:
    """A pipe for wake-ups, made by the parent of the process that sends and the one that receives.

    A database file notifies no process, so that SQLite needs the pipe. A wake-up that finds the
    pipe full is dropped: the receiving process has enough to do then.
    """

    def __init__(self) -> None:
        self._reading, self._writing = multiprocessing.Pipe(duplex=False)
        os.set_blocking(self._writing.fileno(), False)

    def send(self, ready: Ready) -> None:
        """Write a wake-up, without waiting."""
        line = orjson.dumps(ready) + b"\n" if ready else b""
        if len(line) <= PIPE_ATOMIC_BYTES:
            with suppress(BlockingIOError):
                os.write(self._writing.fileno(), line)

    def receive(self, notify: Callable[[Ready], None]) -> None:
        """Pass every wake-up on to `notify`, in a thread that ends with the process."""
        self._writing.close()
        threading.Thread(target=self._run, args=(notify,), name="wakeups", daemon=True).start()

    def _run(self, notify: Callable[[Ready], None]) -> None:
        rest = b""
        while chunk := os.read(self._reading.fileno(), 65536):
            *lines, rest = (rest + chunk).split(b"\n")
            ready: Counter[str] = Counter()
            for line in lines:
                ready.update(orjson.loads(line))
            notify(ready)


# Between the processes of a PostgreSQL database

_NOTIFY = Prepared(select(func.pg_notify(CHANNEL, bindparam("ready"))))


def notify_processes(conn: Connection, ready: Ready) -> None:
    """Notify the listeners of all processes when the transaction commits; nothing on SQLite."""
    if ready and conn.dialect.name == "postgresql":
        _NOTIFY.run(conn, {"ready": orjson.dumps(ready).decode()})


class Listener:
    """A thread with a connection of its own that passes other processes' wake-ups on."""

    def __init__(self, url: URL, notify: Callable[[Ready], None], *, poll_s: float = 1.0) -> None:
        # A connection of psycopg's own: SQLAlchemy cannot wait for notifications.
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._notify = notify
        #: How often it checks whether it was stopped, and its pause after a lost connection.
        self._poll_s = poll_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and wait for the thread to end."""
        self._stopping.set()
        self._interrupt()
        self._thread.join()

    def _interrupt(self) -> None:
        """Send an empty wake-up, after which the thread checks at once whether it was stopped."""
        import psycopg  # noqa: PLC0415 - as below

        with (
            suppress(psycopg.OperationalError),  # the thread checks at its next poll then
            psycopg.connect(self._address, autocommit=True, connect_timeout=2) as conn,
        ):
            conn.execute("SELECT pg_notify(%s, '{}')", [CHANNEL])

    def _run(self) -> None:
        import psycopg  # noqa: PLC0415 - only installed with the extra `postgres`

        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._address, autocommit=True) as conn:
                    conn.execute(f"LISTEN {CHANNEL}")
                    while not self._stopping.is_set():
                        for message in conn.notifies(timeout=self._poll_s, stop_after=1):
                            self._notify(orjson.loads(message.payload))
            except psycopg.OperationalError:
                log.warning("listener.lost")
                self._stopping.wait(self._poll_s)
