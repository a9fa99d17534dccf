"""A database with a clock that stands still, written to directly and looked into."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from made_up import plan, route
from sqlalchemy import Connection, Table, event, select

from bridge.core.dedup.changes import Entry
from bridge.core.plan import Plan
from bridge.core.retry import Policy
from bridge.model import Event, Limits, State, Verdict, VerdictName
from bridge.store import schema as t
from bridge.store.database.connect import connect, url_of
from bridge.store.inbox.accept import accept
from bridge.store.queue import destinations
from bridge.store.queue.leasing import due, lease
from bridge.store.queue.nouns import Leased, LeaseRequest, Settlement
from bridge.store.queue.settle import settle
from bridge.store.snapshots import pack

NOW = 1_714_550_400_000
GRACE = 10_000
LEASE = 60_000
POLICY = Policy()
UNLIMITED = Limits()


class Ledger:
    """What a writer does, one transaction at a call."""

    def __init__(self, url: str, made: Plan | None = None) -> None:
        self.plan = made or plan(route(hooks=("main", "second")))
        self.now = NOW
        self.engine = connect(url_of(url), writing=True)
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _in_haste)
        tokens = dict.fromkeys(self.plan.configuration.targets, "hash")
        self.run(lambda conn, now: destinations.register(conn, now, tokens))

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with self.engine.begin() as conn:
            yield conn

    def run(self, work: Callable[[Connection, int], Any]) -> Any:
        with self.transaction() as conn:
            return work(conn, self.now)

    def entry(self, given: Event, *verdicts: Verdict, again: bool = False) -> Entry:
        """Judge an event by the plan, unless verdicts are given."""
        found = verdicts or self.plan.judge(given, self.now)
        packed = pack(orjson.dumps(given.body))
        return Entry(event=given, verdicts=tuple(found), packed=packed, plan=self.plan, again=again)

    def keep(self, *given: Event | Entry) -> dict[str, int]:
        """Keep events in one transaction."""
        entries = [each if isinstance(each, Entry) else self.entry(each) for each in given]
        return self.run(lambda conn, now: accept(conn, now, entries, grace_ms=GRACE).ready)

    def lease(
        self, count: int = 1, to: str = "aha", limits: Limits = UNLIMITED, lease_ms: int = LEASE
    ) -> list[Leased]:
        request = LeaseRequest(destination=to, owner="test", lease_ms=lease_ms, limits=limits)
        return self.run(lambda conn, now: lease(conn, now, request, count, POLICY))

    def due(self, to: str = "aha", limits: Limits = UNLIMITED) -> int | None:
        request = LeaseRequest(destination=to, owner="test", lease_ms=LEASE, limits=limits)
        return self.run(lambda conn, now: due(conn, now, request))

    def settle(self, leased: Leased, state: State = State.DELIVERED, **known: Any) -> bool:
        """Settle one delivery; returns whether it counted."""
        return self.settle_all([settlement(leased, state, **known)]) == 1

    def settle_all(self, settlements: Sequence[Settlement]) -> int:
        return len(self.run(lambda conn, now: settle(conn, now, settlements, POLICY)))

    # Looking

    def rows(self, table: Table, **where: Any) -> list[dict[str, Any]]:
        """Read rows in the order of the first column."""
        statement = select(table).order_by(*list(table.c)[:3])
        for name, value in where.items():
            statement = statement.where(table.c[name] == value)
        with self.engine.connect() as conn:
            return [dict(row) for row in conn.execute(statement).mappings()]

    def outcome(self, given: str) -> str:
        [row] = self.rows(t.events, id=given)
        return str(row["outcome"])

    def outcomes(self) -> dict[str, str]:
        return {row["id"]: row["outcome"] for row in self.rows(t.events)}

    def verdict(self, given: str, to: str = "aha") -> dict[str, Any]:
        """Read the only verdict on an event for a destination."""
        [event] = self.rows(t.events, id=given)
        told = self.rows(t.verdicts, event=given)
        told += [{**fixed, "first": ""} for fixed in orjson.loads(event["verdicts"])]
        [found] = [verdict for verdict in told if verdict["destination"] == to]
        return found

    def deliveries(self, to: str = "aha") -> list[tuple[str, list[str]]]:
        """Read (event, effects) of what was queued for a destination, in order."""
        rows = self.rows(t.deliveries, destination=to)
        return [(row["event"], orjson.loads(row["effects"])) for row in rows]

    def holders(self, to: str = "aha") -> dict[str, str]:
        """Read who holds which effect."""
        return {row["identity"]: row["event"] for row in self.rows(t.claims, destination=to)}

    def lane(self, to: str = "aha", record: str = "jira/1") -> dict[str, Any]:
        [found] = self.rows(t.lanes, destination=to, record=record)
        return found

    def gate(self, to: str = "aha") -> dict[str, Any]:
        [found] = self.rows(t.destinations, name=to)
        return found

    def close(self) -> None:
        self.engine.dispose()


def _in_haste(raw: Any, _: object) -> None:
    raw.execute("PRAGMA synchronous=OFF")


def settlement(leased: Leased, state: State = State.DELIVERED, **known: Any) -> Settlement:
    return Settlement(
        lane=leased.lane,
        fence=leased.fence,
        delivery=leased.delivery,
        destination=leased.destination,
        state=state,
        **known,
    )


def verdict(*effects: str, name: str = "deliver", to: str = "aha", by: str = "r") -> Verdict:
    return Verdict(
        name=VerdictName(name), reason="so", route=by, destination=to, identities=tuple(effects)
    )
