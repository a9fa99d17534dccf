"""The bridge inside another WSGI server: it runs in each process that answers requests.

Servers differ in when they load an application and when they fork. Threads do not survive a fork,
so nothing runs in a process that forks: a bridge that does is stopped before, and each child starts
its own.
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
from bridge.errors import BadConfiguration, BridgeError
from bridge.web import create

log = structlog.get_logger()

#: How long a process has to fork once it has loaded the application, in seconds. One that takes
#: longer starts a bridge that the fork stops again.
FORKING_S = 0.5


class Hosted:
    """A WSGI application that starts a bridge where it is used, and stops it with the process.

    Make it in the main thread. Raises `BadConfiguration` at once, so that a server that loads it
    does not even start.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        loaded = config.load(settings.mappings, environ)
        if loaded.configuration is None:
            raise BadConfiguration(loaded.problems)
        self._settings = settings
        self._environ = environ
        self._lock = threading.Lock()
        self._bridge: Bridge | None = None
        self._application: WSGIApplication | None = None
        self._start_soon()
        os.register_at_fork(before=self._before_fork, after_in_child=self._after_fork)
        atexit.register(self.stop)
        for number in (signal.SIGTERM, signal.SIGHUP):
            # A server that handles it has said so by now, or will. Others would just be gone.
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _leave)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request; the first one waits until the bridge has started."""
        application = self._application or self._start()
        return application(environ, start_response)

    def stop(self) -> None:
        """Finish what is in flight, and settle it."""
        self._waiting.set()
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
        self._waiting = threading.Event()
        threading.Thread(
            target=self._start_unless, args=(self._waiting,), name="start", daemon=True
        ).start()

    def _start_unless(self, called_off: threading.Event) -> None:
        if called_off.wait(FORKING_S):
            return
        try:
            self._start()
        except BridgeError as error:  # the next request tries again
            log.error("bridge.not_started", reason=str(error))  # noqa: TRY400 - no surprise

    def _before_fork(self) -> None:
        """Leave the work to the child. The lock is free then, and no thread of ours runs."""
        self.stop()

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._start_soon()


def _leave(*_: object) -> None:
    """End as after Ctrl-C, which servers know how to."""
    raise SystemExit(0)
