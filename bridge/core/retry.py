"""When a delivery is tried again, and when it is parked for an operator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.errors import DeliveryError, Failed, Gone, InDoubt, NotSent, Throttled


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How patiently a destination is tried."""

    #: The longest wait after the first failure of a lane.
    first_wait_ms: int = 5_000
    #: How much longer the longest wait grows with each further failure.
    factor: float = 2.0
    #: The longest wait of a lane that fails alone, while others come through.
    longest_wait_ms: int = 5 * 60_000
    #: The shortest wait, whatever the jitter.
    shortest_wait_ms: int = 1_000
    #: The longest pause that a destination can ask for.
    longest_pause_ms: int = 60 * 60_000
    #: After how long a lane that fails alone is parked. A delivery that cannot have reached the
    #: destination is not the cause, and is tried for ever.
    park_after_ms: int = 6 * 60 * 60_000
    #: So many lanes that fail for the first time, and none that comes through between them, open
    #: the destination's breaker; 0: never.
    breaks_after: int = 5
    #: So many open it again while it is wary: all that had waited goes out then.
    breaks_again_after: int = 20
    #: How long the breaker is wary after it closed.
    wary_ms: int = 10 * 60_000
    #: The breaker's first pause, and the longest.
    first_break_ms: int = 10_000
    longest_break_ms: int = 60_000
    #: The first pause for lanes that become ready after the breaker opened: a burst of failing
    #: records that opened it must not delay later events for long.
    newcomer_break_ms: int = 3_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Streak:
    """The failures of a lane since one of its deliveries last came through, this one included."""

    failures: int = 1
    #: Since the first of them.
    lasted_ms: int = 0
    #: Other lanes of the destination came through meanwhile.
    alone: bool = False


def retry_delay_ms(
    policy: Policy, streak: Streak, error: DeliveryError, jitter: float
) -> int | None:
    """Return how long a delivery waits for its next attempt; None: park it.

    `jitter` in [0, 1) spreads deliveries that failed together. A refusal is final. A destination
    that is gone is tried again each `longest_wait_ms`, for as long as it takes. A lane that does
    not fail alone waits no longer than the breaker does: the destination has to come back. The
    caller decides whether a delivery in doubt may be sent again.
    """
    match error:
        case Throttled(after=float() | int() as after_s):
            return _pause_ms(policy, after_s, jitter)
        case Gone():
            return policy.longest_wait_ms
        case NotSent() | Throttled():
            return _backoff_ms(policy, streak, jitter)
        case Failed() | InDoubt():
            if not streak.alone or streak.lasted_ms < policy.park_after_ms:
                return _backoff_ms(policy, streak, jitter)
    return None


def parked_reason(attempts: int, since: int, answer: str) -> str:
    """Return why a delivery that kept failing alone is parked; `since` is in ms since the epoch."""
    when = datetime.fromtimestamp(since / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return (
        f"failed since {when}, while other records came through; {attempts} attempts in all, "
        f"the last: {answer}"
    )


def _pause_ms(policy: Policy, after_s: float, jitter: float) -> int:
    pause_ms = min(max(round(after_s * 1_000), 0), policy.longest_pause_ms)
    # Spread on the far side only: never earlier than the destination asked for.
    return pause_ms + round(jitter * policy.first_wait_ms)


def _backoff_ms(policy: Policy, streak: Streak, jitter: float) -> int:
    longest = policy.longest_wait_ms
    longest = longest if streak.alone else min(longest, policy.longest_break_ms)
    ceiling = grow(policy.first_wait_ms, policy.factor, streak.failures - 1, longest)
    return max(round(jitter * ceiling), min(policy.shortest_wait_ms, ceiling))


def grow(first: int, factor: float, steps: int, limit: int) -> int:
    """Grow by a factor for each step, up to a limit, however many steps."""
    try:
        return min(round(first * factor ** max(steps, 0)), limit)
    except OverflowError:
        return limit
