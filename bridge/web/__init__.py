"""The HTTP endpoints: webhooks, health and metrics."""

from __future__ import annotations

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from bridge.app import Bridge
from bridge.web import answers, health, hooks


def create(bridge: Bridge) -> Flask:
    """Build the WSGI application of a running bridge."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = bridge.settings.max_body
    app.register_blueprint(hooks.blueprint(bridge))
    app.register_blueprint(health.blueprint(bridge))
    app.register_error_handler(Exception, _handle_error)
    app.wsgi_app = hooks.WebhookEndpoint(bridge, app.wsgi_app)  # type: ignore[method-assign]  # as Flask documents
    return app


def _handle_error(error: Exception) -> Response | HTTPException:
    if isinstance(error, HTTPException):
        return error
    answer = answers.internal_error(error, door=request.endpoint)
    return Response(answer.body, answer.status, headers=answer.headers)
