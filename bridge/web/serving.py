"""The bridge as a server: a process holds the port; under it one receives, and one delivers.

The parent holds the port, so while a child that died is replaced, senders wait in the queue of the
port and are not turned away. Receiving and delivering share a machine's cores, and no interpreter.
"""

from __future__ import annotations

import gc
import logging
import resource
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
import uvicorn

from bridge import logs, processes
from bridge.app import Bridge
from bridge.config import Settings
from bridge.errors import BridgeError
from bridge.processes import Child
from bridge.store import WakeupPipe
from bridge.web import create
from bridge.web.connections import bounds
from bridge.web.receiving import Reception

log = structlog.get_logger()

#: How many connections may wait for their turn.
BACKLOG = 2048
#: How long requests may still take once the process is asked to end, in seconds.
DRAIN = 3
#: How many files a receiving process may need besides its connections.
_OTHER_FILES = 256


def listen(host: str, port: int) -> socket.socket:
    """Take the port, 0 for any free one; raises `BridgeError` when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (")[0].lower()
        message = f"cannot listen on {host}:{port}: {why}; another one: --host, --port"
        raise BridgeError(message) from error
    # Connections inherit it: an answer's head and body are two small writes.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def serve(
    listening: socket.socket, settings: Settings, environ: Mapping[str, str], *, deliver: bool
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; what is in flight then is answered and settled."""
    pipe = WakeupPipe() if deliver else None
    half = _Half(settings=settings, environ=dict(environ), listening=listening, pipe=pipe)
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
    #: By which the half that receives wakes the one that delivers; None without such a half.
    pipe: WakeupPipe | None

    def receive(self) -> None:
        """Receive until asked to end."""
        logs.configure(self.settings.log)
        with _telling():
            bridge = Bridge(self.settings, self.environ, from_kept=True)
            bridge.start(deliver=False, pipe=self.pipe)
        try:
            _receive(bridge, self.listening)
        finally:
            bridge.stop()

    def deliver(self) -> None:
        """Deliver until asked to end."""
        logs.configure(self.settings.log)
        self.listening.close()
        asked = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: asked.set())
        with _telling():
            bridge = Bridge(self.settings, self.environ, from_kept=True)
            bridge.start(receive=False, pipe=self.pipe)
        asked.wait()
        bridge.stop()


def _receive(bridge: Bridge, listening: socket.socket) -> None:
    """Answer requests until SIGTERM, and those then under way for at most `DRAIN` seconds."""
    settings = bridge.settings
    listening.setsockopt(  # an answer that nobody takes holds a connection no longer than silence
        socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, settings.idle_seconds * 1000
    )
    most = _allow(settings.connections)
    reception = Reception(bridge, create(bridge))
    # What senders do wrong is told to them; what we do wrong, the reception logs itself.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    server = uvicorn.Server(
        uvicorn.Config(
            reception,
            http=bounds(idle=settings.idle_seconds, most=most),
            loop="uvloop",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=settings.idle_seconds,
            timeout_graceful_shutdown=DRAIN,
        )
    )
    try:
        server.run(sockets=[listening])
    finally:
        reception.close()


def _allow(connections: int) -> int:
    """Let this process open as many files as it may need; returns how many connections it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft < wanted:
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    most = min(connections, max(soft - _OTHER_FILES, soft // 2))
    if most < connections:
        log.warning("bridge.fewer_connections", connections=most, files=soft)
    return most


@contextmanager
def _telling() -> Iterator[None]:
    """Say why a bridge cannot be started, and end."""
    try:
        yield
    except BridgeError as error:
        log.error("bridge.not_started", reason=str(error))  # noqa: TRY400 - no surprise
        raise SystemExit(1) from error
