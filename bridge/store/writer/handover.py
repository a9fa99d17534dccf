"""Passes spooled requests to a thread above the store that judges them, and takes them back judged.

That thread works while the writer commits one turn of jobs. Then the writer waits for it, so that
the spool empties however many requests keep arriving.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from bridge.model import Request
from bridge.store.writer.jobs import Arrival


class Handover:
    """At most one batch of spooled requests, which the writer offers and another thread judges.

    `wake` wakes the writer; both have the same `lock`, which guards the writer's queue.
    """

    def __init__(self, lock: threading.RLock, wake: threading.Condition) -> None:
        self._lock = lock
        self._wake = wake
        self._offered = threading.Condition(lock)
        self._asking = False
        self._closed = False
        self._offer: Sequence[Request] | None = None
        self._judged: Sequence[Arrival] | None = None

    # For the thread that judges

    def next_spooled(self) -> Sequence[Request] | None:
        """Wait for spooled requests and return them; None: the writer has stopped."""
        with self._lock:
            self._asking = True
            self._wake.notify()
            self._offered.wait_for(lambda: self._closed or self._offer is not None)
            self._asking = False
            return None if self._closed else self._offer

    def keep_spooled(self, judged: Sequence[Arrival]) -> None:
        """Hand in the requests of the last `next_spooled`, judged; returns at once.

        They are ignored when an outage began meanwhile: later they are judged again.
        """
        with self._lock:
            if self._offer is not None:
                self._offer, self._judged = None, judged
                self._wake.notify()

    # For the writer

    @property
    def is_wanted(self) -> bool:
        """Whether the other thread waits for requests, and none are under way."""
        return self._asking and self._offer is None and self._judged is None

    @property
    def is_pending(self) -> bool:
        """Whether requests are being judged."""
        return self._offer is not None

    @property
    def is_ready(self) -> bool:
        """Whether judged requests wait for the writer."""
        return self._judged is not None

    def offer(self, requests: Sequence[Request]) -> None:
        """Give the other thread requests to judge."""
        with self._lock:
            self._offer = requests
            self._offered.notify()

    def take(self) -> Sequence[Arrival] | None:
        """Return the judged requests, once; None: there are none."""
        with self._lock:
            judged, self._judged = self._judged, None
            return judged

    def discard(self) -> None:
        """Withdraw the offer: later its requests are judged again, by the hooks of then."""
        with self._lock:
            self._offer = self._judged = None

    def close(self) -> None:
        """Let the other thread end."""
        with self._lock:
            self._closed = True
            self._offered.notify()
