"""The bridge as a process of its own, which can be killed."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Server:
    """`python -m bridge serve` on a port of its own, which it keeps over restarts."""

    def __init__(self, scene, name="", **environ):
        scene.configure()
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = free.getsockname()[1]
        self.environ = {**scene.environ, "BRIDGE_PORT": str(self.port), "PATH": os.environ["PATH"]}
        self.environ |= {"BRIDGE_LEASE_SECONDS": "3", "BRIDGE_MAX_BODY": "200000", **environ}
        self.output = scene.folder / f"output{name}"
        self._process = None

    def start(self):
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bridge", "serve"],
                cwd=ROOT,
                env=self.environ,
                stdout=output,
                stderr=output,
            )

    def kill(self):
        """End it, and the process under it that does the work, as a power cut would."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        self._process.wait(10)

    def kill_child(self, number):
        """Kill one of the processes under it: 0 receives, 1 delivers."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(children[number]), signal.SIGKILL)

    def terminate(self):
        """Ask it to end, and return its exit code."""
        self._process.terminate()
        return self._process.wait(30)

    def end(self):
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def ready(self):
        with suppress(OSError, http.client.HTTPException):
            return self.ask("GET", "/readyz")[0] == 200
        return False

    def ask(self, method, path, body=None):
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as wire:
            wire.request(method, path, body=body)
            answer = wire.getresponse()
            return answer.status, answer.read()
