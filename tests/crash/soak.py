"""Random kills of web, worker and database under load, for any time.

Besides, the plays: `stalled` senders that stop in the middle of a body, `poison` records that Aha!
always rejects, `late` repeats of requests answered long ago, and a host `clock` that is set.

On SQLite one `aha-bridge serve` runs. On PostgreSQL three `web` and three `worker` run on a server
of their own, and each event is sent to all three webs at once.
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
from crash.repeating import Repeating
from crash.run import Run
from crash.sink import BAD, DOWN, NO_FAULTS
from crash.stalled import StalledSenders

#: How long the bridge may take after the load to finish all deliveries.
QUIET_S = 240
#: The number of records at a time, the steps of each, and the pause between two steps.
CHAINS = 24
LENGTH = 40
PAUSE_S = 0.5
PLAYS = ("stalled", "poison", "late", "clock")
#: The errors of the host's clock from which each step chooses, in seconds.
CLOCK_ERRORS_S = (0, 300, -300, 3600, -3600, 7)


@dataclass(frozen=True, kw_only=True)
class Soaked:
    """The result of a soak."""

    database: str
    seconds: float
    account: Account
    #: How often each kind of disturbance happened.
    blows: Counter[str]
    in_doubt: int
    restarts: int
    #: Requests of the load without a 200; the load repeated them.
    unanswered: int
    #: Connections of stalled senders that the bridge closed.
    stalled: int
    #: A sentence about what did not end in time, or "".
    stuck: str

    @property
    def fine(self) -> bool:
        """Whether all guarantees held and everything ended in time."""
        return self.account.fine and not self.stuck


class Supervisor:
    """Restarts processes that have ended, like systemd."""

    def __init__(self, *processes: BridgeProcess) -> None:
        self._processes = processes
        self._repeating = Repeating(0.5, self._restart)

    def start(self) -> None:
        """Start all processes, and restart them from then on."""
        for process in self._processes:
            process.start()
        self._repeating.start()

    def stop(self) -> None:
        """Stop restarting."""
        self._repeating.stop()

    def _restart(self) -> None:
        for process in self._processes:
            if process.ended:
                process.start()


class Storm:
    """Disturbs the bridge every few seconds, with a thread for each group of disturbances."""

    def __init__(self, run: Run, rng: random.Random) -> None:
        self._run = run
        self._rng = rng
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.blows: Counter[str] = Counter()

    def every(self, seconds: float, *blows: tuple[str, Callable[[], None]]) -> None:
        """Start a thread that runs one of these at random, about every `seconds`."""
        thread = threading.Thread(target=self._strike, args=(seconds, blows), daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Stop, after the disturbances under way."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def _strike(self, seconds: float, blows: tuple[tuple[str, Callable[[], None]], ...]) -> None:
        while not self._stopping.wait(seconds * self._rng.uniform(0.6, 1.4)):
            name, blow = self._rng.choice(blows)
            self.blows[name] += 1
            blow()

    def kill(self, *processes: BridgeProcess) -> Callable[[], None]:
        """Return a function that kills one process and its children; the supervisor restarts it."""
        return lambda: self._rng.choice(processes).kill()

    def end(self, *processes: BridgeProcess) -> Callable[[], None]:
        """Return a function that ends one process with SIGTERM, as an upgrade does."""
        return lambda: self._rng.choice(processes).end(15)

    def kill_child(self, *processes: BridgeProcess) -> Callable[[], None]:
        """Return a function that kills the children of one process, which it restarts."""
        return lambda: self._rng.choice(processes).kill(children_only=True)

    def fill_disk(self, process: BridgeProcess) -> None:
        """Limit the size of the process's files for some seconds, as a full disk does."""
        pids = process.pids()
        _limit(pids, 4096)
        self._stopping.wait(self._rng.uniform(1, 4))
        _limit(pids, resource.RLIM_INFINITY)

    def seconds(self, least: float, most: float) -> float:
        """Return a random duration."""
        return self._rng.uniform(least, most)

    def silence(self) -> None:
        """Make Aha! answer 503 for some seconds."""
        self._run.set_faults(DOWN)
        self._stopping.wait(self._rng.uniform(1, 4))
        self._run.set_faults(BAD)

    def step_clock(self, clock: HostClock) -> None:
        """Set the host's clock forward or back."""
        clock.step(self._rng.choice(CLOCK_ERRORS_S))


def _limit(pids: list[int], size: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def on_sqlite(folder: Path, seconds: float, seed: int, plays: Collection[str] = PLAYS) -> Soaked:
    """Soak one `serve` on a SQLite file."""
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
    """Soak three webs and three workers; without PostgreSQL's tools, on the existing server."""
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
    """Whether PostgreSQL's tools or a server are available."""
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
    run.set_faults(BAD)
    run.operator.start()
    stalled = StalledSenders([door.port for door in doors])
    if "stalled" in run.plays:
        stalled.start()
    load = run.send(
        doors, chains=[_life(run) for _ in range(CHAINS)], copies=max(2, len(doors)), pause=PAUSE_S
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
    """End all disturbances and wait; returns what did not end in time, or ""."""
    run.set_faults(NO_FAULTS)
    run.operator.giving_up.set()
    assert run.load is not None
    if not run.load.wait(60):
        return "the load was not answered"
    return "" if run.quiet(QUIET_S) else "deliveries did not end"
