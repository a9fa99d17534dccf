"""Every named point on the path, on both databases: killed there, and no promise is broken."""

from __future__ import annotations

import pytest

from crash.points import POINTS, Point
from crash.processes import BridgeProcess
from crash.run import Run, wait_until

#: Within how many seconds a point is passed, and everything is over.
SOON = 40
QUIET = 90


def _named(*needs: str) -> list[object]:
    return [
        pytest.param(name, point, id=name.replace(" ", "-").replace(",", ""))
        for name, point in POINTS.items()
        if point.needs in needs
    ]


def _die_at(bridge: BridgeProcess, name: str, passage: int) -> None:
    """Start the bridge so that it dies at a point, and wait for that."""
    bridge.start_armed(name, passage)
    _await_death(bridge, name)


def _await_death(bridge: BridgeProcess, name: str) -> None:
    assert wait_until(lambda: bridge.ended, SOON), f"{name} was not passed\n{bridge.output()}"
    bridge.kill()
    assert bridge.died() == bridge.starts, bridge.output()


def _finish(run: Run, bridge: BridgeProcess) -> None:
    """Start the bridge as it is, wait for everything to be over, and check the promises."""
    bridge.start()
    run.operator.start()
    assert run.load is None or run.load.wait(SOON), bridge.output()
    assert run.quiet(QUIET), f"{run.account()}\n{bridge.output()}"
    account = run.account()
    assert account.fine, f"{account.complaints()}\n{bridge.output()[-4000:]}"


@pytest.mark.crash
@pytest.mark.enable_socket
@pytest.mark.parametrize(("name", "point"), _named(""))
def test_killed_on_the_path(run: Run, name: str, point: Point) -> None:
    bridge = run.bridge("serve")
    run.world.lonely = point.lonely
    run.send([bridge], chains=run.world.chains(12, 14), pause=0.05)
    for passage in point.passages:
        _die_at(bridge, name, passage)
    _finish(run, bridge)


@pytest.mark.crash
@pytest.mark.enable_socket
@pytest.mark.parametrize(("name", "point"), _named("outage", "drain"))
def test_killed_around_the_spool(run: Run, name: str, point: Point) -> None:
    bridge = run.bridge("serve")
    bridge.start_armed(name, point.passages[0])
    load = run.send([bridge], chains=run.world.chains(8, 40), pause=0.05)
    assert wait_until(lambda: load.answered > 20, SOON), bridge.output()
    with run.database.away():
        assert wait_until(lambda: _spooled(run), SOON), bridge.output()
        if point.needs == "outage":
            _await_death(bridge, name)
    if point.needs == "drain":
        _await_death(bridge, name)
    for passage in point.passages[1:]:
        assert _spooled(run), bridge.output()
        _die_at(bridge, name, passage)
    _finish(run, bridge)


def _spooled(run: Run) -> bool:
    return any((run.folder / "spool").glob("*.spool"))


@pytest.mark.crash
@pytest.mark.enable_socket
@pytest.mark.parametrize(("name", "point"), _named("migrate"))
def test_killed_while_migrating(empty_run: Run, name: str, point: Point) -> None:
    run = empty_run
    migrate = run.bridge("migrate")
    for passage in point.passages:
        _die_at(migrate, name, passage)
    migrate.start()
    assert wait_until(lambda: migrate.ended, SOON)
    assert not migrate.status(), migrate.output()
    bridge = run.bridge("serve")
    run.send([bridge], chains=run.world.chains(4, 6))
    _finish(run, bridge)


@pytest.mark.crash
@pytest.mark.enable_socket
@pytest.mark.parametrize(("name", "point"), _named("retention"))
def test_killed_while_forgetting(run: Run, name: str, point: Point) -> None:
    bridge = run.bridge("serve")
    run.send([bridge], chains=run.world.chains(8, 10))
    _finish(run, bridge)
    bridge.kill()
    kept, claims = _grow_old(run), run.scalar("SELECT count(*) FROM claims")
    for passage in point.passages:
        bridge.start_armed(name, passage, CRASH_TIDY="1")
        assert wait_until(lambda: bridge.ended, SOON), f"{name} not passed\n{bridge.output()}"
        bridge.kill()
        run.execute("UPDATE jobs SET until = 0")  # half an hour later
        _check_no_orphans(run)
    bridge.start_patched(CRASH_TIDY="1")
    assert wait_until(lambda: run.scalar(_AGED) == 1, SOON), bridge.output()
    assert run.scalar("SELECT count(*) FROM events") == kept + 1
    assert run.scalar(_PARKED + " AND body IS NOT NULL") == 1
    assert run.scalar("SELECT count(*) FROM claims") == claims
    _check_no_orphans(run)


_AGED = "SELECT count(*) FROM events WHERE received < 1000000000000"
_PARKED = (
    "SELECT count(*) FROM events WHERE id IN (SELECT event FROM deliveries WHERE state = 'parked')"
)


def _grow_old(run: Run) -> int:
    """Let half of the events grow old, one of them parked; returns how many stay young."""
    young = run.scalar("SELECT count(*) FROM events") // 2
    run.execute(
        "UPDATE events SET received = received - 1000000000000"
        f" WHERE id NOT IN (SELECT id FROM events ORDER BY id DESC LIMIT {young})"
    )
    run.execute(
        "UPDATE deliveries SET state = 'parked' WHERE id = (SELECT min(id) FROM deliveries)"
    )
    return young


def _check_no_orphans(run: Run) -> None:
    for table in ("verdicts", "deliveries"):
        orphans = f"SELECT count(*) FROM {table} WHERE event NOT IN (SELECT id FROM events)"
        assert not run.scalar(orphans), table
    assert not run.scalar(
        "SELECT count(*) FROM attempts WHERE delivery NOT IN (SELECT id FROM deliveries)"
    )
