"""The soak as a command: `PYTHONPATH=tests python -m crash --seconds 600`; see `make soak`."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from crash import soak
from crash.account import ZEROS
from crash.databases import must_have_postgresql
from crash.soak import Soaked

_COLUMNS = (
    "database",
    "seconds",
    "accepted",
    "delivered",
    "duplicates",
    "poison",
    *ZEROS,
    "in_doubt",
    "repeated_states",
    "restarts",
    "unanswered",
    "stalled",
)


def _row(soaked: Soaked) -> list[str]:
    account = soaked.account
    found = {
        "database": soaked.database,
        "seconds": round(soaked.seconds),
        "accepted": account.accepted,
        "delivered": account.delivered + account.discarded,
        "duplicates": account.duplicates,
        "poison": account.poison,
        **{name: len(account.wrong[name]) for name in ZEROS},
        "in_doubt": soaked.in_doubt,
        "repeated_states": account.repeated_states,
        "restarts": soaked.restarts,
        "unanswered": soaked.unanswered,
        "stalled": soaked.stalled,
    }
    return [str(found[name]) for name in _COLUMNS]


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Set a table out; the first row is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )


def main() -> int:
    """Soak, print the table, and return 1 if anything that must be zero is not."""
    given = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="bridge-soak-"))
    done = []
    for name in ("sqlite", "postgresql"):
        if given.database not in (name, "both"):
            continue
        if name == "postgresql" and not soak.can_postgresql():
            print("no PostgreSQL here: neither its tools nor a server", file=sys.stderr)
            if must_have_postgresql():
                return 1
            continue
        (folder / name).mkdir()
        soaking = soak.on_sqlite if name == "sqlite" else soak.on_postgresql
        done.append(soaking(folder / name, given.seconds, given.seed, given.plays))
        _tell(done[-1])
    print(_table([[name.replace("_", " ") for name in _COLUMNS], *map(_row, done)]))
    fine = all(one.fine for one in done)
    if fine and not given.keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"the journals, databases and logs are in {folder}", file=sys.stderr)
    return 0 if fine else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m crash", description=soak.__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="of load, for each database")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--plays",
        nargs="*",
        choices=soak.PLAYS,
        default=soak.PLAYS,
        help="what is played beside the kills: all, unless named; clock needs a C compiler",
    )
    parser.add_argument("--keep", action="store_true", help="keep the files also when all is well")
    return parser.parse_args()


def _tell(soaked: Soaked) -> None:
    blows = ", ".join(f"{name} {times}x" for name, times in sorted(soaked.blows.items()))
    print(f"{soaked.database}: {blows}", file=sys.stderr)
    complaints = soaked.account.complaints()
    for text in filter(None, (soaked.stuck, complaints)):
        print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
