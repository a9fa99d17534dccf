"""The yardstick end to end: a Flask view that forwards inside the request, and keeps nothing.

What one would write first. It loses what the receiver does not take, sends twice what is told
twice, makes the sender wait for the receiver, and keeps no order.
"""

from __future__ import annotations

import os
import threading

import requests
from flask import Flask, request

application = Flask("naive")
_mine = threading.local()


def _session() -> requests.Session:
    """Return this thread's session, and so its connection."""
    if not hasattr(_mine, "session"):
        _mine.session = requests.Session()
    session: requests.Session = _mine.session
    return session


@application.post("/api/v1/webhooks/<token>")
def hook(token: str) -> tuple[str, int]:  # noqa: ARG001 - Flask's
    body = request.get_json()
    fields = (body.get("issue") or {}).get("fields") or {}
    if (fields.get("issuetype") or {}).get("name") == "Bug":
        return "", 200
    body["user"] = {"displayName": "Integration user", "emailAddress": "integration@acme.example"}
    answer = _session().post(os.environ["NAIVE_TO"], json=body, timeout=30)
    return "", 200 if answer.ok else 502
