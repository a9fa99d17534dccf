"""Events, routes and filters made up for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.core.plan import Plan
from bridge.model import (
    Answer,
    Clause,
    Configuration,
    Effect,
    Event,
    Hook,
    Route,
    RunAs,
    Site,
    Target,
)


class InProject:
    """A filter that lets through what is in one of some projects, by key; without any, all."""

    def __init__(self, *keys: str) -> None:
        self.text = f"project in ({', '.join(keys)})"
        self.projects = frozenset(key.casefold() for key in keys) or None
        self.types = None

    def match(self, body: Mapping[str, Any], now: int) -> Answer:
        project = ((body.get("issue") or {}).get("fields") or {}).get("project") or {}
        if self.projects is None:
            return Answer(value=True, why="everything")
        if not project.get("key"):
            return Answer(value=None, why="the project is not in the body")
        found = str(project["key"])
        return Answer(value=found.casefold() in self.projects, why=f"project is {found}")

    def explain(self, body: Mapping[str, Any], now: int) -> tuple[Clause, ...]:
        return ()


class Unchanged:
    """A mapper that maps nothing."""

    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return dict(body)


def target(name: str = "aha", **known: Any) -> Target:
    run_as = RunAs(name="Bridge", email="bridge@acme.example")
    return Target(
        **{"kind": "aha", "url": "https://x", "token": name, "run_as": run_as}, **known, name=name
    )


def route(name: str = "platform", when: InProject | None = None, **known: Any) -> Route:
    given = {"hooks": ("main",), "destinations": ("aha",), "mapper": Unchanged()}
    filters = {"jira": when or InProject(), "other": when or InProject()}
    return Route(**{**given, "filters": filters, **known}, name=name)


def plan(*routes: Route, targets: tuple[Target, ...] = (), ignored: tuple[str, ...] = ()) -> Plan:
    """Make a plan of some routes; the hooks are `main` and `second` of one Jira, and `other`."""
    sites = {"main": "jira", "second": "jira", "other": "other"}
    known = {each.name: each for each in targets}
    for each in routes:
        known.update({name: target(name) for name in each.destinations if name not in known})
    return Plan.of(
        Configuration(
            hooks={
                name: Hook(name=name, source="jira", site=site, token=name)
                for name, site in sites.items()
            },
            targets=known,
            sites={name: Site(name=name) for name in set(sites.values())},
            routes={each.name: each for each in routes},
            ignored_actors=frozenset(ignored),
        )
    )


def issue(key: str = "PLAT-1", **fields: Any) -> dict[str, Any]:
    """Make the body of an issue in a project."""
    prefix = key.rpartition("-")[0]
    project = {"id": f"id-{prefix}", "key": prefix, "name": f"The {prefix}"}
    return {"issue": {"id": "1", "key": key, "fields": {"project": project, **fields}}}


def change(number: int | str = 1) -> Effect:
    return Effect(identity=f"change:{number}:1", event="issue_updated", part="changelog")


def comment(number: int | str = 10, **known: Any) -> Effect:
    return Effect(
        **{
            "identity": f"comment:{number}:created:2024-05-01",
            "event": "comment_created",
            "part": "comment",
            "writes": True,
            "stale_after": f"comment:{number}:deleted:2024-05-01",
            **known,
        }
    )


def deletion(number: int | str = 10) -> Effect:
    return Effect(
        identity=f"comment:{number}:deleted:2024-05-01",
        event="comment_deleted",
        part="comment",
        writes=True,
    )


def event(id: str = "e1", *effects: Effect, **known: Any) -> Event:
    """Make an event, of an issue told in full unless `known` says otherwise."""
    given = {
        "hook": "main",
        "source": "jira",
        "site": "jira",
        "received": 1_714_550_400_000,
        "name": "jira:issue_updated",
        "record": "1",
        "key": "PLAT-1",
        "full": True,
        "body": issue(),
    }
    return Event(**{**given, "effects": effects, **known}, id=id)


def thin(id: str = "t1", *effects: Effect, **known: Any) -> Event:
    """Make Data Center's event of a comment, which names its issue's id at most."""
    given = {"name": "comment_created", "key": "", "full": False, "thin": True, "body": {}}
    return event(id, *(effects or (comment(),)), **{**given, **known})
