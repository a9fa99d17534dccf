"""A ledger on each of the two databases."""

from collections.abc import Callable, Iterator

import pytest
from ledger import Ledger

from bridge.core.plan import Plan


@pytest.fixture
def ledgers(database: str) -> Iterator[Callable[..., Ledger]]:
    """Open ledgers on one database."""
    made: list[Ledger] = []

    def make(plan: Plan | None = None) -> Ledger:
        made.append(Ledger(database, plan))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def ledger(ledgers: Callable[..., Ledger]) -> Ledger:
    """Return a ledger with one route, which lets everything through to `aha`."""
    return ledgers()
