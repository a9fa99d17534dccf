"""The load: sends every chain step by step, to several hooks and processes, until it is accepted.

Its journal holds the effects of each step, and the ids of the events that the answers contained.
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
from crash.story import Report, Step

#: How long the load waits for an answer, and before it repeats a request, in seconds.
TIMEOUT_S = 20
RETRY_S = 0.5


class Load:
    """Sends chains concurrently."""

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
        #: Requests with and without a 200.
        self.answered = 0
        self.failed = 0

    def start(self, chains: Sequence[Iterator[Step]]) -> None:
        """Start one thread for each chain."""
        for number, chain in enumerate(chains):
            thread = threading.Thread(target=self._chain, args=(chain, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Start no new step; steps under way are repeated until they are accepted."""
        self._stopping.set()

    def wait(self, seconds: float) -> bool:
        """Wait for all chains to end; False if some did not end in time, and were cut off."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        late = any(thread.is_alive() for thread in self._threads)
        self._giving_up.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S + 1)
        self._senders.shutdown()
        return not late

    @property
    def idle(self) -> bool:
        """Whether all chains have ended."""
        return not any(thread.is_alive() for thread in self._threads)

    def _chain(self, chain: Iterator[Step], number: int) -> None:
        for step in chain:
            if self._stopping.is_set():
                return
            if not self._step(step, number):
                return
            self._stopping.wait(self._pause)

    def _step(self, step: Step, number: int) -> bool:
        """Send a step until each of its reports is accepted once; False if it was cut off."""
        self._journal.note(
            kind="step",
            record=step.record,
            place=step.place,
            wanted=step.wanted,
            holds=step.holds,
            effects=[effect for report in step.reports for effect in report.effects],
        )
        left = list(step.reports)
        while left and not self._giving_up.is_set():
            tries = [
                (report, self._senders.submit(self._post, report, number + step.place + copy))
                for report in left
                for copy in range(self._copies)
            ]
            ids: dict[int, list[str]] = {}
            for report, future in tries:
                event = future.result()
                if event:
                    ids.setdefault(id(report), []).append(event)
            left = [report for report in left if id(report) not in ids]
            kept = [event for several in ids.values() for event in several]
            if kept:
                self._journal.note(kind="kept", record=step.record, place=step.place, events=kept)
            if left:
                time.sleep(RETRY_S)
        if not left:
            self._journal.note(kind="told", record=step.record, place=step.place)
        return not left

    def _post(self, report: Report, copy: int) -> str:
        """Send one copy; returns the id in the answer, or "" without a 200."""
        hook = f"{report.site}-{'ab'[copy % 2]}"
        port = self._ports[copy % len(self._ports)]
        conn = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        try:
            conn.request(
                "POST",
                f"/api/v1/webhooks/{HOOKS[hook]}",
                report.body,
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
