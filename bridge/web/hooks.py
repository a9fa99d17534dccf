"""The webhook endpoint for WSGI servers: 200 for every request with a live token."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Blueprint, Response

from bridge.app import Bridge
from bridge.errors import NotFound, NotKept
from bridge.intake import ENCODING, new_id
from bridge.model import Hook, Request
from bridge.web import answers
from bridge.web.answers import Answer
from bridge.web.bodies import BadBody
from bridge.web.metrics import AnswerMetrics

#: The path of every webhook; the hook's token follows.
PREFIX = "/api/v1/webhooks/"
#: How the names of the stored headers begin. Others, such as cookies and credentials, are dropped.
STORED_HEADERS = ("x-", "user-agent", "content-type", ENCODING)
#: The same names in a WSGI environment, where only the content type has no `HTTP_` before it.
_STORED_VARIABLES = tuple(
    "CONTENT_TYPE" if name == "content-type" else f"HTTP_{name.upper().replace('-', '_')}"
    for name in STORED_HEADERS
)


class WebhookEndpoint:
    """Answers POST requests to hooks, and passes every other request on.

    It wraps Flask instead of being a view: a view costs as much time as reading, judging and
    storing an event together.
    """

    def __init__(self, bridge: Bridge, others: WSGIApplication) -> None:
        self._bridge = bridge
        self._others = others
        self._metrics = AnswerMetrics()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Store the request, then answer it."""
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] != "POST" or not path.startswith(PREFIX):
            return self._others(environ, start_response)
        started = time.perf_counter()
        try:
            answer = self._receive(path.removeprefix(PREFIX), environ)
        except Exception as error:  # noqa: BLE001 - the sender retries after an unexpected error
            answer = answers.internal_error(error)
        self._metrics.record(answer.status, started)
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", answer.headers)
        return [answer.body]

    def _receive(self, token: str, environ: WSGIEnvironment) -> Answer:
        try:
            hook = self._bridge.hook(token)
        except NotFound as error:
            return answers.text(410, str(error))
        try:
            body, refusal = _read_body(environ, self._bridge.settings.max_body), None
        except BadBody as error:
            body, refusal = b"", error
        request = new_request(hook, _headers(environ), environ.get("QUERY_STRING", ""), body)
        try:
            return self._store(hook, request, refusal)
        except NotKept as error:
            return answers.not_stored(hook, error)

    def _store(self, hook: Hook, request: Request, refusal: BadBody | None) -> Answer:
        if refusal is not None:
            self._bridge.intake.refuse(hook, request, str(refusal))
            return answers.accepted(request.id, refusal.status)
        reply = self._bridge.intake.accept(hook, request)
        return answers.accepted(request.id) if reply is None else answers.from_source(reply)


def blueprint(bridge: Bridge) -> Blueprint:
    """Build the route by which an operator checks a webhook's address."""
    routes = Blueprint("hooks", __name__)
    metrics = AnswerMetrics()

    @routes.get(f"{PREFIX}<token>")
    def probe(token: str) -> Response:
        """Answer 200 if a live hook has the token, else 410; store nothing."""
        try:
            bridge.hook(token)
        except NotFound as error:
            answer = answers.text(410, str(error))
        else:
            answer = answers.text(200, "This address receives webhooks.")
        metrics.count(answer.status)
        return Response(answer.body, answer.status, headers=answer.headers)

    return routes


def new_request(hook: Hook, headers: Mapping[str, str], query: str, body: bytes) -> Request:
    """Build the request to store, with a new id; `headers` hold only `STORED_HEADERS`."""
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


def _read_body(environ: WSGIEnvironment, limit: int) -> bytes:
    """Read the body; raises `BadBody` when it has more than `limit` bytes, or ends too early."""
    declared = environ.get("CONTENT_LENGTH") or ""
    if not declared.isdecimal():
        return _read_to_end(environ, limit)
    length = int(declared)
    if length > limit:
        raise BadBody(f"larger than {limit} bytes", status=413)
    body: bytes = environ["wsgi.input"].read(length)
    if len(body) < length:  # 200: if the sender still listens, the stored row explains the loss
        raise BadBody(f"only {len(body)} of {length} bytes arrived", status=200)
    return body


def _read_to_end(environ: WSGIEnvironment, limit: int) -> bytes:
    """Read a body without a length; empty unless the server marks the end of its input."""
    if not environ.get("wsgi.input_terminated"):
        return b""
    body: bytes = environ["wsgi.input"].read(limit + 1)
    if len(body) > limit:
        raise BadBody(f"larger than {limit} bytes", status=413)
    return body


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    return {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith(_STORED_VARIABLES)
    }


def _query(text: str) -> dict[str, str]:
    """Parse the query, keeping each name's first value, without the parameter `secret`."""
    if not text:
        return {}
    pairs = parse_qsl(text, keep_blank_values=True)
    return {name: value for name, value in reversed(pairs) if name != "secret"}
