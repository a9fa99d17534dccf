"""Connections, bounded: in their number, in the time between requests, in the size of a head."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

#: The most bytes that the line and the headers of one request may have.
HEAD = 64 * 1024
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Content-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class Bounded(HttpToolsProtocol):
    """One connection of uvicorn's. `bounds` makes the class of a server's connections."""

    #: How long a connection may take until the head of its next request has arrived, in seconds.
    idle: ClassVar[int]
    #: How many connections there may be.
    most: ClassVar[int]
    #: Those that keep us waiting, for a request or for the rest of one; the longest-waiting first.
    waiting: ClassVar[dict[Bounded, None]]

    def __init__(self, *args: Any, **more: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **more)
        #: The bytes of a head that is not whole yet; None while a body or an answer is awaited.
        self._head: int | None = 0
        self._alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request; with too many connections, give up the oldest wait."""
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > self.most:
            next(iter(self.waiting)).end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._rest()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a whole request also when its sender will send nothing more."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            return False
        cycle.keep_alive = False
        return True

    def data_received(self, data: bytes) -> None:
        """Read on, unless a head grows too large."""
        if self._head is not None:
            self._head += len(data)
        super().data_received(data)
        if self._head is not None and self._head > HEAD:
            self.transport.write(_TOO_LARGE)
            self.end()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header in; trailers, which come after a body, are nobody's business."""
        if self._head is not None:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Wait for the body; it has a time of its own."""
        self._head = None
        self._set_alarm(None)
        super().on_headers_complete()
        if self.parser.should_upgrade():  # no other protocol is spoken, nor this one after it
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Wait for nothing: the request is ours to answer."""
        self._head = 0
        self.waiting.pop(self, None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it is here already."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._wait()
        elif self.cycle.more_body:
            self.waiting[self] = None

    def end(self) -> None:
        """Give the connection up."""
        self._rest()
        self.transport.close()

    def _wait(self) -> None:
        self.waiting.pop(self, None)
        self.waiting[self] = None
        self._set_alarm(self.idle)

    def _rest(self) -> None:
        self.waiting.pop(self, None)
        self._set_alarm(None)

    def _set_alarm(self, seconds: int | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None if seconds is None else self.loop.call_later(seconds, self.end)


def bounds(*, idle: int, most: int) -> type[Bounded]:
    """Make the class of the connections of one server."""
    return type("Connection", (Bounded,), {"idle": idle, "most": most, "waiting": {}})
