"""Rate limits of a destination: no window holds more than the limit, and little is left unused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core import rates
from bridge.core.rates import Rates
from bridge.model import Limits

NOW = 1_714_550_400_000
SECOND, MINUTE = 1_000, 60_000


class Sender:
    """A destination that is sent to, without a database."""

    def __init__(self) -> None:
        self.rates = Rates()

    def send(self, now: int, allowed: Limits, most: int) -> int:
        """Send as many as are permitted."""
        granted = min(most, rates.permits(self.rates, now, allowed))
        self.rates = rates.after_sending(self.rates, now, allowed, granted)
        return granted


def fullest(times, period):
    """Tell how many of these instants the fullest window of a period holds."""
    return max((sum(a <= b < a + period for b in times) for a in times), default=0)


limit = st.one_of(st.none(), st.integers(1, 40), st.sampled_from([100, 999, 5_000]))


@settings(max_examples=150)
@given(limit, limit, st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 30)), max_size=60))
def test_no_window_holds_more_than_the_limit(per_second, per_minute, calls):
    allowed, sender = Limits(per_second=per_second, per_minute=per_minute), Sender()
    now, sent = NOW, []
    for wait, count in calls:
        now += wait
        sent += [now] * sender.send(now, allowed, count)
    if per_second:
        assert fullest(sent, SECOND) <= per_second
    if per_minute:
        assert fullest(sent, MINUTE) <= per_minute


def test_each_send_of_a_burst_is_counted():
    allowed, sender = Limits(per_second=20), Sender()
    assert sender.send(NOW, allowed, 12) == 2
    assert rates.permits(sender.rates, NOW, allowed) == 0
    assert rates.allowed_at(sender.rates, NOW, allowed) == [NOW + 53]


@pytest.mark.parametrize("limit", [1, 2, 10, 40, 333, 1_000])
def test_a_destination_pressed_each_millisecond_stays_within_its_limit(limit):
    allowed, sender = Limits(per_second=limit), Sender()
    sent = [sender.send(NOW + ms, allowed, limit) for ms in range(3 * SECOND)]
    assert max(sum(sent[at : at + SECOND]) for at in range(0, 2 * SECOND, 7)) <= limit
    assert sum(sent) > 2 * limit


@pytest.mark.parametrize("count", [1, 7])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 10, 20, 50, 100, 333, 1_000])
@pytest.mark.parametrize("period", [SECOND, MINUTE])
def test_whoever_asks_all_the_time_is_given_most_of_it(limit, period, count):
    allowed = Limits(**{"per_second" if period == SECOND else "per_minute": limit})
    sent, now, end, sender = 0, NOW, NOW + 10 * period, Sender()
    while now < end:
        granted = sender.send(now, allowed, count)
        sent += granted
        [at] = rates.allowed_at(sender.rates, now, allowed)
        now = max(at, now if granted == count else now + 1)
    assert 0.8 * 10 * limit <= sent <= 10 * limit + 1


@given(limit, limit, st.integers(1, 40), st.integers(0, 100_000))
def test_what_is_allowed_then_is_permitted_then_and_not_before(per_second, per_minute, n, later):
    allowed = Limits(per_second=per_second, per_minute=per_minute)
    ahead = {}
    for limit, period in _given(allowed):
        cell = rates._cell(limit, period, 0)
        ahead[period] = min(n * cell.spacing_us, cell.spacing_us + cell.slack_us)
    row = Rates(
        tat_second_us=NOW * 1_000 + ahead.get(1_000_000, 0),
        tat_minute_us=NOW * 1_000 + ahead.get(60_000_000, 0),
    )
    at = max(rates.allowed_at(row, NOW, allowed), default=NOW)
    if at > NOW:
        assert rates.permits(row, at - 1, allowed) == 0
    assert rates.permits(row, max(at, NOW), allowed) > 0
    assert rates.permits(row, max(at, NOW) + later, allowed) > 0


def _given(allowed):
    told = [(allowed.per_second, 1_000_000), (allowed.per_minute, 60_000_000)]
    return [(limit, period) for limit, period in told if limit]


def test_a_clock_put_back_does_not_silence_a_destination():
    allowed, sender, before = Limits(per_second=20, per_minute=300), Sender(), NOW - 3_600_000
    sender.send(NOW, allowed, 30)
    assert rates.permits(sender.rates, before, allowed) == 0
    assert max(rates.allowed_at(sender.rates, before, allowed)) <= before + MINUTE


def test_no_limits_are_no_limits():
    assert not Limits().any
    assert rates.permits(Rates(), NOW, Limits()) == 1_000
    assert rates.allowed_at(Rates(), NOW, Limits()) == []
