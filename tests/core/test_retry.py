"""When a delivery is tried again, and when a destination is left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import errors
from bridge.core.retry import Policy, breaker, next_attempt

NOW = 1_714_550_400_000
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
LATE = 0.999999


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
    assert next_attempt(Policy(), attempts, error, NOW, jitter) == pytest.approx(
        NOW + wait, abs=1 + wait / 1000
    )


@pytest.mark.parametrize(
    ("error", "attempts", "again"),
    [
        (errors.NotSent(), 10**9, True),
        (errors.Throttled(after=None), 10**9, True),
        (errors.Gone(), 10**9, True),
        (errors.Failed(), 1_749, True),
        (errors.Failed(), 1_750, False),
        (errors.InDoubt(), 1_749, True),
        (errors.InDoubt(), 1_751, False),
        (errors.Refused(), 1, False),
        (errors.Unmappable(), 1, False),
        (errors.DeliveryError(), 1, False),
    ],
)
def test_what_is_tried_again_and_what_is_parked(error, attempts, again):
    assert (next_attempt(Policy(), attempts, error, NOW, 0.5) is not None) is again


def test_failing_is_borne_for_ever_where_the_policy_says_so():
    assert next_attempt(Policy(tries=None), 10**9, errors.Failed(), NOW, 0.5) is not None


def test_failing_is_borne_for_about_three_days():
    policy = Policy()
    at = NOW
    for attempts in range(1, 1_751):
        again = next_attempt(policy, attempts, errors.Failed(), at, 0.5)
        if again is None:
            break
        at = again
    assert 70 * HOUR < at - NOW < 76 * HOUR


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
    assert next_attempt(Policy(), 50, errors.Throttled(after=after), NOW, jitter) == NOW + wait


def test_a_destination_that_is_gone_is_looked_at_now_and_then():
    assert next_attempt(Policy(cap=7), 3, errors.Gone(), NOW, 0.5) == NOW + 7


@pytest.mark.parametrize(
    ("failures", "wait"),
    [
        (0, None),
        (4, None),
        (5, 10 * SECOND),
        (6, 20 * SECOND),
        (7, 40 * SECOND),
        (8, MINUTE),
        (10**6, MINUTE),
    ],
)
def test_the_breaker(failures, wait):
    assert breaker(failures, NOW, Policy()) == (None if wait is None else NOW + wait)


def test_no_breaker():
    assert breaker(10**6, NOW, Policy(breaks_after=0)) is None


policies = st.builds(
    Policy,
    first=st.integers(0, 10**6),
    factor=st.floats(1, 10),
    cap=st.integers(0, 10**8),
    least=st.integers(0, 10**5),
    tries=st.none() | st.integers(1, 1000),
    breaks_after=st.integers(0, 50),
)
attempts_made = st.integers(0, 10**4)
jitters = st.floats(0, 1, exclude_max=True)
delivery_errors = st.sampled_from(
    [errors.NotSent(), errors.Failed(), errors.InDoubt(), errors.Gone(), errors.Refused()]
) | st.builds(errors.Throttled, after=st.none() | st.floats(-1e9, 1e9))


@given(policies, attempts_made, delivery_errors, jitters)
def test_never_in_the_past_and_never_beyond_what_the_policy_allows(policy, attempts, error, jitter):
    at = next_attempt(policy, attempts, error, NOW, jitter)
    if at is not None:
        assert NOW <= at <= NOW + max(policy.cap, policy.longest_pause + policy.first)


@given(policies, attempts_made, jitters)
def test_waits_grow_and_the_dice_only_shorten_them(policy, attempts, jitter):
    error = errors.NotSent()
    this = next_attempt(policy, attempts, error, NOW, jitter)
    further = next_attempt(policy, attempts + 1, error, NOW, jitter)
    longest = next_attempt(policy, attempts, error, NOW, LATE)
    assert this is not None
    assert further is not None
    assert longest is not None
    assert this <= further
    assert this <= longest or jitter > LATE


@given(policies, st.integers(0, 1000))
def test_the_breaker_opens_once_and_longer_each_time(policy, failures):
    this, further = breaker(failures, NOW, policy), breaker(failures + 1, NOW, policy)
    if this is not None:
        assert further is not None
        assert NOW < this <= further <= NOW + policy.longest_break
