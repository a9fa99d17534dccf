"""The operator: checks in Aha! whether a delivery in doubt was written, and settles it."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from bridge.errors import BridgeError
from bridge.model import State
from bridge.store import Store
from bridge.store import schema as t
from crash.journal import Tail
from crash.repeating import Repeating
from crash.rows import deliveries
from crash.story import Effect, is_poison

#: The age at which a delivery in doubt is settled: before, the sink may still be writing it.
_RIPE_S = 1.0


class Operator:
    """An operator who reads the sink's journal and the bridge's rows once a second."""

    def __init__(self, database: str, folder: Path, sink: Path) -> None:
        self._store = Store(database, spool=folder / "no-spool")
        self._tail = Tail(sink)
        self._written: set[Effect] = set()
        self._repeating = Repeating(1, self._work)
        #: By delivery: when it was first seen in doubt, in seconds on the monotonic clock.
        self._seen: dict[int, float] = {}
        #: Set it to have the deliveries discarded that Aha! always rejects.
        self.giving_up = threading.Event()
        #: The number of deliveries discarded for that reason.
        self.given_up = 0
        #: Deliveries in doubt that were sent again, and that were discarded because Aha! has them.
        self.retried = 0
        self.discarded = 0

    def start(self) -> None:
        """Start to work."""
        self._repeating.start()

    def stop(self) -> None:
        """Stop, and close the store."""
        self._repeating.stop()
        self._store.close()

    def _work(self) -> None:
        with suppress(DBAPIError, BridgeError):
            self.settle()
        if self.giving_up.is_set():
            with suppress(DBAPIError, BridgeError):
                self._discard_poison()

    def settle(self) -> None:
        """Settle the deliveries that have been in doubt for long enough."""
        with self._store._reading() as conn:
            doubtful = deliveries(conn, State.IN_DOUBT)
        now = time.monotonic()
        self._seen = {d.id: self._seen.get(d.id, now) for d in doubtful}
        ripe = [d for d in doubtful if now - self._seen[d.id] > _RIPE_S]
        if not ripe:
            return
        self._read_sink()
        for delivery in ripe:
            self._decide(delivery.id, written=self._written.issuperset(delivery.comments))

    def _discard_poison(self) -> None:
        with self._store._reading() as conn:
            left = [d for d in deliveries(conn, *t.OPEN) if is_poison(d.record)]
        for delivery in left:
            with suppress(BridgeError):  # it is being sent
                self._store.operators.discard(
                    delivery.id, who="operator", reason="Aha! never takes it"
                )
                self.given_up += 1

    def resume(self) -> None:
        """End the pause of the destination, so that all deliveries are tried at once."""
        with suppress(DBAPIError, BridgeError):
            self._store.operators.resume("aha", who="operator")

    def _read_sink(self) -> None:
        for line in self._tail.read_new():
            if line["written"]:
                self._written.update((kind, one, verb) for kind, one, verb in line["effects"])

    def _decide(self, delivery: int, *, written: bool) -> None:
        if written:
            self._store.operators.discard(delivery, who="operator", reason="it is there")
        else:
            self._store.operators.retry(delivery, who="operator")
        self.discarded += written
        self.retried += not written
