"""A process that delivers and dies: what it held goes on at once, and nobody else's is touched."""

from contextlib import contextmanager

import orjson
import psycopg
import pytest
from servers import Server
from sqlalchemy import create_engine, make_url, text

from bridge.store.database.connect import url_of

pytestmark = pytest.mark.enable_socket

#: So long that nothing here waits for the end of a lease.
LEASE = {"BRIDGE_LEASE_SECONDS": "3600", "BRIDGE_READ_TIMEOUT": "120", "BRIDGE_WORKERS": "4"}
#: Far less than a lease, and much more than what it takes.
SOON = 15


def rows(scene, statement):
    engine = create_engine(url_of(scene.environ["BRIDGE_DATABASE"]))
    try:
        with engine.connect() as conn:
            return [tuple(row) for row in conn.execute(text(statement))]
    finally:
        engine.dispose()


def count(scene, state):
    return rows(scene, f"SELECT count(*) FROM deliveries WHERE state = '{state}'")[0][0]


@contextmanager
def serving(scene, name="", **environ):
    """Run a bridge as a process of its own, and kill it in the end, if it still runs."""
    spool = str(scene.folder / "spool")
    server = Server(scene, name, **{**LEASE, "BRIDGE_SPOOL": spool, **environ})
    server.start()
    try:
        scene.until(server.ready)
        yield server
    finally:
        server.end()


def tell(server, *bodies):
    for body in bodies:
        status, _ = server.ask("POST", "/api/v1/webhooks/hook-of-cloud-a-0001", orjson.dumps(body))
        assert status == 200


def comments(cloud, number):
    """Tell of a comment on each of so many issues."""
    return [cloud.said(cloud.comment(), cloud.issue(f"PLAT-{n + 1}")) for n in range(number)]


@pytest.fixture
def mute(anywhere):
    """A scene whose stand-in writes, and never answers."""
    anywhere.environ["BRIDGE_SPOOL"] = str(anywhere.folder / "spool")
    anywhere.sandbox.behave(hang_share=1.0)
    return anywhere


def test_after_a_kill_the_other_lanes_go_on_at_once(mute, cloud):
    with serving(mute) as server:
        issue = cloud.issue()
        tell(server, cloud.edited(issue), cloud.edited(issue), *comments(cloud, 11))
        mute.until(lambda: len(mute.sandbox.writes()) == 4)
        server.kill()
        [left] = mute.folder.rglob("*.lock")
        assert left.stat().st_mode & 0o777 == 0o600
        (left.parent / "of-one-that-leased-nothing.lock").touch()
        mute.sandbox.behave(hang_share=0.0)
        server.start()
        mute.until(lambda: count(mute, "delivered") == 10, SOON)
        mute.until(lambda: count(mute, "in_doubt") == 3, SOON)
        assert server.terminate() == 0, server.output.read_text()
    assert len(mute.sandbox.comments()) == 11
    assert mute.sandbox.doubled() == 0
    changes = [one.timestamp for one in mute.sandbox.writes(str(issue.id))]
    assert changes == sorted(changes)
    assert changes[0] == changes[1], "what only sets a state is sent once more"
    assert len(changes) == 3
    assert list(mute.folder.rglob("*.lock")) == []


def test_the_half_that_delivers_dies_alone(scene, cloud):
    scene.sandbox.behave(hang_share=1.0)
    with serving(scene) as server:
        tell(server, *comments(cloud, 6))
        scene.until(lambda: len(scene.sandbox.comments()) == 4)
        scene.sandbox.behave(hang_share=0.0)
        server.kill_child(1)
        scene.until(lambda: count(scene, "delivered") == 2, SOON)
        scene.until(lambda: count(scene, "in_doubt") == 4, SOON)
        assert server.terminate() == 0, server.output.read_text()


def test_two_that_live_leave_each_other_their_lanes(mute, cloud):
    with serving(mute) as one, serving(mute, name="-other") as other:
        tell(one, *comments(cloud, 4))
        mute.until(lambda: len(mute.sandbox.comments()) == 4)
        # What comes later goes through, so both have looked around since.
        mute.sandbox.behave(hang_share=0.0)
        later = [cloud.said(cloud.comment(), cloud.issue(f"PLAT-{n + 20}")) for n in range(8)]
        for number, body in enumerate(later):
            tell(other, body)
            mute.until(lambda number=number: count(mute, "delivered") == number + 1)
        assert (count(mute, "sending"), count(mute, "in_doubt")) == (4, 0)
        one.kill()
        other.kill()
    assert mute.sandbox.doubled() == 0


# --- on several machines: no folder is shared


@pytest.fixture
def apart(scene, postgresql):
    """A scene on PostgreSQL whose own bridge sees no lock file of another."""
    scene.environ["BRIDGE_DATABASE"] = postgresql
    scene.environ["BRIDGE_SPOOL"] = str(scene.folder / "here")
    scene.sandbox.behave(hang_share=1.0)
    return scene


def goes_through(scene, cloud):
    """Let a delivery of another record go through: then the bridge has looked around, too."""
    event = scene.send("cloud_a", cloud.edited(cloud.issue()))
    scene.until(lambda: scene.state(event) == "delivered")


@pytest.mark.postgres
def test_elsewhere_lanes_are_free_when_the_longest_send_is_over(apart, cloud):
    with serving(apart, BRIDGE_SPOOL=str(apart.folder / "there")) as server:
        tell(server, *comments(cloud, 4))
        apart.until(lambda: len(apart.sandbox.comments()) == 4)
        server.kill()
    apart.sandbox.behave(hang_share=0.0)
    apart.start()
    goes_through(apart, cloud)
    apart.later(60)
    goes_through(apart, cloud)
    assert count(apart, "sending") == 4, "its sends may not be over"
    apart.later(75)
    apart.until(lambda: count(apart, "in_doubt") == 4)
    assert apart.sandbox.doubled() == 0


@pytest.mark.postgres
def test_elsewhere_a_process_that_lives_keeps_its_lanes_without_its_session(apart, cloud):
    with serving(apart, BRIDGE_SPOOL=str(apart.folder / "there")) as server:
        tell(server, *comments(cloud, 4))
        apart.until(lambda: len(apart.sandbox.comments()) == 4)
        apart.sandbox.behave(hang_share=0.0)
        apart.start()
        goes_through(apart, cloud)
        for _ in range(3):
            before = sessions(apart)
            end_sessions(apart)
            apart.until(lambda before=before: sessions(apart) >= before)
            goes_through(apart, cloud)
        apart.later(135)
        goes_through(apart, cloud)
        assert count(apart, "sending") == 4, "it is at it, and has said so again"
        assert apart.sandbox.doubled() == 0
        server.kill()


def sessions(scene):
    """Count the sessions that hold a lock of a process."""
    return rows(scene, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")[0][0]


def end_sessions(scene):
    url = make_url(scene.environ["BRIDGE_DATABASE"])
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND application_name <> 'cleaner'"
        )


# --- what is left behind


def test_a_bridge_that_ends_leaves_nothing_behind(anywhere, cloud):
    anywhere.environ["BRIDGE_SPOOL"] = str(anywhere.folder / "spool")
    anywhere.start()
    goes_through(anywhere, cloud)
    anywhere.stop()
    assert list(anywhere.folder.rglob("*.lock")) == []


def test_where_no_lock_file_can_be_made_deliveries_go_out_all_the_same(anywhere, cloud, logged):
    anywhere.environ["BRIDGE_SPOOL"] = str(anywhere.folder / "spool")
    database = anywhere.folder / "bridge.db-owners"
    (anywhere.folder / "spool").mkdir()
    for folder in (database, anywhere.folder / "spool" / "owners"):
        folder.write_text("in the way")
    anywhere.start()
    goes_through(anywhere, cloud)
    assert "owner.no_lock" in {line["event"] for line in logged}
