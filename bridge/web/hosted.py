"""The bridge inside any WSGI server: it runs in each process that answers requests.

Servers differ in when they load an application and when they fork. Threads do not survive a fork,
so no bridge may run while its process forks: it is stopped before, and each child starts its own.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Iterable, Mapping
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import structlog

from bridge import config
from bridge.app import Bridge
from bridge.config import Settings
from bridge.errors import BridgeError
from bridge.web import create

log = structlog.get_logger()

#: How long after loading the application a bridge starts by itself, in seconds. A server that forks
#: within this time never starts one in the parent; a slower one has it stopped by the fork.
START_DELAY_S = 0.5


class Hosted:
    """A WSGI application that starts a bridge in the process that uses it, and stops it at exit.

    Create it in the main thread. Raises `BadConfiguration` at once, so that a server that loads it
    does not start with mappings that cannot be used.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        config.require(settings.mappings, environ)
        self._settings = settings
        self._environ = environ
        self._lock = threading.Lock()
        self._bridge: Bridge | None = None
        self._application: WSGIApplication | None = None
        self._start_soon()
        os.register_at_fork(before=self._before_fork, after_in_child=self._after_fork)
        atexit.register(self.stop)
        for number in (signal.SIGTERM, signal.SIGHUP):
            # A server with a handler of its own has set it by now, or replaces this one later.
            # Without any handler the process would die without running `stop`.
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _exit)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request; the first one waits until the bridge has started."""
        application = self._application or self._start()
        return application(environ, start_response)

    def stop(self) -> None:
        """Finish and settle the deliveries in flight, and stop the bridge."""
        self._called_off.set()
        with self._lock:
            bridge, self._bridge, self._application = self._bridge, None, None
            if bridge is not None:
                bridge.stop()

    def _start(self) -> WSGIApplication:
        with self._lock:
            if self._application is None:
                self._bridge = Bridge(self._settings, self._environ)
                self._bridge.start()
                self._application = create(self._bridge)
            return self._application

    def _start_soon(self) -> None:
        """Start without a request, unless this process forks or ends first."""
        self._called_off = threading.Event()
        threading.Thread(
            target=self._start_later, args=(self._called_off,), name="start", daemon=True
        ).start()

    def _start_later(self, called_off: threading.Event) -> None:
        if called_off.wait(START_DELAY_S):
            return
        try:
            self._start()
        except BridgeError as error:  # the next request tries again
            log.error("bridge.not_started", reason=str(error))  # noqa: TRY400 - an expected error

    def _before_fork(self) -> None:
        """Stop the bridge, so that the fork copies a free lock and no running thread of it."""
        self.stop()

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._start_soon()


def _exit(*_: object) -> None:
    """Raise `SystemExit`, which servers handle as they handle Ctrl-C."""
    raise SystemExit(0)
