"""A fake bridge behind the HTTP endpoints: it records requests and answers as configured."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from bridge.errors import NotFound
from bridge.model import Hook, Reply, Request
from bridge.store import Totals

TOKEN = "token-of-the-only-hook"


class Bridge:
    """The part of a bridge that the endpoints use."""

    def __init__(self) -> None:
        self.settings = SimpleNamespace(max_body=1000)
        self.intake = self
        self.accepted: list[Request] = []
        self.refused: list[tuple[Request, str]] = []
        #: The intake's answer, or the error that it raises.
        self.reply: Reply | Exception | None = None
        self.room = True
        self.troubles: tuple[str, ...] = ()
        #: What counting the rows raises.
        self.rows: Exception | None = None
        self.store = SimpleNamespace(
            can_keep=lambda: self.room,
            backlog=True,
            verdicts={("deliver", "passes_filter"): 2, ("duplicate", "claimed"): 1},
            history=SimpleNamespace(totals=self._totals),
        )
        self.plan = SimpleNamespace(configuration=SimpleNamespace(routes={"one": 1, "two": 2}))

    def hook(self, token: str) -> Hook:
        if token != TOKEN:
            raise NotFound("there is no such hook")
        return Hook(name="main", source="jira", site="acme", token=TOKEN)

    def accept(self, hook: Hook, request: Request) -> Reply | None:
        assert hook.name == "main"
        if isinstance(self.reply, Exception):
            raise self.reply
        self.accepted.append(request)
        return self.reply

    def refuse(self, hook: Hook, request: Request, reason: str) -> None:
        if isinstance(self.reply, Exception):
            raise self.reply
        self.refused.append((request, reason))

    def degraded(self) -> tuple[str, ...]:
        return self.troubles

    def _totals(self) -> Totals:
        if self.rows is not None:
            raise self.rows
        return Totals(events={}, deliveries={}, open={}, destinations={}, oldest=None)


@pytest.fixture
def bridge() -> Bridge:
    return Bridge()


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines
