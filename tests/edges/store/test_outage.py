"""When an unavailable database is tried again, and how long no lane is leased afterwards."""

import pytest

from bridge.store.writer.outage import Outage
from bridge.timing import Timing

TIMING = Timing(
    database_retry_min_s=0.5,
    database_retry_max_s=5.0,
    quiet_period_s=10.0,
    file_quiet_period_s=2.0,
)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.mark.parametrize(
    ("took_s", "pause_s"),
    [
        pytest.param(0.0, 0.5, id="at once: the shortest pause"),
        pytest.param(0.2, 0.5, id="the shortest pause"),
        pytest.param(3.0, 3.0, id="as long as the failure took"),
        pytest.param(60.0, 5.0, id="the longest pause"),
    ],
)
def test_the_pause_is_as_long_as_callers_waited_in_vain(clock, took_s, pause_s):
    outage = Outage(TIMING, embedded=False, clock=clock)
    started = clock.now
    clock.now += took_s
    outage.begin("it does not answer", started)
    assert outage.reason == "it does not answer"
    assert not outage.is_due(clock.now + pause_s - 0.01)
    assert outage.is_due(clock.now + pause_s)


@pytest.mark.parametrize(("embedded", "quiet_s"), [(True, 2.0), (False, 10.0)])
def test_no_lane_is_leased_until_the_quiet_period_is_over(clock, embedded, quiet_s):
    outage = Outage(TIMING, embedded=embedded, clock=clock)
    assert not outage.is_quiet(clock.now)
    outage.begin("it is gone", clock.now)
    assert outage.is_quiet(clock.now + 1_000)
    outage.end()
    assert outage.is_quiet(clock.now + quiet_s - 0.01)
    assert not outage.is_quiet(clock.now + quiet_s)


def test_a_server_that_was_started_a_moment_ago_is_left_in_peace(clock):
    outage = Outage(TIMING, embedded=False, clock=clock)
    outage.connected(uptime_s=4.0)
    assert outage.is_quiet(clock.now + 5.9)
    assert not outage.is_quiet(clock.now + 6.0)
