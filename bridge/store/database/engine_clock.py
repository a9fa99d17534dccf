"""The engine's clock, which goes on evenly when a host's clock steps.

A database file is used by one machine: its engine's clock is the steady clock and a `base`, which
is in the file, the same for all processes and over restarts, and made anew after each boot. For a
server see `server_clock`.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from sqlalchemy import Connection, Engine, bindparam, select, update

from bridge.store import schema as t
from bridge.store.database.clocks import Clocks, Instant
from bridge.store.database.server_clock import READ_LOCKED, STEP_MS, ServerClock
from bridge.store.database.statements import Prepared, insert_or_ignore, upsert

log = structlog.get_logger()

#: How often a reading is kept.
_KEEP_MS = 10_000

_KEPT = Prepared(select(t.clock.c.boot, t.clock.c.base, t.clock.c.kept).where(t.clock.c.id == 1))
_KEEP_READING = Prepared(
    update(t.clock)
    .where(
        t.clock.c.id.in_(
            select(t.clock.c.id)
            .where(t.clock.c.kept < bindparam("b_now"))
            .with_for_update(skip_locked=True)  # another process keeps one now
        )
    )
    .values(kept=bindparam("b_now"))
)


class GivenClock:
    """The host's clock as the engine's clock, in tests in which no clock steps."""

    def __init__(self, clocks: Clocks) -> None:
        self.host = clocks.host

    def now(self, conn: Connection, lock: int | None = None) -> Instant:
        """Read the clock."""
        return self.ask(conn, lock)()

    def ask(self, conn: Connection, lock: int | None = None) -> Callable[[], Instant]:
        """Send the query for the lock; returns a function that reads the clock. See `pipeline`."""
        if lock is None or conn.dialect.name == "sqlite":
            return self._read
        locked = READ_LOCKED.send(conn, {"lock": lock})

        def fetch() -> Instant:
            locked()
            return self._read()

        return fetch

    def _read(self) -> Instant:
        now = self.host()
        return Instant.of(now, now)

    def guess(self) -> int | None:
        """Return None: the database is not asked."""
        return None

    def mark(self) -> tuple[int, str]:
        """Return a mark that `at` knows nothing of."""
        return 0, ""

    def at(self, ticks: int, boot: str) -> int | None:  # noqa: ARG002 - there are no ticks
        """Return None: the database is not asked."""
        return None

    def forget(self) -> None:
        """Do nothing."""


class FileClock:
    """The engine's clock of a database file."""

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._steady = clocks.steady or clocks.host
        self._base: int | None = None
        self._is_sure = False
        self._ahead: int | None = None

    def begin(self, conn: Connection) -> None:
        """Find the base; on another boot or in a new file, make one. Inside a transaction."""
        row, hosted, ticks = _KEPT.first(conn), self._clocks.host(), self._clocks.ticks()
        kept = 0 if row is None else row.kept
        if row is not None and row.boot == self._clocks.boot and ticks + row.base >= kept:
            self._base = row.base
            return
        engine = max(hosted, kept)
        self._base = engine - ticks
        values = {"boot": self._clocks.boot, "base": self._base, "kept": engine}
        rows = upsert(conn, t.clock).values(id=1, changes=0, **values)
        conn.execute(rows.on_conflict_do_update(index_elements=["id"], set_=values))

    def now(self, conn: Connection, lock: int | None = None) -> Instant:  # noqa: ARG002 - a server's
        """Read the clock."""
        if not self._is_sure:
            self.begin(conn)
            self._is_sure = True
        engine, hosted = self._steady() + (self._base or 0), self._clocks.host()
        ahead = hosted - engine
        if self._ahead is not None and abs(ahead - self._ahead) >= STEP_MS:
            log.warning("clock.stepped", seconds=round((ahead - self._ahead) / 1000, 1))
        self._ahead = ahead
        return Instant.of(engine, hosted)

    def ask(self, conn: Connection, lock: int | None = None) -> Callable[[], Instant]:
        """Return what reads the clock; it takes no query."""
        return lambda: self.now(conn, lock)

    def host(self) -> int:
        """Read the clock of this host, which stamps requests."""
        return self._clocks.host()

    def guess(self) -> int | None:
        """Return the time without a query; None when the database was never available."""
        return None if self._base is None else self._clocks.ticks() + self._base

    def mark(self) -> tuple[int, str]:
        """Mark this instant, for `at`: the steady clock, and the boot since which it counts."""
        return self._clocks.ticks(), self._clocks.boot

    def at(self, ticks: int, boot: str) -> int | None:
        """Return the reading at a mark; None when it is unknown."""
        if self._base is None or not boot or boot != self._clocks.boot:
            return None
        return ticks + self._base

    def forget(self) -> None:
        """Find the base again at the next reading: it may be another file."""
        self._is_sure = False


Clock = FileClock | ServerClock | GivenClock


def clock_of(engine: Engine, clocks: Clocks, *, beside: bool = False) -> Clock:
    """Return the engine's clock of a database; `beside` a running bridge it takes back no step."""
    if clocks.steady is None:
        return GivenClock(clocks)
    if engine.dialect.name == "sqlite":
        return FileClock(clocks)
    return ServerClock(clocks, engine, beside=beside)


def ahead(conn: Connection, clocks: Clocks) -> int:
    """Return by how much the engine's clock is ahead of the host's, in ms, without writing."""
    row = _KEPT.first(conn)
    if row is None or clocks.steady is None:
        return 0
    if conn.dialect.name != "sqlite":
        return int(row.base)
    return clocks.ticks() + row.base - clocks.host() if row.boot == clocks.boot else 0


class Keeper:
    """Keeps readings of the engine's clock, so that it never goes back over a restart."""

    def __init__(self) -> None:
        self._next = 0

    def keep(self, conn: Connection, now: int) -> None:
        """Keep an instant in a transaction that writes anyway, now and then."""
        if now < self._next:
            return
        if not self._next:
            conn.execute(insert_or_ignore(conn, t.clock), [{"id": 1}])
        self._next = now + _KEEP_MS
        _KEEP_READING.run(conn, {"b_now": now})
