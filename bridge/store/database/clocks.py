"""The engine's clock, which goes on evenly when a host's clock steps, and the host's beside it.

Leases, retries, graces, limits and places are instants of the engine's clock. What people read, and
what is deleted after days, goes by the host's.

A file is used by one machine, whose kernel has a clock that never steps: `base` is what to add to
it, the same for all processes and over restarts, and made anew after each boot. A server's clock is
all that several machines share, and it steps, too: each process compares it with the steady clock
of its own machine, and who notices a step takes it back by `base`, for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, bindparam, func, select, update

from bridge.store import schema as t
from bridge.store.database.statements import Prepared, insert_or_ignore, now_ms, upsert

log = structlog.get_logger()

#: Goes on while the machine sleeps, where there is such a clock.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT = Path("/proc/sys/kernel/random/boot_id")
#: How often what the clock said is kept, in ms.
_KEEP = 10_000
#: A difference of at least so many ms is a step and no delay.
_STEP = 1_000
#: How much two clocks may drift apart that nobody sets: one in so many.
_DRIFT = 1_000
#: An answer that took no longer is exact enough, in ms.
ABOUT = 50


def steady() -> int:
    """Read the clock that never steps, the same for all processes of a machine, in ms."""
    return time.clock_gettime_ns(_CLOCK) // 1_000_000


def host() -> int:
    """Read the clock of this host, which may step, in ms since the epoch."""
    return time.time_ns() // 1_000_000


def boot() -> str:
    """Name the run of this machine's kernel; "" where that cannot be told."""
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return ""


class Instant(int):
    """An instant of the engine's clock in ms, with what the host's clock said then."""

    wall: int

    @classmethod
    def of(cls, engine: int, wall: int) -> Instant:
        """Make one of the two."""
        made = cls(engine)
        made.wall = wall
        return made


def wall(now: int) -> int:
    """Return what the host's clock said at an instant; a plain number is both."""
    return now.wall if isinstance(now, Instant) else now


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """The clocks that a process can read, in ms; tests give their own."""

    #: The host's, which may step.
    host: Callable[[], int] = host
    #: The one that never steps; None: the host's does not, either.
    steady: Callable[[], int] | None = steady
    #: Since when the steady one counts.
    boot: str = ""
    #: A server's clock is not asked: the host's is taken for it.
    made_up: bool = False

    @classmethod
    def given(cls, host: Callable[[], int] | None, steady: Callable[[], int] | None) -> Sources:
        """Use the clocks that are given; the machine's where none are."""
        if host is None:
            return cls(boot=boot())
        return cls(host=host, steady=steady, boot="made up", made_up=True)

    def ticks(self) -> int:
        """Read the clock that never steps."""
        return (self.steady or self.host)()


class GivenClock:
    """The one clock that a test gives, for everything."""

    def __init__(self, sources: Sources) -> None:
        self.host = sources.host

    def now(self, conn: Connection, lock: int | None = None) -> Instant:
        """Read the clock."""
        return self.ask(conn, lock)()

    def ask(self, conn: Connection, lock: int | None = None) -> Callable[[], Instant]:
        """Ask for the clock, for others to be asked `together` with it."""
        if lock is None or conn.dialect.name == "sqlite":
            return self._read
        locked = _LOCKED.ask(conn, {"lock": lock})

        def fetch() -> Instant:
            locked()
            return self._read()

        return fetch

    def _read(self) -> Instant:
        now = self.host()
        return Instant.of(now, now)

    def guess(self) -> int | None:
        """Tell nothing."""
        return None

    def mark(self) -> tuple[int, str]:
        """Mark nothing."""
        return 0, ""

    def at(self, ticks: int, boot: str) -> int | None:  # noqa: ARG002 - there are no ticks
        """Tell nothing."""
        return None

    def forget(self) -> None:
        """Nothing is known."""


class FileClock:
    """The engine's clock of a database file."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._base: int | None = None
        self._is_sure = False
        self._ahead: int | None = None

    def begin(self, conn: Connection) -> None:
        """Find the base; on another boot, or in a new file, make one. Inside a transaction."""
        row, hosted, ticks = _KEPT.first(conn), self._sources.host(), self._sources.ticks()
        kept = 0 if row is None else row.kept
        if row is not None and row.boot == self._sources.boot and ticks + row.base >= kept:
            self._base = row.base
            return
        engine = max(hosted, kept)
        self._base = engine - ticks
        values = {"boot": self._sources.boot, "base": self._base, "kept": engine}
        rows = upsert(conn, t.clock).values(id=1, changes=0, **values)
        conn.execute(rows.on_conflict_do_update(index_elements=["id"], set_=values))

    def now(self, conn: Connection, lock: int | None = None) -> Instant:  # noqa: ARG002 - a server's
        """Read the clock."""
        if not self._is_sure:
            self.begin(conn)
            self._is_sure = True
        engine, hosted = self.guess() or 0, self._sources.host()
        ahead = hosted - engine
        if self._ahead is not None and abs(ahead - self._ahead) >= _STEP:
            log.warning("clock.stepped", seconds=round((ahead - self._ahead) / 1000, 1))
        self._ahead = ahead
        return Instant.of(engine, hosted)

    def ask(self, conn: Connection, lock: int | None = None) -> Callable[[], Instant]:
        """Read the clock when what is returned is called: no database is asked for it."""
        return lambda: self.now(conn, lock)

    def host(self) -> int:
        """Read the clock of this host, which stamps requests."""
        return self._sources.host()

    def guess(self) -> int | None:
        """Read the clock without the database; None when it was never there."""
        return None if self._base is None else self._sources.ticks() + self._base

    def mark(self) -> tuple[int, str]:
        """Mark this instant, for `at`: the steady clock, and the boot since which it counts."""
        return self._sources.ticks(), self._sources.boot

    def at(self, ticks: int, boot: str) -> int | None:
        """Tell what the clock said at a mark; None when that is not known."""
        if self._base is None or not boot or boot != self._sources.boot:
            return None
        return ticks + self._base

    def forget(self) -> None:
        """Look for the base again: it may be another file by now."""
        self._is_sure = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    """What a server said, and between which two instants of the steady clock it did."""

    server: int
    engine: int
    #: The last that was kept of the engine's clock.
    kept: int
    after: int
    before: int
    #: How often the base was changed.
    changes: int


class ServerClock:
    """The engine's clock of a database that several machines share."""

    def __init__(self, sources: Sources, engine: Engine, *, beside: bool) -> None:
        self._sources = sources
        self._engine = engine
        self._beside = beside
        self._last: _Reading | None = None

    def now(self, conn: Connection, lock: int | None = None) -> Instant:
        """Read the clock, once the transaction has an advisory lock, if one is named."""
        return self.ask(conn, lock)()

    def ask(self, conn: Connection, lock: int | None = None) -> Callable[[], Instant]:
        """Ask for the clock, for others to be asked `together` with it.

        Who had to wait for the answers, for somebody else's lock say, asks once more: an answer
        says nothing exact about the time that passed since.
        """
        after = self._sources.ticks()
        asked = _SERVER.ask(conn) if lock is None else _LOCKED.ask(conn, {"lock": lock})

        def fetch() -> Instant:
            found = self._answer(asked, after)
            if found.before - found.after > ABOUT:
                found = self._again(conn)
            return self._settled(conn, found)

        return fetch

    def _again(self, conn: Connection) -> _Reading:
        after = self._sources.ticks()
        return self._answer(_SERVER.ask(conn), after)

    def _answer(self, asked: Callable[[], list[Any]], after: int) -> _Reading:
        row = asked()[0]
        server = self._sources.host() if self._sources.made_up else int(row.server)
        return _Reading(
            server=server,
            engine=server + (row.base or 0),
            kept=row.kept or 0,
            after=after,
            before=self._sources.ticks(),
            changes=row.changes or 0,
        )

    def _settled(self, conn: Connection, found: _Reading) -> Instant:
        """Take back a step, if the clock took one."""
        while step := self._step(found):
            if self._beside:  # the bridge will see to it
                return Instant.of(found.engine - step, found.server)
            self._take_back(step, found.changes)
            found = self._again(conn)
        self._last = found
        return Instant.of(found.engine, found.server)

    def host(self) -> int:
        """Read the clock of this host, which stamps requests."""
        return self._sources.host()

    def guess(self) -> int | None:
        """Tell the time without the database; None when it was never there."""
        last = self._last
        return None if last is None else last.engine + self._sources.ticks() - last.before

    def mark(self) -> tuple[int, str]:
        """Mark this instant, for `at`: the steady clock, and the boot since which it counts."""
        return self._sources.ticks(), self._sources.boot

    def at(self, ticks: int, boot: str) -> int | None:
        """Tell what the clock said at a mark; None when that is not known."""
        last = self._last
        if last is None or not boot or boot != self._sources.boot:
            return None
        return last.engine + ticks - last.before

    def forget(self) -> None:
        """Nothing: a step is one also while nobody was connected."""

    def _step(self, found: _Reading) -> int:
        """Tell by how much the clock stepped since the last look, in ms; 0: it did not.

        Where somebody else changed the base meanwhile, only falling back counts: who was
        suspended takes the time that passed for a step.
        """
        last = self._last
        if last is None:
            return min(0, found.engine - found.kept)
        moved = found.engine - last.engine
        least, most = found.after - last.before, found.before - last.after
        slack = _STEP + most // _DRIFT
        if moved < least - slack:
            return moved - least
        if moved > most + slack and found.changes == last.changes:
            return moved - most
        return 0

    def _take_back(self, step: int, changes: int) -> None:
        """Change the base for all, unless somebody did."""
        with self._engine.begin() as conn:
            conn.execute(insert_or_ignore(conn, t.clock), [{"id": 1}])
            changed = conn.execute(
                update(t.clock)
                .where(t.clock.c.id == 1, t.clock.c.changes == changes)
                .values(base=t.clock.c.base - step, changes=changes + 1)
            )
        if changed.rowcount:
            log.warning("clock.stepped", seconds=round(step / 1000, 1))


Clock = FileClock | ServerClock | GivenClock


def clock_of(engine: Engine, sources: Sources, *, beside: bool = False) -> Clock:
    """Return the engine's clock of a database; `beside` a running bridge, nothing is set right."""
    if sources.steady is None:
        return GivenClock(sources)
    if engine.dialect.name == "sqlite":
        return FileClock(sources)
    return ServerClock(sources, engine, beside=beside)


def ahead(conn: Connection, sources: Sources) -> int:
    """Tell by how much the engine's clock is ahead of the host's, in ms, without writing."""
    row = _KEPT.first(conn)
    if row is None or sources.steady is None:
        return 0
    if conn.dialect.name != "sqlite":
        return int(row.base)
    return sources.ticks() + row.base - sources.host() if row.boot == sources.boot else 0


class Keeper:
    """Keeps what the engine's clock said, so that it never goes back over a restart."""

    def __init__(self) -> None:
        self._next = 0

    def keep(self, conn: Connection, now: int) -> None:
        """Keep an instant in a transaction that writes anyway, now and then."""
        if now < self._next:
            return
        if not self._next:
            conn.execute(insert_or_ignore(conn, t.clock), [{"id": 1}])
        self._next = now + _KEEP
        _KEEP_IT.run(conn, {"b_now": now})


_KEPT = Prepared(select(t.clock.c.boot, t.clock.c.base, t.clock.c.kept).where(t.clock.c.id == 1))
_ROW = select(t.clock.c.kept).where(t.clock.c.id == 1)
_SAID = (
    now_ms().label("server"),
    *(
        _ROW.with_only_columns(column).scalar_subquery().label(column.name)
        for column in (t.clock.c.base, t.clock.c.kept, t.clock.c.changes)
    ),
)
_SERVER = Prepared(select(*_SAID))
_LOCKED = Prepared(select(func.pg_advisory_xact_lock(bindparam("lock")).label("locked"), *_SAID))
_KEEP_IT = Prepared(
    update(t.clock)
    .where(
        t.clock.c.id.in_(
            select(t.clock.c.id)
            .where(t.clock.c.kept < bindparam("b_now"))
            .with_for_update(skip_locked=True)  # somebody else is at it
        )
    )
    .values(kept=bindparam("b_now"))
)
