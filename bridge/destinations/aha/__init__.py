"""Aha!: posts bodies to an integration's callback URL, whose token is the only credential.

The error class of each answer:

    2xx                 received; Aha! also answers 200 to a body that it cannot apply
    410                 Gone: the token is invalid, or the account is disabled
    429                 Throttled
    502, 504, 520-527   InDoubt: the answer of a gateway; the application behind it may have
                        processed the body before the gateway gave up
    500, 503, other 5xx Failed: Aha! documents 500 as a processing error that senders repeat; 503
                        comes from a proxy while the application is down
    408, 425            Failed: the request was not processed
    `doubt`             InDoubt: the statuses of the two lines above listed in this setting
    3xx, other 4xx      Refused: the same body would get the same answer
    no connection       NotSent: unknown host, no route, refused, timed out, TLS failed
    no answer           InDoubt: timed out or disconnected after the body was sent, or part of it

A send never takes longer than both timeouts together: see `http`. Requests share connections and
nothing else: no cookies, redirects or `.netrc`, and no proxy from the environment, which would see
the token of an unencrypted connection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import Any
from urllib.parse import quote

import orjson
from h11 import Request

from bridge.core.printable import ANSWER_CHARS, excerpt
from bridge.destinations.aha.http import Answer, Client, Origin, Timeouts
from bridge.errors import DeliveryError, Failed, Gone, InDoubt, Refused, Throttled
from bridge.model import Receipt, Target

_PATH = "/api/v1/webhooks/"
_IDLE_S = 20
#: The longest pause after a 429.
_LONGEST_PAUSE_S = 3_600
#: A number in `Retry-After` above these is an instant, in s or ms since the epoch.
_MIN_EPOCH_S = 1e9
_MIN_EPOCH_MS = 1e12

#: The error class of a status, and its message.
_Meaning = tuple[type[DeliveryError], str]
_GATEWAY: _Meaning = (InDoubt, "it is a gateway, and the body may have been processed behind it")
_STATUSES: Mapping[int, _Meaning] = {
    408: (Failed, "it waited too long for the request"),
    410: (Gone, "the token is invalid, or the account is disabled"),
    425: (Failed, "it did not take up the request"),
    502: _GATEWAY,
    504: (InDoubt, "a gateway gave up waiting: the body may have been processed"),
    # 520 to 527 are statuses of Cloudflare.
    **dict.fromkeys(range(520, 528), _GATEWAY),
    524: (InDoubt, "a gateway gave up waiting: the body may have been processed"),
}
_IN_DOUBT = {status for status, (kind, _) in _STATUSES.items() if kind is InDoubt}
#: The meaning of the statuses in the destination's setting `doubt`.
_CONFIGURED_DOUBT: _Meaning = (
    InDoubt,
    "the body may have been processed, as the setting `doubt` has it",
)


def connect(
    target: Target, *, connect_timeout: float, read_timeout: float, idle: float = _IDLE_S
) -> Aha:
    """Build the destination of an Aha! callback token; times are in seconds."""
    timeouts = Timeouts(connect_s=connect_timeout, exchange_s=read_timeout, idle_s=idle)
    return Aha(target, timeouts)


class Aha:
    """An Aha! callback token. Threads may share it."""

    def __init__(self, target: Target, timeouts: Timeouts) -> None:
        self._name = target.name
        self._meanings: Mapping[int, _Meaning] = {
            **_STATUSES,
            **dict.fromkeys(target.doubt - _IN_DOUBT, _CONFIGURED_DOUBT),
        }
        self._token = target.token
        origin = Origin.of(target.url, private=target.private)
        #: None when the URL cannot be used.
        self._client = None if origin is None else Client(origin, timeouts)
        self._path = quote(target.token, safe="").encode()
        self._headers = [
            (b"Content-Type", b"application/json"),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            (b"User-Agent", f"aha-bridge/{_version('aha-bridge')}".encode()),
        ]
        if origin is not None:
            self._path = f"{origin.path}{_PATH}".encode() + self._path
            self._headers.insert(0, (b"Host", origin.name.encode()))

    def send(self, body: Mapping[str, Any]) -> Receipt:
        """Post one body; raises an `errors.DeliveryError`, whose class decides the next step."""
        try:
            data = orjson.dumps(dict(body))
        except TypeError as error:
            raise Refused(f"{self._name}: the body cannot be written as JSON: {error}") from error
        return self._exchange(b"POST", data)

    def probe(self) -> Receipt:
        """Check with a GET that the callback URL answers. Raises like `send`."""
        return self._exchange(b"GET", b"")

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()

    def _exchange(self, method: bytes, data: bytes) -> Receipt:
        if self._client is None:
            raise Refused(f"{self._name}: its url cannot be used")
        started = monotonic()
        length = (b"Content-Length", b"%d" % len(data))
        head = Request(method=method, target=self._path, headers=[*self._headers, length])
        try:
            answer = self._client.exchange(head, data)
        except InDoubt as error:
            raise InDoubt(f"{self._name}: {error}") from None
        millis = round((monotonic() - started) * 1000)
        words = excerpt(answer.body.decode(errors="replace"))
        text = words.replace(self._token, "…")[:ANSWER_CHARS]
        if 200 <= answer.status < 300:
            return Receipt(status=answer.status, answer=text, millis=millis)
        raise self._error(answer, text)

    def _error(self, answer: Answer, text: str) -> DeliveryError:
        status = answer.status
        if status == 429:
            headers = {name.decode(): value.decode("latin-1") for name, value in answer.headers}
            after = _pause_s(headers)
            return Throttled(f"{self._name} answered 429", after=after, status=status)
        kind, why = self._meanings.get(status, (Failed if status >= 500 else Refused, ""))
        message = f"{self._name} answered {status}" + (f": {why}" if why else "")
        return kind(message, status=status, answer=text)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "0"


def _pause_s(headers: Mapping[str, str]) -> float | None:
    """Return the pause that a 429 asks for, in seconds up to an hour; None if it names none.

    An instant is compared with the answer's own `Date`, because the same clock wrote both.
    """
    now = _instant(headers.get("date"))
    for name in ("retry-after", "x-ratelimit-reset"):
        after = _seconds(headers.get(name), now)
        if after is not None:
            return min(max(after, 0.0), _LONGEST_PAUSE_S)
    return None


def _seconds(value: str | None, now: float | None) -> float | None:
    at = _instant(value)
    if value is not None and re.fullmatch(r"\s*[0-9]{1,20}(\.[0-9]{1,9})?\s*", value):
        number = float(value)
        if number <= _MIN_EPOCH_S:
            return number
        at = number / 1000 if number > _MIN_EPOCH_MS else number
    return None if at is None or now is None else at - now


def _instant(value: str | None) -> float | None:
    try:
        return parsedate_to_datetime(value or "").timestamp()
    except (ValueError, OverflowError):
        return None
