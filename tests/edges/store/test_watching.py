"""A PostgreSQL that stands still: behind a proxy that stops passing on what it is given."""

import socket
import threading
from contextlib import suppress

import pytest
from running import Running, request, until
from sqlalchemy import make_url

from bridge.timing import Timing

pytestmark = [pytest.mark.postgres, pytest.mark.enable_socket]


class Proxy:
    """Passes bytes on between its port and a server, unless it is stopped."""

    def __init__(self, host, port):
        self._server = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.flows = threading.Event()
        self.flows.set()
        self._lines = [self._listening]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._server)
                self._lines += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source, target):
        with suppress(OSError):
            while data := source.recv(65536):
                self.flows.wait()
                target.sendall(data)
        for line in (source, target):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.flows.set()
        for line in self._lines:
            line.close()


@pytest.fixture
def limit_s():
    """Return how long a transaction may take."""
    return 0.5


@pytest.fixture
def still(postgresql, tmp_path, limit_s):
    """Run a bridge behind a proxy that can stand still."""
    timing = Timing(transaction_limit_s=limit_s, watchdog_poll_s=0.05, quiet_period_s=0)
    url = make_url(postgresql)
    proxy = Proxy(url.host, url.port or 5432)
    url = url.set(host="127.0.0.1", port=proxy.port).update_query_dict({"connect_timeout": "2"})
    bridge = Running(url.render_as_string(hide_password=False), tmp_path, timing=timing).begin()
    yield proxy, bridge
    proxy.flows.set()
    bridge.close()
    proxy.close()


def test_who_waits_for_it_is_answered_from_the_spool(still):
    proxy, bridge = still
    bridge.keep(request("e1"))
    proxy.flows.clear()
    bridge.keep(request("e2"))  # returns at all
    assert bridge.store.backlog
    proxy.flows.set()
    until(lambda: not bridge.store.backlog)
    assert bridge.queued() == ["e1", "e2"]


@pytest.mark.parametrize("limit_s", [60])
def test_what_takes_its_time_is_left_alone(still):
    _, bridge = still
    pause = threading.Event()
    bridge.store._write(lambda conn, now: pause.wait(0.3))
    bridge.keep(request("e1"))
    assert not bridge.store.outage
