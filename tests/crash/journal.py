"""Journals: files with one JSON object a line, each written by one process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import orjson


class Journal:
    """A file that is only appended to. Threads may share it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()

    def note(self, **fact: Any) -> None:
        """Append a line; the lines have the order of the calls."""
        line = orjson.dumps(fact) + b"\n"
        with self._lock:
            self._file.write(line)

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> list[dict[str, Any]]:
    """Return the complete lines of a journal."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    return [orjson.loads(line) for line in lines[:-1]]


class Tail:
    """Reads a journal that is still being written, each line once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read_new(self) -> list[dict[str, Any]]:
        """Return the complete lines added since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [orjson.loads(line) for line in whole.splitlines()]
