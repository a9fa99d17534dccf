"""The engine's clock of a database that several machines share.

The server's clock is the only one that all machines read, and it steps, too. Each process compares
it with the steady clock of its own machine. The first process that notices a step takes it back for
all, by a `base` in the database that is added to the server's clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, bindparam, func, select, update

from bridge.store import schema as t
from bridge.store.database.clocks import Clocks, Instant
from bridge.store.database.statements import Prepared, insert_or_ignore, now_ms

log = structlog.get_logger()

#: A smaller difference is a delay, and no step.
STEP_MS = 1_000
#: Two clocks may drift apart by one ms in so many without a step.
_DRIFT_RATIO = 1_000
#: A reading that took no longer is exact enough.
EXACT_MS = 50

_ROW = select(t.clock.c.kept).where(t.clock.c.id == 1)
_READING = (
    now_ms().label("server"),
    *(
        _ROW.with_only_columns(column).scalar_subquery().label(column.name)
        for column in (t.clock.c.base, t.clock.c.kept, t.clock.c.changes)
    ),
)
_READ = Prepared(select(*_READING))
READ_LOCKED = Prepared(
    select(func.pg_advisory_xact_lock(bindparam("lock")).label("locked"), *_READING)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    """One reading of a server's clock, in ms."""

    server: int
    #: The server's clock and the base: the engine's clock.
    engine: int
    #: The last instant of the engine's clock that was kept.
    kept: int
    #: The readings of the steady clock before the query and after its answer.
    after: int
    before: int
    #: How often the base was changed.
    changes: int


class ServerClock:
    """The engine's clock of a database that several machines share."""

    def __init__(self, clocks: Clocks, engine: Engine, *, beside: bool) -> None:
        self._clocks = clocks
        self._engine = engine
        self._beside = beside
        self._last: _Reading | None = None

    def now(self, conn: Connection, lock: int | None = None) -> Instant:
        """Read the clock, once the transaction has an advisory lock, if one is named."""
        return self.ask(conn, lock)()

    def ask(self, conn: Connection, lock: int | None = None) -> Callable[[], Instant]:
        """Send the query for the clock; returns a function that fetches the answer. See `pipeline`.

        When the answer took long, because of a lock that another process held, the clock is
        read once more: the first reading is inexact by that time.
        """
        after = self._clocks.ticks()
        asked = _READ.send(conn) if lock is None else READ_LOCKED.send(conn, {"lock": lock})

        def fetch() -> Instant:
            found = self._answer(asked, after)
            if found.before - found.after > EXACT_MS:
                found = self._again(conn)
            return self._settled(conn, found)

        return fetch

    def _again(self, conn: Connection) -> _Reading:
        after = self._clocks.ticks()
        return self._answer(_READ.send(conn), after)

    def _answer(self, asked: Callable[[], list[Any]], after: int) -> _Reading:
        row = asked()[0]
        given = self._clocks.server
        server = int(row.server) if given is None else given()
        return _Reading(
            server=server,
            engine=server + (row.base or 0),
            kept=row.kept or 0,
            after=after,
            before=self._clocks.ticks(),
            changes=row.changes or 0,
        )

    def _settled(self, conn: Connection, found: _Reading) -> Instant:
        """Take back a step of the server's clock, if there was one."""
        while step := self._step(found):
            if self._beside:  # the running bridge takes the step back
                return Instant.of(found.engine - step, found.server)
            self._take_back(step, found.changes)
            found = self._again(conn)
        self._last = found
        return Instant.of(found.engine, found.server)

    def host(self) -> int:
        """Read the clock of this host, which stamps requests."""
        return self._clocks.host()

    def guess(self) -> int | None:
        """Return the time without a query; None when the database was never available."""
        last = self._last
        return None if last is None else last.engine + self._clocks.ticks() - last.before

    def mark(self) -> tuple[int, str]:
        """Mark this instant, for `at`: the steady clock, and the boot since which it counts."""
        return self._clocks.ticks(), self._clocks.boot

    def at(self, ticks: int, boot: str) -> int | None:
        """Return the reading at a mark; None when it is unknown."""
        last = self._last
        if last is None or not boot or boot != self._clocks.boot:
            return None
        return last.engine + ticks - last.before

    def forget(self) -> None:
        """Do nothing: a step counts also while there was no connection."""

    def _step(self, found: _Reading) -> int:
        """Return by how much the clock stepped since the last reading, in ms; 0: it did not.

        When another process changed the base meanwhile, only a step back counts: to a process
        that was suspended, the time of its suspension looks like a step forward.
        """
        last = self._last
        if last is None:
            return min(0, found.engine - found.kept)
        moved = found.engine - last.engine
        least, most = found.after - last.before, found.before - last.after
        slack = STEP_MS + most // _DRIFT_RATIO
        if moved < least - slack:
            return moved - least
        if moved > most + slack and found.changes == last.changes:
            return moved - most
        return 0

    def _take_back(self, step: int, changes: int) -> None:
        """Change the base for all processes, unless another process did."""
        with self._engine.begin() as conn:
            conn.execute(insert_or_ignore(conn, t.clock), [{"id": 1}])
            changed = conn.execute(
                update(t.clock)
                .where(t.clock.c.id == 1, t.clock.c.changes == changes)
                .values(base=t.clock.c.base - step, changes=changes + 1)
            )
        if changed.rowcount:
            log.warning("clock.stepped", seconds=round(step / 1000, 1))
