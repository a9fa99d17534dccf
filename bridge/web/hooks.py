"""The webhook door: 200 for everything that arrives on a live token."""

from __future__ import annotations

import time

import orjson
import structlog
from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from bridge.app import Bridge
from bridge.errors import NotFound, NotKept
from bridge.intake import new_id
from bridge.model import Hook, Reply, Request
from bridge.web.metrics import ACCEPTED, ANSWERS

log = structlog.get_logger()

#: Header names that tell something of an event; others (cookies, credentials) are not taken in.
_TELLING = ("x-", "content-type", "user-agent")


def blueprint(bridge: Bridge) -> Blueprint:
    """Make the routes."""
    door = Blueprint("hooks", __name__)

    @door.get("/api/v1/webhooks/<token>")
    def look(token: str) -> Response:
        """Answer a check, by GET or HEAD, that the address is right; nothing is processed."""
        try:
            bridge.hook(token)
        except NotFound as gone:
            return _answer(_plain(410, str(gone)))
        return _answer(_plain(200, "This address receives webhooks."))

    @door.post("/api/v1/webhooks/<token>")
    def receive(token: str) -> Response:
        """Keep what arrived, then answer."""
        try:
            hook = bridge.hook(token)
        except NotFound as gone:
            return _answer(_plain(410, str(gone)))
        with ACCEPTED.time():
            return _answer(_receive(bridge, hook))

    return door


def _receive(bridge: Bridge, hook: Hook) -> Response:
    event, body = new_id(time.time()), _body(bridge.settings.max_body)
    arrived = Request(
        id=event,
        hook=hook.name,
        site=hook.site,
        received=int(time.time() * 1000),
        headers=_headers(),
        query={name: value for name, value in request.args.items() if name != "secret"},
        body=body or b"",
    )
    try:
        if body is None:
            bridge.intake.refuse(hook, arrived, f"larger than {bridge.settings.max_body} bytes")
            return _kept(event, 413)
        reply = bridge.intake.accept(hook, arrived)
    except NotKept as error:
        log.error("event.not_kept", hook=hook.name, reason=str(error))  # noqa: TRY400 - no surprise
        return _plain(503, "This cannot be kept now; please send it again.")
    return _kept(event, 200) if reply is None else _own(reply)


def _body(limit: int) -> bytes | None:
    """Read the body; None when it is larger than it may be."""
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        return None
    return body if len(body) <= limit else None


def _headers() -> dict[str, str]:
    lowered = ((name.lower(), value) for name, value in request.headers)
    return {name: value for name, value in lowered if name.startswith(_TELLING)}


def _kept(event: str, status: int) -> Response:
    body = orjson.dumps({"event": event})
    response = Response(body, status, content_type="application/json")
    response.headers["X-Bridge-Event"] = event
    return response


def _own(reply: Reply) -> Response:
    return Response(reply.body, reply.status, headers=dict(reply.headers))


def _plain(status: int, text: str) -> Response:
    return Response(f"{text}\n", status, content_type="text/plain; charset=utf-8")


def _answer(response: Response) -> Response:
    ANSWERS.labels(status=str(response.status_code)).inc()
    return response
