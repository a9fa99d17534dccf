"""`aha-bridge serve` and `web`: a parent process that holds the port, and its children.

One child receives and, for `serve`, a second one delivers, so that they use two cores. While a
child that died is replaced, senders wait in the port's queue instead of being turned away.
"""

from __future__ import annotations

import gc
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from bridge import logs, processes
from bridge.app import Bridge
from bridge.config import Settings
from bridge.errors import BridgeError
from bridge.processes import Child
from bridge.store import WakeupPipe
from bridge.web import server

log = structlog.get_logger()


def serve(
    listening: socket.socket, settings: Settings, environ: Mapping[str, str], *, deliver: bool
) -> None:
    """Run the children until SIGTERM, SIGINT or SIGHUP.

    Requests and deliveries under way are then finished. Call it before other threads are started.
    """
    pipe = WakeupPipe() if deliver else None
    child = _Process(settings=settings, environ=dict(environ), listening=listening, pipe=pipe)
    children = [Child(name="receive", run=child.receive)]
    if deliver:
        children.append(Child(name="deliver", run=child.deliver))
    # The children share the memory of all present objects, as long as the collector leaves it.
    gc.collect()
    gc.freeze()
    longest_s = settings.longest_send + server.SHUTDOWN_S + 5
    processes.supervise(children, longest_end_s=longest_s, on_end=listening.close)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Process:
    """The inputs of both children, and their main functions."""

    settings: Settings
    environ: Mapping[str, str]
    #: The port, which the parent holds.
    listening: socket.socket
    #: Wakes the delivering child; None when another command delivers.
    pipe: WakeupPipe | None

    def receive(self) -> None:
        """Receive until SIGTERM."""
        logs.configure(self.settings.log)
        with _exit_on_error():
            bridge = Bridge(self.settings, self.environ, from_kept=True)
            bridge.start(deliver=False, pipe=self.pipe)
        try:
            server.run(bridge, self.listening)
        finally:
            bridge.stop()

    def deliver(self) -> None:
        """Deliver until SIGTERM."""
        logs.configure(self.settings.log)
        self.listening.close()
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        with _exit_on_error():
            bridge = Bridge(self.settings, self.environ, from_kept=True)
            bridge.start(receive=False, pipe=self.pipe)
        stop.wait()
        bridge.stop()


@contextmanager
def _exit_on_error() -> Iterator[None]:
    """Log why a bridge cannot start, and exit with 1."""
    try:
        yield
    except BridgeError as error:
        log.error("bridge.not_started", reason=str(error))  # noqa: TRY400 - an expected error
        raise SystemExit(1) from error
