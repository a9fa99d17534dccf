"""Wakes the workers of a destination when one of its lanes has something to do."""

from __future__ import annotations

import threading
from collections.abc import Mapping

#: How many rings are remembered: enough for all workers, and few enough that, after a busy time in
#: which nobody had to wait, they do not look in vain for long.
MOST = 64


class Bell:
    """Rings are remembered, so none is lost between looking for work and waiting for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rung: dict[str, int] = {}

    def ring(self, ready: Mapping[str, int]) -> None:
        """Wake so many workers of each destination."""
        if not ready:
            return
        with self._changed:
            for name, count in ready.items():
                self._rung[name] = min(self._rung.get(name, 0) + count, MOST)
            self._changed.notify_all()

    def wait(self, destination: str, seconds: float) -> None:
        """Return when the destination's bell was rung, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._rung.get(destination, 0) > 0, seconds)
            left = self._rung.get(destination, 0)
            self._rung[destination] = max(0, left - 1)
