"""What runs in one transaction, for those who do not care in which thread it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")

#: Work on the database. It gets the connection, within a transaction, and the instant by the
#: engine's clock in ms.
Work = Callable[[Connection, int], T]


class Transact(Protocol):
    """Runs work in one transaction."""

    def __call__(self, work: Work[T]) -> T:
        """Return what the work returns, once it is committed; raises `Down`."""
        ...
