"""A pipe by which the process that receives wakes the one that delivers, on one machine.

PostgreSQL tells every process by itself (`listening`); a file tells nobody.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

import orjson

#: So much is written to a pipe whole or not at all, whoever else writes to it.
_WHOLE = 4096


class Wire:
    """Made by the parent of both. What does not fit is not told: the other has enough to do."""

    def __init__(self) -> None:
        self._hearing, self._telling = multiprocessing.Pipe(duplex=False)
        os.set_blocking(self._telling.fileno(), False)

    def tell(self, ready: Mapping[str, int]) -> None:
        """Say how many lanes of each destination have something to do now."""
        line = orjson.dumps(ready) + b"\n" if ready else b""
        if len(line) <= _WHOLE:
            with suppress(BlockingIOError):
                os.write(self._telling.fileno(), line)

    def listen(self, ring: Callable[[Mapping[str, int]], None]) -> None:
        """Ring for what is told, in a thread that ends with the process."""
        self._telling.close()
        threading.Thread(target=self._hear, args=(ring,), name="wire", daemon=True).start()

    def _hear(self, ring: Callable[[Mapping[str, int]], None]) -> None:
        rest = b""
        while heard := os.read(self._hearing.fileno(), 65536):
            *lines, rest = (rest + heard).split(b"\n")
            told: Counter[str] = Counter()
            for line in lines:
                told.update(orjson.loads(line))
            ring(told)
