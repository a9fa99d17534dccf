"""The points at which a process kills itself, patched into it from outside.

A point is a function of the bridge, and the moment before or after it. A process that is started
with CRASH_POINT set kills itself at the N-th passage (CRASH_PASSAGE), and its parent with it, as
long as the file CRASH_DEATHS holds fewer lines than CRASH_TIMES.
"""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Condition = Callable[[tuple[Any, ...], Any], bool]


def _always(_given: tuple[Any, ...], _got: Any) -> bool:
    return True


def _has_arrivals(given: tuple[Any, ...], _got: Any) -> bool:
    return bool(given[1].arrivals)


def _has_settled(given: tuple[Any, ...], _got: Any) -> bool:
    return bool(given[1].settling)


def _has_leased(_given: tuple[Any, ...], got: Any) -> bool:
    return any(getattr(result, "leased", None) is not None for result in got[0])


def _from_spool(given: tuple[Any, ...], _got: Any) -> bool:
    return any(entry.again for entry in given[2])


def _took_over(given: tuple[Any, ...], _got: Any) -> bool:
    changes = given[3]
    found = [verdict for several in changes.verdicts.values() for verdict in several]
    return bool(changes.stored) or any(verdict.stage == "taken_over" for verdict in found)


def _deleted(_given: tuple[Any, ...], got: Any) -> bool:
    return bool(got)


@dataclass(frozen=True, kw_only=True)
class Point:
    """A function of the bridge, and the condition for a passage to count."""

    #: module:name, as the caller looks it up.
    place: str
    #: before | after
    moment: str = "after"
    when: Condition = _always
    #: The situation in which it is passed: "" always, or outage, drain, migrate, retention.
    needs: str = ""
    #: At which passages the process dies, one after the other.
    passages: tuple[int, ...] = (1, 4)
    #: The share of thin events without a complete event after them.
    lonely: float = 0.1


POINTS: dict[str, Point] = {
    # Receiving
    "after read": Point(place="bridge.intake:Intake._judge"),
    "before commit": Point(place="bridge.store.inbox.accept:write", moment="before"),
    "after commit, before the answer": Point(
        place="bridge.store.writer.batch:BatchWriter.write", when=_has_arrivals
    ),
    # Delivering
    "before lease": Point(
        place="bridge.store.queue.exchange:lease", moment="before", passages=(2, 6)
    ),
    "during lease": Point(place="bridge.store.queue.exchange:lease", when=_deleted),
    "after lease": Point(place="bridge.store.writer.batch:BatchWriter.write", when=_has_leased),
    "before send": Point(place="bridge.destinations.aha:Aha.send", moment="before"),
    "while sending": Point(
        place="bridge.destinations.aha.http:_Connection._write", moment="before"
    ),
    "after send, before the answer": Point(
        place="bridge.destinations.aha.http:_Connection._receive", moment="before"
    ),
    "after the answer, before settle": Point(place="bridge.destinations.aha:Aha.send"),
    "during settle": Point(place="bridge.store.queue.settle:_give_back", moment="before"),
    "settled, before commit": Point(place="bridge.store.queue.exchange:settle"),
    "after settle": Point(place="bridge.store.writer.batch:BatchWriter.write", when=_has_settled),
    # Thin events
    "fuller event took over, before commit": Point(
        place="bridge.store.inbox.accept:write", when=_took_over
    ),
    "thin event decided, before commit": Point(
        place="bridge.store:send_after_grace", passages=(1, 1), lonely=0.5
    ),
    # The spool
    "while spooling": Point(
        place="bridge.store.spool:os.fsync", moment="before", needs="outage", passages=(2,)
    ),
    "spooled, before the answer": Point(
        place="bridge.store.spool:Spool.append", needs="outage", passages=(2,)
    ),
    "during drain, before commit": Point(
        place="bridge.store.writer.batch:accept", when=_from_spool, needs="drain", passages=(1, 1)
    ),
    "drained, before it is forgotten": Point(
        place="bridge.store.spool:Spool.drop", moment="before", needs="drain", passages=(1, 1)
    ),
    "drained and forgotten": Point(
        place="bridge.store.spool:Spool.drop", needs="drain", passages=(1,)
    ),
    # The schema
    "migration: nothing there yet": Point(
        place="alembic.op:create_table", moment="before", needs="migrate", passages=(1,)
    ),
    "during migration": Point(place="alembic.op:create_index", needs="migrate", passages=(1, 7)),
    "migrated, before commit": Point(
        place="alembic.runtime.migration:HeadMaintainer.update_to_step",
        needs="migrate",
        passages=(1,),
    ),
    # Retention
    "during retention": Point(
        place="bridge.store.retention:_purge_events",
        when=_deleted,
        needs="retention",
        passages=(1, 2),
    ),
    "a slice forgotten, before commit": Point(
        place="bridge.store.retention:purge_expired",
        when=_deleted,
        needs="retention",
        passages=(1, 2),
    ),
}


def arm() -> None:
    """Patch the point that the environment names into this process."""
    name = os.environ.get("CRASH_POINT", "")
    if name:
        _wrap(POINTS[name], int(os.environ["CRASH_PASSAGE"]))
    if "CRASH_TIDY" in os.environ:
        _tidy_at_once()


def _tidy_at_once() -> None:
    """Run retention in small batches as soon as a bridge has started."""
    retention = importlib.import_module("bridge.store.retention")
    app = importlib.import_module("bridge.app")
    retention.PURGE_BATCH = 20
    start = app.Bridge.start

    @functools.wraps(start)
    def wrapper(bridge: Any, **named: Any) -> None:
        start(bridge, **named)
        threading.Thread(target=bridge.tidy, daemon=True).start()

    app.Bridge.start = wrapper


def _wrap(point: Point, passage: int) -> None:
    module, _, path = point.place.partition(":")
    *owners, last = path.split(".")
    owner: Any = importlib.import_module(module)
    for each in owners:
        owner = getattr(owner, each)
    original = getattr(owner, last)
    passed = _Counter(passage)

    @functools.wraps(original)
    def wrapper(*given: Any, **named: Any) -> Any:
        if point.moment == "before":
            passed.count(point.when(given, None))
            return original(*given, **named)
        got = original(*given, **named)
        passed.count(point.when(given, got))
        return got

    setattr(owner, last, wrapper)


class _Counter:
    """Counts the passages of all threads of a process."""

    def __init__(self, last: int) -> None:
        self._left = last
        self._lock = threading.Lock()

    def count(self, counts: bool) -> None:
        if not counts:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                die()


def die() -> None:
    """Kill this process and its parent, unless they have died often enough."""
    deaths = Path(os.environ["CRASH_DEATHS"])
    if deaths.exists() and len(deaths.read_text().splitlines()) >= int(os.environ["CRASH_TIMES"]):
        return
    with deaths.open("a") as file:
        file.write(f"{os.environ['CRASH_POINT']} {os.getpid()}\n")
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid:
        os.kill(parent.pid, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
