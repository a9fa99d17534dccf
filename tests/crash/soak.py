"""Random kills of web, worker and database under load, for as long as one likes.

Beside the kills, the plays: `stalled` senders that stop in the middle of a body, `poison` records
that Aha! never takes, `late` repeats of what was answered long ago, and a host `clock` that steps.

SQLite: one `aha-bridge serve`. PostgreSQL: three `web` and three `worker` on a server of the run's
own, and each event sent to all three webs at once.
"""

from __future__ import annotations

import random
import resource
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from crash.account import Account
from crash.clock import HostClock
from crash.databases import Cluster, Database, PostgreSQL, SQLite, reachable, tools
from crash.processes import BridgeProcess
from crash.run import Run
from crash.sink import BAD, DOWN, POLITE
from crash.stalled import StalledSenders

#: How long it may take after the load until nothing is on its way any more, in seconds.
QUIET = 240
#: How many records are told of side by side, how many steps each lives, and the pause between.
CHAINS = 24
LENGTH = 40
PAUSE = 0.5
PLAYS = ("stalled", "poison", "late", "clock")
#: How far the clock of the bridge's host may be off, in seconds, one step after the other.
OFF = (0, 300, -300, 3600, -3600, 7)


@dataclass(frozen=True, kw_only=True)
class Soaked:
    """What a soak came to."""

    database: str
    seconds: float
    account: Account
    #: What was done to the bridge, how often.
    blows: Counter[str]
    in_doubt: int
    restarts: int
    #: Requests of the load that were not answered 200: the sender's business to repeat.
    unanswered: int
    #: Connections of stalled senders that the bridge gave up.
    stalled: int
    #: What did not end in time, or "".
    stuck: str

    @property
    def fine(self) -> bool:
        """Whether no promise was broken."""
        return self.account.fine and not self.stuck


class Supervisor:
    """Starts what ended, a moment later, as systemd and containers do."""

    def __init__(self, *processes: BridgeProcess) -> None:
        self._processes = processes
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Start all of them, and begin to watch."""
        for process in self._processes:
            process.start()
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(0.5):
            for process in self._processes:
                if process.ended:
                    process.start()


class Storm:
    """Does something bad every few seconds, in a thread for each kind."""

    def __init__(self, run: Run, rng: random.Random) -> None:
        self._run = run
        self._rng = rng
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.blows: Counter[str] = Counter()

    def every(self, seconds: float, *blows: tuple[str, Callable[[], None]]) -> None:
        """Strike about so often, with one of these at a time."""
        thread = threading.Thread(target=self._strike, args=(seconds, blows), daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Let what is under way pass, and no more."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def _strike(self, seconds: float, blows: tuple[tuple[str, Callable[[], None]], ...]) -> None:
        while not self._stopping.wait(seconds * self._rng.uniform(0.6, 1.4)):
            name, blow = self._rng.choice(blows)
            self.blows[name] += 1
            blow()

    def kill(self, *processes: BridgeProcess) -> Callable[[], None]:
        """Kill one of them with all it started; the supervisor starts it again."""
        return lambda: self._rng.choice(processes).kill()

    def end(self, *processes: BridgeProcess) -> Callable[[], None]:
        """Ask one of them to end, as an upgrade does."""
        return lambda: self._rng.choice(processes).end(15)

    def kill_child(self, *processes: BridgeProcess) -> Callable[[], None]:
        """Kill what one of them started, which it then starts again."""
        return lambda: self._rng.choice(processes).kill(children_only=True)

    def fill_disk(self, process: BridgeProcess) -> None:
        """Let no file of the process grow for some seconds."""
        pids = process.pids()
        _limit(pids, 4096)
        self._stopping.wait(self._rng.uniform(1, 4))
        _limit(pids, resource.RLIM_INFINITY)

    def seconds(self, least: float, most: float) -> float:
        """Choose how long something lasts."""
        return self._rng.uniform(least, most)

    def silence(self) -> None:
        """Take Aha! down for some seconds."""
        self._run.temper(DOWN)
        self._stopping.wait(self._rng.uniform(1, 4))
        self._run.temper(BAD)

    def step_clock(self, clock: HostClock) -> None:
        """Set the clock of the bridge's host, forward or back."""
        clock.step(self._rng.choice(OFF))


def _limit(pids: list[int], size: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def on_sqlite(folder: Path, seconds: float, seed: int, plays: Collection[str] = PLAYS) -> Soaked:
    """Soak one process on a file."""
    database = SQLite(folder)

    def begin(run: Run, storm: Storm) -> list[BridgeProcess]:
        serve = run.bridge("serve")
        storm.every(
            8,
            ("kill", storm.kill(serve)),
            ("kill the child", storm.kill_child(serve)),
            ("end", storm.end(serve)),
        )
        storm.every(
            20, ("lock the file", database.hit), ("fill the disk", lambda: storm.fill_disk(serve))
        )
        return [serve]

    with Run(folder, database, seed=seed, plays=plays) as run:
        return _soak(run, seconds, seed, begin)


def on_postgresql(
    folder: Path, seconds: float, seed: int, plays: Collection[str] = PLAYS
) -> Soaked:
    """Soak three webs and three workers on a server; without tools, on one that is there."""
    database = PostgreSQL() if tools() is None else Cluster(folder)

    def begin(run: Run, storm: Storm) -> list[BridgeProcess]:
        _migrate(run)
        webs = [run.bridge("web", name=f"web-{n}") for n in range(3)]
        workers = [run.bridge("worker", name=f"worker-{n}") for n in range(3)]
        storm.every(
            4,
            ("kill a web", storm.kill(*webs)),
            ("kill a web's child", storm.kill_child(*webs)),
            ("end a web", storm.end(*webs)),
        )
        storm.every(
            4, ("kill a worker", storm.kill(*workers)), ("end a worker", storm.end(*workers))
        )
        storm.every(20, *_blows_on(database, storm))
        return webs

    try:
        with Run(folder, database, seed=seed, plays=plays) as run:
            return _soak(run, seconds, seed, begin)
    finally:
        database.close()


def _blows_on(database: Database, storm: Storm) -> list[tuple[str, Callable[[], None]]]:
    blows = [("stop the database", database.hit), ("end its sessions", database.throw_out)]
    if isinstance(database, Cluster):
        blows.append(("freeze the database", lambda: database.freeze(storm.seconds(2, 18))))
    return blows


def can_postgresql() -> bool:
    """Tell whether there is a PostgreSQL to soak on."""
    return tools() is not None or reachable()


def _migrate(run: Run) -> None:
    migrate = run.bridge("migrate")
    migrate.start()
    migrate.wait(60)


def _soak(
    run: Run, seconds: float, seed: int, begin: Callable[[Run, Storm], list[BridgeProcess]]
) -> Soaked:
    started = time.monotonic()
    storm = Storm(run, random.Random(seed))
    doors = begin(run, storm)
    processes = [p for p in run.bridges if p.name != "migrate"]
    supervisor = Supervisor(*processes)
    supervisor.start()
    storm.every(45, ("take Aha! down", storm.silence))
    if run.clock is not None:
        clock = run.clock
        storm.every(15, ("step the clock", lambda: storm.step_clock(clock)))
    run.temper(BAD)
    run.operator.start()
    stalled = StalledSenders([door.port for door in doors])
    if "stalled" in run.plays:
        stalled.start()
    load = run.tell(
        doors, chains=[_life(run) for _ in range(CHAINS)], copies=max(2, len(doors)), pause=PAUSE
    )
    time.sleep(seconds)
    load.stop()
    storm.stop()
    stuck = _settle_down(run)
    stalled.stop()
    supervisor.stop()
    return Soaked(
        database=run.database.kind,
        seconds=time.monotonic() - started,
        account=run.account(),
        blows=storm.blows,
        in_doubt=run.operator.retried + run.operator.discarded,
        restarts=sum(p.starts - 1 for p in processes),
        unanswered=load.failed,
        stalled=stalled.given_up,
        stuck=stuck,
    )


def _life(run: Run):
    return chain.from_iterable(run.world.chain(LENGTH) for _ in count())


def _settle_down(run: Run) -> str:
    """Make everything well behaved, and wait; returns what did not end in time."""
    run.temper(POLITE)
    run.operator.giving_up.set()
    assert run.load is not None
    if not run.load.wait(60):
        return "the load was not answered"
    return "" if run.quiet(QUIET) else "deliveries did not end"
