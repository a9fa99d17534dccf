"""The bridge as a server: a process holds the port; under it one receives, and one delivers.

The port is held by the parent alone, so while a child that died is replaced, senders wait in the
queue of the port and are not turned away. A child whose parent is gone ends at once: two bridges
never listen by accident. Receiving and delivering share a machine's cores, and no interpreter.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.util import Finalize
from typing import Any

import structlog
from flask import Flask
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.mp import MPServer

from bridge import logs
from bridge.app import Bridge
from bridge.config import Settings
from bridge.errors import BridgeError
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
    """Serve until SIGTERM or SIGINT; what is in flight then is answered, sent and settled."""
    host, port, *_ = listening.getsockname()
    longest = settings.connect_timeout + settings.read_timeout + DRAIN + 5
    server = _Server(
        listening,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=2 if deliver else 1,
        blocking_threads=settings.threads,
        backlog=BACKLOG,
        respawn_failed_workers=True,
        workers_kill_timeout=longest,
        log_dictconfig=_LOGGING,
        log_level=LogLevels.error,
    )
    wire = Wire() if deliver else None
    child = _Child(settings=settings, environ=dict(environ), wire=wire)
    # What there is by now is the children's, too, for as long as nobody moves it.
    gc.collect()
    gc.freeze()
    server.serve(spawn_target=_run_child, target_loader=child, wrap_loader=False)


def _run_child(number: int, name: str, child: _Child, *options: Any) -> None:  # noqa: ANN401
    """Be one of the children: Granian's workers are numbered from 1 on."""
    if number == 1:
        MPServer._spawn_wsgi_worker(number, name, child, *options)  # noqa: SLF001 - its default
    else:
        child.deliver()


class _Server(MPServer):
    """Granian on a port that is already held; by itself it would let go of it in between."""

    def __init__(self, listening: socket.socket, **options: Any) -> None:  # noqa: ANN401 Granian's
        super().__init__("bridge", **options)
        self._listening = listening

    def _init_shared_socket(self) -> None:
        held: Any = self._listening
        self._ssp, self._sso, self._sfd = None, held, held.fileno()
        # What Granian's own code calls it with; its stubs leave the arguments out.
        self._shd = SocketHolder(held.fileno(), False, BACKLOG)  # type: ignore[call-arg,assignment]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Child:
    """What a process that works is made of: the half of a bridge that receives, or delivers."""

    settings: Settings
    environ: Mapping[str, str]
    #: To the half that delivers; None: another command does.
    wire: Wire | None

    def __call__(self) -> Flask:
        """Receive: make the application of a running bridge, which ends with this process."""
        self._settle_in()
        with _telling():
            bridge = Bridge(self.settings, self.environ)
            finish_with_main(bridge)
            bridge.start(deliver=False, wire=self.wire)
        return create(bridge)

    def deliver(self) -> None:
        """Deliver until asked to end."""
        self._settle_in()
        asked = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: asked.set())
        with _telling():
            bridge = Bridge(self.settings, self.environ)
            bridge.start(receive=False, wire=self.wire)
        asked.wait()
        bridge.stop()

    def _settle_in(self) -> None:
        os.setpgid(0, 0)  # a terminal's Ctrl-C is the parent's to pass on
        signal.signal(signal.SIGTERM, _leave)  # until there is another
        threading.Thread(target=_end_with_parent, daemon=True).start()
        logs.configure(self.settings.log)


@contextmanager
def _telling() -> Iterator[None]:
    """Say why a bridge cannot be started, and end."""
    try:
        yield
    except BridgeError as error:
        log.error("bridge.not_started", reason=str(error))  # noqa: TRY400 - no surprise
        raise SystemExit(1) from error


def _leave(*_: object) -> None:
    raise SystemExit(0)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


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
