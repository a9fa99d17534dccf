"""One run: a folder, a database, the sink, the load, the operator, and the bridge."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Self

from sqlalchemy.exc import DBAPIError

from crash import rows
from crash.account import Account, settle
from crash.clock import HostClock
from crash.databases import Database, engine
from crash.journal import Journal
from crash.load import Load
from crash.processes import BridgeProcess, SinkProcess, write_mappings
from crash.sink import Faults
from crash.story import Step, World
from crash.watch import Operator


class Run:
    """A context that ends all its processes and threads at its end."""

    def __init__(
        self, folder: Path, database: Database, *, seed: int = 1, plays: Collection[str] = ()
    ) -> None:
        self.folder = folder
        self.database = database
        self.plays = plays
        self.world = World(seed, late="late" in plays)
        self.clock = HostClock(folder / "clock") if "clock" in plays else None
        self.sink = SinkProcess(folder)
        self.bridges: list[BridgeProcess] = []
        self.operator = Operator(database.url, folder, self.sink.journal)
        self.load: Load | None = None
        self._engine = engine(database)
        self._journal = Journal(folder / "load.journal")

    def __enter__(self) -> Self:
        write_mappings(self.folder / "mappings", self.sink.port)
        self.sink.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.load is not None:
            self.load.stop()
            self.load.wait(0)
        self.operator.stop()
        for process in (*self.bridges, self.sink):
            process.kill()
        self._journal.close()
        self._engine.dispose()

    def bridge(self, *command: str, name: str = "", **settings: str) -> BridgeProcess:
        """Create one more process of the bridge, without starting it."""
        clock = {} if self.clock is None else self.clock.environ
        environ = {**clock, **settings}
        made = BridgeProcess(name or command[0], command, self.folder, self.database.url, **environ)
        self.bridges.append(made)
        return made

    def send(
        self,
        doors: Sequence[BridgeProcess],
        *,
        chains: Sequence[Iterator[Step]],
        copies: int = 2,
        pause: float = 0.0,
    ) -> Load:
        """Start to send all chains concurrently, each request `copies` times."""
        ports = [door.port for door in doors]
        self.load = Load(self._journal, ports, copies=copies, pause=pause)
        self.load.start(chains)
        return self.load

    def quiet(self, seconds: float) -> bool:
        """Wait until no delivery is open and the spools are empty; False if that takes too long."""
        resumed = 0.0
        for left in _countdown(seconds):
            if self._nothing_left():
                return True
            if resumed - left > 5 or not resumed:
                resumed = left
                self.operator.resume()
        return False

    def _nothing_left(self) -> bool:
        if any((self.folder / "spool").glob("*.spool")):
            return False
        try:
            with self._engine.connect() as conn:
                return not rows.unfinished(conn)
        except DBAPIError:
            return False

    def account(self) -> Account:
        """Check the guarantees."""
        books = self.folder / "load.journal", self.sink.journal
        return settle(*books, self._engine, poison="poison" in self.plays)

    def set_faults(self, faults: Faults) -> None:
        """Change the faults of Aha!, which with the play `poison` rejects some records."""
        self.sink.set_faults({**faults, **({"poison": 1.0} if "poison" in self.plays else {})})

    def scalar(self, statement: str) -> int:
        """Return the number that a statement selects."""
        with self._engine.connect() as conn:
            return int(conn.exec_driver_sql(statement).scalar() or 0)

    def execute(self, statement: str) -> None:
        """Execute a statement."""
        with self._engine.begin() as conn:
            conn.exec_driver_sql(statement)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; False if it does not become true in time."""
    return any(condition() for _ in _countdown(seconds))


def _countdown(seconds: float) -> Iterator[float]:
    """Yield the seconds left, twenty times a second, until there are none."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        yield left
        time.sleep(0.05)
