"""What becomes of memory under load, and of events under more load than can be taken."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import orjson
from report import Row, at_most, holds, told
from servers import Bench, Server, SinkOf, answers
from terms import Terms

#: An hour's events at this rate are an hour's equivalent of load.
A_SECOND = 20
MEGABYTES = 200


def memory(terms: Terms) -> list[Row]:
    """Hold what `serve` takes to a bound, and what it takes after an hour to after a minute."""
    hour = terms.events(3600 * A_SECOND)
    with Bench(terms.folder) as bench:
        sink = bench.sink()
        server = bench.bridge("serve", bench.sqlite("memory"), sink=sink.url)
        idle = server.memory()
        minute, highest = _under(bench, server, sink, 60 * A_SECOND)
        after, highest_later = _under(bench, server, sink, hour - 60 * A_SECOND)
    highest = max(highest, highest_later)
    words = f"memory of serve under load, pages that processes share counted once ({hour} events)"
    figures = {"idle": idle, "minute": minute, "after": after}
    growth = f"{minute[1]:.0f} -> {after[1]:.0f} MB"
    return [
        at_most(words, highest, MEGABYTES, "MB", **figures),
        told("  idle", f"{idle[1]:.0f} MB"),
        told("  the three processes' sizes added up", f"{after[0]:.0f} MB"),
        holds(
            f"  after a minute's load -> after {hour / A_SECOND / 60:.0f} minutes' load",
            "no more (5 %)",
            growth,
            met=after[1] <= minute[1] * 1.05,
        ),
    ]


def _under(
    bench: Bench, server: Server, sink: SinkOf, count: int
) -> tuple[tuple[float, float], float]:
    """Load and deliver; returns memory at the end, and at its highest."""
    sink.reset()
    load = bench.loading(server, count=count, seconds=900)
    highest = 0.0
    while load.poll() is None:
        highest = max(highest, server.memory()[1])
        time.sleep(0.2)
    account = orjson.loads(load.communicate()[0])
    sink.wait(account["accepted"])
    return server.memory(), max(highest, server.memory()[1])


def overload(terms: Terms) -> list[Row]:
    """Send twice of what can be taken, and then take the database away."""
    with Bench(terms.folder) as bench:
        return [*_twice(bench, terms), *_away(bench, terms)]


def _twice(bench: Bench, terms: Terms) -> list[Row]:
    sink = bench.sink()
    server = bench.bridge("serve", bench.sqlite("twice"), sink=sink.url)
    easy = bench.load(server, seconds=terms.seconds)
    sink.wait(easy["accepted"])
    sink.reset()
    told_file = terms.folder / "told"
    seconds, rate = terms.seconds * 3, easy["rate"] * 2
    load = bench.loading(server, seconds=seconds, rate=rate, told=str(told_file))
    highest = 0.0
    while load.poll() is None:
        highest = max(highest, server.memory()[1])
        time.sleep(0.2)
    account = orjson.loads(load.communicate()[0])
    after = bench.load(server, seconds=1)
    sink.wait(account["accepted"] + after["accepted"])
    answered = set(orjson.loads(told_file.read_bytes()))
    lost = len(answered - set(sink.numbers()))
    refused = account["codes"].get("503", 0)
    words = f"twice what it takes ({rate:.0f}/s), for {seconds:.0f} s"
    return [
        _delivered(words, lost, account),
        at_most("  memory", highest, MEGABYTES, "MB"),
        holds("  answered 503", "none", str(refused), met=refused == 0),
        at_most("  p50 right after (at ease {:.0f})".format(easy["p50"]), after["p50"], 100, "ms"),
    ]


def _delivered(words: str, lost: int, account: dict[str, Any]) -> Row:
    return holds(
        words,
        "answered 200 = delivered",
        f"{account['accepted']} answered 200 ({account['rate']:.0f}/s), {lost} lost",
        met=lost == 0,
        **account,
    )


def _away(bench: Bench, terms: Terms) -> list[Row]:
    """Let somebody else hold the database: first the spool fills, then 503, then all is well."""
    sink = bench.sink()
    database = bench.sqlite("away")
    limit = 1 << 20
    server = bench.bridge("serve", database, sink=sink.url, spool_max=limit)
    path = Path(database.removeprefix("sqlite:///"))
    told_file = terms.folder / "told"
    load = bench.loading(server, seconds=24, rate=60, told=str(told_file))
    time.sleep(1)
    watch = _Watch(path.parent / "spool", server)
    watch.start()
    with sqlite3.connect(path, isolation_level=None) as conn:
        conn.execute("BEGIN IMMEDIATE")
        time.sleep(15)
        conn.execute("COMMIT")
    conn.close()
    account = orjson.loads(load.communicate()[0])
    sink.wait(account["accepted"], patience=30)
    watch.stop()
    lost = len(set(orjson.loads(told_file.read_bytes())) - set(sink.numbers()))
    refused = account["codes"].get("503", 0)
    first = next((n for n, second in enumerate(account["seconds"]) if "503" in second), None)
    figure = f"{refused} answered 503, the spool had {watch.most / limit:.2f} of its limit"
    back = account["seconds"][-2:]
    return [
        _delivered("the database is held by others for 15 s", lost, account),
        holds(
            "  503 only past the spool's limit",
            "spool full first",
            figure,
            met=refused == 0 or watch.most > 0.9 * limit,
            first_503_in_second=first,
        ),
        holds(
            "  recovers by itself",
            "200 again, ready",
            "yes" if _recovered(back, server) else "no",
            met=_recovered(back, server),
        ),
        at_most("  memory", watch.memory, MEGABYTES, "MB"),
    ]


def _recovered(seconds: list[dict[str, int]], server: Server) -> bool:
    return all(set(second) == {"200"} for second in seconds) and answers(server.port, "/readyz")


class _Watch(threading.Thread):
    """Looks how full the spool gets, and how much memory is taken."""

    def __init__(self, spool: Path, server: Server) -> None:
        super().__init__(daemon=True)
        self._spool, self._server = spool, server
        self._ended = threading.Event()
        self.most = 0
        self.memory = 0.0

    def run(self) -> None:
        """Look until it is enough."""
        while not self._ended.wait(0.1):
            self.most = max(self.most, _size(self._spool))
            self.memory = max(self.memory, self._server.memory()[1])

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        self.join()


def _size(folder: Path) -> int:
    size = 0
    for path in folder.glob("*.spool"):
        try:
            size += path.stat().st_size
        except FileNotFoundError:  # drained just now
            continue
    return size
