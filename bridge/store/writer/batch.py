"""What one transaction of the writer does: keep arrivals, settle deliveries, lease lanes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from bridge.core.dedup.changes import Entry
from bridge.core.retry import Policy
from bridge.store.database.clocks import Instant, steady
from bridge.store.database.engine_clock import Keeper
from bridge.store.database.transact import Work
from bridge.store.inbox.accept import Accepted, accept, look_ahead
from bridge.store.inbox.origins import Origins
from bridge.store.inbox.read import Look
from bridge.store.queue import watermark
from bridge.store.queue.exchange import settle_and_lease
from bridge.store.queue.nouns import Next
from bridge.store.queue.owners import Owner
from bridge.store.writer.jobs import Arrival, Batch
from bridge.store.writer.outage import Outage
from bridge.store.writer.places import Places
from bridge.store.writer.transaction import Transactions

#: The number of lanes with work, by destination.
Ready = dict[str, int]


class BatchWriter:
    """Writes jobs and spooled requests, each batch in one transaction."""

    def __init__(
        self,
        outage: Outage,
        places: Places,
        transactions: Transactions,
        owner: Owner,
        *,
        grace_ms: int,
        policy: Policy,
    ) -> None:
        self._transactions = transactions
        self._owner = owner
        self._outage = outage
        self._places = places
        self._grace_ms = grace_ms
        self._policy = policy
        self._keeper = Keeper()
        self._origins = Origins()
        #: How many verdicts were committed, by verdict and stage.
        self.verdicts: Counter[tuple[str, str]] = Counter()

    def write(self, batch: Batch, started: float) -> tuple[list[Next], Ready]:
        """Commit arrivals and exchanges together; returns the answers and the lanes with work now.

        `started` is when the turn began, in seconds on the clock of `Outage`.
        """
        entries, settling = batch.entries, batch.settling
        since = steady() if batch.leases else 0
        look: Look | None = None

        def ask(conn: Connection) -> None:
            nonlocal look
            look = look_ahead(conn, entries, settling)

        def work(conn: Connection, now: Instant, again: bool) -> tuple[list[Next], Accepted]:
            accepted = Accepted()
            if entries:
                given = [replace(entry, again=True) for entry in entries] if again else entries
                accepted = self._accept(conn, now, given, settling, None if again else look)
                self._places.advance(now)
            if entries or settling:
                self._keeper.keep(conn, now)
            if not batch.tasks:
                return [], accepted
            leasing = since if batch.leases and self._may_lease(started) else None
            answers = settle_and_lease(conn, now, batch.tasks, policy=self._policy, since=leasing)
            return answers, accepted

        answers, accepted = self._transactions.run(work, ask=ask if entries else None)
        return answers, self._committed(accepted) if entries else {}

    def run(self, work: Work[object]) -> object:
        """Commit other work alone, because it locks rows in an order of its own."""
        return self._transactions.run(lambda conn, now, _: work(conn, now), repeatable=False)

    def keep_again(self, arrivals: Sequence[Arrival], process: str) -> Ready:
        """Commit requests out of the spool of `process`, some of which may be kept already."""

        def work(conn: Connection, now: Instant, _: bool) -> Accepted:
            entries = []
            for arrival in arrivals:
                place = self._places.last = self._places.of(arrival.request, now)
                entries += [replace(entry, again=True, place=place) for entry in arrival.entries]
            if entries:
                watermark.publish(conn, now, process, self._places.last)
            return self._accept(conn, now, entries)

        return self._committed(self._transactions.run(work))

    def keep_refused(self, entry: Entry) -> None:
        """Commit the entry of a quarantined request."""
        accepted = self._transactions.run(
            lambda conn, now, _: self._accept(conn, now, [replace(entry, again=True)])
        )
        self._committed(accepted)

    def _accept(
        self,
        conn: Connection,
        now: Instant,
        entries: Sequence[Entry],
        settling: Sequence[int] = (),
        look: Look | None = None,
    ) -> Accepted:
        accepted = accept(conn, now, entries, grace_ms=self._grace_ms, settling=settling, look=look)
        # Every process locks the lanes first: two of them must not wait for each other in a circle.
        self._origins.note(conn, now, [entry.event for entry in entries])
        return accepted

    def _committed(self, accepted: Accepted) -> Ready:
        self._origins.noted()
        kept = (verdict for found in accepted.verdicts.values() for verdict in found)
        self.verdicts.update((verdict.name.value, verdict.stage) for verdict in kept)
        return accepted.ready

    def _may_lease(self, started: float) -> bool:
        quiet = self._outage.is_quiet(started)
        return not quiet and self._owner.is_enlisted(self._transactions.conn)
