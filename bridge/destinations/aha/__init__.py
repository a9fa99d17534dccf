"""Aha!: a body is posted to an integration's callback URL, whose token is all there is of a login.

What an answer means, and what none means:

    2xx                 received; Aha! says so, too, when it could not apply the body
    410                 Gone: the token is invalid, or the account is disabled
    429                 Throttled
    502, 504, 520-527   InDoubt: from a gateway, whose application may have taken the body before
                        the gateway gave up on it, or on what it answered
    500, 503, other 5xx Failed: Aha! documents 500 as a processing error that senders repeat; 503
                        comes from in front of the application while it is away
    408, 425            Failed: the request was not taken up
    `doubt`             InDoubt: what the destination's setting names of the two lines above
    3xx, other 4xx      Refused: the same body would be answered the same way
    no connection       NotSent: no name, no route, refused, timed out, no TLS
    no answer           InDoubt: timed out or broken off after the body was on its way

A send takes no longer than both timeouts together, whatever the other side does: see `http`.
Nothing is kept between requests but connections: no cookies, no redirects, no `.netrc`, and no
proxies from the environment, which would see the token of a plain connection.
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
from bridge.destinations.aha.http import Answer, Client, Origin, Patience
from bridge.errors import DeliveryError, Failed, Gone, InDoubt, Refused, Throttled
from bridge.model import Receipt, Target

_PATH = "/api/v1/webhooks/"
_IDLE_SECONDS = 20
_LONGEST_PAUSE = 3_600
#: Above it, an instant rather than a number of seconds.
_EPOCH_SECONDS = 1e9
_EPOCH_MILLIS = 1e12

#: Which error a status is, and what to say of it.
_Meaning = tuple[type[DeliveryError], str]
_GATEWAY: _Meaning = (InDoubt, "it is a gateway, and the body may have been processed behind it")
_STATUSES: Mapping[int, _Meaning] = {
    408: (Failed, "it waited too long for the request"),
    410: (Gone, "the token is invalid, or the account is disabled"),
    425: (Failed, "it did not take up the request"),
    502: _GATEWAY,
    504: (InDoubt, "a gateway gave up waiting: the body may have been processed"),
    # Of these, 520 to 527 are Cloudflare's own.
    **dict.fromkeys(range(520, 528), _GATEWAY),
    524: (InDoubt, "a gateway gave up waiting: the body may have been processed"),
}
_IN_DOUBT = {status for status, (kind, _) in _STATUSES.items() if kind is InDoubt}
#: What the destination's setting `doubt` says of a status.
_SET: _Meaning = (InDoubt, "the body may have been processed, as the setting `doubt` has it")


def connect(
    target: Target, *, connect_timeout: float, read_timeout: float, idle: float = _IDLE_SECONDS
) -> Aha:
    """Make a destination of an Aha! callback token; times in seconds."""
    patience = Patience(connecting=connect_timeout, answering=read_timeout, idling=idle)
    return Aha(target, patience)


class Aha:
    """An Aha! callback token; any number of threads may send at once."""

    def __init__(self, target: Target, patience: Patience) -> None:
        self._name = target.name
        self._meanings: Mapping[int, _Meaning] = {
            **_STATUSES,
            **dict.fromkeys(target.doubt - _IN_DOUBT, _SET),
        }
        self._token = target.token
        origin = Origin.of(target.url, private=target.private)
        #: None: the URL cannot be used.
        self._client = None if origin is None else Client(origin, patience)
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
        """Post one body; raises an `errors.DeliveryError`, whose class says what to do next."""
        try:
            data = orjson.dumps(dict(body))
        except TypeError as error:
            raise Refused(f"{self._name}: the body cannot be written as JSON: {error}") from error
        return self._exchange(b"POST", data)

    def probe(self) -> Receipt:
        """Ask whether the callback URL answers; nothing is processed. Raises like `send`."""
        return self._exchange(b"GET", b"")

    def close(self) -> None:
        """Let go of connections."""
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
        raise self._trouble(answer, text)

    def _trouble(self, answer: Answer, text: str) -> DeliveryError:
        status = answer.status
        if status == 429:
            after = _pause({name.decode(): told.decode("latin-1") for name, told in answer.headers})
            return Throttled(f"{self._name} answered 429", after=after, status=status)
        kind, why = self._meanings.get(status, (Failed if status >= 500 else Refused, ""))
        message = f"{self._name} answered {status}" + (f": {why}" if why else "")
        return kind(message, status=status, answer=text)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "0"


def _pause(headers: Mapping[str, str]) -> float | None:
    """Read for how many seconds a 429 wants us to wait, up to an hour; None: it does not say.

    Instants count from the answer's own Date: that clock wrote both.
    """
    now = _instant(headers.get("date"))
    for name in ("retry-after", "x-ratelimit-reset"):
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
