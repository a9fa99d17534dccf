"""Whether what is kept makes what comes dearer: a database of years beside an empty one."""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing

import psycopg
from receiving import interleaved, middle
from report import Row, at_most, median
from servers import Bench
from terms import Terms

from bridge.desk import status
from bridge.store import Query, Store

CLAIMS, EVENTS = 10_000_000, 1_000_000
#: How many issues the events are about.
ISSUES = 50_000
#: An issue that has some.
KEY = "PLAT-1777"

#: Numbers from 1, for either database.
_COUNT = {
    "sqlite": "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count})",
    "postgresql": "WITH c(n) AS (SELECT generate_series(1, {count}))",
}
_IDENTITY = "(CASE n % 2 WHEN 0 THEN 'change:' ELSE 'comment:' END) || (100000000 + n) || ':' ||"
#: How old number n of `count` is: evenly over 60 days, in ms since the epoch.
_AT = "({now} - 5184000000 + n * (5184000000 / {count}))"
#: What each table is filled with, in the order of its rows.
_FILLS = (
    f"""INSERT INTO claims (destination, site, identity, event, at) {{many}}
        SELECT 'aha', 'acme-jira', {_IDENTITY} (n % {ISSUES}), '0' || (100000000 + n / 10), {_AT}
        FROM c""",
    f"""INSERT INTO events (id, received, hook, source, site, name, record, key, time, actor,
            delivery_id, attempt, thin, "full", outcome, effects, verdicts, body) {{some}}
        SELECT '0' || (100000000 + n), {_AT}, 'jira-main', 'jira', 'acme-jira',
            'jira:issue_updated', CAST(n % {ISSUES} AS TEXT), 'PLAT-' || (n % {ISSUES}), {_AT},
            'Ana Duarte', '', 0, false, true,
            (CASE n % 10 WHEN 0 THEN 'filtered' WHEN 1 THEN 'duplicate' ELSE 'deliver' END),
            '[["change:' || (100000000 + n) || '","issue_updated","changelog",false]]', '[]',
            {{body}}
        FROM c""",
    """INSERT INTO verdicts (event, destination, route, verdict, reason, first) {some}
        SELECT '0' || (100000000 + n), 'aha', 'all', 'deliver', 'project is PLAT', '' FROM c""",
    f"""INSERT INTO sightings (site, identity, event, hook, at) {{some}}
        SELECT 'acme-jira', {_IDENTITY} (n % {ISSUES}), '0' || (100000000 + n), 'jira-main', {_AT}
        FROM c""",
    """INSERT INTO lanes (destination, record) {lanes}
        SELECT 'aha', 'acme-jira/' || n FROM c""",
    f"""INSERT INTO deliveries (event, destination, route, lane, state, effects, writes,
            attempts, created, updated) {{some}}
        SELECT '0' || (100000000 + n), 'aha', 'all', 1 + n % {ISSUES}, 'delivered', '[]', false,
            1, {_AT}, {_AT} FROM c""",
    f"""INSERT INTO attempts (delivery, at, outcome, status, answer, millis) {{some}}
        SELECT n, {_AT}, 'delivered', 200, '', 12 FROM c""",
)


def growth(terms: Terms) -> list[Row]:
    """Hold accepting with much in the database to accepting with nothing in it."""
    rows = _on(terms, "SQLite")
    return rows + (_on(terms, "PostgreSQL") if terms.postgres else [])


def _on(terms: Terms, name: str) -> list[Row]:
    claims, events = terms.events(CLAIMS), terms.events(EVENTS)
    with Bench(terms.folder, terms.postgres) as bench:
        make = bench.postgres if name == "PostgreSQL" else lambda: bench.sqlite("growth")
        empty, full = make(), make()
        bench.migrate(full)
        took = fill(full, claims, events)
        servers = {"empty": [bench.bridge("web", empty)], "full": [bench.bridge("web", full)]}
        found = interleaved(bench, terms, servers, 16)
        store = Store(full, spool=terms.folder / "spool")
        try:
            looked = _looks(store)
        finally:
            store.close()
    cost = middle(found, "empty") / middle(found, "full")
    cpu = middle(found, "full", "cpu_us") / middle(found, "empty", "cpu_us")
    rates = {name: [round(account["rate"]) for account in found[name]] for name in found}
    words = f"{name} with {claims:,} effects, {events:,} events: accept costs"
    return [
        at_most(words, cost, 1.3, "times", rates=rates, cpu=cpu, filled_in_seconds=took),
        at_most("  log of one issue", looked[0], 200, "ms"),
        at_most("  status", looked[1], 200, "ms"),
    ]


def _looks(store: Store) -> tuple[float, float]:
    """Return what `log --issue` and `status` take, in ms."""

    def read() -> None:
        assert list(store.history.entries(Query(issue=KEY), limit=50, newest=True))

    return _took(read), _took(lambda: status.status_of(store))


def _took(work: Callable[[], object]) -> float:
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        work()
        took.append((time.perf_counter() - begun) * 1000)
    return median(took)


def fill(database: str, claims: int, events: int) -> float:
    """Write rows as years would have left them; returns how long it took, in seconds."""
    begun = time.monotonic()
    kind = database.partition(":")[0]
    words = {
        "many": _COUNT[kind].format(count=claims),
        "some": _COUNT[kind].format(count=events),
        "lanes": _COUNT[kind].format(count=ISSUES),
        "now": int(time.time() * 1000),
        "body": _body(kind),
    }
    counts = (claims, events, events, events, ISSUES, events, events)
    texts = [text.format(count=n, **words) for text, n in zip(_FILLS, counts, strict=True)]
    _run(database, kind, texts)
    return time.monotonic() - begun


def _body(kind: str) -> str:
    """Write a body as it is kept, as a literal."""
    packed = zlib.compress(bytes(range(256)) * 3, 1).hex()
    return f"x'{packed}'" if kind == "sqlite" else f"decode('{packed}', 'hex')"


def _run(database: str, kind: str, texts: Sequence[str]) -> None:
    if kind == "sqlite":
        with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as conn:
            conn.execute("PRAGMA synchronous=OFF")
            conn.execute("PRAGMA cache_size=-500000")
            for text in texts:
                conn.execute(text)
                conn.commit()
            conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    with psycopg.connect(database, autocommit=True) as conn:
        for text in texts:
            conn.execute(text)
        conn.execute("VACUUM ANALYZE")
