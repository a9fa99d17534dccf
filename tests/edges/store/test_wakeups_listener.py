"""Workers of other processes hear of what was queued."""

import threading

import psycopg
import pytest
from ledger import Ledger
from made_up import change, event
from running import until

from bridge.store.database.connect import url_of
from bridge.store.wakeups import CHANNEL, Listener

pytestmark = pytest.mark.postgres


@pytest.fixture
def heard(postgresql):
    rings = []
    listener = Listener(url_of(postgresql), rings.append)
    listener.start()
    yield rings
    listener.stop()


def listening(url):
    with psycopg.connect(url) as conn:
        found = conn.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query = %s",
            (f"LISTEN {CHANNEL}",),
        ).fetchall()
    return [row[0] for row in found]


def test_what_another_process_queued_rings_here(postgresql, heard):
    until(lambda: listening(postgresql))
    ledger = Ledger(postgresql)
    ledger.keep(event("1", change("7")), event("2", change("8"), record="2"))
    ledger.close()
    until(lambda: heard)
    assert heard == [{"aha": 2}]


def test_it_listens_again_after_its_connection_was_lost(postgresql, heard):
    first = until(lambda: listening(postgresql))
    with psycopg.connect(postgresql, autocommit=True) as conn:
        conn.execute("SELECT pg_terminate_backend(%s)", (first[0],))
    until(lambda: listening(postgresql) not in ([], first))
    ledger = Ledger(postgresql)
    ledger.keep(event("1", change("7")))
    ledger.close()
    until(lambda: heard)


def test_it_stops_at_once_even_without_a_server():
    listener = Listener(url_of("postgresql://nobody@127.0.0.1:1/none"), print)
    listener.start()
    stopped = threading.Thread(target=listener.stop)
    stopped.start()
    stopped.join(5)
    assert not stopped.is_alive()
