"""Aha!: a body is posted to an integration's callback URL, whose token is all there is of a login.

What an answer means, and what none means:

    2xx                 received; Aha! says so, too, when it could not apply the body
    410                 Gone: the token is invalid, or the account is disabled
    429                 Throttled
    500, 502, 503, ...  Failed: Aha! documents 500 as a processing error that senders repeat, and
                        the others come from in front of the application while it is away
    408, 425            Failed: the request was not taken up
    504, 524            InDoubt: a gateway gave up waiting for an application that did get the body
    3xx, other 4xx      Refused: the same body would be answered the same way
    no connection       NotSent: no name, no route, refused, timed out, no TLS
    no answer           InDoubt: timed out or broken off after the body was on its way

Connections come from urllib3's pool and not from a session of requests, which stands on it: nothing
is kept between requests but connections. No cookies, no redirects, no `.netrc`, and no proxies from
the environment, which would see the token of a plain connection; and half the cost of a send.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from ipaddress import IPv6Address, ip_address
from time import monotonic
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, LocationValueError, ReadTimeoutError
from urllib3.util import connection

from bridge.errors import DeliveryError, Failed, Gone, InDoubt, NotSent, Refused, Throttled
from bridge.model import Receipt, Target

_PATH = "/api/v1/webhooks/"
#: Older idle connections are not used again: the other side may just be closing them, and what is
#: sent into that gap is in doubt.
_IDLE_SECONDS = 20
#: Connections kept; more are opened when more threads send at once.
_KEPT = 64
_LONGEST_ANSWER = 500
_READ_AT_MOST = 65_536
_LONGEST_PAUSE = 3_600
#: Above it, an instant rather than a number of seconds.
_EPOCH_SECONDS = 1e9
_EPOCH_MILLIS = 1e12

_STATUSES: Mapping[int, tuple[type[DeliveryError], str]] = {
    408: (Failed, "it waited too long for the request"),
    410: (Gone, "the token is invalid, or the account is disabled"),
    425: (Failed, "it did not take up the request"),
    504: (InDoubt, "a gateway gave up waiting: the body may have been processed"),
    524: (InDoubt, "a gateway gave up waiting: the body may have been processed"),
}


def connect(
    target: Target, *, connect_timeout: float, read_timeout: float, idle: float = _IDLE_SECONDS
) -> Aha:
    """Make a destination of an Aha! callback token; times in seconds."""
    for name in ("urllib3.connectionpool", "urllib3.connection"):
        logging.getLogger(name).addFilter(_without_tokens)
    wire = PoolManager(num_pools=1, maxsize=_KEPT)
    wire.pool_classes_by_scheme = _pools(target.private, idle)
    return Aha(target, wire, timeouts=(connect_timeout, read_timeout))


def _without_tokens(record: logging.LogRecord) -> bool:
    """Tell whether a line of the library's log may pass: it writes paths, and ours is a secret."""
    return _PATH not in record.getMessage()


class Aha:
    """An Aha! callback token; any number of threads may send at once."""

    def __init__(self, target: Target, wire: PoolManager, *, timeouts: tuple[float, float]) -> None:
        self._name = target.name
        self._token = target.token
        self._base = target.url.rstrip("/")
        self._path = urlsplit(self._base).path + _PATH + quote(target.token, safe="")
        self._wire = wire
        #: Its connections, once there were any: to find them costs as much as to write the body.
        self._known: HTTPConnectionPool | None = None
        #: For connecting, and for an answer.
        self._timeouts = timeouts
        self._headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": f"aha-bridge/{_version('aha-bridge')}",
        }

    def send(self, body: Mapping[str, Any]) -> Receipt:
        """Post one body; raises an `errors.DeliveryError`, whose class says what to do next."""
        try:
            data = orjson.dumps(dict(body))
        except TypeError as error:
            raise Refused(f"{self._name}: the body cannot be written as JSON: {error}") from error
        return self._exchange("POST", data)

    def probe(self) -> Receipt:
        """Ask whether the callback URL answers; nothing is processed. Raises like `send`."""
        return self._exchange("GET", None)

    def close(self) -> None:
        """Let go of connections."""
        self._known = None
        self._wire.clear()

    def _exchange(self, method: str, data: bytes | None) -> Receipt:
        started = monotonic()
        response = self._ask(self._pool(), method, data)
        answer = _beginning(response, started + sum(self._timeouts))
        answer = answer.replace(self._token, "…")[:_LONGEST_ANSWER]
        millis = round((monotonic() - started) * 1000)
        if 200 <= response.status < 300:
            return Receipt(status=response.status, answer=answer, millis=millis)
        raise self._trouble(response, answer)

    def _pool(self) -> HTTPConnectionPool:
        if self._known is not None:
            return self._known
        if self._base.startswith(("http://", "https://")):
            with suppress(LocationValueError):
                self._known = self._wire.connection_from_url(self._base)
                return self._known
        raise Refused(f"{self._name}: its url cannot be used")

    def _ask(self, pool: HTTPConnectionPool, method: str, data: bytes | None) -> BaseHTTPResponse:
        # Raised outside of the handlers: the library's errors hold the path, and with it the token.
        try:
            return pool.urlopen(
                method,
                self._path,
                data,
                self._headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=Timeout(connect=self._timeouts[0], read=self._timeouts[1]),
                preload_content=False,
            )
        except ReadTimeoutError:
            why = f"no answer within {self._timeouts[1]:g} s"
        except HTTPError:
            why = "the connection broke off"
        except OSError as error:
            # All that happens on a connection comes as one of the above: this was before it.
            raise NotSent(f"{self._name}: no connection can be made: {error}") from error
        raise InDoubt(f"{self._name}: sent, but {why}: it may have been processed")

    def _trouble(self, response: BaseHTTPResponse, answer: str) -> DeliveryError:
        status = response.status
        if status == 429:
            after = _pause(response.headers)
            return Throttled(f"{self._name} answered 429", after=after, status=status)
        kind, why = _STATUSES.get(status, (Failed if status >= 500 else Refused, ""))
        message = f"{self._name} answered {status}" + (f": {why}" if why else "")
        return kind(message, status=status, answer=answer)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "0"


def _beginning(response: BaseHTTPResponse, until: float) -> str:
    """Read an answer's text, as far as it came in time; its status stands, whatever happens."""
    held = b""
    try:
        while len(held) < _READ_AT_MOST and monotonic() < until:
            chunk = response.read1(4096)
            if not chunk:
                break
            held += chunk
    except (HTTPError, OSError):
        pass
    finally:
        # Closes the connection, unless all was read: then it is already back among the kept ones.
        response.close()
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", held.decode(errors="replace")).strip()


def _pause(headers: Mapping[str, str]) -> float | None:
    """Read for how many seconds a 429 wants us to wait, up to an hour; None: it does not say.

    Instants count from the answer's own Date: that clock wrote both.
    """
    now = _instant(headers.get("Date"))
    for name in ("Retry-After", "X-Ratelimit-Reset"):
        after = _seconds(headers.get(name), now)
        if after is not None:
            return min(max(after, 0.0), _LONGEST_PAUSE)
    return None


def _seconds(told: str | None, now: float | None) -> float | None:
    at = _instant(told)
    if told is not None and re.fullmatch(r"\s*[0-9]{1,20}(\.[0-9]{1,9})?\s*", told):
        number = float(told)
        if number <= _EPOCH_SECONDS:
            return number
        at = number / 1000 if number > _EPOCH_MILLIS else number
    return None if at is None or now is None else at - now


def _instant(told: str | None) -> float | None:
    try:
        return parsedate_to_datetime(told or "").timestamp()
    except (ValueError, OverflowError):
        return None


# --- connections


class _Careful(HTTPConnection):
    """A connection that knows what cannot have been sent, and with whom not to talk."""

    #: Private addresses are fine.
    private = False
    #: Not used again after so many seconds without a request.
    idle: float = _IDLE_SECONDS
    _used = 0.0

    def connect(self) -> None:
        """Connect or raise NotSent: nothing has left yet. Raises Refused for a private address."""
        try:
            super().connect()
        except (OSError, HTTPError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
        else:
            return
        raise NotSent(f"could not connect to {self.host}:{self.port}: {why}")

    @property
    def is_connected(self) -> bool:
        """Tell whether to use the connection again; after a while of idling, no more."""
        return super().is_connected and monotonic() - self._used < self.idle

    def getresponse(self) -> Any:  # noqa: ANN401  # the library's signature
        """Wait for the answer, and note when the connection was last used."""
        response = super().getresponse()
        self._used = monotonic()
        return response

    def _new_conn(self) -> socket.socket:
        """Connect to addresses that were looked at: a name may resolve to others a moment later."""
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
        if not self.private:
            self._refuse_private(addresses)
        share = None if self.timeout is None else self.timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return self._connected(address, share)
            except OSError:
                continue
        return self._connected(addresses[-1], share)

    def _connected(self, address: str, timeout: float | None) -> socket.socket:
        made = connection.create_connection(
            (address, self.port), timeout, socket_options=self.socket_options
        )
        made.settimeout(self.timeout)
        return made

    def _refuse_private(self, addresses: list[str]) -> None:
        for address in addresses:
            if _is_private(address):
                raise Refused(
                    f"{self.host} is at {address}, a private address; if that is meant, its"
                    " destination says `private: true`"
                )


def _is_private(address: str) -> bool:
    """Tell whether an address is not one of the open internet, also when dressed as IPv6."""
    found = ip_address(address)
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return found.is_multicast or not found.is_global


def _pools(private_is_fine: bool, longest_idle: float) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(_Careful):
        private = private_is_fine
        idle = longest_idle

    class Encrypted(Plain, HTTPSConnection):
        pass

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}
