"""Measure the bridge on this machine: `make bench`, or one measure alone.

    bench/run.py [accept|slow-disk|end-to-end|deliver|hot-issue|growth|memory|overload|against]

Without a name all of them, in a quick form. Ratios hold within one run on one machine; figures of
two machines, or of two days, say little beside each other.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import report
from against import against
from delivering import deliver, end_to_end, hot_issue
from growth import growth
from lasting import memory, overload
from receiving import accept, slow_disk
from terms import Terms

#: In the order of the table.
MEASURES: dict[str, Callable[[Terms], list[report.Row]]] = {
    "accept": accept,
    "slow-disk": slow_disk,
    "end-to-end": end_to_end,
    "deliver": deliver,
    "hot-issue": hot_issue,
    "growth": growth,
    "memory": memory,
    "overload": overload,
    "against": against,
}


def main() -> int:
    """Measure what was asked for; with --strict, returns 1 when anything is short of its target."""
    given = _options().parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bridge-bench-", dir=given.folder) as folder:
        terms = Terms(
            seconds=given.seconds or (1.5 if given.measure is None else 5),
            rounds=given.rounds or 3,
            postgres=given.postgres,
            folder=Path(folder),
            quick=given.quick or given.measure is None,
            other=given.other,
        )
        facts = report.machine(terms.folder)
        rows = []
        for name, measure in MEASURES.items():
            if given.measure in (None, name):
                sys.stderr.write(f"{name} ...\n")
                rows += measure(terms)
    took = time.monotonic() - begun
    if given.json:
        told = {"machine": facts, "seconds": took, "rows": [report.plain(row) for row in rows]}
        sys.stdout.write(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        report.show(facts, rows, seconds=took)
    return int(given.strict and any(row.met is False for row in rows))


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("measure", nargs="?", choices=MEASURES, help="one alone, in full")
    options.add_argument(
        "--postgres",
        default=os.environ.get("BRIDGE_TEST_POSTGRES", ""),
        help="a server to make databases on: postgresql://postgres@127.0.0.1/postgres",
    )
    options.add_argument("--seconds", type=float, default=0, help="of load, each time")
    options.add_argument(
        "--rounds", type=int, default=0, help="how often each variant has its turn"
    )
    options.add_argument(
        "--other", type=Path, default=None, help="another checkout of the bridge to compare with"
    )
    options.add_argument("--strict", action="store_true", help="end with 1 when a target is missed")
    options.add_argument("--quick", action="store_true", help="a tenth of the events")
    options.add_argument("--folder", default=None, help="where databases are made: the disk counts")
    options.add_argument("--json", action="store_true", help="with everything it was made of")
    return options


if __name__ == "__main__":
    sys.exit(main())
