"""One of several processes that share a PostgreSQL database: it receives, and it delivers.

`python racer.py URL FOLDER SEED`: tells of the same changes and comments as the others, thin and
fuller, in an order of its own, while its workers deliver until there is a file `stop` beside
FOLDER.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import structlog
from ledger import POLICY, settlement
from made_up import change, comment, event, plan, route, thin

from bridge.model import Event, Limits, Request, State, Verdict, VerdictName
from bridge.store import (
    Arrival,
    Entry,
    LeaseRequest,
    Store,
    pack,
)

RECORDS, CHANGES, THREADS, GRACE = 4, 24, 4, 300
ROUTES = plan(route(hooks=("main", "second"), destinations=("aha", "crm")))


def story(seed: int) -> list[Event]:
    """Make what one hook tells: every change, every comment thin and full, and some change both."""
    told = []
    for n in range(CHANGES):
        record = str(n % RECORDS)
        known: dict[str, Any] = {"record": record, "hook": "main" if seed % 2 else "second"}
        told.append(event("", change(n), **known))
        told.append(thin("", comment(n), **known))
        if n % 3:
            told.append(event("", comment(n), **known))
        if n % 4 == 0:
            told.append(event("", change(f"{n}b"), comment(n), **known))
    random.Random(seed).shuffle(told)
    return told


class Racer:
    def __init__(self, url: str, folder: Path, seed: int) -> None:
        self.seed = seed
        self.stop = folder.parent / "stop"
        self.store = Store(url, spool=folder, process=f"racer-{seed}")
        self.errors: list[BaseException] = []

    def run(self) -> None:
        self.store.start(
            grace_ms=GRACE,
            policy=POLICY,
        )
        told = story(self.seed)
        doors = [threading.Thread(target=self.receive, args=(told, n)) for n in range(THREADS)]
        workers = [threading.Thread(target=self.deliver, args=(to,)) for to in ("aha", "crm") * 2]
        for thread in (*doors, *workers):
            thread.start()
        for thread in (*doors, *workers):
            thread.join()
        assert not self.store.outage, self.store.outage
        self.store.close()
        if self.errors:
            raise self.errors[0]

    def receive(self, told: list[Event], door: int) -> None:
        try:
            for n, made in list(enumerate(told))[door::THREADS]:
                self.tell(made, f"{time.time_ns()}-{self.seed}-{n:03}")
        except BaseException as error:  # noqa: BLE001 - told at the end
            self.errors.append(error)

    def tell(self, made: Event, id: str) -> None:
        made = replace(made, id=id)
        entry = Entry(event=made, verdicts=ROUTES.judge(made, 0), packed=pack(b"{}"), plan=ROUTES)
        request = Request(
            id=id, hook=made.hook, site="jira", received=0, headers={}, query={}, body=b"{}"
        )
        self.store.keep(Arrival(request=request, entries=(entry,)))

    def deliver(self, to: str) -> None:
        request = LeaseRequest(
            destination=to,
            owner=f"racer-{self.seed}",
            lease_ms=60_000,
            limits=Limits(per_second=5_000),
        )
        settled = None
        try:
            while settled or not self.stop.exists():
                turn = self.store.settle_and_lease(settled, request)
                settled = None
                if turn.leased is None:
                    self.store.wakeups.wait(to, 0.1)
                    continue
                settled = self.send(turn.leased)
        except BaseException as error:  # noqa: BLE001 - told at the end
            self.errors.append(error)

    def send(self, leased: Any) -> Any:
        if leased.waiting and random.random() < 0.3:
            self.store.drop_after_grace(leased, _dropped(leased))
            return None
        if leased.waiting:
            found = _sent(leased)
            if not self.store.send_after_grace(leased, found):
                return None
        if random.random() < 0.05:
            return settlement(leased, State.RETRYING, delay_ms=5, outcome="failed", failed=True)
        return settlement(leased, outcome="delivered")


def _sent(leased: Any) -> Verdict:
    return Verdict(
        name=VerdictName.DELIVER,
        reason="so",
        route="platform",
        destination=leased.destination,
        identities=leased.identities,
    )


def _dropped(leased: Any) -> Verdict:
    return Verdict(name=VerdictName.FILTERED, reason="so", destination=leased.destination)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    Racer(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])).run()
