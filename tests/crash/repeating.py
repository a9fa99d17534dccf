"""Work that is repeated in a thread until it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Repeating:
    """Calls `work` again and again in a thread, with pauses of `interval_s` seconds."""

    def __init__(self, interval_s: float, work: Callable[[], None]) -> None:
        self._interval_s = interval_s
        self._work = work
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start the thread; the first call comes after the first pause."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the call under way; does nothing if it was never started."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            self._work()
