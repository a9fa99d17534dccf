"""How long the bridge waits, how often it looks and how much it takes at a time.

A test that needs other values passes its own `Timing`; a running bridge uses the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Pauses, poll intervals, try counts and batch sizes; names end with the unit of a time."""

    #: Requests and settlements that the writer commits together, at most.
    writer_batch_size: int = 128
    #: Requests that the writer takes from the spool at a time. More than `writer_batch_size`, so
    #: that the spool empties while requests keep arriving.
    drain_batch_size: int = 256
    #: How long the writer waits for spooled requests to be judged before it goes on without them.
    judging_limit_s: float = 1.0
    #: Tries of a transaction that PostgreSQL rolls back because of a deadlock.
    deadlock_tries: int = 5
    #: How long a transaction is repeated while its sessions keep ending. It is repeated once in any
    #: case.
    session_retry_s: float = 5.0
    #: The shortest and the longest pause before the writer tries an unavailable database again.
    database_retry_min_s: float = 0.5
    database_retry_max_s: float = 5.0
    #: How often the writer checks whether that pause is over while requests wait in the spool.
    spool_poll_s: float = 0.5
    #: The quiet period: no lane is leased for so long after a shared database is back. The other
    #: processes notice meanwhile, and announce what they still have in their spools.
    quiet_period_s: float = 10.0
    #: The same for a database file. A delivery whose send ended during the outage is settled before
    #: its lane is leased to another worker.
    file_quiet_period_s: float = 2.0
    #: How long a transaction on a server may take before its connection is closed. Longer than a
    #: transaction may wait for a lock.
    transaction_limit_s: float = 15.0
    #: How often the watchdog compares a transaction with that limit.
    watchdog_poll_s: float = 1.0
    #: How often a process that leases lanes looks for dead ones.
    owner_poll_s: float = 1.0
    #: How often the listener checks whether it was stopped, and its pause after a lost connection.
    listener_poll_s: float = 1.0
    #: How long a worker without a delivery waits before it asks again without a wake-up.
    worker_poll_s: float = 1.0
    #: How often the mapping files are checked for changes.
    mappings_poll_s: float = 2.0
