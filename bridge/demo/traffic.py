"""A day in two Jiras as their webhooks tell it: repeated, overlapping, in pieces, out of order.

What a correct bridge makes of it is counted here from what happened, not from what was sent, so a
test can hold the bridge to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import orjson

from bridge.demo.bodies import Issue
from bridge.demo.stories import (
    CLOUD,
    DATA_CENTER,
    PEOPLE,
    PLANS,
    Remark,
    Site,
    Telling,
    breakage,
    bulk_change,
    elsewhere,
)

#: The projects that routes want of each site; the script has others.
WANTED = {"cloud": frozenset({"PLAT", "MOB"}), "dc": frozenset({"CORE"})}

_START = 1_772_697_600_000
_SUBJECTS = ("Export the roadmap", "Sign in with a passkey", "Größere Anhänge", "Offline mode")


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """One request that a Jira sends."""

    #: The name of the hook it is sent to.
    hook: str
    headers: dict[str, str]
    query: dict[str, str]
    body: bytes
    #: What happened, in a line for people.
    note: str
    #: Seconds from the start.
    at: float
    #: Equal for the posts that go out at the same instant.
    group: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectations:
    """What a correct bridge makes of a script, whatever order it arrives in."""

    #: Every comment that was written.
    remarks: tuple[Remark, ...]
    #: (site, comment id) of those to be written exactly once: wanted, for all to read, no echo.
    comments: frozenset[tuple[str, str]]
    #: (site, comment id) of those of them whose one edit is to be told exactly once.
    edits: frozenset[tuple[str, str]]
    #: How many distinct effects are told.
    effects: int
    #: How many posts cannot be read.
    broken: int
    #: How many comments Aha! would write had every post been forwarded as it is.
    naive_comment_writes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """Everything that is sent, in the order it is sent, and what is to come of it."""

    posts: tuple[Post, ...]
    expected: Expectations


def in_wanted_project(site: str, issue: Issue) -> bool:
    """Tell whether an issue is in one of the projects that are wanted of its site."""
    return issue.project in WANTED[site]


def script(
    *,
    issues: int = 40,
    seed: int = 7,
    hooks: Mapping[str, str],
    start: int = _START,
    wanted: Callable[[str, Issue], bool] = in_wanted_project,
) -> Script:
    """Write a script of so many issues: the same seed gives the same script.

    `hooks` says where each registration posts to, such as {"cloud_a": "jira-main", "cloud_b":
    "jira-legacy", "dc": "jira-dc"}: before the underscore stands the site, and the hooks of one
    site see the same changes. `start` is the instant of the first change, in ms since the epoch;
    the last is some minutes later. `wanted` says of a site's issue, as it was when somebody wrote a
    comment, whether the routes let it through.
    """
    rng = random.Random(seed)  # noqa: S311 made-up traffic needs no secrecy
    sites = _sites(hooks, rng, start)
    for number in range(issues):
        site = sites[(number + number // len(PLANS)) % len(sites)]
        _live(site, number, at=round(number * 0.12, 3))
    end = issues * 0.12 + 4
    for site in sites:
        elsewhere(site, 1.0)
        bulk_change(site, end)
        breakage(site, 2.0)
    posts = sorted((post for site in sites for post in _posts(site)), key=lambda post: post.at)
    return Script(posts=tuple(posts), expected=_expected(sites, wanted))


def _sites(hooks: Mapping[str, str], rng: random.Random, start: int) -> list[Site]:
    registered: dict[str, list[str]] = {}
    for registration, hook in hooks.items():
        registered.setdefault(registration.split("_")[0], []).append(hook)
    unknown = set(registered) - {"cloud", "dc"}
    if unknown or not registered:
        raise ValueError("hooks are named cloud, cloud_…, dc or dc_…")
    return [
        Site(
            name=name,
            jira=CLOUD if name == "cloud" else DATA_CENTER,
            hooks=tuple(names),
            start=start,
            rng=rng,
            # Two Jiras count on their own, so ids of issues and changes are in both.
            issue_ids=count(10_001),
            change_ids=count(20_001),
            comment_ids=count(10_042 if name == "cloud" else 50_042),
        )
        for name, names in registered.items()
    ]


def _live(site: Site, number: int, at: float) -> None:
    issue = _new_issue(site, number, at)
    for step in PLANS[number % len(PLANS)]:
        site.issues[issue.id] = issue
        issue = step(site, issue, at)
        if issue.id in site.issues:
            site.issues[issue.id] = issue
        at = round(at + 0.6 + site.rng.random() * 0.4, 3)


def _new_issue(site: Site, number: int, at: float) -> Issue:
    rng = site.rng
    project = rng.choice(("PLAT", "PLAT", "MOB") if site.jira.cloud else ("CORE",))
    project = "HR" if number % 10 == 7 else project
    identity = next(site.issue_ids)
    return Issue(
        id=identity,
        key=f"{project}-{identity - (10_000 if site.jira.cloud else 9_500)}",
        type=rng.choice(("Story", "Story", "Bug", "Task", "Epic")),
        summary=f"{rng.choice(_SUBJECTS)} #{number}",
        labels=rng.choice(((), ("backend",), ("internal",))),
        reporter=site.someone(),
        assignee=rng.choice((None, *PEOPLE)),
        sprint=rng.choice(("", "PLAT Sprint 12")),
        created=site.clock(at),
        updated=site.clock(at),
    )


def _posts(site: Site) -> Iterator[Post]:
    for telling in site.tellings:
        for position, hook in enumerate(site.hooks):
            late = 0.0 if position == 0 else site.rng.choice((0, 0, 0, 0.02, 0.04, 1.3))
            post = _post(site, telling, hook, telling.at + late)
            yield _counted(site, telling, post)
            if site.jira.cloud and site.rng.random() < 0.05:
                again = post.headers | {"X-Atlassian-Webhook-Retry": "1"}
                note = f"{post.note}, sent again"
                again_post = replace(post, headers=again, note=note, **_instant(post.at + 1.1))
                yield _counted(site, telling, again_post)


def _counted(site: Site, telling: Telling, post: Post) -> Post:
    site.broken += isinstance(telling.body, bytes)
    site.naive_comment_writes += telling.comment_writes
    return post


def _post(site: Site, telling: Telling, hook: str, at: float) -> Post:
    body = telling.body if isinstance(telling.body, bytes) else orjson.dumps(telling.body)
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    query: dict[str, str] = {}
    if site.jira.cloud:
        headers |= {
            "User-Agent": "Atlassian Webhook HTTP Client",
            "X-Atlassian-Webhook-Identifier": str(site.rng.randrange(10**18, 10**19)),
            "X-Atlassian-Webhook-Flow": "Secondary" if telling.secondary else "Primary",
        }
        query = {} if telling.by is None else {"triggeredByUser": telling.by.account}
    else:
        headers |= {"User-Agent": "Atlassian HttpClient 3.0.4 / JIRA-9.12.2 (9120002) / Default"}
        if telling.by is not None:
            query = {"user_id": telling.by.name, "user_key": telling.by.name}
    return Post(
        hook=hook, headers=headers, query=query, body=body, note=telling.note, **_instant(at)
    )


def _instant(at: float) -> dict[str, Any]:
    return {"at": round(at, 3), "group": f"{at:.3f}"}


def _expected(sites: list[Site], wanted: Callable[[str, Issue], bool]) -> Expectations:
    remarks = tuple(remark for site in sites for remark in site.remarks)
    written = frozenset(
        (remark.site, remark.id)
        for remark in remarks
        if wanted(remark.site, remark.issue) and not remark.private and not remark.echo
    )
    told = {(site.name, *effect) for site in sites for t in site.tellings for effect in t.effects}
    return Expectations(
        remarks=remarks,
        comments=written,
        edits=written & {edit for site in sites for edit in site.edits},
        effects=len(told),
        broken=sum(site.broken for site in sites),
        naive_comment_writes=sum(site.naive_comment_writes for site in sites),
    )
