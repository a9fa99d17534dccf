"""The jobs of the writer, and how the caller of each learns its result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bridge.core.dedup.changes import Entry
from bridge.model import Event, Request, Stage, Verdict, VerdictName
from bridge.store.database.transact import Work
from bridge.store.queue.nouns import Exchange

#: Called in the writer's thread once a request is kept (None), or with the reason why it is not.
Callback = Callable[[BaseException | None], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A request and the events that were read from it and judged."""

    request: Request
    #: In the order of the body.
    entries: tuple[Entry, ...]


class Promise:
    """The result of a job, for a caller that waits. A Future costs several times as much."""

    __slots__ = ("_error", "_lock", "_value", "is_open")

    def __init__(self) -> None:
        #: Whether the job has no result yet.
        self.is_open = True
        self._lock = threading.Lock()
        self._lock.acquire()
        self._value: object = None
        self._error: BaseException | None = None

    def result(self) -> object:
        """Wait for the result and return it, or raise the job's error; one thread only."""
        self._lock.acquire()
        if self._error is not None:
            raise self._error
        return self._value

    def set_result(self, value: object) -> None:
        """Let the waiting thread continue."""
        self._value = value
        self.is_open = False
        self._lock.release()

    def set_exception(self, error: BaseException) -> None:
        """Let the waiting thread fail."""
        self._error = error
        self.is_open = False
        self._lock.release()


class Message:
    """The result of an arrival, for a caller that does not wait."""

    __slots__ = ("_callback", "is_open")

    def __init__(self, callback: Callback) -> None:
        #: Whether the job has no result yet.
        self.is_open = True
        self._callback = callback

    def set_result(self, _: object) -> None:
        """Report success."""
        self.is_open = False
        self._callback(None)

    def set_exception(self, error: BaseException) -> None:
        """Report a failure."""
        self.is_open = False
        self._callback(error)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A task that waits for the writer."""

    task: Arrival | Exchange | Work[object]
    done: Promise | Message
    #: The host's clock and the steady clock when the job was handed in, in ms.
    host_ms: int = 0
    steady_ms: int = 0
    #: The boot since which the steady clock counts.
    boot: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The jobs of one turn, by their kind."""

    arrivals: Sequence[Job]
    #: The entries of all arrivals.
    entries: Sequence[Entry]
    exchanges: Sequence[Job]
    #: The task of each of `exchanges`.
    tasks: Sequence[Exchange]
    #: The lanes of which `tasks` settle a delivery.
    settling: Sequence[int]
    #: Whether a task requests a lane.
    leases: bool
    #: The jobs with other work.
    others: Sequence[tuple[Job, Work[object]]]


def batch_of(jobs: Iterable[Job]) -> Batch:
    """Sort the jobs of a turn by their kind."""
    arrivals, exchanges, others = [], [], []
    entries: list[Entry] = []
    tasks: list[Exchange] = []
    settling: list[int] = []
    leases = False
    for job in jobs:
        task = job.task
        if isinstance(task, Arrival):
            arrivals.append(job)
            entries += task.entries
        elif isinstance(task, Exchange):
            exchanges.append(job)
            tasks.append(task)
            leases = leases or task.request is not None
            if task.settlement is not None:
                settling.append(task.settlement.lane)
        else:
            others.append((job, task))
    return Batch(
        arrivals=arrivals,
        entries=entries,
        exchanges=exchanges,
        tasks=tasks,
        settling=settling,
        leases=leases,
        others=others,
    )


def rejected_entry(
    request: Request, reason: str, *, source: str = "", packed: bytes | None = None
) -> Entry:
    """Return the entry of a request from which no event could be read; it has one verdict."""
    event = Event(
        id=request.id,
        hook=request.hook,
        source=source,
        site=request.site,
        received=request.received,
        name="",
    )
    verdict = Verdict(name=VerdictName.REJECTED, reason=reason, stage=Stage.READ)
    return Entry(event=event, verdicts=(verdict,), packed=packed)
