"""When a delivery is tried again, and when it is given to a person."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import errors
from bridge.core.retry import Policy, Streak, parked_reason, retry_delay_ms

NOW = 1_714_550_400_000
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
LATE = 0.999999


def streak(failures=1, lasted=0, alone=True):
    return Streak(failures=failures, lasted_ms=lasted, alone=alone)


@pytest.mark.parametrize(
    "error", [errors.NotSent(), errors.Failed(), errors.InDoubt(), errors.Throttled(after=None)]
)
@pytest.mark.parametrize(
    ("attempts", "jitter", "wait"),
    [
        (1, 0.0, 1 * SECOND),
        (1, 0.5, 2.5 * SECOND),
        (1, LATE, 5 * SECOND),
        (2, LATE, 10 * SECOND),
        (3, LATE, 20 * SECOND),
        (6, LATE, 160 * SECOND),
        (7, LATE, 5 * MINUTE),
        (7, 0.5, 2.5 * MINUTE),
        (500, LATE, 5 * MINUTE),
        (0, LATE, 5 * SECOND),
    ],
)
def test_backing_off(error, attempts, jitter, wait):
    assert retry_delay_ms(Policy(), streak(attempts), error, jitter) == pytest.approx(
        wait, abs=1 + wait / 1000
    )


@pytest.mark.parametrize("error", [errors.NotSent(), errors.Failed(), errors.InDoubt()])
def test_a_lane_that_does_not_fail_alone_waits_no_longer_than_the_breaker(error):
    at = retry_delay_ms(Policy(), streak(500, alone=False), error, LATE)
    assert at == pytest.approx(MINUTE, abs=60)


@pytest.mark.parametrize(
    ("error", "hours", "alone", "again"),
    [
        (errors.NotSent(), 10**6, True, True),
        (errors.Throttled(after=None), 10**6, True, True),
        (errors.Gone(), 10**6, True, True),
        (errors.Failed(), 5.99, True, True),
        (errors.Failed(), 6, True, False),
        (errors.Failed(), 10**6, False, True),
        (errors.InDoubt(), 5.99, True, True),
        (errors.InDoubt(), 7, True, False),
        (errors.InDoubt(), 10**6, False, True),
        (errors.Refused(), 0, False, False),
        (errors.Unmappable(), 0, False, False),
        (errors.DeliveryError(), 0, False, False),
    ],
)
def test_what_is_tried_again_and_what_is_parked(error, hours, alone, again):
    failing = streak(50, lasted=round(hours * HOUR), alone=alone)
    assert (retry_delay_ms(Policy(), failing, error, 0.5) is not None) is again


def test_why_something_is_parked():
    assert parked_reason(143, NOW, "aha answered 500: oops") == (
        "failed since 2024-05-01 08:00:00 UTC, while other records came through; "
        "143 attempts in all, the last: aha answered 500: oops"
    )


@pytest.mark.parametrize(
    ("after", "jitter", "wait"),
    [
        (0, 0.0, 0),
        (-5, 0.0, 0),
        (2.5, 0.0, 2_500),
        (60, 0.5, 62_500),
        (60, LATE, 65_000),
        (10**9, 0.0, HOUR),
    ],
)
def test_a_pause_asked_for_is_kept(after, jitter, wait):
    assert retry_delay_ms(Policy(), streak(50), errors.Throttled(after=after), jitter) == wait


def test_a_destination_that_is_gone_is_looked_at_now_and_then():
    assert retry_delay_ms(Policy(longest_wait_ms=7), streak(3), errors.Gone(), 0.5) == 7


policies = st.builds(
    Policy,
    first_wait_ms=st.integers(0, 10**6),
    factor=st.floats(1, 10),
    longest_wait_ms=st.integers(0, 10**8),
    shortest_wait_ms=st.integers(0, 10**5),
    park_after_ms=st.integers(1, 10**9),
)
streaks = st.builds(
    Streak,
    failures=st.integers(0, 10**4),
    lasted_ms=st.integers(0, 10**10),
    alone=st.booleans(),
)
jitters = st.floats(0, 1, exclude_max=True)
delivery_errors = st.sampled_from(
    [errors.NotSent(), errors.Failed(), errors.InDoubt(), errors.Gone(), errors.Refused()]
) | st.builds(errors.Throttled, after=st.none() | st.floats(-1e9, 1e9))


@given(policies, streaks, delivery_errors, jitters)
def test_never_in_the_past_and_never_beyond_what_the_policy_allows(policy, failing, error, jitter):
    at = retry_delay_ms(policy, failing, error, jitter)
    if at is not None:
        assert (
            0 <= at <= max(policy.longest_wait_ms, policy.longest_pause_ms + policy.first_wait_ms)
        )


@given(policies, streaks, jitters)
def test_waits_grow_and_the_dice_only_shorten_them(policy, failing, jitter):
    error, more = errors.NotSent(), replace(failing, failures=failing.failures + 1)
    this = retry_delay_ms(policy, failing, error, jitter)
    further = retry_delay_ms(policy, more, error, jitter)
    longest = retry_delay_ms(policy, failing, error, LATE)
    assert this is not None
    assert further is not None
    assert longest is not None
    assert this <= further
    assert this <= longest or jitter > LATE
