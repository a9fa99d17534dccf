"""The spool: requests wait on disk, in order, while the database cannot take them.

A segment is a file of records: length (4 bytes), CRC-32 (4 bytes), then the request without its
body as a line of JSON, and the raw body. The sender gets its answer only after fsync, so a torn
record at the end was never acknowledged. A process owns its segments by a lock on each; when it
dies, the next process that looks adopts them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import zlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import orjson

from bridge.errors import NotKept
from bridge.model import Request
from bridge.store.database.files import make_folder, private_opener

_HEADER = 8
#: The header in which older versions kept `Request.refused`.
_REFUSED_HEADER = "bridge-refused"
#: A segment is closed when it has grown to this many bytes, so that drained ones can be deleted.
SEGMENT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class _Record:
    """One record of a segment."""

    #: None when the record is damaged.
    request: Request | None
    #: The length in bytes, with the header.
    length: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SpoolUsage:
    """What the folder of a spool holds, of every process that shares it."""

    #: How many bytes wait for the database.
    bytes: int
    #: How many requests the database refused. Their files are kept for an operator to inspect.
    refused: int


class Spool:
    """Segments in one folder. Not thread-safe: the store's writer alone uses it."""

    def __init__(
        self, folder: Path, *, limit: int, process: str, file_type: type[FileIO] = FileIO
    ) -> None:
        #: The folder with the segments.
        self.folder = folder
        self._limit = limit
        #: The name of the process that owns the spool.
        self.process = process
        #: With which segments are opened for writing.
        self._file_type = file_type
        self._count = 0
        self._writing: FileIO | None = None
        self._segments: deque[tuple[Path, FileIO]] = deque()
        self._offset = 0
        self._damaged = False
        #: Whether a request was refused, and none was drained since.
        self._full = False

    def __len__(self) -> int:
        """Count the bytes of all segments, of every process that shares the folder."""
        size = 0
        for path in self.folder.glob("*.spool"):
            with contextlib.suppress(FileNotFoundError):  # another process drained it just now
                size += path.stat().st_size
        return size

    def usage(self) -> SpoolUsage:
        """Measure what the folder holds, of every process that shares it."""
        return SpoolUsage(bytes=len(self), refused=sum(1 for _ in self.folder.glob("*.refused")))

    @property
    def backlog(self) -> bool:
        """Whether this process has requests in its spool."""
        return bool(self._segments)

    def has_room(self) -> bool:
        """Whether the limit is not reached, and the folder is on a writable disk with room."""
        folder = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        if self._full or not folder.is_dir() or not os.access(folder, os.W_OK):
            return False
        return len(self) < self._limit and shutil.disk_usage(folder).free > SEGMENT_BYTES

    def append(self, requests: Iterable[Request]) -> None:
        """Write requests to disk, all or, when there is no room, none; raises `NotKept` then."""
        blob = b"".join(map(_record, requests))
        if len(self) + len(blob) > self._limit:
            self._full = True
            raise NotKept("the spool is full")
        try:
            file = self._open()
            size = file.seek(0, os.SEEK_END)
            try:
                _write(file, blob)
            except OSError:
                self._writing = None  # no record may follow a torn one, should truncating fail
                file.truncate(size)
                self._writing = file
                raise
        except OSError as error:
            self._full = True
            raise NotKept(f"the spool cannot be written: {error.strerror}") from error
        self._full = False
        if size + len(blob) >= SEGMENT_BYTES:
            self._writing = None

    def adopt(self) -> int:
        """Take over the segments of dead processes, in order; returns how many."""
        found = sorted(self.folder.glob("*.spool"))
        adopted = [(path, file) for path in found if (file := _lock(path)) is not None]
        adopted.sort(key=lambda segment: _first(segment[1]))
        self._segments.extendleft(reversed(adopted))
        self._offset = 0
        return len(adopted)

    def peek(self, count: int) -> tuple[list[Request], int]:
        """Read up to `count` requests in order; returns them and the offset to `drop` them by."""
        _, file = self._segments[0]
        requests: list[Request] = []
        offset = self._offset
        while len(requests) < count:
            record = _read(file, offset)
            if record is None:
                break
            if record.request is None:
                self._damaged = True
            else:
                requests.append(record.request)
            offset += record.length
        return requests, offset

    def drop(self, offset: int) -> Path | None:
        """Drop the requests before an offset. At its end, the segment is deleted.

        A segment with damaged records is renamed and kept instead, for an operator to inspect;
        then its new path is returned.
        """
        self._offset, self._full = offset, False
        path, file = self._segments[0]
        if _read(file, offset) is not None:
            return None
        kept = None
        if self._damaged or file.seek(0, os.SEEK_END) > offset:
            kept = path.rename(path.with_suffix(".damaged"))
        else:
            path.unlink()
        if file is self._writing:
            self._writing = None
        file.close()
        self._segments.popleft()
        self._offset, self._damaged = 0, False
        return kept

    def quarantine(self, request: Request) -> Path:
        """Put a request aside in `<id>.refused`, a segment for an operator to inspect."""
        make_folder(self.folder)
        path = self.folder / f"{request.id}.refused"
        with FileIO(path, "w", opener=private_opener) as file:
            _write(file, _record(request))
        _sync_folder(self.folder)
        return path

    def close(self) -> None:
        """Close the segments. Their requests stay on disk."""
        for _, file in self._segments:
            file.close()
        self._segments.clear()
        self._writing = None

    def _open(self) -> FileIO:
        if self._writing is not None:
            return self._writing
        make_folder(self.folder)
        path = self._unused()
        file = self._file_type(path, "x+", opener=private_opener)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._segments.append((path, file))
        _sync_folder(self.folder)
        self._writing = file
        return file

    def _unused(self) -> Path:
        """Return a path for a new segment: an earlier process of this name may have left some."""
        while True:
            self._count += 1
            path = self.folder / f"{self.process}-{self._count:06}.spool"
            if not path.exists():
                return path


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file durable, as fsync does its content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(file: FileIO, blob: bytes) -> None:
    """Write a blob to the disk, without a buffer, which would write on after a failure."""
    rest = memoryview(blob)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def _first(file: FileIO) -> str:
    """Return the id of a segment's first request: ids sort by time."""
    record = _read(file, 0)
    return "" if record is None or record.request is None else record.request.id


def _lock(path: Path) -> FileIO | None:
    try:
        file = FileIO(path, "r+")
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


def _current_form(head: dict[str, Any]) -> dict[str, Any]:
    """Convert the head of a record that an older version wrote: "refused" was a header then."""
    if _REFUSED_HEADER in head["headers"]:
        head["refused"] = head["headers"].pop(_REFUSED_HEADER)
    return head


def _record(request: Request) -> bytes:
    head = orjson.dumps(
        {
            "id": request.id,
            "hook": request.hook,
            "site": request.site,
            "received": request.received,
            "place": request.place,
            "ticks": request.ticks,
            "boot": request.boot,
            "headers": dict(request.headers),
            "query": dict(request.query),
            "refused": request.refused,
        }
    )
    payload = head + b"\n" + request.body
    return len(payload).to_bytes(4) + zlib.crc32(payload).to_bytes(4) + payload


def _read(file: FileIO, offset: int) -> _Record | None:
    """Read the record at an offset; None at the end, torn ends included."""
    file.seek(offset)
    header = file.read(_HEADER)
    length = int.from_bytes(header[:4])
    if len(header) < _HEADER or not length:
        return None
    payload = file.read(length)
    if len(payload) < length:
        return None
    request = None
    if zlib.crc32(payload).to_bytes(4) == header[4:]:
        head, _, body = payload.partition(b"\n")
        request = Request(**_current_form(orjson.loads(head)), body=body)
    return _Record(request=request, length=_HEADER + length)
