"""The bridge as a server: a process holds the port; under it one receives, and one delivers.

The parent holds the port, so while a child that died is replaced, senders wait in the queue of the
port and are not turned away. Receiving and delivering share a machine's cores, and no interpreter.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.util import Finalize
from typing import Any

import structlog
from flask import Flask
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, RuntimeModes
from granian.log import LogLevels
from granian.server.mp import MPServer

from bridge import logs, processes
from bridge.app import Bridge
from bridge.config import Settings
from bridge.errors import BridgeError
from bridge.processes import Child
from bridge.store import Wire
from bridge.web import create

log = structlog.get_logger()

#: How many connections may wait for their turn.
BACKLOG = 2048
#: How long requests may still take once the process is asked to end, in seconds.
DRAIN = 3
_MAIN_ENDED = b"\0"
_ENDS = (_MAIN_ENDED, bytes([signal.SIGTERM]), bytes([signal.SIGINT]))
#: Granian's own log goes where ours goes, and only when something is wrong.
_LOGGING: dict[str, Any] = {
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": True}},
}


def listen(host: str, port: int) -> socket.socket:
    """Take the port, 0 for any free one; raises `BridgeError` when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (")[0].lower()
        message = f"cannot listen on {host}:{port}: {why}; another one: --host, --port"
        raise BridgeError(message) from error


def serve(
    listening: socket.socket, settings: Settings, environ: Mapping[str, str], *, deliver: bool
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; what is in flight then is answered and settled."""
    wire = Wire() if deliver else None
    half = _Half(settings=settings, environ=dict(environ), listening=listening, wire=wire)
    children = [Child(name="receive", run=half.receive)]
    if deliver:
        children.append(Child(name="deliver", run=half.deliver))
    # What there is by now is the children's, too, for as long as nobody moves it.
    gc.collect()
    gc.freeze()
    longest = settings.longest_send + DRAIN + 5
    processes.supervise(children, longest_end_s=longest, on_end=listening.close)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Half:
    """What a child process needs to be one half of a bridge: the one that receives, or delivers."""

    settings: Settings
    environ: Mapping[str, str]
    #: The port, which the parent holds.
    listening: socket.socket
    #: To the half that delivers; None: another command does.
    wire: Wire | None

    def receive(self) -> None:
        """Receive until asked to end."""
        _Server(self.listening, threads=self.settings.threads).run(self._application)

    def deliver(self) -> None:
        """Deliver until asked to end."""
        logs.configure(self.settings.log)
        self.listening.close()
        asked = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: asked.set())
        with _telling():
            bridge = Bridge(self.settings, self.environ, from_kept=True)
            bridge.start(receive=False, wire=self.wire)
        asked.wait()
        bridge.stop()

    def _application(self) -> Flask:
        """Make the application of a running bridge, which ends with this process."""
        logs.configure(self.settings.log)  # Granian has just set up its own
        with _telling():
            bridge = Bridge(self.settings, self.environ, from_kept=True)
            finish_with_main(bridge)
            bridge.start(deliver=False, wire=self.wire)
        return create(bridge)


class _Server(MPServer):
    """Granian's server of one process, run in this one, on a port that somebody else holds."""

    def __init__(self, listening: socket.socket, *, threads: int) -> None:
        host, port, *_ = listening.getsockname()
        super().__init__(
            "bridge",
            address=host,
            port=port,
            interface=Interfaces.WSGI,
            runtime_mode=RuntimeModes.mt,
            http=HTTPModes.http1,
            websockets=False,
            blocking_threads=threads,
            backlog=BACKLOG,
            backpressure=BACKLOG // 2,
            log_dictconfig=_LOGGING,
            log_level=LogLevels.error,
        )
        # What Granian's own code calls it with; its stubs leave the arguments out.
        self._shd = SocketHolder(listening.fileno(), False, BACKLOG)  # type: ignore[call-arg,assignment]
        self._sso = None

    def run(self, make: Callable[[], Flask]) -> None:
        """Serve an application until SIGTERM."""
        worker = self._spawn_worker(0, MPServer._spawn_wsgi_worker, make)  # noqa: SLF001 - its default
        worker.inner.run()


@contextmanager
def _telling() -> Iterator[None]:
    """Say why a bridge cannot be started, and end."""
    try:
        yield
    except BridgeError as error:
        log.error("bridge.not_started", reason=str(error))  # noqa: TRY400 - no surprise
        raise SystemExit(1) from error


def finish_with_main(bridge: Bridge) -> None:
    """Stop a bridge when this process is asked to end, or when its main thread ends."""
    told, telling = os.pipe()
    os.set_blocking(telling, False)
    signal.set_wakeup_fd(telling, warn_on_full_buffer=False)
    Finalize(None, os.write, args=(telling, _MAIN_ENDED), exitpriority=0)
    threading.Thread(target=_finish, args=(bridge, told), name="end").start()


def _finish(bridge: Bridge, told: int) -> None:
    while os.read(told, 1) not in _ENDS:
        pass
    bridge.rest()
    threading.main_thread().join(DRAIN)
    bridge.stop()
    if threading.main_thread().is_alive():
        os._exit(0)  # a sender that never finishes its request must not hold us
