"""HTTP/1.1 exchanges with a deadline each, over persistent connections.

This module holds the sockets itself, so that one deadline covers every wait: the timeout of each
read and write is the time left. h11 formats requests and parses answers. A connection is used again
only when both sides are done, the answer ended where its headers announced, and no byte followed.
"""

from __future__ import annotations

import errno
import logging
import re
import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from time import monotonic
from urllib.parse import quote, urlsplit

import h11

from bridge.core.addresses import is_private
from bridge.errors import InDoubt, NotSent, Refused

log = logging.getLogger(__name__)

Headers = Sequence[tuple[bytes, bytes]]

#: The most idle connections; more are opened when more threads send at once.
_MAX_IDLE = 64
_READ_BYTES = 65_536
#: At most this much of an answer's body is read.
_MAX_BODY_BYTES = 65_536
#: The largest status line and headers of an answer.
_MAX_HEAD_BYTES = 65_536
#: The most interim answers (1xx) before the final one.
_MAX_INTERIM = 100
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([2-5][0-9][0-9])[ \r\n]")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The final answer to a request."""

    status: int
    #: Names in lower case.
    headers: Headers
    #: The part of the body that arrived before the deadline.
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The server behind a URL, and the path of the URL."""

    #: Whether connections are encrypted.
    tls: bool
    #: A name or an address, without brackets.
    host: str
    port: int
    #: The path, without a slash at its end.
    path: str
    #: Whether private addresses are allowed.
    private: bool

    @classmethod
    def of(cls, url: str, *, private: bool) -> Origin | None:
        """Parse an http or https URL; None if it is not a valid one."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            host = host if host.isascii() else host.encode("idna").decode()
        except ValueError:  # a UnicodeError is one
            return None
        if parts.scheme not in _PORTS or not all(host.removesuffix(".").split(".")):
            return None
        tls = parts.scheme == "https"
        return cls(
            tls=tls,
            host=host,
            port=port or _PORTS[parts.scheme],
            path=quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;="),
            private=private,
        )

    @property
    def name(self) -> str:
        """The value of the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.tls else "http"] else str(self)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """Time limits in seconds; connecting and one exchange take at most the first two together."""

    #: To look up the host name, connect to one of its addresses, and negotiate TLS.
    connect_s: float
    #: To write the request and read the answer.
    exchange_s: float
    #: A connection idle for longer is not used again: the server may be closing it, and a request
    #: sent at that moment would be in doubt.
    idle_s: float


class Deadline:
    """An instant at which an operation times out."""

    __slots__ = ("_at",)

    def __init__(self, seconds: float) -> None:
        self._at = monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left; raises `TimeoutError` when there are none."""
        left = self._at - monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "timed out")
        return left


class Client:
    """Exchanges requests with one origin. Threads may share it."""

    def __init__(self, origin: Origin, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._dialer = _Dialer(origin)
        #: The latest used is taken first, so that surplus connections stay idle and expire.
        self._idle: deque[_Connection] = deque()

    def exchange(self, head: h11.Request, body: bytes) -> Answer:
        """Send a request and return its answer.

        Raises `NotSent` if nothing was sent, `Refused` for an address that is not allowed, and
        `InDoubt` if the request may have been sent and no answer arrived.
        """
        connection = self._idle_connection() or self._connect()
        try:
            result: Answer | str = connection.exchange(
                head, body, Deadline(self._timeouts.exchange_s)
            )
        except TimeoutError:
            result = f"no answer within {self._timeouts.exchange_s:g} s"
        except (OSError, h11.RemoteProtocolError):
            result = "the connection broke off"
        finally:
            self._keep_or_close(connection)
        if isinstance(result, str):
            raise InDoubt(f"sent, but {result}: it may have been processed")
        return result

    def close(self) -> None:
        """Close the idle connections."""
        for idle in self._pop_all():
            idle.close()

    def _idle_connection(self) -> _Connection | None:
        for idle in self._pop_all():
            if idle.idle_for < self._timeouts.idle_s and idle.is_quiet():
                return idle
            idle.close()
        return None

    def _pop_all(self) -> Iterator[_Connection]:
        while True:
            try:
                yield self._idle.pop()
            except IndexError:
                return

    def _connect(self) -> _Connection:
        connection = _Connection(self._dialer.dial(Deadline(self._timeouts.connect_s)))
        if connection.is_quiet():
            return connection
        connection.close()
        raise NotSent("the other side closed the connection or spoke before it was asked")

    def _keep_or_close(self, connection: _Connection) -> None:
        if connection.is_reusable and len(self._idle) < _MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()


class _Connection:
    """One connection, used for one exchange at a time."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._used = monotonic()
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        #: Whether the last exchange allows another one.
        self.is_reusable = False

    @property
    def idle_for(self) -> float:
        """The time since its last exchange, in seconds."""
        return monotonic() - self._used

    def is_quiet(self) -> bool:
        """Whether the connection is open and no unexpected byte has arrived on it."""
        self._socket.settimeout(0)
        try:
            # With TLS, this also processes pending protocol messages without content.
            self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        return False

    def exchange(self, head: h11.Request, body: bytes, deadline: Deadline) -> Answer:
        """Send a request and return its answer.

        Raises `TimeoutError`, another `OSError`, or `h11.RemoteProtocolError` if none arrives.
        """
        self.is_reusable = False
        wire = self._http
        parts = [wire.send(head), wire.send(h11.Data(data=body)), wire.send(h11.EndOfMessage())]
        is_written = self._write(b"".join(part for part in parts if part), deadline)
        status, headers = self._read_head(deadline)
        text, is_whole = self._read_body(deadline)
        if is_written and is_whole and self._is_done(status, headers):
            wire.start_next_cycle()
            self._used = monotonic()
            self.is_reusable = True
        return Answer(status=status, headers=headers, body=text)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _write(self, data: bytes, deadline: Deadline) -> bool:
        """Write a request; return False if the server stopped reading, as after an early answer."""
        rest = memoryview(data)
        try:
            while rest:
                self._socket.settimeout(deadline.left())
                rest = rest[self._socket.send(rest) :]
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def _read_head(self, deadline: Deadline) -> tuple[int, Headers]:
        """Return the status and the headers of the final answer."""
        head = bytearray()
        interim = 0
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                # The status line is enough, even if h11 rejects the headers.
                found = _STATUS_LINE.match(head) if b"\n\r\n" in head else None
                if found is None:
                    raise
                return int(found[1]), ()
            if isinstance(event, h11.Response):
                return event.status_code, event.headers
            if isinstance(event, h11.InformationalResponse):
                head, interim = bytearray(self._http.trailing_data[0]), interim + 1
            elif event is h11.NEED_DATA:
                head += self._receive(deadline)
            if interim > _MAX_INTERIM or not head.startswith(b"HTTP/"[: len(head)]):
                raise h11.RemoteProtocolError("this is no answer")

    def _read_body(self, deadline: Deadline) -> tuple[bytes, bool]:
        """Return the part of the body that arrives in time, and whether it is complete.

        Errors are ignored, because the status is known already.
        """
        text = b""
        try:
            while len(text) < _MAX_BODY_BYTES:
                event = self._http.next_event()
                if isinstance(event, h11.Data):
                    text += event.data
                elif isinstance(event, h11.EndOfMessage):
                    return text, True
                else:
                    self._receive(deadline)
        except (OSError, h11.RemoteProtocolError):
            pass
        return text, False

    def _receive(self, deadline: Deadline) -> bytes:
        self._socket.settimeout(deadline.left())
        data = self._socket.recv(_READ_BYTES)
        self._http.receive_data(data)
        return data

    def _is_done(self, status: int, headers: Headers) -> bool:
        """Whether both sides agree that the exchange is over."""
        framing = [
            name
            for name, value in headers
            if name in (b"content-length", b"transfer-encoding") and value != b"0"
        ]
        wire = self._http
        return (
            wire.our_state is h11.DONE
            and wire.their_state is h11.DONE
            and wire.trailing_data == (b"", False)
            and len(framing) <= (0 if status in (204, 304) else 1)
        )


# --- connecting


class _Dialer:
    """Opens connections to one origin."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._tls = _tls() if origin.tls else None
        self._names = _Names(origin)

    def dial(self, deadline: Deadline) -> socket.socket:
        """Connect; raises `NotSent`, or `Refused` for a private address."""
        try:
            addresses = self._names.look_up(deadline)
            if not self._origin.private:
                self._refuse_private(addresses)
            opened = self._connect(addresses, deadline)
        except (OSError, UnicodeError) as error:
            late = "timed out" if isinstance(error, TimeoutError) else type(error).__name__
            why = getattr(error, "strerror", None) or late
        else:
            log.debug("connected to %s", self._origin)
            return opened
        raise NotSent(f"could not connect to {self._origin}: {why}")

    def _connect(self, addresses: Sequence[str], deadline: Deadline) -> socket.socket:
        """Connect to the first address that accepts; each gets an equal share of the time left."""
        opened = None
        for position, address in enumerate(addresses):
            share = deadline.left() / (len(addresses) - position)
            try:
                opened = socket.create_connection((address, self._origin.port), share)
                break
            except OSError:
                if position == len(addresses) - 1:
                    raise
        assert opened is not None  # noqa: S101 - a look-up that finds nothing raises
        with _closed_on_error(opened):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                return opened
            opened.settimeout(deadline.left())
            return self._tls.wrap_socket(opened, server_hostname=self._origin.host)

    def _refuse_private(self, addresses: Sequence[str]) -> None:
        """Check the very addresses that are used next: a second look-up might return others."""
        for address in addresses:
            if is_private(address):
                raise Refused(
                    f"{self._origin.host} is at {address}, a private address; if that is meant,"
                    " its destination says `private: true`"
                )


class _Names:
    """Looks up the addresses of one origin with a time limit.

    The system's resolver cannot be interrupted, so it runs in a thread, one look-up at a time.
    Threads that need the addresses meanwhile wait for the same result.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._is_literal = _is_address(origin.host)
        self._lock = threading.Lock()
        self._pending: Future[list[str]] | None = None

    def look_up(self, deadline: Deadline) -> Sequence[str]:
        """Return at least one address; raises `OSError`, which includes `TimeoutError`."""
        if self._is_literal:
            return [self._origin.host]
        with self._lock:
            pending = self._pending
            if pending is None or pending.done():
                pending = self._pending = Future()
                threading.Thread(target=self._resolve, args=(pending,), daemon=True).start()
        try:
            return pending.result(deadline.left())
        except TimeoutError:
            raise TimeoutError(errno.ETIMEDOUT, "its name was not found in time") from None

    def _resolve(self, pending: Future[list[str]]) -> None:
        try:
            found = socket.getaddrinfo(
                self._origin.host, self._origin.port, type=socket.SOCK_STREAM
            )
        except Exception as error:  # noqa: BLE001 - raised in the waiting threads
            pending.set_exception(error)
        else:
            pending.set_result(list(dict.fromkeys(str(address[0]) for *_, address in found)))


@contextmanager
def _closed_on_error(opened: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        opened.close()
        raise


def _tls() -> ssl.SSLContext:
    """Return a context that trusts the system's certificate authorities."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
