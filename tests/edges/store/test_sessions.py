"""The database ends the writer's session and is still there: nothing goes aside for that."""

from __future__ import annotations

import psycopg
import pytest
from running import Running, request
from sqlalchemy import text

from bridge.store import Down

pytestmark = pytest.mark.postgres


@pytest.fixture
def bridge(postgresql, tmp_path):
    made = Running(postgresql, tmp_path, spool_limit=0).begin()  # nothing can be put aside
    yield made
    made.close()


def end_session(bridge):
    """End the writer's session from another."""
    pid = bridge.store._write(lambda conn, _: conn.scalar(text("SELECT pg_backend_pid()")))
    address = bridge.store.url.set(drivername="postgresql")
    with psycopg.connect(address.render_as_string(hide_password=False), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def lose_the_answer_to_the_next_commit(bridge):
    """Let the next commit happen, and nobody hear of it."""
    dialect = bridge.store._writers.dialect
    commit = dialect.do_commit

    def deaf(connection):
        dialect.do_commit = commit
        commit(connection)
        connection.driver_connection.close()
        raise psycopg.OperationalError("the connection is lost")

    dialect.do_commit = deaf


def test_what_comes_next_is_kept_at_once(bridge):
    bridge.keep(request("e1"))
    end_session(bridge)
    bridge.keep(request("e2"))
    assert bridge.queued() == ["e1", "e2"]
    assert not bridge.store.outage


def test_a_worker_gets_its_delivery(bridge):
    bridge.keep(request("e1"))
    end_session(bridge)
    assert bridge.lease().event == "e1"


def test_what_was_committed_unheard_is_kept_once(bridge):
    lose_the_answer_to_the_next_commit(bridge)
    bridge.keep(request("e1"))
    bridge.keep(request("e2"))
    assert bridge.queued() == ["e1", "e2"]
    assert bridge.kept() == {"e1": "deliver", "e2": "deliver"}


def test_other_work_is_not_done_twice(bridge):
    lose_the_answer_to_the_next_commit(bridge)
    done = []
    with pytest.raises(Down):
        bridge.store._write(lambda conn, _: done.append(conn.scalar(text("SELECT 1"))))
    assert done == [1]
