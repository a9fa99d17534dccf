"""The stand-in for Aha!: writes what it is told each time it is told, and keeps a journal of it.

    python -m crash.sink PORT JOURNAL

A line of the journal says what a request told and whether it was written, and stands there before
anybody is answered. PUT /manners changes how it behaves.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson

from crash.journal import Journal

_VERBS = {"comment_updated": "edited", "issue_comment_edited": "edited"}


@dataclass(frozen=True, kw_only=True)
class Manners:
    """Shares of the requests that are treated badly; what is left is written and answered 200."""

    #: Not written, answered with the status.
    throttled: float = 0.0
    failed: float = 0.0
    #: Written; answered late, but in time.
    slow: float = 0.0
    #: Written; never answered.
    mute: float = 0.0
    #: Not written and never answered.
    deaf: float = 0.0
    #: Written; the connection is dropped.
    dropped: float = 0.0
    #: How late slow answers are, and how long the others say nothing, in seconds.
    late: float = 0.7
    silence: float = 4.0
    #: Everything is answered 503, not written.
    down: bool = False


#: Everything goes wrong now and then.
BAD = Manners(throttled=0.002, failed=0.02, slow=0.03, mute=0.005, deaf=0.005, dropped=0.005)


def told(body: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name the effects a body tells, as `story` does."""
    event = body.get("webhookEvent")
    found = []
    if event == "jira:issue_created":
        return [("issue", str(body["issue"]["id"]), "created")]
    if isinstance(body.get("changelog"), dict):
        found.append(("change", str(body["changelog"]["id"]), ""))
    if isinstance(body.get("comment"), dict):
        kind = body.get("issue_event_type_name") or event
        found.append(("comment", str(body["comment"]["id"]), _VERBS.get(kind, "created")))
    return found


class Sink(ThreadingHTTPServer):
    """The server, its manners and its journal."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, journal: Journal) -> None:
        super().__init__(("127.0.0.1", port), _Door)
        self.journal = journal
        self.manners = Manners()
        self.rng = random.Random(port)
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """Say nothing of senders that were killed."""


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Sink

    def do_POST(self) -> None:  # noqa: N802 - the library's name
        length = int(self.headers.get("Content-Length", 0))
        raw = self.rfile.read(length)
        if len(raw) < length:  # the sender died while sending: nobody can have written that
            self.close_connection = True
            return
        fate = _fate(self.server)
        self._note(raw, fate)
        self._answer(fate)

    def _note(self, raw: bytes, fate: str) -> None:
        body = orjson.loads(raw)
        self.server.journal.note(
            token=self.path.rpartition("/")[2],
            record=str(body.get("issue", {}).get("id", "")),
            effects=told(body),
            fate=fate,
            written=fate in ("fine", "slow", "mute", "dropped"),
            at=time.time(),
        )

    def _answer(self, fate: str) -> None:
        manners = self.server.manners
        if fate in ("mute", "deaf", "dropped"):
            time.sleep(0 if fate == "dropped" else manners.silence)
            self.close_connection = True
            return
        if fate == "slow":
            time.sleep(manners.late)
        self._say({"throttled": 429, "failed": 500, "down": 503}.get(fate, 200))

    def _say(self, status: int) -> None:
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self) -> None:  # noqa: N802
        given = orjson.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        with self.server.lock:
            self.server.manners = Manners(**given)
        self._say(200)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def _fate(sink: Sink) -> str:
    """Decide what becomes of a request."""
    with sink.lock:
        manners, dice = sink.manners, sink.rng.random()
    if manners.down:
        return "down"
    for name in ("throttled", "failed", "slow", "mute", "deaf", "dropped"):
        dice -= getattr(manners, name)
        if dice < 0:
            return name
    return "fine"


def main(port: str, journal: str) -> None:
    """Serve until killed."""
    Sink(int(port), Journal(Path(journal))).serve_forever(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
