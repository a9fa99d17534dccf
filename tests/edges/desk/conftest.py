"""A bridge that accepts and does not deliver, on either database, and hands to play worker with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge import config
from bridge.app import Bridge
from bridge.demo.bodies import Change, Comment, Issue, Item
from bridge.demo.stories import ANA, CLOUD, DATA_CENTER, SYNC
from bridge.intake import new_id
from bridge.model import Limits, Request, State
from bridge.store import Clocks, Leased, LeaseRequest, Settlement

TOKEN = "hook-token-0123456789"
START = 1_772_697_600_000


class House:
    """What the desk looks at: a bridge with one hook, two routes and two destinations."""

    def __init__(self, folder: Path, database: str) -> None:
        self.mappings = folder / "mappings"
        self.mappings.mkdir()
        self.now = START
        self._ids = count(10_001)
        jira = {"source": "jira", "site": "cloud"}
        aha = {"kind": "aha", "url": "https://acme.aha.io", "limits": "none"}
        names = ("main", "second", "idle", "dc")
        self.write(
            "bridge",
            hooks={name: {**jira, "token": f"{TOKEN}-{name}"} for name in names}
            | {"dc": {**jira, "site": "dc", "token": f"{TOKEN}-dc"}},
            destinations={
                "aha": {**aha, **_callback("one", ["PLAT", "MOB"])},
                "small": {**aha, **_callback("two", ["OTHER"])},
            },
            ignore={"actors": [SYNC.display]},
        )
        self.write_plat()
        mob = {"from": ["main"], "workspace": "MOB", "when": "project = MOB"}
        self.write("mob", **mob, to=["aha", "small"])
        self.settings = config.settings(
            {
                "BRIDGE_MAPPINGS": str(self.mappings),
                "BRIDGE_DATABASE": database,
                "BRIDGE_SPOOL": str(folder / "spool"),
            }
        )
        self.bridge = Bridge(self.settings, {}, clocks=Clocks.given(lambda: self.now))
        self.bridge.start(deliver=False, periodic=False)
        self.store = self.bridge.store
        self.plan = self.bridge.plan

    def write(self, name: str, **told: Any) -> None:
        (self.mappings / f"{name}.yaml").write_text(json.dumps({"version": 1, **told}))

    def write_plat(self, *hooks: str, **more: Any) -> None:
        read = {"from": hooks or ("main", "second", "dc"), "to": ["aha"]}
        self.write("plat", **read, workspace="PLAT", when="project = PLAT", **more)

    def edit_plat(self, *hooks: str, **more: Any) -> None:
        """Change the route while the bridge runs."""
        self.write_plat(*hooks, **more)
        assert not self.bridge.reload(), "what may be half saved is not taken"
        assert self.bridge.reload()
        self.plan = self.bridge.plan

    # What happens in Jira

    def issue(self, project: str = "PLAT", **more: Any) -> Issue:
        number = next(self._ids)
        plain = {"id": number, "key": f"{project}-{number}", "reporter": ANA}
        return Issue(**{**plain, "created": self.now, "updated": self.now, **more})

    def created(self, issue: Issue | None = None, **more: Any) -> bytes:
        return orjson.dumps({**CLOUD.issue_created(issue or self.issue(), ANA), **more})

    def changed(self, issue: Issue, by: Any = ANA) -> bytes:
        item = Item(field="priority", field_id="priority", was=("3", "Medium"), now=("2", "High"))
        change = Change(id=next(self._ids), items=(item,))
        return orjson.dumps(CLOUD.issue_updated(issue, by, "issue_updated", change))

    def comment(self, **more: Any) -> Comment:
        plain = {"id": next(self._ids), "author": ANA, "text": "Looks good to me."}
        return Comment(**{**plain, "created": self.now, "updated": self.now, **more})

    def commented(self, issue: Issue, **more: Any) -> bytes:
        comment = self.comment(**more)
        return orjson.dumps(CLOUD.comment_event("comment_created", comment, issue, self.now))

    def commented_twice(self, issue: Issue, **more: Any) -> tuple[bytes, bytes]:
        """Tell of a comment as Data Center does: first without its issue, then with it."""
        thin, full = DATA_CENTER.comment_pair("comment_created", self.comment(**more), issue)
        return orjson.dumps(thin), orjson.dumps(full)

    def accept(self, body: bytes, hook: str = "main") -> str:
        """Take a body in, a second after the last one; returns the event's id."""
        self.now += 1000
        found = self.plan.configuration.hooks[hook]
        request = Request(
            id=new_id(self.now / 1000),
            hook=hook,
            site=found.site,
            received=self.now,
            headers={},
            query={},
            body=body,
        )
        self.bridge.intake.accept(found, request)
        return request.id

    # What becomes of it

    def lease(self, destination: str = "aha") -> Leased | None:
        """Take the next delivery, as a worker does."""
        limits = Limits(per_second=None, per_minute=None)
        request = LeaseRequest(
            destination=destination, owner="a test", lease_ms=60_000, limits=limits
        )
        return self.store.settle_and_lease(None, request).leased

    def settle(self, leased: Leased, state: State, **more: Any) -> None:
        outcome = {State.DELIVERED: "delivered", State.PARKED: "refused"}.get(state, "in_doubt")
        settlement = Settlement(
            lane=leased.lane,
            fence=leased.fence,
            delivery=leased.delivery,
            destination=leased.destination,
            state=state,
            outcome=outcome,
        )
        self.store.settle_and_lease(replace(settlement, **more), None)

    def sent(self, state: State, **more: Any) -> Leased:
        """Take the next delivery and let it come to that."""
        leased = self.lease()
        assert leased is not None, "nothing is queued"
        self.settle(leased, state, **more)
        return leased


def _callback(name: str, workspaces: list[str]) -> dict[str, Any]:
    run_as = {"name": f"Integration {name}", "email": f"{name}@acme.example"}
    return {"token": f"callback-{name}-0123456789", "run_as": run_as, "workspaces": workspaces}


@pytest.fixture
def house(tmp_path: Path, sqlite: str) -> Iterator[House]:
    """A house on SQLite: the SQL below the desk has tests of its own."""
    made = House(tmp_path, sqlite)
    yield made
    made.bridge.stop()


@pytest.fixture
def either_house(tmp_path: Path, database: str) -> Iterator[House]:
    """A house on each database."""
    made = House(tmp_path, database)
    yield made
    made.bridge.stop()
