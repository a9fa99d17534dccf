"""LISTEN and NOTIFY: how workers on other machines hear at once that a lane has work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

import orjson
import structlog
from sqlalchemy import URL, Connection, bindparam, func, select

from bridge.store.database.statements import Prepared

log = structlog.get_logger()

CHANNEL = "aha_bridge"
#: How often the listener looks whether it should stop, and waits before it connects again, in
#: seconds.
PATIENCE = 1.0

_NOTIFY = Prepared(select(func.pg_notify(CHANNEL, bindparam("ready"))))


def notify(conn: Connection, ready: Mapping[str, int]) -> None:
    """Tell the listeners of all processes, at the commit; SQLite has none."""
    if ready and conn.dialect.name == "postgresql":
        _NOTIFY.run(conn, {"ready": orjson.dumps(ready).decode()})


class Listener:
    """A thread with a connection of its own that rings a bell for what others queued."""

    def __init__(self, url: URL, ring: Callable[[Mapping[str, int]], None]) -> None:
        # psycopg is asked directly: SQLAlchemy has no word for waiting for notifications.
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._ring = ring
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._stopping.set()
        self._wake()
        self._thread.join()

    def _wake(self) -> None:
        """Say what rings nothing, so that the thread looks at once whether it should stop."""
        import psycopg  # noqa: PLC0415 - as below

        with (
            suppress(psycopg.OperationalError),  # then it looks a moment later
            psycopg.connect(self._address, autocommit=True, connect_timeout=2) as conn,
        ):
            conn.execute("SELECT pg_notify(%s, '{}')", [CHANNEL])

    def _run(self) -> None:
        import psycopg  # noqa: PLC0415 - only there with the extra `postgres`

        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._address, autocommit=True) as conn:
                    conn.execute(f"LISTEN {CHANNEL}")
                    while not self._stopping.is_set():
                        for heard in conn.notifies(timeout=PATIENCE, stop_after=1):
                            self._ring(orjson.loads(heard.payload))
            except psycopg.OperationalError:
                # The workers look by themselves every second; this only makes them quicker.
                log.warning("listener.lost")
                self._stopping.wait(PATIENCE)
