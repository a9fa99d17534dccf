"""The HTTP routes of the stand-in."""

from __future__ import annotations

from dataclasses import asdict
from socket import SHUT_RDWR

import orjson
from flask import Blueprint, Flask, Response, request

from bridge.sandbox import page
from bridge.sandbox.faults import parse_control
from bridge.sandbox.state import Answer, FakeAha


def application(aha: FakeAha) -> Flask:
    """Build the WSGI application of a stand-in."""
    app = Flask(__name__)
    app.register_blueprint(_webhooks(aha))
    app.register_blueprint(_views(aha))
    return app


def _webhooks(aha: FakeAha) -> Blueprint:
    routes = Blueprint("webhooks", __name__, url_prefix="/api/v1/webhooks")

    @routes.post("/<token>")
    def receive(token: str) -> Response:
        return _response(aha.receive(token, request.get_data()))

    @routes.get("/<token>")
    def check(token: str) -> Response:  # noqa: ARG001 - like Aha!, it does not check the token
        return Response("OK", mimetype="text/plain")

    return routes


def _views(aha: FakeAha) -> Blueprint:
    routes = Blueprint("views", __name__, url_prefix="/sandbox")

    @routes.get("")
    def show() -> Response:
        return page.render(aha)

    @routes.get("/writes")
    def writes() -> Response:
        return _writes(aha)

    @routes.get("/records")
    def records() -> Response:
        return _json([asdict(one) for one in aha.records(request.args.get("record", ""))])

    @routes.get("/requests")
    def requests() -> Response:
        return _json([asdict(one) for one in aha.requests(request.args.get("key", ""))])

    @routes.post("/control")
    def control() -> Response:
        return _control(aha, request.get_json(silent=True))

    return routes


def _writes(aha: FakeAha) -> Response:
    after = request.args.get("after", 0, type=int)
    rows = [asdict(one) for one in aha.writes(request.args.get("record", "")) if one.n > after]
    if not request.args.get("body", 0, type=int):
        for row in rows:
            del row["body"]
    return _json(rows)


def _response(answer: Answer) -> Response:
    # Absent in a test client, where there is no connection to close.
    connection = request.environ.get("werkzeug.socket")
    if answer.drop and connection is not None:
        connection.shutdown(SHUT_RDWR)
    response = Response(answer.text, status=answer.status, mimetype="text/plain")
    if answer.retry_after is not None:
        response.headers["Retry-After"] = str(answer.retry_after)
    return response


def _control(aha: FakeAha, value: object) -> Response:
    try:
        wanted = parse_control(value)
    except ValueError as error:
        return _json({"error": str(error)}, 400)
    for integration in wanted.added:
        aha.add(integration)
    for token in wanted.revoked:
        aha.revoke(token)
    for key, faults in wanted.by_key.items():
        aha.treat(key, **faults)
    return _json(asdict(aha.behave(**wanted.faults)))


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status=status, mimetype="application/json")
