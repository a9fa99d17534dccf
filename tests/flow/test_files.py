"""The database's file and the spool: nobody else reads them, and losing the file loses no event."""

import os
import shutil
import sqlite3
import stat
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from commands import lines, ok

pytestmark = pytest.mark.enable_socket


@pytest.fixture(params=[0o000, 0o022], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(*paths):
    return {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in paths}


def database(scene):
    return Path(scene.environ["BRIDGE_DATABASE"].removeprefix("sqlite:///"))


def beside(scene):
    """The database and every file that lies beside it."""
    return sorted(path for path in scene.folder.glob("bridge.db*") if path.is_file())


@contextmanager
def put_aside(scene):
    """Move the database's file away, and put it back."""
    path = database(scene)
    away = path.with_name("elsewhere.db")
    path.rename(away)
    yield
    away.rename(path)


def degraded(scene):
    return " ".join(scene.get("/readyz").json["degraded"])


def test_whatever_the_umask_nobody_else_can_read_what_is_kept(scene, umask, cloud):
    database(scene).unlink()
    scene.start()
    with put_aside(scene):
        scene.send("cloud_a", cloud.created(cloud.issue()))
        spool = scene.folder / "spool"
        found = modes(*beside(scene), *spool.iterdir())
        assert set(found.values()) == {"0o600"}
        assert any(name.endswith(".spool") for name in found)
        assert modes(spool) == {"spool": "0o700"}
    scene.finish()
    found = modes(*beside(scene))
    assert found.keys() >= {"bridge.db", "bridge.db-wal", "bridge.db-shm", "bridge.db-turn"}
    assert set(found.values()) == {"0o600"}


def test_what_others_could_read_before_they_cannot_after_a_start(scene, cloud):
    scene.start()
    with put_aside(scene):
        scene.send("cloud_a", cloud.created(cloud.issue()))
        scene.stop()
    spool, backup = scene.folder / "spool", scene.folder / "bridge.db.before-0001"
    backup.write_bytes(b"")
    for path in (*beside(scene), *spool.iterdir()):
        path.chmod(0o644)
    spool.chmod(0o755)
    scene.start(deliver=False)
    found = modes(*beside(scene), *spool.iterdir())
    assert set(found.values()) == {"0o600"}, found
    assert modes(spool) == {"spool": "0o700"}


def test_a_folder_that_is_everybodys_is_left_as_it_is_and_said(scene, logged):
    shared = scene.folder / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    scene.start(deliver=False, spool=shared)
    assert modes(shared) == {"shared": "0o1777"}
    [told] = [line for line in logged if line["event"] == "store.exposed"]
    assert told["files"] == [str(shared)]


def test_a_database_that_was_moved_away_and_put_back(scene, cloud):
    scene.start()
    before = scene.send("cloud_a", cloud.created(cloud.issue()))
    scene.until(lambda: scene.state(before) == "delivered")
    with put_aside(scene):
        events = [scene.send("cloud_a", cloud.created(cloud.issue())) for _ in range(3)]
        assert f"the database file {database(scene)}" in degraded(scene)
        assert not database(scene).exists(), "and none is made in its place"
    scene.until(lambda: scene.get("/readyz").json["status"] == "ok")
    scene.finish()
    assert {scene.line(event).state for event in (before, *events)} == {"delivered"}
    assert len(scene.sandbox.writes()) == 4


def test_a_database_that_was_deleted_and_made_anew(scene, cloud, logged):
    scene.start(periodic=True)
    database(scene).unlink()
    events = [scene.send("cloud_a", cloud.created(cloud.issue())) for _ in range(3)]
    assert "the database file" in degraded(scene)
    assert "store.lost" in {line["event"] for line in logged}
    scene.until(
        lambda: "put it back, or make a new one with `aha-bridge migrate`" in degraded(scene)
    )
    ok("migrate", **scene.environ)
    scene.until(lambda: scene.get("/readyz").json["status"] == "ok")
    scene.finish()
    assert [scene.line(event).state for event in events] == ["delivered"] * 3
    assert {line["event"] for line in lines("log", "--json", **scene.environ)} == set(events)


def test_a_database_that_is_replaced_under_load_loses_nothing(scene, cloud):
    """What was answered is in the one file or in the other."""
    empty = shutil.copyfile(database(scene), scene.folder / "empty.db")
    scene.start(periodic=True)
    answered, gate = [], threading.Barrier(5)
    bodies = [[cloud.created(cloud.issue()) for _ in range(40)] for _ in range(4)]

    def tell(several):
        gate.wait(30)
        answered.extend(scene.send("cloud_a", body) for body in several)

    threads = [threading.Thread(target=tell, args=(several,)) for several in bodies]
    for thread in threads:
        thread.start()
    gate.wait(30)
    scene.until(lambda: len(scene.sandbox.writes()) > 10)
    old = scene.folder / "old.db"
    for ending in ("", "-wal", "-shm"):
        Path(f"{database(scene)}{ending}").rename(f"{old}{ending}")
    Path(empty).rename(database(scene))
    for thread in threads:
        thread.join()
    scene.until(lambda: scene.get("/readyz").json["status"] == "ok")
    scene.finish()
    scene.stop()
    kept = {path: events_in(path) for path in (old, database(scene))}
    assert len(answered) == 160
    assert set(answered) <= kept[old] | kept[database(scene)]
    assert kept[database(scene)], "it was replaced under load"


def events_in(path):
    with closing(sqlite3.connect(path)) as conn:
        return {event for (event,) in conn.execute("SELECT id FROM events")}
