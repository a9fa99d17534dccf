"""Trace one webhook through the bridge: every function called between its door and Aha!.

    .venv/bin/python bench/trace.py             calls, functions, files and moves, by thread
    .venv/bin/python bench/trace.py --calls     and the way itself, call by call
    .venv/bin/python bench/trace.py --json      the same for programs

The bridge runs in this process, on SQLite, with one worker and one route: a filter, an attribution
and one line of `fields`. One `jira:issue_created` warms it up. Then each run posts one
`jira:issue_updated` and records the Python functions of the package `bridge` that are called until
its delivery is settled. The run with the fewest calls is printed, because the threads also look
after other things now and then.

A call is a new frame: comprehensions count, and a generator or coroutine counts once. A move is a
call whose function stands in another file than the call before it in the same thread. To trace
another version, run this file with the Python of that version's checkout.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import io
import json
import logging
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby, pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import structlog

import bridge
from bridge import config
from bridge.app import Bridge
from bridge.web import create
from bridge.web.asgi import AsgiApplication

PACKAGE = str(Path(bridge.__file__).parent)
TOKEN = "trace-token-0123456789"
PATH = f"/api/v1/webhooks/{TOKEN}"
#: How long one delivery may take, in s.
LIMIT_S = 20

_BRIDGE = """\
version: 1
hooks:
  jira-main: {{source: jira, site: acme-jira, token: {token}}}
destinations:
  aha:
    kind: aha
    url: http://127.0.0.1:{port}
    token: callback-token-0123456789
    run_as: {{name: Integration user, email: integration@acme.example}}
    limits: none
    private: true
"""
_ROUTE = """\
version: 1
from: jira-main
to: aha
when: project = PLAT AND issuetype in (Story, Epic)
comments: {attribution: "{author} in Jira:\\n\\n{body}"}
fields:
  - from: $.issue.fields.priority.name
    to: $.issue.fields.priority.name
    values: {Highest: P0, High: P1}
"""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a function of the bridge."""

    file: str
    line: int
    function: str


@dataclass(kw_only=True)
class Recorder:
    """Records the calls of every thread that started after it was installed."""

    is_on: bool = False
    calls: dict[str, list[Call]] = field(default_factory=dict)
    #: Keeps the frames alive, so that a generator is known again when it goes on.
    _frames: dict[int, FrameType] = field(default_factory=dict)

    def install(self) -> None:
        threading.setprofile(self)
        sys.setprofile(self)

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or not self.is_on or not code.co_filename.startswith(PACKAGE):
            return
        if id(frame) in self._frames:
            return
        self._frames[id(frame)] = frame
        call = Call(
            file=code.co_filename[len(PACKAGE) + 1 :],
            line=code.co_firstlineno,
            function=code.co_qualname,
        )
        self.calls.setdefault(threading.current_thread().name, []).append(call)

    def take(self) -> dict[str, list[Call]]:
        """Return what was recorded, and begin anew."""
        self.is_on = False
        found, self.calls, self._frames = self.calls, {}, {}
        return found


class Sink(BaseHTTPRequestHandler):
    """Answers 200 to every body, as Aha! does."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, *_: object) -> None:
        pass


def person(name: str) -> dict[str, Any]:
    link = f"https://acme.atlassian.net/rest/api/2/user?accountId={name}"
    return {"self": link, "accountId": name, "displayName": name.title(), "active": True}


def body(name: str, number: int) -> bytes:
    """Write an issue's creation (0) or its change of that number, as Jira Cloud does."""
    at = 1_772_697_600_000 + number * 60_000
    instant = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime(at / 1000))
    project = {"id": "10000", "key": "PLAT", "name": "Platform", "projectTypeKey": "software"}
    fields = {
        "summary": "Export the roadmap as a file",
        "description": "As a product manager I want to take the roadmap with me.",
        "issuetype": {"id": "10001", "name": "Story", "subtask": False},
        "project": project,
        "priority": {"id": "2", "name": "High"},
        "status": {"id": "3", "name": "In Progress", "statusCategory": {"key": "indeterminate"}},
        "labels": ["export", "roadmap"],
        "assignee": person("bo"),
        "reporter": person("ana"),
        "created": "2026-03-05T08:00:00.000+0000",
        "updated": instant,
        "customfield_10016": 5.0,
    }
    link = "https://acme.atlassian.net/rest/api/2/10021"
    told = {
        "timestamp": at,
        "webhookEvent": f"jira:{name}",
        "issue_event_type_name": name,
        "user": person("ana"),
        "issue": {"id": "10021", "self": link, "key": "PLAT-21", "fields": fields},
    }
    if number:
        item = {"field": "priority", "fieldtype": "jira", "fieldId": "priority"}
        item |= {"from": "3", "fromString": "Medium", "to": "2", "toString": "High"}
        told["changelog"] = {"id": str(30_000 + number), "items": [item]}
    return json.dumps(told).encode()


class Doors:
    """The two ways into the bridge: a WSGI server's, and the event loop of `serve`."""

    def __init__(self, running: Bridge, name: str) -> None:
        self._pages = create(running)
        self._loop = asyncio.new_event_loop() if name == "loop" else None
        self._reception: Any = None
        if self._loop:
            self._reception = AsgiApplication(running, self._pages)

    def post(self, raw: bytes) -> None:
        """Post a body; it has to be answered 200."""
        if self._loop:
            status = self._loop.run_until_complete(self._to_reception(raw))
        else:
            status = self._to_wsgi(raw)
        assert status == 200, status

    async def _to_reception(self, raw: bytes) -> int:
        found: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                found.append(message["status"])

        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(raw)),
            (b"x-atlassian-webhook-identifier", b"trace"),
        ]
        scope = {"type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode()}
        scope |= {"query_string": b"", "headers": headers, "http_version": "1.1"}
        scope |= {"scheme": "http", "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8080)}
        await self._reception(scope, receive, send)
        return found[0]

    def _to_wsgi(self, raw: bytes) -> int:
        found: list[int] = []
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": PATH,
            "QUERY_STRING": "",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(raw)),
            "HTTP_X_ATLASSIAN_WEBHOOK_IDENTIFIER": "trace",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "8080",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(raw),
        }

        def start_response(status: str, *_: object) -> None:
            found.append(int(status[:3]))

        application: Any = self._pages.wsgi_app
        list(application(environ, start_response))
        return found[0]


def _reception(running: Bridge, pages: object) -> Any:
    """Make the ASGI application of `serve`, under the name it has in the traced version."""
    for module, name in (("asgi", "AsgiApplication"), ("receiving", "Reception")):
        with suppress(ImportError):
            return getattr(importlib.import_module(f"bridge.web.{module}"), name)(running, pages)
    raise ImportError("this version has no ASGI application that is known here")


def traced(folder: Path, door: str, runs: int) -> dict[str, list[Call]]:
    """Run a bridge in a folder, and return the calls of the run with the fewest, by thread."""
    sink = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    mappings = folder / "mappings"
    mappings.mkdir()
    (mappings / "bridge.yaml").write_text(_BRIDGE.format(token=TOKEN, port=sink.server_port))
    (mappings / "stories.yaml").write_text(_ROUTE)
    database = folder / "bridge.db"
    environ = {"BRIDGE_MAPPINGS": str(mappings), "BRIDGE_DATABASE": f"sqlite:///{database}"}
    settings = config.settings({**environ, "BRIDGE_WORKERS": "1"})
    recorder = Recorder()
    recorder.install()
    running = Bridge(settings, {})
    running.store.migrate()
    running.start(deliver=True, periodic=False)
    try:
        doors = Doors(running, door)
        doors.post(body("issue_created", 0))
        settled(database, 1)
        return min((one(recorder, doors, database, n) for n in range(1, runs + 1)), key=total)
    finally:
        running.stop()
        sink.shutdown()


def one(recorder: Recorder, doors: Doors, database: Path, number: int) -> dict[str, list[Call]]:
    """Record what one change takes."""
    recorder.is_on = True
    doors.post(body("issue_updated", number))
    settled(database, number + 1)
    return recorder.take()


def settled(database: Path, number: int) -> None:
    """Wait until so many deliveries are settled, and the worker waits again."""
    end, pause = time.monotonic() + LIMIT_S, threading.Event()
    statement = "SELECT count(*) FROM deliveries WHERE state = 'delivered'"
    with closing(sqlite3.connect(database)) as conn:
        while conn.execute(statement).fetchone() != (number,):
            assert time.monotonic() < end, "it was not delivered in time"
            pause.wait(0.01)
    pause.wait(0.1)


# --- what is printed


def total(calls: dict[str, list[Call]]) -> int:
    return sum(map(len, calls.values()))


def moves(calls: Iterable[Call]) -> list[tuple[str, str]]:
    """List the moves from file to file."""
    files = [name for name, _ in groupby(call.file for call in calls)]
    return list(pairwise(files))


def figures(calls: list[Call]) -> dict[str, int]:
    return {
        "calls": len(calls),
        "functions": len(set(calls)),
        "files": len({call.file for call in calls}),
        "moves": len(moves(calls)),
    }


def report(calls: dict[str, list[Call]]) -> dict[str, Any]:
    every = [call for several in calls.values() for call in several]
    pairs = [pair for several in calls.values() for pair in moves(several)]
    whole = {**figures(every), "moves": len(pairs)}
    return {
        "threads": {name: figures(several) for name, several in calls.items()},
        "all": whole,
        "calls_by_file": dict(Counter(call.file for call in every).most_common()),
        "calls_by_function": {
            f"{call.file}:{call.line} {call.function}": times
            for call, times in Counter(every).most_common(40)
        },
        "moves_by_files": {
            f"{one} -> {other}": times
            for (one, other), times in Counter(tuple(sorted(pair)) for pair in pairs).most_common(
                30
            )
        },
    }


def show(found: dict[str, Any], calls: dict[str, list[Call]], *, whole: bool) -> None:
    print(f"{'thread':28}{'calls':>7}{'functions':>11}{'files':>7}{'moves':>7}")
    for name, row in {**found["threads"], "all": found["all"]}.items():
        numbers = f"{row['calls']:7}{row['functions']:11}{row['files']:7}{row['moves']:7}"
        print(f"{name:28}{numbers}")
    for title, key in (
        ("calls by file", "calls_by_file"),
        ("calls by function", "calls_by_function"),
        ("moves between files, both ways", "moves_by_files"),
    ):
        print(f"\n{title}")
        for what, times in list(found[key].items())[:20]:
            print(f"{times:5}  {what}")
    for name, several in calls.items() if whole else ():
        print(f"\n{name}")
        for call, same in groupby(several):
            times = len(list(same))
            print(f"  {call.file}:{call.line} {call.function}{f' x{times}' if times > 1 else ''}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Trace one webhook through the bridge.")
    parser.add_argument("--door", choices=("wsgi", "loop"), default="wsgi", help="the way in")
    parser.add_argument("--runs", type=int, default=5, help="how many changes are traced")
    parser.add_argument("--calls", action="store_true", help="print every call")
    parser.add_argument("--json", action="store_true", help="print JSON")
    terms = parser.parse_args()
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    with tempfile.TemporaryDirectory() as folder:
        calls = traced(Path(folder), terms.door, terms.runs)
    found = report(calls)
    if terms.json:
        print(json.dumps({**found, "way": _way(calls)} if terms.calls else found, indent=1))
    else:
        show(found, calls, whole=terms.calls)


def _way(calls: dict[str, list[Call]]) -> dict[str, list[str]]:
    return {
        name: [f"{call.file}:{call.line} {call.function}" for call in several]
        for name, several in calls.items()
    }


if __name__ == "__main__":
    main()
