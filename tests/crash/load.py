"""The sender: tells every chain step by step, to several hooks and doors at once, until answered.

Its journal holds what was promised: for each step what it told and the ids it was answered with.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import orjson

from crash.journal import Journal
from crash.processes import HOOKS
from crash.story import Step, Telling

#: How long a sender waits for an answer, and before it tells again, in seconds.
PATIENCE = 20
AGAIN = 0.5


class Load:
    """Chains told side by side."""

    def __init__(
        self, journal: Journal, ports: Sequence[int], *, copies: int, pause: float
    ) -> None:
        self._journal = journal
        self._ports = ports
        self._copies = copies
        self._pause = pause
        self._stopping = threading.Event()
        self._giving_up = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._senders = ThreadPoolExecutor(64, thread_name_prefix="sender")
        #: Requests that were answered 200, and that were not.
        self.answered = 0
        self.failed = 0

    def tell(self, chains: Sequence[Iterator[Step]]) -> None:
        """Begin; each chain in a thread of its own."""
        for number, chain in enumerate(chains):
            thread = threading.Thread(target=self._chain, args=(chain, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Begin no new step; what was begun is told until it is answered."""
        self._stopping.set()

    def wait(self, seconds: float) -> bool:
        """Wait for all chains to end; False: some did not within the time, and were given up."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        late = any(thread.is_alive() for thread in self._threads)
        self._giving_up.set()
        for thread in self._threads:
            thread.join(PATIENCE + 1)
        self._senders.shutdown()
        return not late

    @property
    def idle(self) -> bool:
        """Whether all chains were told to their ends."""
        return not any(thread.is_alive() for thread in self._threads)

    def _chain(self, chain: Iterator[Step], number: int) -> None:
        for step in chain:
            if self._stopping.is_set():
                return
            if not self._step(step, number):
                return
            self._stopping.wait(self._pause)

    def _step(self, step: Step, number: int) -> bool:
        """Tell a step until each of its tellings was answered 200 at least once."""
        self._journal.note(
            kind="step",
            record=step.record,
            place=step.place,
            wanted=step.wanted,
            holds=step.holds,
            effects=[effect for telling in step.tellings for effect in telling.effects],
        )
        left = list(step.tellings)
        while left and not self._giving_up.is_set():
            tries = [
                (telling, self._senders.submit(self._post, telling, number + step.place + copy))
                for telling in left
                for copy in range(self._copies)
            ]
            ids: dict[int, list[str]] = {}
            for telling, future in tries:
                event = future.result()
                if event:
                    ids.setdefault(id(telling), []).append(event)
            left = [telling for telling in left if id(telling) not in ids]
            kept = [event for several in ids.values() for event in several]
            if kept:
                self._journal.note(kind="kept", record=step.record, place=step.place, events=kept)
            if left:
                time.sleep(AGAIN)
        if not left:
            self._journal.note(kind="told", record=step.record, place=step.place)
        return not left

    def _post(self, telling: Telling, copy: int) -> str:
        """Send one copy; returns the id it was answered with, or "" when it was not."""
        hook = f"{telling.site}-{'ab'[copy % 2]}"
        port = self._ports[copy % len(self._ports)]
        conn = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            conn.request(
                "POST",
                f"/api/v1/webhooks/{HOOKS[hook]}",
                telling.body,
                {"Content-Type": "application/json"},
            )
            response = conn.getresponse()
            answer = response.read()
            event = orjson.loads(answer)["event"] if response.status == 200 else ""
        except (OSError, http.client.HTTPException, ValueError):
            event = ""
        finally:
            conn.close()
        with self._lock:
            self.answered += bool(event)
            self.failed += not event
        return event
