"""The HTTP server of a receiving process: uvicorn on a port that its parent holds."""

from __future__ import annotations

import logging
import resource
import socket

import structlog
import uvicorn

from bridge.app import Bridge
from bridge.errors import BridgeError
from bridge.web import create
from bridge.web.asgi import AsgiApplication
from bridge.web.connections import connection_class

log = structlog.get_logger()

#: How many new connections the system queues while the process does not accept any.
BACKLOG = 2048
#: How long requests under way may still take after the process is asked to end, in seconds.
SHUTDOWN_S = 3
#: File descriptors that a receiving process may need besides its connections.
_OTHER_FILES = 256


def listen(host: str, port: int) -> socket.socket:
    """Listen on a port, 0 for any free one; raises `BridgeError` when that fails."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (")[0].lower()
        message = f"cannot listen on {host}:{port}: {why}; another one: --host, --port"
        raise BridgeError(message) from error
    # Connections inherit the option: the head and the body of an answer are two small writes.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def run(bridge: Bridge, listening: socket.socket) -> None:
    """Answer requests until SIGTERM; then finish those under way within `SHUTDOWN_S` seconds."""
    settings = bridge.settings
    # A client that does not read its answer is dropped as soon as one that sends nothing.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, settings.idle_seconds * 1000)
    connections = _allowed_connections(settings.connections)
    application = AsgiApplication(bridge, create(bridge))
    # Senders get their own errors as answers, and the application logs those of the bridge.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            http=connection_class(idle_s=settings.idle_seconds, max_connections=connections),
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
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
    )
    try:
        server.run(sockets=[listening])
    finally:
        application.close()


def _allowed_connections(wanted: int) -> int:
    """Raise this process's limit of open files as needed; return the connections it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + _OTHER_FILES
    if soft < files:
        soft = min(files, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    allowed = min(wanted, max(soft - _OTHER_FILES, soft // 2))
    if allowed < wanted:
        log.warning("bridge.fewer_connections", connections=allowed, files=soft)
    return allowed
