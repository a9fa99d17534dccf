"""The answers of the webhook endpoint, the same from both servers."""

from __future__ import annotations

from typing import NamedTuple

import orjson
import structlog

from bridge.errors import NotKept, stack_frames
from bridge.model import Hook, Reply

log = structlog.get_logger()


class Answer(NamedTuple):
    """An HTTP response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def accepted(event: str, status: int = 200) -> Answer:
    """Answer a stored request with the id of its event."""
    body = orjson.dumps({"event": event})
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("X-Bridge-Event", event),
    ]
    return Answer(status, headers, body)


def from_source(reply: Reply) -> Answer:
    """Answer with a source's own reply, such as a handshake."""
    return Answer(reply.status, list(reply.headers.items()), reply.body)


def text(status: int, line: str) -> Answer:
    """Answer with one line of text."""
    body = f"{line}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
    ]
    return Answer(status, headers, body)


def not_stored(hook: Hook, error: NotKept) -> Answer:
    """Log that an event could not be stored, and ask the sender to retry."""
    log.error("event.not_kept", hook=hook.name, reason=str(error))
    return text(503, "Cannot store the event now; please send it again.")


def internal_error(error: Exception, **context: object) -> Answer:
    """Log an unexpected error by its class and traceback, and ask the sender to retry.

    Neither the error's message nor the request's path is logged: the message may quote the body,
    and the path holds a token.
    """
    kind = type(error).__name__
    log.error("door.failed", error=kind, where=stack_frames(error), **context)
    return text(503, "The bridge failed internally; please send it again.")
