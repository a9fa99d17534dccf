"""A whole bridge in one process: from its HTTP door to a stand-in for Aha!."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
import structlog
from sqlalchemy import make_url, text
from werkzeug.test import TestResponse

from bridge import config
from bridge.app import Bridge
from bridge.core.retry import Policy
from bridge.demo.bodies import Body, Change, Comment, Installation, Issue, Item, Person
from bridge.demo.stories import ANA, CLOUD, DATA_CENTER
from bridge.model import Limits
from bridge.sandbox import Integration, Sandbox
from bridge.store import Clocks, EventHistory, LeaseRequest, LogEntry, Next, Query, Totals
from bridge.timing import Timing
from bridge.web import create

#: By the names that `bridge.demo.traffic` gives the registrations of its two Jiras.
HOOKS = {
    "cloud_a": ("cloud", "hook-of-cloud-a-0001"),
    "cloud_b": ("cloud", "hook-of-cloud-b-0002"),
    "dc_a": ("dc", "hook-of-dc-a-00000003"),
    "dc_b": ("dc", "hook-of-dc-b-00000004"),
}
CALLBACK = "callback-0001"
PATIENCE = 30


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> Any:
    """Return what a condition says once it says something; fail when it does not in time."""
    end, pause = time.monotonic() + seconds, threading.Event()
    while not (said := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        pause.wait(0.01)
    return said


class Clock:
    """The clock of every host: time can pass, and it can step while no time passes."""

    def __init__(self) -> None:
        self.ahead = self.stepped = 0

    def __call__(self) -> int:
        return self.steady() + self.stepped

    def steady(self) -> int:
        """Read the clock that never steps."""
        return time.time_ns() // 1_000_000 + self.ahead


class Scene:
    """Mappings in a folder, a stand-in for Aha!, and the bridge between."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        self.mappings = folder / "mappings"
        self.mappings.mkdir()
        self.sandbox = Sandbox(Integration(token=CALLBACK, account="acme"))
        self.sandbox.start()
        self.environ = {
            "BRIDGE_MAPPINGS": str(self.mappings),
            "BRIDGE_DATABASE": database,
            "BRIDGE_SPOOL": str(folder / "spool"),
            "BRIDGE_CONNECT_TIMEOUT": "1",
            "BRIDGE_READ_TIMEOUT": "1",
            # So long that no lease ends when a test puts the clock forward during a send.
            "BRIDGE_LEASE_SECONDS": "86400",
        }
        self.bridge_yaml: dict[str, Any] = {
            "version": 1,
            "hooks": {
                name: {"source": "jira", "site": site, "token": token}
                for name, (site, token) in HOOKS.items()
            },
            "destinations": {"aha": self.destination()},
            "ignore": {"actors": ["aha-sync@acme.example", "712020:aha-sync"]},
        }
        self.clock = Clock()
        #: How patiently Aha! is tried; None: as the settings say.
        self.policy: Policy | None = None
        #: Without quiet periods; the tests of order pass others.
        self.timing = Timing(quiet_period_s=0, file_quiet_period_s=0)
        self._running: Bridge | None = None
        self._client: Any = None
        self._written = count(1)

    # What is configured

    def destination(self, token: str = CALLBACK, **more: object) -> dict[str, Any]:
        """Describe a destination that is the stand-in."""
        run_as = {"name": "Integration", "email": "integration@acme.example"}
        plain = {"kind": "aha", "url": self.sandbox.url, "private": True, "limits": "none"}
        return {**plain, "token": token, "run_as": run_as, "on_doubt": "hold", **more}

    def aha(self, **more: object) -> None:
        """Change the destination."""
        self.bridge_yaml["destinations"]["aha"].update(more)

    def hook(self, name: str, **more: object) -> None:
        """Change a hook."""
        self.bridge_yaml["hooks"][name].update(more)

    def route(self, name: str = "all", **more: object) -> None:
        """Write a route, from every hook to the destination unless it says otherwise."""
        told = {"version": 1, "from": list(HOOKS), "to": ["aha"], "when": "", **more}
        self._write(self.mappings / f"{name}.yaml", told)

    def configure(self) -> None:
        """Write bridge.yaml, and a route that lets everything through if there is none."""
        if not [path for path in self.mappings.iterdir() if path.stem != "bridge"]:
            self.route()
        self._write(self.mappings / "bridge.yaml", self.bridge_yaml)

    def _write(self, path: Path, told: Mapping[str, Any]) -> None:
        # Each text is longer than the last, so that no clock is too coarse to tell them apart.
        path.write_text(f"# {'.' * next(self._written)}\n{json.dumps(told, indent=1)}\n")

    # Running

    @property
    def bridge(self) -> Bridge:
        assert self._running is not None, "the bridge does not run"
        return self._running

    def start(self, *, deliver: bool = True, periodic: bool = False, **settings: object) -> Scene:
        """Start a bridge; settings are given by the names of their flags."""
        self.configure()
        return self.restart(deliver=deliver, periodic=periodic, **settings)

    def restart(self, *, deliver: bool = True, periodic: bool = False, **settings: object) -> Scene:
        """Start a bridge with the mapping files as they are."""
        read = config.settings(self.environ, **settings)
        self._running = Bridge(
            read,
            {},
            clocks=Clocks.given(self.clock, self.clock.steady),
            policy=self.policy,
            timing=self.timing,
        )
        self._running.start(deliver=deliver, periodic=periodic)
        self._client = create(self._running).test_client
        return self

    def stop(self) -> None:
        """Stop the bridge, if it runs."""
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    def end(self) -> None:
        self.stop()
        self.sandbox.stop()

    def reload(self) -> bool:
        """Write what is configured now, and let the bridge look at it."""
        self.configure()
        return self.look()

    def look(self) -> bool:
        """Let the bridge see twice that the files stand still."""
        assert not self.bridge.reload(), "what may be half saved is not taken"
        return self.bridge.reload()

    def later(self, seconds: float) -> None:
        """Let time pass, and wake whoever waited for that."""
        self.clock.ahead += round(seconds * 1000)
        self.wake()

    def step(self, seconds: float) -> None:
        """Let the clock step, forward or back, while no time passes."""
        self.clock.stepped += round(seconds * 1000)
        self.wake()

    def wake(self) -> None:
        names = self.bridge.plan.configuration.targets
        self.bridge.store.wakeups.notify(dict.fromkeys(names, self.bridge.settings.workers))

    # At the door

    def post(self, hook: str, body: Body | bytes, **more: Any) -> TestResponse:
        """Post a body to a hook, and return the answer."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        headers = {"Content-Type": "application/json", **more.pop("headers", {})}
        token = self.bridge_yaml["hooks"][hook]["token"]
        client = self._client()
        return client.post(f"/api/v1/webhooks/{token}", data=data, headers=headers, **more)

    def get(self, path: str) -> TestResponse:
        return self._client().get(path)

    def send(self, hook: str, body: Body | bytes, **more: Any) -> str:
        """Post a body that has to be taken, and return the event's id."""
        answer = self.post(hook, body, **more)
        assert answer.status_code == 200, answer.data
        assert answer.json == {"event": answer.headers["X-Bridge-Event"]}
        return str(answer.json["event"])

    def together(self, *posts: tuple[str, Body | bytes]) -> list[str]:
        """Post from one thread each, at the same instant; the ids come in the order given."""
        gate, found = threading.Barrier(len(posts)), dict[int, str]()

        def send(position: int, hook: str, body: Body | bytes) -> None:
            gate.wait(PATIENCE)
            found[position] = self.send(hook, body)

        threads = [threading.Thread(target=send, args=(n, *one)) for n, one in enumerate(posts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [found[position] for position in range(len(posts))]

    # What came of it

    def life(self, event: str) -> EventHistory:
        found = self.bridge.store.history.event(event)
        assert found is not None, "the event was not kept"
        return found

    def line(self, event: str) -> LogEntry:
        """Read the one line that the log has of an event."""
        [line] = self.lines(event)
        return line

    def lines(self, event: str = "") -> list[LogEntry]:
        every = list(self.bridge.store.history.entries(Query()))
        return [line for line in every if not event or line.event == event]

    def state(self, event: str) -> str:
        """Read the state of an event's one delivery, "" when it has none."""
        return "".join(delivery["state"] for delivery in self.life(event).deliveries)

    def outcomes(self, event: str) -> list[str]:
        """Read what the attempts of an event's delivery came to."""
        return [attempt["outcome"] for attempt in self.life(event).attempts]

    def account(self) -> Totals:
        return self.bridge.store.history.totals()

    def rows(self, statement: str) -> list[Any]:
        with self.bridge.store._reading() as conn:
            return list(conn.execute(text(statement)))

    def finish(self) -> Totals:
        """Wait until nothing is on its way, and return the account."""
        until(lambda: not self.account().open)
        return self.account()

    def sent(self) -> dict[tuple[str, str], list[tuple[str, object]]]:
        """List what the stand-in was told of each (site, record), as (event, instant), in order."""
        bodies = {id(one.body): one.body for one in self.sandbox.writes()}.values()
        found: dict[tuple[str, str], list[tuple[str, object]]] = {}
        for body in bodies:
            site = "cloud" if b"//acme.atlassian.net/" in orjson.dumps(body) else "dc"
            record = (site, str(body["issue"]["id"]))
            found.setdefault(record, []).append((body["webhookEvent"], body["timestamp"]))
        return found

    def queued(self) -> dict[tuple[str, str], list[tuple[str, object]]]:
        """The same as `sent` from the deliveries, in the order in which they were queued."""
        found: dict[tuple[str, str], list[tuple[str, object]]] = {}
        for site, record, name, at in self.rows(
            "SELECT e.site, e.record, e.name, e.time FROM deliveries d"
            " JOIN events e ON e.id = d.event ORDER BY d.id"
        ):
            found.setdefault((site, record), []).append((name, at))
        return found

    def asked(self, destination: str = "aha") -> Next:
        """Ask for work as a worker does; what it gets is its own for a moment only."""
        request = LeaseRequest(destination=destination, owner="a test", lease_ms=0, limits=Limits())
        return self.bridge.store.settle_and_lease(None, replace(request, limits=_NO_LIMITS))

    def write(self, work: Callable[..., Any]) -> Any:
        return self.bridge.store._write(work)

    until = staticmethod(until)


_NO_LIMITS = Limits(per_second=None, per_minute=None)


@pytest.fixture
def scene(tmp_path: Path, sqlite: str) -> Iterator[Scene]:
    """A scene that is not started yet."""
    made = Scene(tmp_path, sqlite)
    yield made
    made.end()


@pytest.fixture(scope="module")
def make_scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Scene]]:
    """Make scenes that the tests of a module share."""
    made: list[Scene] = []

    def make() -> Scene:
        folder = tmp_path_factory.mktemp("scene")
        made.append(Scene(folder, f"sqlite:///{folder / 'bridge.db'}"))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def anywhere(scene: Scene, database: str) -> Scene:
    """The same, on each of the two databases."""
    scene.environ["BRIDGE_DATABASE"] = database
    return scene


class Wire:
    """The way to a server, which can be cut: then nobody listens, and all that is open breaks."""

    def __init__(self, host: str, port: int) -> None:
        self._far = (host, port)
        self._port = 0
        self._listening: socket.socket | None = None
        self._open: list[socket.socket] = []

    def mend(self) -> int:
        """Lead there, from a port that stays the same."""
        listening = socket.create_server(("127.0.0.1", self._port))
        self._listening, self._port = listening, listening.getsockname()[1]
        threading.Thread(target=self._serve, args=(listening,), daemon=True).start()
        return self._port

    def cut(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        while self._open:
            with suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def _serve(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                far = socket.create_connection(self._far)
                self._open += near, far
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError), source:
            while data := source.recv(65_536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wired(scene: Scene, postgresql: str) -> Iterator[tuple[Scene, Wire]]:
    """A scene on PostgreSQL, and the way there."""
    url = make_url(postgresql)
    wire = Wire(url.host or "127.0.0.1", url.port or 5432)
    near = url.set(host="127.0.0.1", port=wire.mend())
    scene.environ["BRIDGE_DATABASE"] = near.render_as_string(hide_password=False)
    yield scene, wire
    scene.stop()
    wire.cut()


#: How PostgreSQL says that an administrator ended the session.
_ENDED = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0"
_ENDED = b"E" + (len(_ENDED) + 4).to_bytes(4) + _ENDED


class Breaker(Wire):
    """A wire that breaks when a client commits, as often as it is told to."""

    def __init__(self, host: str, port: int, server: str) -> None:
        super().__init__(host, port)
        self._server = server
        #: What becomes of the next commits:
        #: unsent - the line breaks, and the server never hears of the commit;
        #: unheard - the server commits, and the line breaks before its answer;
        #: ended - the server ends the session instead;
        #: terminated - somebody ends the session just when the commit is sent;
        #: late - only our end of the line breaks; the server hears of the commit when let go.
        self.fates: list[str] = []
        #: What became of commits.
        self.broken: list[str] = []
        self.let_go = threading.Event()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        """Carry what one side says; only a client says COMMIT."""
        with suppress(OSError), source:
            while data := source.recv(65_536):
                if b"COMMIT" in data and self.fates:
                    self.broken.append(self.fates.pop(0))
                    self._break(self.broken[-1], data, source, target)
                else:
                    target.sendall(data)
        _hang_up(target)

    def _break(self, fate: str, data: bytes, near: socket.socket, far: socket.socket) -> None:
        if fate == "terminated":
            far.sendall(data)
            self._terminate(far.getsockname()[1])
            return
        if fate == "ended":
            near.sendall(_ENDED)
        _hang_up(near)
        if fate == "late":
            self.let_go.wait(PATIENCE)
        if fate in ("unheard", "late"):
            far.sendall(data)
            far.shutdown(socket.SHUT_WR)
        else:
            _hang_up(far)

    def _terminate(self, port: int) -> None:
        with psycopg.connect(self._server, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_port = %s",
                [port],
            )


def _hang_up(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, kw_only=True)
class Doors:
    """Two bridges on one database; the first only receives."""

    first: Scene
    second: Scene
    breaker: Breaker

    def order(self) -> list[str]:
        """Name what Aha! was told, in order: by the ids of changes and comments."""
        told = (one.body for one in self.second.sandbox.writes())
        return [
            str(body.get("changelog", body.get("comment", body["issue"]))["id"]) for body in told
        ]

    @contextmanager
    def locked(self, issue: Issue) -> Iterator[None]:
        """Let nobody queue anything for an issue."""
        with psycopg.connect(self.second.environ["BRIDGE_DATABASE"]) as other:
            other.execute("SELECT 1 FROM lanes WHERE record LIKE %s FOR UPDATE", [f"%/{issue.id}"])
            yield

    def spools(self) -> list[str]:
        """List what is left in the two spools."""
        return [path.name for path in self.first.folder.glob("**/spool*/*.spool")]


@pytest.fixture
def doors(scene: Scene, postgresql: str) -> Iterator[Doors]:
    url = make_url(postgresql)
    breaker = Breaker(url.host or "127.0.0.1", url.port or 5432, postgresql)
    near = url.set(host="127.0.0.1", port=breaker.mend())
    near = near.update_query_dict({"options": "-c lock_timeout=500ms"})
    folder = scene.folder / "second"
    folder.mkdir()
    second = Scene(folder, postgresql)
    scene.environ["BRIDGE_DATABASE"] = near.render_as_string(hide_password=False)
    scene.bridge_yaml = second.bridge_yaml
    scene.start(deliver=False)
    second.start()
    yield Doors(first=scene, second=second, breaker=breaker)
    breaker.let_go.set()
    scene.stop()
    second.end()
    breaker.cut()


class Jira:
    """One Jira in which things happen to issues; returns the bodies it tells them by."""

    def __init__(self, installation: Installation) -> None:
        self.writes = installation
        self._ids = count(10_001)
        self._now = count(1_772_697_600_000, 60_000)

    def issue(self, key: str = "", **more: Any) -> Issue:
        number, now = next(self._ids), next(self._now)
        plain = {"id": number, "key": key or f"PLAT-{number}", "reporter": ANA}
        return Issue(**{**plain, "created": now, "updated": now, **more})

    def comment(self, text: str = "Looks good to me.", **more: Any) -> Comment:
        number, now = next(self._ids), next(self._now)
        plain = {"id": number, "author": ANA, "text": text, "created": now, "updated": now}
        return Comment(**{**plain, **more})

    def created(self, issue: Issue, by: Person = ANA) -> Body:
        return self.writes.issue_created(issue, by)

    def deleted(self, issue: Issue, by: Person = ANA) -> Body:
        return self.writes.issue_deleted(issue, by, next(self._now))

    def edited(self, issue: Issue, *items: Item, by: Person = ANA) -> Body:
        """Tell of an edit, of the priority unless the items say otherwise."""
        return self.writes.issue_updated(issue, by, "issue_updated", self.change(*items))

    def change(self, *items: Item) -> Change:
        plain = Item(field="priority", field_id="priority", was=("3", "Medium"), now=("2", "High"))
        return Change(id=next(self._ids), items=items or (plain,))

    def said(self, comment: Comment, issue: Issue) -> Body:
        """Tell of a new comment, by `comment_created` alone."""
        return self.writes.comment_event("comment_created", comment, issue, comment.created)

    def reworded(self, comment: Comment, issue: Issue) -> Body:
        """Tell of an edited comment, by `comment_updated` alone."""
        return self.writes.comment_event("comment_updated", comment, issue, comment.updated)

    def unsaid(self, comment: Comment, issue: Issue) -> Body:
        at = next(self._now)
        return self.writes.comment_event("comment_deleted", comment, issue, at)

    def edit(self, comment: Comment, text: str = "Looks better to me.") -> Comment:
        return replace(comment, text=text, updated=next(self._now))


@pytest.fixture(scope="module")
def jiras() -> dict[str, Jira]:
    """One Jira of each kind that the tests of a module share: no issue in it is made twice."""
    return {"cloud": Jira(CLOUD), "dc": Jira(DATA_CENTER)}


@pytest.fixture
def cloud() -> Jira:
    return Jira(CLOUD)


@pytest.fixture
def dc() -> Jira:
    return Jira(DATA_CENTER)


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """Everything our own log is told while a test runs."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def corpus() -> Path:
    """Bodies that real Jiras sent, where they are at hand."""
    folder = Path(__file__).parents[2].parent / "shared" / "corpus" / "jira"
    if not folder.is_dir():
        pytest.skip("the corpus of captured bodies is not here")
    return folder
