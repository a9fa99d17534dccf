"""The operator: looks at what is in doubt, asks Aha! whether it was written, and decides."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from bridge.errors import BridgeError
from bridge.model import State
from bridge.store import Store, mending
from crash import journal

#: A delivery in doubt is looked at when it has been for so long, in ms: the sink may be slow.
_SETTLED = 1_000


class Operator:
    """Someone at the desk, who sees the sink's journal and the bridge's rows."""

    def __init__(self, database: str, spool: Path, sink: Path) -> None:
        self._store = Store(database, spool=spool)
        self._sink = sink
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        #: How many were found in doubt, sent again, and given up as written.
        self.found = 0
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

    def look(self) -> int:
        """Decide what is in doubt now; returns how many that were."""
        with self._store.reading() as conn:
            doubtful = mending.stuck(conn, states=[State.IN_DOUBT])
            told = {p.id: _effects(conn, p.id) for p in doubtful}
            now = self._store.now()
        ripe = [p for p in doubtful if now - told[p.id][1] > _SETTLED]
        written = written_comments(journal.read(self._sink)) if ripe else set()
        for parcel in ripe:
            comments = told[parcel.id][0]
            self._decide(parcel.id, is_written=bool(comments) and comments <= written)
        return len(doubtful)

    def hurry(self, destination: str) -> None:
        """Let everything be tried at once."""
        with suppress(DBAPIError, BridgeError):
            self._store.run_here(
                lambda conn, now: mending.resume(conn, now, destination, who="operator")
            )

    def _decide(self, delivery: int, *, is_written: bool) -> None:
        if is_written:
            self._store.run_here(
                lambda conn, now: mending.discard(
                    conn, now, delivery, who="operator", reason="it is in Aha!"
                )
            )
            self.discarded += 1
        else:
            self._store.run_here(
                lambda conn, now: mending.retry(conn, now, delivery, who="operator")
            )
            self.retried += 1
        self.found += 1
