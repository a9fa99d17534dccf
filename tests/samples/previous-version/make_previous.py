"""Make the sample of this folder with the version before: a database and a spool, both in use.

Run it with the Python of a checkout of that version, from the checkout's root:

    .venv/bin/python .../tests/samples/previous-version/make_previous.py FOLDER

It starts that version's commands against its own sandbox, posts made-up webhooks, kills the
processes, and writes four files into FOLDER: `database.sql`, the SQLite database as SQL;
`requests.spool`, the one segment that was left in the spool; `full.json`, the full event of the
thin one that still has none; and `events.json`: the instant of the last request in ms, the
version's schema revision, the name of the process that was killed, and the id of each event by
what the sample has it for.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from bridge.demo.bodies import Body, Change, Comment, Issue, Item
from bridge.demo.stories import ANA, CLOUD, DATA_CENTER, SYNC
from bridge.sandbox import Integration, Sandbox

#: The hooks of `tests/flow/conftest.py`, with their sites and tokens.
HOOKS = {
    "cloud_a": ("cloud", "hook-of-cloud-a-0001"),
    "cloud_b": ("cloud", "hook-of-cloud-b-0002"),
    "dc_a": ("dc", "hook-of-dc-a-00000003"),
    "dc_b": ("dc", "hook-of-dc-b-00000004"),
}
CALLBACK = "callback-0001"
ROUTE = {"version": 1, "from": list(HOOKS), "to": ["aha"], "when": "project in (PLAT, CORE)"}
#: The processes' names hold the host's: the sample has this one instead.
PROCESS = "previous-version-1-0a1b2c"
#: How long any step may take, in s.
LIMIT_S = 30
START_MS = 1_772_697_600_000


class Made:
    """The bridge of the previous version in a folder, and the ids of what was posted to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "bridge.db"
        self.sandbox = Sandbox(Integration(token=CALLBACK, account="acme"))
        self.sandbox.start()
        self.events: dict[str, str] = {}
        self._configure()
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self._port = free.getsockname()[1]

    def _configure(self) -> None:
        mappings = self.folder / "mappings"
        mappings.mkdir()
        hooks = {
            name: {"source": "jira", "site": site, "token": token}
            for name, (site, token) in HOOKS.items()
        }
        run_as = {"name": "Integration", "email": "integration@acme.example"}
        aha = {"kind": "aha", "url": self.sandbox.url, "private": True, "limits": "none"}
        aha |= {"token": CALLBACK, "run_as": run_as, "on_doubt": "hold"}
        ignored = {"actors": ["aha-sync@acme.example", "712020:aha-sync"]}
        whole = {"version": 1, "hooks": hooks, "destinations": {"aha": aha}, "ignore": ignored}
        (mappings / "bridge.yaml").write_text(json.dumps(whole, indent=1))
        (mappings / "all.yaml").write_text(json.dumps(ROUTE, indent=1))

    @contextmanager
    def running(self, command: str, **environ: str) -> Iterator[None]:
        """Run a command of the previous version, and kill it and its children at the end."""
        settings = {
            "BRIDGE_MAPPINGS": str(self.folder / "mappings"),
            "BRIDGE_DATABASE": f"sqlite:///{self.database}",
            "BRIDGE_SPOOL": str(self.folder / "spool"),
            "BRIDGE_PORT": str(self._port),
            "PATH": os.environ["PATH"],
            **environ,
        }
        process = subprocess.Popen([sys.executable, "-m", "bridge", command], env=settings)
        try:
            until(self.is_ready)
            yield
        finally:
            kill(process)

    def is_ready(self) -> bool:
        try:
            return self._ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def post(self, name: str, hook: str, body: Body | bytes) -> None:
        """Post a webhook, and keep the id of its event by a name."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, answer = self._ask("POST", f"/api/v1/webhooks/{HOOKS[hook][1]}", raw)
        assert status == 200, answer
        assert name not in self.events
        self.events[name] = json.loads(answer)["event"]

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)) as line:
            line.request(method, path, body=body)
            answer = line.getresponse()
            return answer.status, answer.read()

    def reaches(self, name: str, state: str) -> None:
        """Wait until the delivery of an event is in a state."""
        until(lambda: self.rows(_STATE, self.events[name]) == [(state,)])

    def rows(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.database, timeout=10)) as conn:
            return conn.execute(statement, values).fetchall()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the database's lock, so that nothing can be written."""
        with closing(sqlite3.connect(self.database, timeout=10, isolation_level=None)) as conn:
            conn.execute("BEGIN EXCLUSIVE")
            yield
            conn.execute("ROLLBACK")


_STATE = "SELECT state FROM deliveries WHERE event = ?"


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    end, pause = time.monotonic() + LIMIT_S, threading.Event()
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        pause.wait(0.02)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children, as a power cut would."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in (process.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    process.wait(LIMIT_S)


# --- what happened in the two Jiras


def issue(number: int, key: str) -> Issue:
    at = START_MS + number * 60_000
    return Issue(id=10_000 + number, key=key, reporter=ANA, created=at, updated=at)


def comment(number: int, text: str) -> Comment:
    at = START_MS + number * 60_000
    return Comment(id=20_000 + number, author=ANA, text=text, created=at, updated=at)


def said(one: Issue, number: int, text: str = "Can we ship this?") -> Body:
    """Report a comment on an issue of the Cloud site."""
    told = comment(number, text)
    return CLOUD.comment_event("comment_created", told, one, told.created)


def edited(one: Issue, number: int) -> Body:
    """Report a new priority of an issue of the Cloud site."""
    item = Item(field="priority", field_id="priority", was=("3", "Medium"), now=("2", "High"))
    change = Change(id=30_000 + number, items=(item,))
    later = replace(one, priority="High", updated=START_MS + number * 60_000)
    return CLOUD.issue_updated(later, ANA, "issue_updated", change)


PLAT = {number: issue(number, f"PLAT-{number}") for number in range(1, 11)}
HELD, PARKED, FAILING, SENT, SET, QUEUED = (PLAT[number] for number in (2, 4, 5, 6, 7, 8))
CORE = {number: issue(100 + number, f"CORE-{number}") for number in range(1, 4)}
THIN = {
    number: DATA_CENTER.comment_pair(
        "comment_created", comment(100 + number, "Looks good to me."), CORE[number], 27
    )
    for number in CORE
}


def deliver(made: Made) -> None:
    """Deliver, and fail to: with an answer within a second, or never."""
    with made.running("serve", BRIDGE_READ_TIMEOUT="1"):
        made.post("delivered", "cloud_a", CLOUD.issue_created(PLAT[1], ANA))
        made.reaches("delivered", "delivered")
        made.post("duplicate", "cloud_b", CLOUD.issue_created(PLAT[1], ANA))
        made.post("filtered", "cloud_a", CLOUD.issue_created(issue(50, "HR-1"), ANA))
        made.post("echo", "cloud_a", CLOUD.issue_created(PLAT[9], SYNC))
        made.post("rejected", "cloud_a", b"{")
        for key, manners in {
            HELD.key: {"hang_share": 1.0},
            PLAT[3].key: {"hang_share": 1.0},
            PARKED.key: {"fail_share": 1.0, "fail_status": 422},
        }.items():
            made.sandbox.treat(key, **manners)
        made.post("in doubt", "cloud_a", said(HELD, 1))
        made.post("in doubt too", "cloud_a", said(PLAT[3], 2))
        made.post("parked", "cloud_a", edited(PARKED, 3))
        made.reaches("in doubt", "in_doubt")
        made.reaches("in doubt too", "in_doubt")
        made.reaches("parked", "parked")


def die_while_sending(made: Made) -> None:
    """End with two sends that were never answered, and one that is to be tried again."""
    with made.running("serve", BRIDGE_READ_TIMEOUT="60"):
        for one in (SENT, SET):
            made.sandbox.treat(one.key, hang_share=1.0)
        made.sandbox.treat(FAILING.key, fail_share=1.0, fail_status=500)
        made.post("sending, writes", "cloud_a", said(SENT, 4))
        made.post("sending, writes nothing", "cloud_a", edited(SET, 5))
        until(lambda: len(made.sandbox.writes(str(SENT.id))) == 1)
        until(lambda: len(made.sandbox.writes(str(SET.id))) == 1)
        made.post("retrying", "cloud_a", said(FAILING, 6))
        made.reaches("retrying", "retrying")
        made.reaches("sending, writes", "sending")
        made.reaches("sending, writes nothing", "sending")


def receive(made: Made) -> None:
    """Receive while nothing is delivered, at first into the database and then into the spool."""
    with made.running("web", BRIDGE_GRACE_SECONDS="60"):
        made.post("behind in doubt", "cloud_a", edited(HELD, 7))
        made.post("behind in doubt too", "cloud_a", edited(PLAT[3], 8))
        made.post("behind parked", "cloud_a", said(PARKED, 9))
        made.post("behind retrying", "cloud_a", edited(FAILING, 10))
        made.post("behind sending, writes", "cloud_a", edited(SENT, 11))
        made.post("behind sending, writes nothing", "cloud_b", said(SET, 12))
        made.post("queued 1", "cloud_a", CLOUD.issue_created(QUEUED, ANA))
        made.post("queued 2", "cloud_b", said(QUEUED, 13))
        made.post("queued 2 again", "cloud_a", said(QUEUED, 13))
        made.post("deleted", "cloud_a", CLOUD.issue_deleted(PLAT[10], ANA, START_MS + 14 * 60_000))
        made.post("stale", "cloud_a", edited(PLAT[10], 13))
        made.post("thin, alone", "dc_a", THIN[1][0])
        made.post("thin, full in the spool", "dc_a", THIN[2][0])
        made.post("thin, full to come", "dc_a", THIN[3][0])
        with made.locked():
            made.post("spooled, queued 3", "cloud_a", edited(QUEUED, 15))
            made.post("spooled, queued 2 once more", "cloud_b", said(QUEUED, 13))
            made.post("spooled, full", "dc_b", THIN[2][1])
            made.post("spooled, behind in doubt", "cloud_a", said(HELD, 16))
            for pid in children_of(os.getpid()):
                os.kill(pid, signal.SIGKILL)


def children_of(pid: int) -> list[int]:
    """Name the processes below one, the deepest first."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [*children_of(child), child]
    return found


# --- what is kept of it


def dump(made: Made, target: Path) -> None:
    """Write the sample into a folder, under names that say nothing of this machine."""
    with closing(sqlite3.connect(made.database)) as conn:
        text = "\n".join(conn.iterdump()) + "\n"
        [(revision,)] = conn.execute("SELECT version_num FROM alembic_version").fetchall()
        [(owner,)] = conn.execute("SELECT DISTINCT owner FROM lanes WHERE owner != ''").fetchall()
        [(last,)] = conn.execute("SELECT max(kept) FROM clock").fetchall()
    (target / "database.sql").write_text(text.replace(owner, PROCESS), "utf-8")
    [segment] = (made.folder / "spool").glob("*.spool")
    (target / "requests.spool").write_bytes(segment.read_bytes())
    (target / "full.json").write_text(json.dumps(THIN[3][1], indent=1) + "\n", "utf-8")
    about = {
        "at_ms": max(last, round(segment.stat().st_mtime * 1000)),
        "revision": revision,
        "process": PROCESS,
        "events": made.events,
    }
    (target / "events.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")


def main() -> None:
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        made = Made(Path(folder))
        deliver(made)
        die_while_sending(made)
        receive(made)
        dump(made, target)
        made.sandbox.stop()


if __name__ == "__main__":
    main()
