"""Journals: one JSON object a line, written by one process each, read after the fact."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import orjson


class Journal:
    """A file that is only ever added to. Threads may share it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()

    def note(self, **fact: Any) -> None:
        """Add a line, in the order of the calls."""
        line = orjson.dumps(fact) + b"\n"
        with self._lock:
            self._file.write(line)

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> list[dict[str, Any]]:
    """Read a journal as far as it is written."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    return [orjson.loads(line) for line in lines[:-1]]
