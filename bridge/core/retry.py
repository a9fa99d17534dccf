"""When a delivery is tried again, and when a destination is left alone for a while."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.errors import DeliveryError, Failed, Gone, InDoubt, NotSent, Throttled


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How patiently a destination is tried; all times in ms."""

    #: The longest wait after the first attempt.
    first: int = 5_000
    #: How much longer the longest wait grows with each further attempt.
    factor: float = 2.0
    #: What no wait of a back-off exceeds.
    cap: int = 5 * 60_000
    #: What no wait falls below, whatever the dice say.
    least: int = 1_000
    #: What no pause that a destination asks for exceeds.
    longest_pause: int = 60 * 60_000
    #: After so many attempts, the last of which the destination failed, the delivery is parked:
    #: about three days, with waits that come to half the cap on average. None: never. What cannot
    #: have reached the destination is no fault of the delivery, and is tried for ever.
    tries: int | None = 1_750
    #: So many failures in a row, whatever the record, open the destination's breaker; 0: never.
    breaks_after: int = 5
    #: The breaker's first pause, and the one it does not exceed.
    first_break: int = 10_000
    longest_break: int = 60_000


def next_attempt(
    policy: Policy, attempts: int, error: DeliveryError, now: int, jitter: float
) -> int | None:
    """Tell when a delivery is tried again, in ms since the epoch; None: never, park it.

    `attempts` counts those made so far; `jitter` in [0, 1) spreads what failed together. A refusal
    is final. A destination that is gone is looked at again each `cap`, for as long as it takes.
    Whether a delivery in doubt may be sent again is decided before asking here.
    """
    match error:
        case Throttled(after=float() | int() as after):
            return now + _paused(policy, after, jitter)
        case Gone():
            return now + policy.cap
        case NotSent() | Throttled():
            return now + _backed_off(policy, attempts, jitter)
        case Failed() | InDoubt():
            if policy.tries is None or attempts < policy.tries:
                return now + _backed_off(policy, attempts, jitter)
    return None


def breaker(failures: int, now: int, policy: Policy) -> int | None:
    """Tell until when a destination is sent nothing after so many failures in a row; None: go on.

    Once that instant has passed, one delivery goes out as a probe: its failure is one more in the
    row and asks here again, and its success ends the row.
    """
    if not policy.breaks_after or failures < policy.breaks_after:
        return None
    steps = failures - policy.breaks_after
    return now + _grown(policy.first_break, policy.factor, steps, policy.longest_break)


def _paused(policy: Policy, after: float, jitter: float) -> int:
    pause = min(max(round(after * 1_000), 0), policy.longest_pause)
    # Spread on the far side only: not a moment earlier than asked for.
    return pause + round(jitter * policy.first)


def _backed_off(policy: Policy, attempts: int, jitter: float) -> int:
    ceiling = _grown(policy.first, policy.factor, attempts - 1, policy.cap)
    return max(round(jitter * ceiling), min(policy.least, ceiling))


def _grown(first: int, factor: float, steps: int, limit: int) -> int:
    """Grow by a factor a step, up to a limit, however many steps."""
    try:
        return min(round(first * factor ** max(steps, 0)), limit)
    except OverflowError:
        return limit
