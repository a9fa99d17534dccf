"""The engine's clock: even over steps, restarts and boots, and the same for all processes."""

import threading

import psycopg
import pytest
from running import Running, request, until

from bridge.store import Clocks

HOUR = 3_600_000


class Host:
    """The clocks of a machine, which stand still unless told."""

    def __init__(self, at=1_714_550_400_000):
        self.wall, self.ticks = at, 5_000

    def passes(self, millis):
        self.wall += millis
        self.ticks += millis


@pytest.fixture
def on(database, tmp_path):
    """Run stores on one database, each on a machine."""
    made = []

    def make(host):
        folder = tmp_path / str(len(made))
        clocks = Clocks.given(lambda: host.wall, lambda: host.ticks)
        made.append(Running(database, folder, process=folder.name, clocks=clocks).begin())
        return made[-1]

    yield make
    for each in made:
        each.close()


def now(running):
    return int(running.store._write(lambda _, now: now))


@pytest.mark.parametrize("step", [-HOUR, 300_000, HOUR])
def test_it_goes_on_evenly(on, step):
    host = Host()
    running = on(host)
    before = now(running)
    host.wall += step
    host.passes(2_000)
    assert now(running) == before + 2_000
    host.wall -= step
    host.passes(3_000)
    assert now(running) == before + 5_000


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_all_processes_of_a_machine_read_the_same(on, step):
    host = Host()
    first, second = on(host), on(host)
    before = now(first)
    assert now(second) == before
    host.wall += step
    host.passes(1_000)
    assert [now(first), now(second), now(on(host))] == [before + 1_000] * 3


def test_it_does_not_go_back_over_a_boot(on):
    host = Host()
    running = on(host)
    before = now(running)
    running.close()
    host.wall, host.ticks = host.wall + HOUR, 10
    assert now(on(host)) >= before, "time without power is time, too"


@pytest.mark.postgres
def test_who_was_suspended_is_put_right(postgresql, tmp_path):
    """Its own clock stood still: that looks to it as if the server's had been put forward."""
    server, awake, asleep = Host(), Host(), Host()
    stores = [
        Running(
            postgresql,
            tmp_path / name,
            process=name,
            clocks=Clocks.given(lambda: server.wall, lambda host=host: host.ticks),
        ).begin()
        for name, host in (("awake", awake), ("asleep", asleep))
    ]
    first, second = stores
    before = now(first)
    assert now(second) == before
    server.passes(HOUR)
    awake.passes(HOUR)
    now(second)
    assert now(first) == before + HOUR
    assert now(second) == before + HOUR, "and it does not insist"
    for each in stores:
        each.close()


@pytest.mark.postgres
def test_a_long_wait_for_a_lock_hides_no_step(postgresql, tmp_path):
    """The writer reads the clock along with what may have to wait for other processes."""
    host = Host()
    clocks = Clocks.given(lambda: host.wall, lambda: host.ticks)
    running = Running(postgresql, tmp_path, process="waiting", clocks=clocks).begin()
    running.keep(request("a1", record=1))
    before = now(running)
    second = threading.Thread(target=running.keep, args=(request("a2", record=1),))
    with psycopg.connect(postgresql) as other, psycopg.connect(postgresql, autocommit=True) as look:
        other.execute("SELECT 1 FROM lanes FOR UPDATE")
        second.start()
        waiting = """
            SELECT 1 FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
        """
        until(lambda: look.execute(waiting).fetchone())
        host.passes(5_000)
    second.join(20)
    host.wall += 3_000
    assert now(running) == before + 5_000
    running.close()
