"""The operator: looks at what is in doubt, asks Aha! whether it was written, and decides."""

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
from crash.rows import deliveries
from crash.story import Effect, is_poison

#: A delivery in doubt is looked at when it has been for so long, in seconds: the sink may be slow.
_RIPE = 1.0


class Operator:
    """Someone at the desk, who sees the sink's journal and the bridge's rows."""

    def __init__(self, database: str, folder: Path, sink: Path) -> None:
        self._store = Store(database, spool=folder / "no-spool")
        self._tail = Tail(sink)
        self._written: set[Effect] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        #: delivery -> when it was first seen in doubt, on the monotonic clock.
        self._seen: dict[int, float] = {}
        #: Set when what Aha! never takes is to be given up.
        self.giving_up = threading.Event()
        #: How many of those were.
        self.given_up = 0
        #: How many in doubt were sent again, and how many given up because they were written.
        self.retried = 0
        self.discarded = 0

    def start(self) -> None:
        """Look every second."""
        self._thread.start()

    def stop(self) -> None:
        """Go home."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._store.close()

    def _work(self) -> None:
        while not self._stopping.wait(1):
            with suppress(DBAPIError, BridgeError):
                self.look()
            if self.giving_up.is_set():
                with suppress(DBAPIError, BridgeError):
                    self._give_up_poison()

    def look(self) -> None:
        """Decide what is in doubt now."""
        with self._store._reading() as conn:
            doubtful = deliveries(conn, State.IN_DOUBT)
        now = time.monotonic()
        self._seen = {d.id: self._seen.get(d.id, now) for d in doubtful}
        ripe = [d for d in doubtful if now - self._seen[d.id] > _RIPE]
        if not ripe:
            return
        self._read_sink()
        for delivery in ripe:
            self._decide(delivery.id, written=self._written.issuperset(delivery.comments))

    def _give_up_poison(self) -> None:
        with self._store._reading() as conn:
            left = [d for d in deliveries(conn, *t.OPEN) if is_poison(d.record)]
        for delivery in left:
            with suppress(BridgeError):  # it is being sent just now
                self._store.operators.discard(
                    delivery.id, who="operator", reason="Aha! never takes it"
                )
                self.given_up += 1

    def hurry(self) -> None:
        """Let everything be tried at once."""
        with suppress(DBAPIError, BridgeError):
            self._store.operators.resume("aha", who="operator")

    def _read_sink(self) -> None:
        for line in self._tail.news():
            if line["written"]:
                self._written.update((kind, one, verb) for kind, one, verb in line["effects"])

    def _decide(self, delivery: int, *, written: bool) -> None:
        if written:
            self._store.operators.discard(delivery, who="operator", reason="it is there")
        else:
            self._store.operators.retry(delivery, who="operator")
        self.discarded += written
        self.retried += not written
