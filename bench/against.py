"""This tree beside another checkout of the bridge, in turns on the same machine.

    bench/run.py against --other /path/to/checkout

The other checkout needs its own `.venv` (`make .venv/.installed` there). Every variant is loaded in
turns with the same bodies, and the figures are medians, so a ratio holds even where the machine's
speed drifts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from delivering import backlog, closed_loop
from receiving import interleaved, middle
from report import Row, at_least, median, told
from servers import PYTHON, Bench, each
from terms import Terms

#: A change may cost three per cent of speed, which is what two runs of one tree differ by.
LEAST = 0.97


def against(terms: Terms) -> list[Row]:
    """Compare accepting, the whole way and delivering with the other checkout."""
    if terms.other is None:
        return [told("this tree against another", "no --other checkout given")]
    pythons = {"other": str(_python(terms.other)), "this": PYTHON}
    rows = _accept(terms, pythons, "SQLite", Bench.sqlite)
    if terms.postgres:
        rows += _accept(terms, pythons, "PostgreSQL", Bench.postgres)
    for delay in (0, 20):
        rows += _end_to_end(terms, pythons, delay)
    return rows + _deliver(terms, pythons, issues=0) + _deliver(terms, pythons, issues=1)


def _python(tree: Path) -> Path:
    found = tree / ".venv" / "bin" / "python"
    if not found.exists():
        raise SystemExit(f"{found} is missing: run `make .venv/.installed` in {tree}")
    return found


def _accept(
    terms: Terms, pythons: dict[str, str], database: str, make: Callable[..., str]
) -> list[Row]:
    with Bench(terms.folder, terms.postgres) as bench:
        servers = {
            name: [bench.bridge("web", _made(bench, make, python), python=python)]
            for name, python in pythons.items()
        }
        found = interleaved(bench, terms, servers, 16)
    rates = {name: [account["rate"] for account in found[name]] for name in pythons}
    p99 = {name: round(middle(found, name, "p99"), 1) for name in pythons}
    cpu = {name: round(middle(found, name, "cpu_us")) for name in pythons}
    return _rows(f"accept, {database}", rates, p99_ms=p99, cpu_us=cpu)


def _made(bench: Bench, make: Callable[..., str], python: str) -> str:
    return bench.postgres(python) if make is Bench.postgres else bench.sqlite("against")


def _end_to_end(terms: Terms, pythons: dict[str, str], delay: int) -> list[Row]:
    rates: dict[str, list[float]] = defaultdict(list)
    with Bench(terms.folder) as bench:
        sink = bench.sink(delay)
        servers = {
            name: bench.bridge("serve", bench.sqlite("way"), sink=sink.url, python=python)
            for name, python in pythons.items()
        }
        for server in servers.values():
            closed_loop(bench, server, sink, 1)
        for name in each(terms.rounds, *servers):
            rates[name].append(closed_loop(bench, servers[name], sink, terms.seconds)[0])
    return _rows(f"end to end, receiver takes {delay} ms", rates)


def _deliver(terms: Terms, pythons: dict[str, str], *, issues: int) -> list[Row]:
    count = terms.events(20_000)
    rates: dict[str, list[float]] = defaultdict(list)
    with Bench(terms.folder) as bench:
        sink = bench.sink()
        for name in each(max(2, terms.rounds - 1), *pythons):
            spread = issues or count // 4
            rate, _ = backlog(bench, sink, count, issues=spread, python=pythons[name])
            rates[name].append(rate)
    return _rows("deliver, one issue" if issues == 1 else "deliver, many issues", rates)


def _rows(measure: str, rates: dict[str, list[float]], **detail: object) -> list[Row]:
    other, this = _medians(rates["other"], rates["this"])
    listed = {name: [round(rate) for rate in found] for name, found in rates.items()}
    return [
        told(measure, f"{this:.0f}/s; the other checkout {other:.0f}/s"),
        at_least("  of the other checkout", this / other, LEAST, rates=listed, **detail),
    ]


def _medians(*found: Sequence[float]) -> list[float]:
    return [median(list(rates)) for rates in found]
