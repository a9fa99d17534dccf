"""The processes that are measured, and what they take: the bridge, the yardsticks, sinks, load."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import orjson
import psycopg

HERE = Path(__file__).parent
#: The Python that runs everything, in an environment without settings of somebody else's.
PYTHON = sys.executable
TOKEN = "bench-token-0123456789"
WEBHOOK = f"api/v1/webhooks/{TOKEN}"
#: How long anything may take to start, to stop, or to deliver what it has, in seconds.
PATIENCE = 60
_TICKS = os.sysconf("SC_CLK_TCK")
_Kind = TypeVar("_Kind", bound="Process")

_BRIDGE = """\
version: 1
hooks:
  jira-main: {{source: jira, site: acme-jira, token: {token}}}
destinations:
  aha:
    kind: aha
    url: {sink}
    token: callback-token-0123456789
    run_as: {{name: Integration user, email: integration@acme.example}}
    limits: none
    private: true
"""
_ROUTE = """\
version: 1
from: [jira-main]
to: [aha]
when: project in (PLAT, MOB) AND issuetype != Bug
comments: {private: drop, attribution: "{author} in Jira:\\n\\n{body}"}
fields:
  - {from: $.issue.fields.priority.name, to: $.issue.fields.priority.name,
     values: {Highest: P0, High: P1}, otherwise: keep}
"""


def free_port() -> int:
    """Find a port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


class Process:
    """A process and those under it, stopped by their ids when the measurement is over."""

    def __init__(self, command: list[str], environ: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                command,
                env={**_environ(), **environ},
                cwd=HERE,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    @property
    def pid(self) -> int:
        """The id of the process that was started."""
        return self._popen.pid

    def family(self) -> list[int]:
        """Return the process and those under it."""
        found = [self.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, task.read_text().split())
        return found

    def cpu(self) -> float:
        """Return the seconds of CPU it has taken, with those under it."""
        return sum(map(_cpu, self.family()))

    def memory(self) -> tuple[float, float]:
        """Return MB: the sum of what is resident, and the same with what is shared counted once."""
        each = [_memory(pid) for pid in self.family()]
        return sum(rss for rss, _ in each), sum(pss for _, pss in each)

    def running(self) -> bool:
        """Tell whether it has not ended."""
        return self._popen.poll() is None

    def log(self) -> str:
        """Return what it said."""
        return self._log.read_text("utf-8", "replace")

    def stop(self) -> None:
        """Ask it to end, and make it when it does not."""
        family = self.family() if self.running() else []
        self._popen.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            for pid in reversed(family):
                os.kill(pid, signal.SIGKILL)
            self._popen.wait()


def _environ() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("BRIDGE_", "LD_PRELOAD"))}


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(pid: int) -> tuple[float, float]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0.0, 0.0
    sizes = {line.split()[0]: int(line.split()[1]) for line in lines}
    return sizes["Rss:"] / 1024, sizes["Pss:"] / 1024


class Server(Process):
    """Something that listens."""

    def __init__(
        self, command: list[str], environ: Mapping[str, str], log: Path, *, port: int, look: str
    ) -> None:
        super().__init__(command, environ, log)
        self.port = port
        self._wait(look)

    @property
    def address(self) -> str:
        """Where webhooks go."""
        return f"127.0.0.1:{self.port}/{WEBHOOK}"

    def _wait(self, look: str) -> None:
        until = time.monotonic() + PATIENCE
        while not answers(self.port, look):
            if not self.running() or time.monotonic() > until:
                self.stop()
                raise SystemExit(f"{self._log.name} did not start:\n{self.log()}")
            time.sleep(0.05)


def answers(port: int, path: str) -> bool:
    """Tell whether a server answers at all; for /readyz: with 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
            return True
    except urllib.error.HTTPError:
        return path != "/readyz"
    except OSError:
        return False


class Bench:
    """What one measurement starts; all of it is stopped and removed at its end."""

    def __init__(self, folder: Path, postgres: str = "") -> None:
        self.folder = folder
        self._postgres = postgres
        self._processes: list[Process] = []
        self._databases: list[str] = []
        self._first = 0

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.stop()
        for name in self._databases:
            with _admin(self._postgres) as conn:
                conn.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def stop(self, process: Process) -> None:
        """Stop one process before the others."""
        self._processes.remove(process)
        process.stop()

    def sqlite(self, name: str) -> str:
        """Name a database file in a folder of its own."""
        folder = self.folder / f"{name}-{uuid4().hex[:6]}"
        folder.mkdir()
        return f"sqlite:///{folder / 'bridge.db'}"

    def postgres(self, python: str = PYTHON) -> str:
        """Make a database on the server, with the schema of the bridge that `python` runs."""
        name = f"bridge_bench_{uuid4().hex[:8]}"
        with _admin(self._postgres) as conn:
            conn.execute(f'CREATE DATABASE "{name}"')
        self._databases.append(name)
        url = urlunsplit(urlsplit(self._postgres)._replace(path=f"/{name}"))
        self.migrate(url, python)
        return url

    def migrate(self, database: str, python: str = PYTHON) -> None:
        """Make the schema."""
        subprocess.run(
            [python, "-m", "bridge", "migrate"],
            env={**_environ(), "BRIDGE_DATABASE": database},
            cwd=self.folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    # What is measured

    def bridge(
        self,
        kind: str,
        database: str,
        *,
        sink: str = "",
        python: str = PYTHON,
        **settings: str | int | Path,
    ) -> Server:
        """Start `serve` or `web` of the bridge that `python` runs."""
        port = free_port()
        environ = self.environ(database, sink=sink, **settings) | {"BRIDGE_PORT": str(port)}
        log = self.folder / f"{kind}-{port}.log"
        command = [python, "-m", "bridge", kind]
        return self._kept(Server(command, environ, log, port=port, look="/readyz"))

    def worker(
        self, database: str, *, sink: str, python: str = PYTHON, **settings: str | int
    ) -> Process:
        """Start what only delivers."""
        log = self.folder / f"worker-{uuid4().hex[:6]}.log"
        environ = self.environ(database, sink=sink, **settings)
        return self._kept(Process([python, "-m", "bridge", "worker"], environ, log))

    def environ(self, database: str, *, sink: str = "", **settings: object) -> dict[str, str]:
        """Write mappings for a sink; returns the settings of a bridge that uses them."""
        mappings = self.folder / f"mappings-{uuid4().hex[:6]}"
        mappings.mkdir()
        sink = sink or "http://127.0.0.1:9"
        (mappings / "bridge.yaml").write_text(_BRIDGE.format(token=TOKEN, sink=sink))
        (mappings / "all.yaml").write_text(_ROUTE)
        environ = {"BRIDGE_MAPPINGS": str(mappings), "BRIDGE_DATABASE": database}
        return environ | {
            name if name.isupper() else f"BRIDGE_{name.upper()}": str(value)
            for name, value in settings.items()
        }

    def yardstick(self, module: str, *, threads: int = 16, **environ: str) -> Server:
        """Start one of the Flask views on the bridge's server, with as many threads."""
        port = free_port()
        command = [
            *(PYTHON, "-m", "granian", "--interface", "wsgi", "--http", "1", "--no-ws"),
            *("--workers", "1", "--blocking-threads", str(threads), "--backlog", "2048"),
            *("--log-level", "error", "--port", str(port), f"{module}:application"),
        ]
        log = self.folder / f"{module}-{port}.log"
        return self._kept(Server(command, environ, log, port=port, look="/"))

    def sink(self, delay: float = 0) -> SinkOf:
        """Start a sink that answers after a time, in ms."""
        port = free_port()
        command = [PYTHON, "sink.py", str(port), "--delay", str(delay)]
        log = self.folder / f"sink-{port}.log"
        server = self._kept(Server(command, {}, log, port=port, look="/count"))
        return SinkOf(server)

    # What measures

    def load(self, *servers: Server, **options: float | str) -> dict[str, Any]:
        """Send webhooks, each event another one; returns what was answered."""
        addresses = [server.address for server in servers]
        told = subprocess.run(
            [PYTHON, "load.py", *addresses, *_options(first=self._first, **options)],
            cwd=HERE,
            env=_environ(),
            check=True,
            capture_output=True,
        )
        found: dict[str, Any] = orjson.loads(told.stdout)
        self._first += found["sent"]
        return found

    def loading(self, *servers: Server, **options: float | str) -> subprocess.Popen[bytes]:
        """Begin to send webhooks; the account is what it prints."""
        addresses = [server.address for server in servers]
        command = [PYTHON, "load.py", *addresses, *_options(first=self._first, **options)]
        self._first += 10_000_000
        return subprocess.Popen(command, cwd=HERE, env=_environ(), stdout=subprocess.PIPE)

    def _kept(self, process: _Kind) -> _Kind:
        self._processes.append(process)
        return process


def _options(**options: float | str) -> list[str]:
    return [text for name, value in options.items() for text in (f"--{name}", str(value))]


class SinkOf:
    """What one asks a sink."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.port}"

    def count(self) -> dict[str, float]:
        """Ask how many came, and when."""
        found: dict[str, float] = self._ask("/count")
        return found

    def numbers(self) -> list[int]:
        """Ask which events came."""
        found: list[int] = self._ask("/numbers")
        return found

    def reset(self) -> None:
        """Let it forget."""
        self._ask("/reset")

    def wait(self, count: int, patience: float = PATIENCE) -> dict[str, float]:
        """Wait until so many came; returns the account, short of it if no more comes."""
        found, heard = self.count(), time.monotonic()
        while found["count"] < count and time.monotonic() - heard < patience:
            time.sleep(0.05)
            before, found = found, self.count()
            if found["count"] > before["count"]:
                heard = time.monotonic()
        return found

    def _ask(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return orjson.loads(answer.read())


def _admin(url: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True)


def each(rounds: int, *variants: str) -> Iterator[str]:
    """Go through variants so many times, every other time from the end."""
    for number in range(rounds):
        yield from variants if number % 2 == 0 else reversed(variants)
