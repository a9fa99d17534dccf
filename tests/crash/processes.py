"""Processes under test: the sink, and the bridge as its users start it."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import orjson

from crash.databases import free_port
from crash.sink import Faults

#: The import path of the processes: these tests, and their source tree.
_PATH = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
#: The tokens of the hooks by name; each Jira has two.
HOOKS = {
    f"{site}-{letter}": f"hook-{site}-{letter}-0123456789abcdef"
    for site in ("cloud", "dc")
    for letter in ("a", "b")
}
_BRIDGE = """\
version: 1
hooks:
{hooks}
destinations:
  aha:
    kind: aha
    url: http://127.0.0.1:{sink}
    token: callback-token-0123456789
    run_as: {{name: Integration user, email: integration@acme.example}}
    limits: none
    on_doubt: hold
    private: true
sites:
  cloud: {{timezone: UTC}}
  dc: {{timezone: UTC}}
"""
_ROUTE = """\
version: 1
from: [{site}-a, {site}-b]
to: [aha]
when: project = {project}
"""
#: Short times, so that the leases of a killed process expire soon.
SETTINGS = {
    "BRIDGE_CONNECT_TIMEOUT": "1",
    "BRIDGE_READ_TIMEOUT": "2",
    "BRIDGE_BODY_SECONDS": "8",
    "BRIDGE_LEASE_SECONDS": "5",
    "BRIDGE_GRACE_SECONDS": "2",
}


def write_mappings(folder: Path, sink: int) -> None:
    """Write the bridge's mappings."""
    folder.mkdir()
    hooks = "\n".join(
        f"  {name}: {{source: jira, site: {name.rpartition('-')[0]}, token: {token}}}"
        for name, token in HOOKS.items()
    )
    (folder / "bridge.yaml").write_text(_BRIDGE.format(hooks=hooks, sink=sink))
    for site, project in (("cloud", "PLAT"), ("dc", "CORE")):
        (folder / f"{site}.yaml").write_text(_ROUTE.format(site=site, project=project))


class Process:
    """A process that can be killed and started again; its output goes to a file."""

    def __init__(
        self, name: str, command: Sequence[str], environ: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
        self.starts = 0
        self._command = command
        self._environ = {**os.environ, "PYTHONPATH": os.pathsep.join(_PATH), **environ}
        self._output = folder / f"{name}.out"
        self._folder = folder
        self._running: subprocess.Popen[bytes] | None = None

    def start(self, **environ: str) -> None:
        """Start it, with more environment variables."""
        self.starts += 1
        with self._output.open("ab") as output:
            self._running = subprocess.Popen(
                self._command,
                env={**self._environ, **environ},
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        """Whether the process has ended or was never started."""
        return self.status() is not None

    def status(self) -> int | None:
        """Return the exit code; None while it runs, 0 if it was never started."""
        return 0 if self._running is None else self._running.poll()

    def wait(self, seconds: float) -> int:
        """Wait for the end of the process, and return its exit code."""
        assert self._running is not None
        return self._running.wait(seconds)

    def end(self, seconds: float) -> None:
        """Send SIGTERM, and kill the process if it still runs after that many seconds."""
        if self._running is not None:
            self._running.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._running.wait(seconds)
                return
            self.kill()

    def pids(self) -> list[int]:
        """Return the ids of the process and its descendants, parents first."""
        if self._running is None:
            return []
        found = [self._running.pid]
        for pid in found:
            with suppress(OSError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
                found += [int(child) for child in children.split()]
        return found

    def kill(self, *, children_only: bool = False) -> None:
        """Kill the process and its descendants, or only the descendants, which it restarts."""
        pids = self.pids()
        for pid in pids[1:] if children_only else pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not children_only and self._running is not None:
            self._running.wait(10)
            self._wait_for_orphans(pids[1:])

    def _wait_for_orphans(self, pids: Sequence[int]) -> None:
        until = time.monotonic() + 10
        while time.monotonic() < until and any(map(_lives, pids)):
            time.sleep(0.02)

    def output(self) -> str:
        """Return the output so far."""
        return self._output.read_text(errors="replace") if self._output.exists() else ""


def _lives(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class SinkProcess(Process):
    """The process of the stand-in for Aha!."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.journal = folder / "sink.journal"
        command = [sys.executable, "-m", "crash.sink", str(self.port), str(self.journal)]
        super().__init__("sink", command, {}, folder)

    def set_faults(self, faults: Faults) -> None:
        """Change its faults."""
        body = orjson.dumps(faults)
        until = time.monotonic() + 10
        while True:
            conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                conn.request("PUT", "/", body)
                conn.getresponse().read()
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                return
            finally:
                conn.close()


class BridgeProcess(Process):
    """One `aha-bridge serve`, `web` or `worker`."""

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, database: str, **settings: str
    ) -> None:
        self.port = free_port()
        environ = {
            **SETTINGS,
            "BRIDGE_MAPPINGS": str(folder / "mappings"),
            "BRIDGE_DATABASE": database,
            "BRIDGE_SPOOL": str(folder / "spool"),
            "BRIDGE_PORT": str(self.port),
            **settings,
        }
        self.deaths = folder / f"{name}.deaths"
        super().__init__(name, [sys.executable, "-m", "bridge", *command], environ, folder)

    def start_armed(self, point: str, passage: int, **more: str) -> None:
        """Start the process so that it kills itself once, at a point."""
        self.start_patched(
            CRASH_POINT=point,
            CRASH_PASSAGE=str(passage),
            CRASH_DEATHS=str(self.deaths),
            CRASH_TIMES=str(self.died() + 1),
            **more,
        )

    def start_patched(self, **environ: str) -> None:
        """Start the process with patches; `points.arm` reads them from the environment."""
        armed = str(Path(__file__).parent / "armed")
        self.start(PYTHONPATH=os.pathsep.join([armed, *_PATH]), **environ)

    def died(self) -> int:
        """Count how often the process has killed itself."""
        return len(self.deaths.read_text().splitlines()) if self.deaths.exists() else 0
