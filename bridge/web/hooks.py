"""The webhook door: 200 for everything that arrives on a live token."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import orjson
import structlog
from flask import Blueprint, Response

from bridge.app import Bridge
from bridge.errors import NotFound, NotKept, places
from bridge.intake import ENCODING, new_id
from bridge.model import Hook, Reply, Request
from bridge.web.metrics import ACCEPTED, ANSWERS

log = structlog.get_logger()

PREFIX = "/api/v1/webhooks/"
#: Header names that tell something of an event; others (cookies, credentials) are not taken in.
TELLING = ("x-", "user-agent", "content-type", ENCODING)
_TELLING = ("HTTP_X_", "HTTP_USER_AGENT", "CONTENT_TYPE", "HTTP_CONTENT_ENCODING")


class Answer(NamedTuple):
    """What a request is answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Door:
    """Answers what is posted to a hook, and passes every other request on.

    In front of Flask and not a view of it: a view costs as much as reading, judging and keeping
    an event together.
    """

    def __init__(self, bridge: Bridge, others: WSGIApplication) -> None:
        self._bridge = bridge
        self._others = others
        self._told = {status: ANSWERS.labels(status=str(status)) for status in (200, 410, 413, 503)}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Keep what arrived, then answer."""
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "POST" or not path.startswith(PREFIX):
            return self._others(environ, start_response)
        begun = time.perf_counter()
        try:
            answer = self._receive(path.removeprefix(PREFIX), environ)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it; let the sender try again
            kind = type(error).__name__
            log.error("door.failed", error=kind, where=places(error))  # noqa: TRY400 - no values
            answer = plain(503, "Something failed here.")
        ACCEPTED.observe(time.perf_counter() - begun)
        counter = self._told.get(answer.status) or ANSWERS.labels(status=str(answer.status))
        counter.inc()
        phrase = HTTPStatus(answer.status).phrase
        start_response(f"{answer.status} {phrase}", answer.headers)
        return [answer.body]

    def _receive(self, token: str, environ: WSGIEnvironment) -> Answer:
        try:
            hook = self._bridge.hook(token)
        except NotFound as gone:
            return plain(410, str(gone))
        try:
            body, refusal = _body(environ, self._bridge.settings.max_body), None
        except Unfit as unfit:
            body, refusal = b"", unfit
        request = arrived(hook, _headers(environ), environ.get("QUERY_STRING", ""), body)
        try:
            return self._keep(hook, request, refusal)
        except NotKept as error:
            return not_kept(hook, error)

    def _keep(self, hook: Hook, request: Request, refusal: Unfit | None) -> Answer:
        if refusal is not None:
            self._bridge.intake.refuse(hook, request, str(refusal))
            return kept(request.id, refusal.status)
        reply = self._bridge.intake.accept(hook, request)
        return kept(request.id, 200) if reply is None else own(reply)


def blueprint(bridge: Bridge) -> Blueprint:
    """Make the route that tells whether the address is right."""
    door = Blueprint("hooks", __name__)

    @door.get(f"{PREFIX}<token>")
    def look(token: str) -> Response:
        """Answer a check, by GET or HEAD; nothing is processed."""
        try:
            bridge.hook(token)
        except NotFound as gone:
            answer = plain(410, str(gone))
        else:
            answer = plain(200, "This address receives webhooks.")
        ANSWERS.labels(status=str(answer.status)).inc()
        return Response(answer.body, answer.status, headers=answer.headers)

    return door


def arrived(hook: Hook, headers: Mapping[str, str], query: str, body: bytes) -> Request:
    """Make the request that is kept, with its id; `headers` are those that tell of an event."""
    now = time.time()
    return Request(
        id=new_id(now),
        hook=hook.name,
        site=hook.site,
        received=int(now * 1000),
        headers=headers,
        query=_query(query),
        body=body,
    )


def not_kept(hook: Hook, error: NotKept) -> Answer:
    """Ask the sender to come again."""
    log.error("event.not_kept", hook=hook.name, reason=str(error))
    return plain(503, "This cannot be kept now; please send it again.")


class Unfit(Exception):
    """A body that is not taken in, and why."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        #: What the sender is answered.
        self.status = status


def _body(environ: WSGIEnvironment, limit: int) -> bytes:
    """Read the body; raises `Unfit` when it is larger than it may be, or ends too early."""
    said = environ.get("CONTENT_LENGTH") or ""
    if not said.isdecimal():
        return _read_to_its_end(environ, limit)
    length = int(said)
    if length > limit:
        raise Unfit(f"larger than {limit} bytes", status=413)
    body: bytes = environ["wsgi.input"].read(length)
    if len(body) < length:  # who sent it may be gone; then it comes again, or this row tells of it
        raise Unfit(f"only {len(body)} of {length} bytes arrived", status=200)
    return body


def _read_to_its_end(environ: WSGIEnvironment, limit: int) -> bytes:
    """Read what comes without a length, where the server knows the end of it."""
    if not environ.get("wsgi.input_terminated"):
        return b""
    body: bytes = environ["wsgi.input"].read(limit + 1)
    if len(body) > limit:
        raise Unfit(f"larger than {limit} bytes", status=413)
    return body


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    return {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith(_TELLING)
    }


def _query(text: str) -> dict[str, str]:
    """Read the query's first values; a secret in it is nobody's business."""
    if not text:
        return {}
    pairs = parse_qsl(text, keep_blank_values=True)
    return {name: value for name, value in reversed(pairs) if name != "secret"}


def kept(event: str, status: int) -> Answer:
    """Answer with the id of an event."""
    body = orjson.dumps({"event": event})
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("X-Bridge-Event", event),
    ]
    return Answer(status, headers, body)


def own(reply: Reply) -> Answer:
    """Answer as the source wants it."""
    return Answer(reply.status, list(reply.headers.items()), reply.body)


def plain(status: int, text: str) -> Answer:
    """Answer with a line of text."""
    body = f"{text}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
    ]
    return Answer(status, headers, body)
