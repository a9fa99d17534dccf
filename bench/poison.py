"""What records that a destination fails on cost the others, and what one that is down is sent.

    python bench/poison.py --poison 12 --every 20 --seconds 200
    python bench/poison.py --poison 12 --hang 600        each of them takes as long as a send may
    python bench/poison.py --down --seconds 180          everything is answered 503

`serve` on SQLite, with its default settings and no limits, delivers to the sandbox over real
sockets. Each so many seconds one event of an issue that nothing is wrong with is posted. Printed
as JSON: how long each of them took from its answer to the sandbox, in seconds, and how many
requests the sandbox saw in each minute.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from itertools import count
from pathlib import Path

import orjson
from servers import Bench, Server

from bridge.demo.bodies import Issue
from bridge.demo.stories import ANA, CLOUD
from bridge.sandbox import Integration, Sandbox

_CALLBACK = "callback-token-0123456789"
_ids = count(10_001)


def _post(server: Server) -> str:
    """Post the creation of another issue; returns its key."""
    number = next(_ids)
    at = 1_772_697_600_000 + number
    issue = Issue(id=number, key=f"PLAT-{number}", reporter=ANA, created=at, updated=at)
    request = urllib.request.Request(
        f"http://{server.address}",
        data=orjson.dumps(CLOUD.issue_created(issue, ANA)),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30):
        return issue.key


def run(given: argparse.Namespace) -> dict[str, object]:
    """Post poison, and then one healthy event after the other."""
    sandbox = Sandbox(Integration(token=_CALLBACK))
    sandbox.start()
    sandbox.behave(down=given.down)
    for number in range(given.poison):
        key = f"PLAT-{10_001 + number}"
        sandbox.treat(key, fail_share=1.0, latency_ms=given.hang * 1000)
    with tempfile.TemporaryDirectory() as folder, Bench(Path(folder)) as bench:
        server = bench.bridge("serve", bench.sqlite("poison"), sink=sandbox.url)
        begun = time.time()
        for _ in range(given.poison):
            _post(server)
        posted = {}
        while time.time() - begun < given.seconds:
            posted[_post(server)] = time.time()
            time.sleep(given.every)
        sandbox.release()
        told = _told(sandbox, posted, begun)
    sandbox.stop()
    return told


def _told(sandbox: Sandbox, posted: dict[str, float], begun: float) -> dict[str, object]:
    written = {one.key: one.time / 1000 for one in sandbox.writes()}
    waits = sorted(round(written[key] - at, 2) for key, at in posted.items() if key in written)
    minutes = Counter(int(one.time / 1000 - begun) // 60 for one in sandbox.requests())
    return {
        "healthy": len(posted),
        "delivered": len(waits),
        "within_5_s": sum(wait <= 5 for wait in waits),
        "seconds": waits,
        "median_s": waits[len(waits) // 2] if waits else None,
        "requests_by_minute": [minutes[n] for n in range(max(minutes, default=-1) + 1)],
    }


def main() -> None:
    """Read what to measure from the arguments."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--poison", type=int, default=12, help="issues that are answered 500")
    options.add_argument("--hang", type=int, default=0, help="seconds that such an answer takes")
    options.add_argument("--down", action="store_true", help="everything is answered 503")
    options.add_argument("--every", type=float, default=20, help="seconds between healthy events")
    options.add_argument("--seconds", type=float, default=200, help="for how long they are posted")
    found = run(options.parse_args())
    sys.stdout.buffer.write(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    main()
