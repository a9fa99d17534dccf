"""The spool: where requests wait, in order and on disk, while the database cannot take them.

A segment is a file of records: length (4 bytes), CRC-32 (4 bytes), then a line of JSON that says
where the request came from, and its raw body. A record is answered for only after fsync, so a
torn one at the end was never promised. One process owns a segment, by a lock on it; when that
process is gone, the next one to look takes its segments over.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import orjson

from bridge.errors import NotKept
from bridge.model import Request

_HEADER = 8
#: A segment is closed when it has grown to this many bytes, so that drained ones can be deleted.
SEGMENT = 16 * 1024 * 1024


class Spool:
    """Segments in one folder. Not thread-safe: the store's writer alone uses it."""

    def __init__(self, folder: Path, *, limit: int, process: str) -> None:
        self._folder = folder
        self._limit = limit
        self._process = process
        self._count = 0
        self._writing: BinaryIO | None = None
        self._segments: deque[tuple[Path, BinaryIO]] = deque()
        self._offset = 0

    def __len__(self) -> int:
        """Count the bytes that wait, of every process that shares the folder."""
        if not self._folder.is_dir():
            return 0
        return sum(path.stat().st_size for path in self._folder.glob("*.spool"))

    @property
    def backlog(self) -> bool:
        """Whether anything of ours waits."""
        return bool(self._segments)

    def has_room(self) -> bool:
        """Tell whether the limit is not reached and the folder can be written."""
        folder = self._folder if self._folder.is_dir() else self._folder.parent
        return len(self) < self._limit and os.access(folder, os.W_OK)

    def append(self, requests: Iterable[Request]) -> None:
        """Put requests on disk; raises `NotKept` when there is no room, and then none is kept."""
        blob = b"".join(map(_record, requests))
        if len(self) + len(blob) > self._limit:
            raise NotKept("the spool is full")
        try:
            file = self._open()
            size = file.seek(0, os.SEEK_END)
            try:
                file.write(blob)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise
        except OSError as error:
            raise NotKept(f"the spool cannot be written: {error.strerror}") from error
        if size + len(blob) >= SEGMENT:
            self._writing = None

    def adopt(self) -> int:
        """Take over the segments of processes that are gone; returns how many."""
        if not self._folder.is_dir():
            return 0
        mine = {path for path, _ in self._segments}
        found = [p for p in sorted(self._folder.glob("*.spool")) if p not in mine]
        adopted = [(path, file) for path in found if (file := _lock(path)) is not None]
        self._segments.extendleft(reversed(adopted))
        self._offset = 0
        return len(adopted)

    def peek(self, count: int) -> tuple[list[Request], int]:
        """Read up to `count` waiting requests in order, and the offset to `drop` them by."""
        _, file = self._segments[0]
        requests: list[Request] = []
        offset = self._offset
        while len(requests) < count:
            record = _read(file, offset)
            if record is None:
                break
            requests.append(record[0])
            offset += record[1]
        return requests, offset

    def drop(self, offset: int) -> None:
        """Forget what was read up to an offset; a segment read to its end is deleted."""
        self._offset = offset
        path, file = self._segments[0]
        if _read(file, offset) is not None:
            return
        if file is self._writing:
            self._writing = None
        path.unlink()
        file.close()
        self._segments.popleft()
        self._offset = 0

    def quarantine(self, request: Request) -> None:
        """Put a request aside for a person to look at: `<id>.refused`, in a segment's format."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"{request.id}.refused").write_bytes(_record(request))

    def close(self) -> None:
        """Let go of the segments; what waits in them stays on disk."""
        for _, file in self._segments:
            file.close()
        self._segments.clear()
        self._writing = None

    def _open(self) -> BinaryIO:
        if self._writing is not None:
            return self._writing
        self._folder.mkdir(parents=True, exist_ok=True)
        self._count += 1
        path = self._folder / f"{self._process}-{self._count:06}.spool"
        file = path.open("x+b")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _sync_folder(self._folder)
        self._segments.append((path, file))
        self._writing = file
        return file


def _sync_folder(folder: Path) -> None:
    """Make a new file's name as lasting as its content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(path: Path) -> BinaryIO | None:
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    if not path.exists():  # drained between the look and the lock
        file.close()
        return None
    return file


def _record(request: Request) -> bytes:
    head = orjson.dumps(
        {
            "id": request.id,
            "hook": request.hook,
            "site": request.site,
            "received": request.received,
            "headers": dict(request.headers),
            "query": dict(request.query),
        }
    )
    payload = head + b"\n" + request.body
    return len(payload).to_bytes(4) + zlib.crc32(payload).to_bytes(4) + payload


def _read(file: BinaryIO, offset: int) -> tuple[Request, int] | None:
    """Read the record at an offset, and its length; None at the end, torn ends included."""
    file.seek(offset)
    header = file.read(_HEADER)
    if len(header) < _HEADER:
        return None
    length = int.from_bytes(header[:4])
    payload = file.read(length)
    if len(payload) < length or zlib.crc32(payload).to_bytes(4) != header[4:]:
        return None
    head, _, body = payload.partition(b"\n")
    return Request(**orjson.loads(head), body=body), _HEADER + length
