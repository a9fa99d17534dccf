"""How long an unavailable database is left alone, and how long nothing is leased afterwards."""

import pytest

from bridge.store.writer.outage import Outage
from bridge.timing import Timing

TIMING = Timing(
    database_retry_min_s=0.5, database_retry_max_s=5, quiet_period_s=10, file_quiet_period_s=2
)


class Watch:
    """A clock that goes on when a test sets it."""

    def __init__(self):
        self.at = 1000.0

    def __call__(self):
        return self.at


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture(params=[True, False], ids=["file", "server"])
def outage(request, watch):
    return Outage(TIMING, embedded=request.param, clock=watch)


@pytest.mark.parametrize(
    ("cost_s", "pause_s"), [(0, 0.5), (0.4, 0.5), (0.6, 0.6), (3, 3), (4.9, 4.9), (5.1, 5), (60, 5)]
)
def test_a_failure_is_repeated_after_as_long_as_it_took_within_limits(
    outage, watch, cost_s, pause_s
):
    outage.begin("gone", watch.at - cost_s)
    assert not outage.is_due(watch.at + pause_s - 0.01)
    assert outage.is_due(watch.at + pause_s + 0.01)


def test_each_failure_begins_a_pause_of_its_own(outage, watch):
    outage.begin("gone", watch.at - 5)
    watch.at += 5
    outage.begin("still gone", watch.at)
    assert outage.reason == "still gone"
    assert outage.is_due(watch.at + 0.6)


def test_a_database_that_was_available_all_along_needs_no_quiet_period(outage, watch):
    outage.end()
    assert outage.is_due(watch.at)
    assert not outage.is_quiet(watch.at)


@pytest.mark.parametrize(("embedded", "period_s"), [(True, 2), (False, 10)])
def test_nothing_is_leased_during_an_outage_and_the_quiet_period(watch, embedded, period_s):
    outage = Outage(TIMING, embedded=embedded, clock=watch)
    outage.begin("gone", watch.at)
    assert outage.is_quiet(watch.at + 1000)
    outage.end()
    assert outage.reason == ""
    assert outage.is_quiet(watch.at + period_s - 0.01)
    assert not outage.is_quiet(watch.at + period_s)


@pytest.mark.parametrize(("uptime_s", "left_s"), [(0, 10), (4, 6), (3600, 0)])
def test_a_server_that_was_just_started_begins_a_quiet_period(watch, uptime_s, left_s):
    outage = Outage(TIMING, embedded=False, clock=watch)
    outage.connected(uptime_s)
    assert outage.is_quiet(watch.at + left_s - 0.01) is bool(left_s)
    assert not outage.is_quiet(watch.at + left_s)


def test_an_unforeseen_error_is_tried_again_at_once(outage, watch):
    outage.fail("KeyError")
    assert (outage.reason, outage.is_due(watch.at)) == ("KeyError", True)
