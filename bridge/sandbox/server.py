"""The stand-in as an HTTP server."""

from __future__ import annotations

import threading

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from bridge.sandbox.app import application
from bridge.sandbox.records import Integration
from bridge.sandbox.state import FakeAha


class Sandbox(FakeAha):
    """The stand-in with its WSGI application, `app`, and a server in a thread."""

    def __init__(self, *integrations: Integration) -> None:
        super().__init__(*integrations)
        #: The root URL while it is served, else "".
        self.url = ""
        self.app = application(self)
        self._server: BaseWSGIServer | None = None

    def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Serve in a thread and return the root URL; port 0 takes any free one."""
        self._server = make_server(
            host, port, self.app, threaded=True, request_handler=_QuietHandler
        )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._server.port}"
        return self.url

    def stop(self) -> None:
        """Stop serving and end all waits; the writes are kept."""
        self.release()
        server, self._server, self.url = self._server, None, ""
        if server is not None:
            server.shutdown()
            server.server_close()


class _QuietHandler(WSGIRequestHandler):
    """Writes no access log, because its lines would contain the tokens."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing."""
