"""Limits on connections: their number, the time between requests, the size of the headers."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

#: The largest request line and headers together, in bytes.
MAX_HEAD_BYTES = 64 * 1024
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Content-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class BoundedConnection(HttpToolsProtocol):
    """A connection of uvicorn with limits; `connection_class` derives the class for one server."""

    #: How long a connection may take to deliver the headers of its next request, in seconds.
    idle_s: ClassVar[int]
    #: The most connections at a time.
    max_connections: ClassVar[int]
    #: The connections that wait for a request or the rest of one, longest wait first.
    waiting: ClassVar[dict[BoundedConnection, None]]

    def __init__(self, *args: Any, **more: Any) -> None:  # noqa: ANN401 - uvicorn's signature
        super().__init__(*args, **more)
        #: Bytes of unfinished headers so far; None while a body or an answer is awaited.
        self._head_bytes: int | None = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request; above the limit, close the connection that has waited longest."""
        super().connection_made(transport)
        self._await_request()
        if len(self.connections) > self.max_connections:
            next(iter(self.waiting)).end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting for the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep a half-closed connection open while a complete request is being answered."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        cycle.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        """Parse the bytes; answer 431 and close when the headers are too large."""
        if self._head_bytes is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes is not None and self._head_bytes > MAX_HEAD_BYTES:
            self.transport.write(_TOO_LARGE)
            self.end()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store a header; ignore trailers, which follow a chunked body."""
        if self._head_bytes is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the timer of the headers: the body has its own."""
        self._head_bytes = None
        self._set_timer(None)
        super().on_headers_complete()
        if self.parser.should_upgrade():  # no other protocol is supported, and no request after it
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Mark the request as complete: the connection no longer waits for its sender."""
        self._head_bytes = 0
        self.waiting.pop(self, None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it has been received already."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._await_request()
        elif self.cycle.more_body:
            self.waiting[self] = None

    def end(self) -> None:
        """Close the connection."""
        self._stop_waiting()
        self.transport.close()

    def _await_request(self) -> None:
        self.waiting.pop(self, None)
        self.waiting[self] = None
        self._set_timer(self.idle_s)

    def _stop_waiting(self) -> None:
        self.waiting.pop(self, None)
        self._set_timer(None)

    def _set_timer(self, seconds: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self.end)


def connection_class(*, idle_s: int, max_connections: int) -> type[BoundedConnection]:
    """Derive the connection class of one server."""
    limits = {"idle_s": idle_s, "max_connections": max_connections, "waiting": {}}
    return type("Connection", (BoundedConnection,), limits)
