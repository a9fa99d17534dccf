"""HTTP/1.1 exchanges, each within a deadline, over connections that are kept.

The socket is ours, so that one deadline holds over everything that is waited for: the timeout of
each read and write is what is left. h11 says what goes over the wire and what came over it, and
with it whether a connection may be used again: only when both sides are done, the answer ended
where it said, and nothing came after it.
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

#: Connections kept; more are opened when more threads send at once.
_KEPT = 64
_READ_AT_ONCE = 65_536
#: What is read of an answer's body, in bytes.
_LONGEST_BODY = 65_536
#: What is read of an answer's status line and headers, in bytes.
_LONGEST_HEAD = 65_536
#: Interim answers (1xx) that are skipped before the final one.
_MOST_INTERIM = 100
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([2-5][0-9][0-9])[ \r\n]")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The final answer to a request."""

    status: int
    #: Names in lower case.
    headers: Headers
    #: The beginning of the body, as far as it came before the deadline.
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where connections lead."""

    #: Encrypted.
    tls: bool
    #: A name or an address, without brackets.
    host: str
    port: int
    #: What the URL says after them, without a slash at its end.
    path: str
    #: Private addresses are fine.
    private: bool

    @classmethod
    def of(cls, url: str, *, private: bool) -> Origin | None:
        """Read the origin of a URL; None: it is none of ours."""
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
        """Write host and port as the header Host wants them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.tls else "http"] else str(self)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long what may take, in seconds; an exchange takes no longer than the first two."""

    #: To find the name, to connect to one of its addresses, and to agree on encryption.
    connecting: float
    #: To write the request and to read the answer.
    answering: float
    #: A connection that was idle for longer is not used again: the other side may just be closing
    #: it, and what is sent into that gap is in doubt.
    idling: float


class Deadline:
    """An instant by which something is over."""

    __slots__ = ("_at",)

    def __init__(self, seconds: float) -> None:
        self._at = monotonic() + seconds

    def left(self) -> float:
        """Tell how many seconds are left; raises `TimeoutError` when there are none."""
        left = self._at - monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, "timed out")
        return left


class Client:
    """Exchanges with one origin; any number of threads may be at it."""

    def __init__(self, origin: Origin, patience: Patience) -> None:
        self._patience = patience
        self._dialer = _Dialer(origin)
        #: The one used last is used first, so that what is not needed goes stale.
        self._idle: deque[_Connection] = deque()

    def exchange(self, head: h11.Request, body: bytes) -> Answer:
        """Send a request and return its answer.

        Raises `NotSent` while nothing has left, `Refused` for an address that is not allowed, and
        `InDoubt` when no answer came to what may have left.
        """
        used = self._idle_connection() or self._dial()
        try:
            found: Answer | str = used.exchange(head, body, Deadline(self._patience.answering))
        except TimeoutError:
            found = f"no answer within {self._patience.answering:g} s"
        except (OSError, h11.RemoteProtocolError):
            found = "the connection broke off"
        finally:
            self._keep_or_close(used)
        if isinstance(found, str):
            raise InDoubt(f"sent, but {found}: it may have been processed")
        return found

    def close(self) -> None:
        """Close the idle connections."""
        for idle in self._popped():
            idle.close()

    def _idle_connection(self) -> _Connection | None:
        for idle in self._popped():
            if idle.idle_for < self._patience.idling and idle.is_quiet():
                return idle
            idle.close()
        return None

    def _popped(self) -> Iterator[_Connection]:
        while True:
            try:
                yield self._idle.pop()
            except IndexError:
                return

    def _dial(self) -> _Connection:
        made = _Connection(self._dialer.dial(Deadline(self._patience.connecting)))
        if made.is_quiet():
            return made
        made.close()
        raise NotSent("the other side closed the connection or spoke before it was asked")

    def _keep_or_close(self, used: _Connection) -> None:
        if used.is_reusable and len(self._idle) < _KEPT:
            self._idle.append(used)
        else:
            used.close()


class _Connection:
    """One connection, used for one exchange at a time."""

    def __init__(self, made: socket.socket) -> None:
        self._socket = made
        self._used = monotonic()
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        #: Whether the last exchange ended as it should.
        self.is_reusable = False

    @property
    def idle_for(self) -> float:
        """How long it was not used, in seconds."""
        return monotonic() - self._used

    def is_quiet(self) -> bool:
        """Tell whether it is open, and the other side has said nothing that was not asked for."""
        self._socket.settimeout(0)
        try:
            # Encrypted, this also takes in what belongs to the encryption alone.
            self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            pass
        return False

    def exchange(self, head: h11.Request, body: bytes, deadline: Deadline) -> Answer:
        """Send a request and return its answer.

        Raises `TimeoutError`, another `OSError`, or `h11.RemoteProtocolError` when there is none.
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
        """Close it."""
        self._socket.close()

    def _write(self, data: bytes, deadline: Deadline) -> bool:
        """Write a request; tell whether the other side took all of it: it may answer before."""
        rest = memoryview(data)
        try:
            while rest:
                self._socket.settimeout(deadline.left())
                rest = rest[self._socket.send(rest) :]
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def _read_head(self, deadline: Deadline) -> tuple[int, Headers]:
        """Read the status and the headers of the final answer."""
        head = bytearray()
        interim = 0
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                # What it answered is said by its first line, however odd the rest may be.
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
            if interim > _MOST_INTERIM or not head.startswith(b"HTTP/"[: len(head)]):
                raise h11.RemoteProtocolError("this is no answer")

    def _read_body(self, deadline: Deadline) -> tuple[bytes, bool]:
        """Read the beginning of a body, as far as it comes in time, and whether it is all.

        The status stands, whatever happens here.
        """
        held = b""
        try:
            while len(held) < _LONGEST_BODY:
                event = self._http.next_event()
                if isinstance(event, h11.Data):
                    held += event.data
                elif isinstance(event, h11.EndOfMessage):
                    return held, True
                else:
                    self._receive(deadline)
        except (OSError, h11.RemoteProtocolError):
            pass
        return held, False

    def _receive(self, deadline: Deadline) -> bytes:
        self._socket.settimeout(deadline.left())
        data = self._socket.recv(_READ_AT_ONCE)
        self._http.receive_data(data)
        return data

    def _is_done(self, status: int, headers: Headers) -> bool:
        """Tell whether the exchange is over for both sides, beyond doubt."""
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
    """Makes connections to one origin."""

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
            made = self._connect(addresses, deadline)
        except (OSError, UnicodeError) as error:
            late = "timed out" if isinstance(error, TimeoutError) else type(error).__name__
            why = getattr(error, "strerror", None) or late
        else:
            log.debug("connected to %s", self._origin)
            return made
        raise NotSent(f"could not connect to {self._origin}: {why}")

    def _connect(self, addresses: Sequence[str], deadline: Deadline) -> socket.socket:
        """Connect to the first address that takes it, with an equal share of the time for each."""
        made = None
        for position, address in enumerate(addresses):
            share = deadline.left() / (len(addresses) - position)
            try:
                made = socket.create_connection((address, self._origin.port), share)
                break
            except OSError:
                if position == len(addresses) - 1:
                    raise
        assert made is not None  # noqa: S101 - a look-up that finds nothing raises
        with _closed_on_error(made):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                return made
            made.settimeout(deadline.left())
            return self._tls.wrap_socket(made, server_hostname=self._origin.host)

    def _refuse_private(self, addresses: Sequence[str]) -> None:
        """Refuse before connecting: a name may lead to others a moment later."""
        for address in addresses:
            if is_private(address):
                raise Refused(
                    f"{self._origin.host} is at {address}, a private address; if that is meant,"
                    " its destination says `private: true`"
                )


class _Names:
    """Looks up the addresses of one origin, and waits no longer than allowed for them.

    Nothing can interrupt the system's resolver. It is asked in a thread of its own, one at a time,
    and whoever asks while it is at it waits for the same answer.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._is_literal = _is_address(origin.host)
        self._lock = threading.Lock()
        self._asked: Future[list[str]] | None = None

    def look_up(self, deadline: Deadline) -> Sequence[str]:
        """Return the addresses, at least one; raises `OSError`, `TimeoutError` among them."""
        if self._is_literal:
            return [self._origin.host]
        with self._lock:
            asked = self._asked
            if asked is None or asked.done():
                asked = self._asked = Future()
                threading.Thread(target=self._ask, args=(asked,), daemon=True).start()
        try:
            return asked.result(deadline.left())
        except TimeoutError:
            raise TimeoutError(errno.ETIMEDOUT, "its name was not found in time") from None

    def _ask(self, asked: Future[list[str]]) -> None:
        try:
            found = socket.getaddrinfo(
                self._origin.host, self._origin.port, type=socket.SOCK_STREAM
            )
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            asked.set_exception(error)
        else:
            asked.set_result(list(dict.fromkeys(str(place[0]) for *_, place in found)))


@contextmanager
def _closed_on_error(made: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        made.close()
        raise


def _tls() -> ssl.SSLContext:
    """Trust what the system trusts."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
