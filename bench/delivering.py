"""How much is delivered, beside what others reach who keep nothing."""

from __future__ import annotations

import subprocess
from collections import defaultdict

from report import Row, at_least, median, told
from servers import HERE, PYTHON, Bench, Process, Server, SinkOf, each
from terms import Terms

#: Deliveries at a time, for the bridge and for what it is held to.
WORKERS = 8


def end_to_end(terms: Terms) -> list[Row]:
    """Hold the whole way to a view that forwards inside the request."""
    return [row for delay in (0, 20) for row in _way(terms, delay)]


def _way(terms: Terms, delay: int) -> list[Row]:
    with Bench(terms.folder) as bench:
        sink = bench.sink(delay)
        servers = {
            "naive": bench.yardstick("naive", NAIVE_TO=f"{sink.url}/naive"),
            "bridge": bench.bridge("serve", bench.sqlite("way"), sink=sink.url),
        }
        found: dict[str, list[float]] = defaultdict(list)
        accepted: dict[str, list[float]] = defaultdict(list)
        for server in servers.values():
            closed_loop(bench, server, sink, 1)
        for name in each(terms.rounds, *servers):
            rate, took = closed_loop(bench, servers[name], sink, terms.seconds)
            found[name].append(rate)
            accepted[name].append(took)
    naive = median(found["naive"])
    words = f"end to end, receiver takes {delay} ms"
    rates = {name: [round(rate) for rate in found[name]] for name in found}
    return [
        told(words, f"{median(found['bridge']):.0f}/s; naive {naive:.0f}/s"),
        at_least(
            "  of the naive view (aim 1.7)",
            median(found["bridge"]) / naive,
            1,
            delivered=rates,
            accepted={name: [round(rate) for rate in accepted[name]] for name in accepted},
        ),
    ]


def closed_loop(bench: Bench, server: Server, sink: SinkOf, seconds: float) -> tuple[float, float]:
    """Load in a closed loop and wait for the last delivery; both as events a second.

    What is delivered after the last answer counts, and the time it takes too.
    """
    begun = sink.count()["now"]
    sink.reset()
    account = bench.load(server, seconds=seconds)
    seen = sink.wait(account["accepted"])
    return seen["count"] / (seen["last"] - begun), account["rate"]


def deliver(terms: Terms) -> list[Row]:
    """Hold the workers alone to bare sessions of `requests` in as many threads."""
    return [*_to_fast(terms), _to_slow(terms)]


def _to_fast(terms: Terms) -> list[Row]:
    count = terms.events(20_000)
    ours: list[float] = []
    bare: list[float] = []
    with Bench(terms.folder) as bench:
        sink = bench.sink()
        for name in each(terms.rounds, "bare", "ours"):
            if name == "bare":
                bare.append(_sessions(sink, terms.seconds))
            else:
                ours.append(backlog(bench, sink, count, issues=count // 4)[0])
    words = f"deliver, {WORKERS} at a time, at once"
    return [
        told(words, f"{median(ours):.0f}/s; bare sessions {median(bare):.0f}/s"),
        at_least("  of bare sessions", median(ours) / median(bare), 0.6, ours=ours, bare=bare),
    ]


def _to_slow(terms: Terms) -> Row:
    with Bench(terms.folder) as bench:
        sink = bench.sink(100)
        count = int(terms.seconds * WORKERS * 10)
        rates = [backlog(bench, sink, count, issues=count)[0] for _ in range(min(2, terms.rounds))]
    bound = WORKERS / 0.1
    words = f"deliver to a receiver that takes 100 ms: of {bound:.0f}/s"
    return at_least(words, median(rates) / bound, 0.9, rates=rates)


def hot_issue(terms: Terms) -> list[Row]:
    """Hold events of one issue to as many of many issues."""
    count = terms.events(20_000)
    found: dict[str, list[float]] = defaultdict(list)
    with Bench(terms.folder) as bench:
        sink = bench.sink()
        for name in each(max(1, terms.rounds - 1), "many", "one"):
            issues = count // 4 if name == "many" else 1
            found[name].append(backlog(bench, sink, count, issues=issues)[0])
    ratio = median(found["one"]) / median(found["many"])
    words = f"{count} events of one issue: of the rate for {count // 4} issues"
    return [
        told("deliver one issue's", f"{median(found['one']):.0f}/s"),
        at_least(words, ratio, 0.7, **found),
    ]


def backlog(
    bench: Bench, sink: SinkOf, count: int, *, issues: int, python: str = PYTHON
) -> tuple[float, Process]:
    """Let so many deliveries wait, then deliver them; returns the rate and what delivered."""
    database = bench.sqlite("backlog")
    web = bench.bridge("web", database, python=python)
    bench.load(web, count=count, seconds=600, issues=issues)
    bench.stop(web)
    sink.reset()
    worker = bench.worker(database, sink=sink.url, python=python, workers=WORKERS)
    seen = sink.wait(count)
    bench.stop(worker)
    if seen["count"] < count:
        raise SystemExit(f"{seen['count']} of {count} were delivered:\n{worker.log()}")
    return (seen["count"] - 1) / (seen["last"] - seen["first"]), worker


def _sessions(sink: SinkOf, seconds: float) -> float:
    command = [
        PYTHON,
        "sessions.py",
        sink.url,
        "--threads",
        str(WORKERS),
        "--seconds",
        str(seconds),
    ]
    told_rate = subprocess.run(command, cwd=HERE, check=True, capture_output=True)
    return float(told_rate.stdout)
