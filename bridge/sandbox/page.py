"""The HTML page of the stand-in: its latest writes."""

from __future__ import annotations

import secrets
from dataclasses import asdict

from flask import Response, render_template

from bridge.sandbox.state import FakeAha

#: How many writes the page shows at most, latest first.
_MAX_ROWS = 200
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def render(aha: FakeAha) -> Response:
    """Render the page."""
    nonce = secrets.token_urlsafe(16)
    writes = aha.writes()
    html = render_template(
        "sandbox.html",
        nonce=nonce,
        integrations=aha.integrations(),
        faults=asdict(aha.faults),
        total=len(writes),
        comments=len(aha.comments()),
        doubled=aha.doubled(),
        writes=writes[: -_MAX_ROWS - 1 : -1],
    )
    policy = f"default-src 'none'; style-src 'nonce-{nonce}'; frame-ancestors 'none'"
    return Response(html, headers={**_HEADERS, "Content-Security-Policy": policy})
