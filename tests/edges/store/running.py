"""A store with its writer at work, and what can be done to its database meanwhile."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import psycopg
from ledger import GRACE, POLICY, UNLIMITED
from made_up import change, comment, event, plan, route
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import make_url, select
from sqlalchemy.exc import OperationalError

from bridge.intake import SpoolPump
from bridge.model import Request
from bridge.store import Arrival, Entry, LeaseRequest, Store, pack
from bridge.store import schema as t
from bridge.store.queue import destinations
from bridge.store.queue.nouns import Leased
from bridge.timing import Timing

#: What is done while a request is judged that asks for it.
hooks: dict[str, Callable[[], object]] = {}
PLAN = plan(route(hooks=("main", "second")))
#: No quiet period after an outage; the tests of order pass one.
AT_ONCE = Timing(quiet_period_s=0, file_quiet_period_s=0)
REQUEST = LeaseRequest(destination="aha", owner="w", lease_ms=60_000, limits=UNLIMITED)


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Return what a condition says once it says something."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while not (said := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        pause.wait(0.005)
    return said


def request(id: str, **body: Any) -> Request:
    """Make a request of which `judge` makes a change, or what else its body says."""
    return Request(
        id=id,
        hook="main",
        site="jira",
        received=1_714_550_400_000,
        headers={},
        query={},
        body=orjson.dumps(body),
    )


def judge(given: Request) -> tuple[Entry, ...]:
    told = orjson.loads(given.body)
    if "first" in told:
        hooks[told["first"]]()
    effect = comment(told["comment"]) if "comment" in told else change(told.get("change", given.id))
    record, received = str(told.get("record", 1)), given.received
    made = event(given.id, effect, hook=given.hook, record=record, received=received)
    if "poison" in told:
        made = event(given.id, effect, hook=None)  # type: ignore[arg-type]
    verdicts = PLAN.judge(made, given.received) if made.hook else ()
    if "broken" in told:
        verdicts = (None,)  # type: ignore[assignment]
    return (Entry(event=made, verdicts=verdicts, packed=pack(given.body), plan=PLAN),)


class Running:
    """A store whose writer is at work."""

    def __init__(self, url: str, folder: Path, **known: Any) -> None:
        self.folder = folder / "spool"
        known = {"timing": AT_ONCE, **known}
        self.store = Store(url, spool=self.folder, **known)
        self._pump = SpoolPump(self.store, judge)
        if self.store.embedded:
            sqlalchemy_event.listen(self.store._writers, "connect", _impatient)

    def start(self) -> None:
        self.store.start(
            grace_ms=GRACE,
            policy=POLICY,
        )

        self._pump.start()

    def close(self) -> None:
        self.store.close()
        self._pump.stop()

    def begin(self) -> Running:
        self.start()
        self.store._write(lambda conn, now: destinations.register(conn, now, {"aha": "hash"}))
        return self

    def keep(self, *requests: Request) -> None:
        for each in requests:
            self.store.keep(Arrival(request=each, entries=judge(each)))

    def keep_at_once(self, *requests: Request) -> list[BaseException | None]:
        """Keep requests from a thread each, while the writer is held; returns their errors."""
        errors: list[BaseException | None] = [None] * len(requests)

        def tell(place: int) -> None:
            try:
                self.keep(requests[place])
            except BaseException as error:  # noqa: BLE001 - it is handed on
                errors[place] = error

        threads = [threading.Thread(target=tell, args=(n,)) for n in range(len(requests))]
        with self.held():
            for n, thread in enumerate(threads):
                thread.start()
                until(lambda n=n: self.store._started_writer.waiting > n)
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive(), "somebody waits for ever"
        return errors

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep the writer busy for as long as the context lasts."""
        started, go_on = threading.Event(), threading.Event()

        def work(_conn: Any, _now: int) -> None:
            started.set()
            assert go_on.wait(20)

        thread = threading.Thread(target=lambda: self.store._write(work))
        thread.start()
        assert started.wait(20)
        try:
            yield
        finally:
            go_on.set()
            thread.join(20)

    def lease(self) -> Leased | None:
        return self.store.settle_and_lease(None, REQUEST).leased

    def kept(self) -> dict[str, str]:
        """Read what became of what is in the database, in the order it was written."""
        with self.store._reading() as conn:
            rows = conn.execute(select(t.events.c.id, t.events.c.outcome).order_by(t.events.c.id))
            return {row.id: row.outcome for row in rows}

    def queued(self) -> list[str]:
        with self.store._reading() as conn:
            return list(conn.scalars(select(t.deliveries.c.event).order_by(t.deliveries.c.id)))

    def files(self, ending: str) -> list[str]:
        return sorted(path.name for path in self.folder.glob(f"*.{ending}"))

    @contextlib.contextmanager
    def cut_off(self) -> Iterator[list[int]]:
        """Keep the database from this store alone; the list grows with each try."""
        tries: list[int] = []

        def fail(_: Any) -> None:
            tries.append(1)
            raise OperationalError("BEGIN", {}, Exception("cut off"))

        sqlalchemy_event.listen(self.store._writers, "begin", fail)
        try:
            yield tries
        finally:
            sqlalchemy_event.remove(self.store._writers, "begin", fail)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Keep the database from everybody for as long as the context lasts."""
        url = make_url(str(self.store.url.render_as_string(hide_password=False)))
        hold = _locked if self.store.embedded else _closed
        with hold(str(url.database), url.set(drivername="postgresql")):
            yield


def _impatient(raw: Any, _: object) -> None:
    raw.execute("PRAGMA busy_timeout=20")


@contextlib.contextmanager
def _locked(path: str, _: Any) -> Iterator[None]:
    conn = sqlite3.connect(path, isolation_level=None, timeout=20)
    conn.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        conn.close()


@contextlib.contextmanager
def _closed(name: str, url: Any) -> Iterator[None]:
    server = url.set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = %s AND application_name <> 'cleaner'",
            [name],
        )
        try:
            yield
        finally:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
