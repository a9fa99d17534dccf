"""One run: a folder, a database, the sink, the sender, the operator, the bridge between them."""

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
from crash.sink import Manners
from crash.story import Step, World
from crash.watch import Operator


class Run:
    """Everything that is started is ended when the context is left."""

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
        """Make one more process of the bridge; it is not started yet."""
        clock = {} if self.clock is None else self.clock.environ
        environ = {**clock, **settings}
        made = BridgeProcess(name or command[0], command, self.folder, self.database.url, **environ)
        self.bridges.append(made)
        return made

    def tell(
        self,
        doors: Sequence[BridgeProcess],
        *,
        chains: Sequence[Iterator[Step]],
        copies: int = 2,
        pause: float = 0.0,
    ) -> Load:
        """Begin to send: every chain beside the others, each step so many times at once."""
        ports = [door.port for door in doors]
        self.load = Load(self._journal, ports, copies=copies, pause=pause)
        self.load.tell(chains)
        return self.load

    def quiet(self, seconds: float) -> bool:
        """Wait until nothing is on its way any more; False: it did not come to that in time."""
        hurried = 0.0
        for left in _countdown(seconds):
            if self._nothing_left():
                return True
            if hurried - left > 5 or not hurried:
                hurried = left
                self.operator.hurry()
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
        """Check the promises."""
        books = self.folder / "load.journal", self.sink.journal
        return settle(*books, self._engine, poison="poison" in self.plays)

    def temper(self, manners: Manners) -> None:
        """Change the manners of Aha!, which never takes what is poison."""
        self.sink.behave({**manners, **({"poison": 1.0} if "poison" in self.plays else {})})

    def scalar(self, statement: str) -> int:
        """Ask the database for a number."""
        with self._engine.connect() as conn:
            return int(conn.exec_driver_sql(statement).scalar() or 0)

    def execute(self, statement: str) -> None:
        """Change something in the database."""
        with self._engine.begin() as conn:
            conn.exec_driver_sql(statement)


def wait_until(told: Callable[[], bool], seconds: float) -> bool:
    """Wait for something to be so; False: it was not within the time."""
    return any(told() for _ in _countdown(seconds))


def _countdown(seconds: float) -> Iterator[float]:
    """Give the seconds left, some times a second, till there are none."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        yield left
        time.sleep(0.05)
