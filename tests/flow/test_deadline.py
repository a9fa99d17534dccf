"""A receiver that takes every body, and whose answer drips for longer than any lease."""

import socket
import threading
from contextlib import suppress

import pytest

pytestmark = pytest.mark.enable_socket


class Dripping:
    """Begins to answer each request at once, and never ends, while the other side listens."""

    def __init__(self):
        self.taken = 0
        self.now = 0
        self.most_at_once = 0
        self._enough = threading.Event()
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection, suppress(OSError):
            if not connection.recv(65_536):
                return
            with self._lock:
                self.taken += 1
                self.now += 1
                self.most_at_once = max(self.most_at_once, self.now)
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
                while not self._enough.wait(0.02):
                    connection.sendall(b"x")
            finally:
                with self._lock:
                    self.now -= 1

    def close(self):
        self._enough.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def dripping():
    server = Dripping()
    yield server
    server.close()


def test_what_drips_past_the_lease_is_not_sent_a_second_time_meanwhile(anywhere, cloud, dripping):
    anywhere.aha(url=dripping.url, on_doubt="resend")
    anywhere.start(lease_seconds=3)
    event = anywhere.send("cloud_a", cloud.said(cloud.comment(), cloud.issue()))
    anywhere.until(lambda: dripping.taken > 1)
    assert dripping.most_at_once == 1
    assert anywhere.outcomes(event)[0] == "in_doubt"


def test_what_drips_is_in_doubt_and_waits_for_a_person(anywhere, cloud, dripping):
    anywhere.aha(url=dripping.url)
    anywhere.start(lease_seconds=3)
    event = anywhere.send("cloud_a", cloud.said(cloud.comment(), cloud.issue()))
    anywhere.until(lambda: anywhere.state(event) == "in_doubt")
    assert anywhere.outcomes(event) == ["in_doubt"]
    assert dripping.taken == 1
