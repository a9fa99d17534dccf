"""How much is accepted, and how fast it is answered."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from typing import Any

from report import Row, at_least, at_most, holds, median, told
from servers import HERE, Bench, Server, each
from terms import Terms

Found = dict[str, list[dict[str, Any]]]


def interleaved(
    bench: Bench, terms: Terms, servers: dict[str, list[Server]], connections: int
) -> Found:
    """Load variants in turns; returns the accounts of each, with what an event cost in CPU."""
    found: Found = defaultdict(list)
    for variant in servers.values():
        bench.load(*variant, connections=connections, seconds=1)
    for name in each(terms.rounds, *servers):
        before = sum(server.cpu() for server in servers[name])
        account = bench.load(*servers[name], connections=connections, seconds=terms.seconds)
        cpu = sum(server.cpu() for server in servers[name]) - before
        account["cpu_us"] = cpu * 1e6 / max(1, account["accepted"])
        found[name].append(account)
    return found


def middle(found: Found, name: str, what: str = "rate") -> float:
    """Return the median of one figure of a variant."""
    return median([account[what] for account in found[name]])


def _detail(found: Found, *names: str) -> dict[str, object]:
    whats = ("rate", "p50", "p99", "max", "cpu_us", "cpu")
    return {
        name: {
            **{what: round(middle(found, name, what), 2) for what in whats},
            "rates": [round(account["rate"]) for account in found[name]],
            "codes": [account["codes"] for account in found[name]],
        }
        for name in names
    }


def accept(terms: Terms) -> list[Row]:
    """Hold accepting to a bare view on the same server, and the databases to each other."""
    with Bench(terms.folder, terms.postgres) as bench:
        servers = {
            "bare": [bench.yardstick("bare")],
            "sqlite": [bench.bridge("web", bench.sqlite("accept"))],
        }
        if terms.postgres:
            servers["postgres"] = [bench.bridge("web", bench.postgres())]
        found = interleaved(bench, terms, servers, 16)
        more = _more_webs(bench, terms, servers["postgres"]) if terms.postgres else {}
    rows = [
        _figure(found, "bare", "a bare view"),
        _figure(found, "sqlite", "accept, SQLite"),
        at_least(
            "  of the bare view (aim 0.35)",
            middle(found, "sqlite") / middle(found, "bare"),
            0.25,
            **_detail(found, *servers),
        ),
        at_most("  p99 at 16 connections", middle(found, "sqlite", "p99"), 30, "ms"),
    ]
    return rows + (_on_postgres(found, more) if terms.postgres else [])


def _more_webs(bench: Bench, terms: Terms, one: list[Server]) -> Found:
    """Give a second process as many connections as the first has."""
    shared = bench.postgres()
    two = [bench.bridge("web", shared) for _ in range(2)]
    return interleaved(bench, terms, {"one": one, "two": two}, 32)


def _figure(found: Found, name: str, words: str) -> Row:
    figure = (
        f"{middle(found, name):.0f}/s, {middle(found, name, 'cpu_us'):.0f} us of CPU each,"
        f" load source {middle(found, name, 'cpu'):.2f} CPU"
    )
    return told(words, figure)


def _on_postgres(found: Found, more: Found) -> list[Row]:
    one, two = middle(more, "one"), middle(more, "two")
    return [
        _figure(found, "postgres", "accept, PostgreSQL"),
        at_least("  of SQLite's", middle(found, "postgres") / middle(found, "sqlite"), 0.7),
        at_most("  p99 at 16 connections", middle(found, "postgres", "p99"), 30, "ms"),
        holds(
            "  two web processes, 32 connections",
            "more than one",
            f"{two / one:.2f} times",
            met=two > one,
        ),
    ]


def slow_disk(terms: Terms) -> list[Row]:
    """Hold a disk whose every sync takes 2 ms more to one as it is."""
    compiler = shutil.which("cc")
    if compiler is None:
        return [told("a slow disk", "no C compiler here")]
    shim = terms.folder / "slowsync.so"
    source = str(HERE / "slowsync.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-o", str(shim), source, "-ldl"], check=True
    )
    with Bench(terms.folder) as bench:
        fast = bench.bridge("web", bench.sqlite("fast"), threads=64)
        slow = bench.bridge("web", bench.sqlite("slow"), threads=64, LD_PRELOAD=shim)
        found = interleaved(bench, terms, {"fast": [fast], "slow": [slow]}, 64)
    ratio = middle(found, "slow") / middle(found, "fast")
    words = "2 ms more for each sync, 64 connections: of the disk as it is"
    return [at_least(words, ratio, 0.8, **_detail(found, "fast", "slow"))]
