"""One transaction's share of the workers' business: settle deliveries, then lease free lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from bridge.core.retry import Policy
from bridge.store.queue.leasing import due, lease
from bridge.store.queue.nouns import Exchange, LeaseRequest, Next
from bridge.store.queue.settle import settle


def settle_and_lease(
    conn: Connection, now: int, exchanges: Sequence[Exchange], *, policy: Policy, since: int | None
) -> list[Next]:
    """Settle every delivery first, then lease free lanes to the workers that request one.

    Returns the answer to each exchange, in their order. `now` is in ms. `since` is the start of the
    transaction in ms on the steady clock, from which the time to begin a send counts; None: no lane
    is leased.
    """
    settlements = [e.settlement for e in exchanges if e.settlement is not None]
    requests = {n: e.request for n, e in enumerate(exchanges) if e.request is not None}
    leasing = [request.destination for request in requests.values() if request.limits.any]
    counted = settle(conn, now, settlements, policy, leasing=leasing) if settlements else []
    answers = {} if since is None else _lease_all(conn, now, requests, policy, since)
    return [
        replace(
            answers.get(n, Next(leased=None)),
            settled=e.settlement is None or e.settlement in counted,
        )
        for n, e in enumerate(exchanges)
    ]


def _lease_all(
    conn: Connection, now: int, requests: dict[int, LeaseRequest], policy: Policy, since: int
) -> dict[int, Next]:
    """Answer numbered requests, one destination after the other, in one order everywhere."""
    answers: dict[int, Next] = {}
    for name in sorted({request.destination for request in requests.values()}):
        numbers = [n for n, request in requests.items() if request.destination == name]
        request = requests[numbers[0]]  # all workers of a destination ask for the same
        found = lease(conn, now, request, len(numbers), policy)
        start_by = since + request.start_within_ms
        for n, leased in zip(numbers, found, strict=False):
            answers[n] = Next(leased=replace(leased, start_by=start_by), wait_ms=0)
        if len(found) < len(numbers):
            at = due(conn, now, request)
            wait_ms = None if at is None else max(1, at - now)
            answers |= {n: Next(leased=None, wait_ms=wait_ms) for n in numbers[len(found) :]}
    return answers
