"""The yardstick for accepting: a Flask view that reads the body, answers 200 and does nothing."""

from __future__ import annotations

from flask import Flask, request

application = Flask("bare")


@application.post("/api/v1/webhooks/<token>")
def hook(token: str) -> tuple[str, int]:  # noqa: ARG001 - Flask's
    request.get_data(cache=False)
    return "", 200
