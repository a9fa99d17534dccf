"""The HTTP doors."""

from __future__ import annotations

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from bridge.app import Bridge
from bridge.errors import places
from bridge.web import health, hooks

log = structlog.get_logger()


def create(bridge: Bridge) -> Flask:
    """Make the WSGI application of a running bridge."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = bridge.settings.max_body
    app.register_blueprint(hooks.blueprint(bridge))
    app.register_blueprint(health.blueprint(bridge))
    app.register_error_handler(Exception, _unforeseen)
    app.wsgi_app = hooks.Door(bridge, app.wsgi_app)  # type: ignore[method-assign]  # Flask's own way
    return app


def _unforeseen(error: Exception) -> Response | HTTPException:
    """Log what nobody foresaw, without the path, which may hold a token; ask for another try."""
    if isinstance(error, HTTPException):
        return error
    # Not as exc_info: the message, or locals that a renderer shows, could hold what people wrote.
    kind = type(error).__name__
    log.error("door.failed", door=request.endpoint, error=kind, where=places(error))
    return Response("Something failed here.\n", 503, content_type="text/plain; charset=utf-8")
