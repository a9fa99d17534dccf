"""A day in two Jiras as webhook requests: repeated, overlapping, incomplete and out of order.

The expected result is computed from the changes themselves, not from the requests, so that tests
can compare the bridge with it.
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
    Webhook,
    breakage,
    bulk_change,
    elsewhere,
)

#: The projects that the routes accept of each site; the script has others too.
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
    #: The change in words, on one line.
    note: str
    #: Seconds from the start.
    at: float
    #: Equal for posts that are sent at the same time.
    group: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectations:
    """The correct result of a script, for any order of arrival."""

    #: Every comment that was written.
    remarks: tuple[Remark, ...]
    #: (site, comment id) of the comments to deliver once: accepted by a route, public, no echo.
    comments: frozenset[tuple[str, str]]
    #: (site, comment id) of those with one edit, which is to be delivered once.
    edits: frozenset[tuple[str, str]]
    #: The number of distinct effects in all posts.
    effects: int
    #: The number of unreadable posts.
    broken: int
    #: The number of comments that Aha! would write if every post were forwarded.
    naive_comment_writes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """All posts in order of sending, and their expected result."""

    posts: tuple[Post, ...]
    expected: Expectations


def in_wanted_project(site: str, issue: Issue) -> bool:
    """Whether the issue's project is one that the routes accept of its site."""
    return issue.project in WANTED[site]


def script(
    *,
    issues: int = 40,
    seed: int = 7,
    hooks: Mapping[str, str],
    start: int = _START,
    wanted: Callable[[str, Issue], bool] = in_wanted_project,
) -> Script:
    """Generate a script with the given number of issues; equal seeds give equal scripts.

    `hooks` maps registrations to names of hooks, such as {"cloud_a": "jira-main", "cloud_b":
    "jira-legacy", "dc": "jira-dc"}: a registration begins with its site, and all hooks of a site
    get the same changes. `start` is the time of the first change, in ms since the epoch; the last
    one is some minutes later. `wanted(site, issue)` returns whether the routes accept an issue; it
    is called with each commented issue as it was at the time of the comment.
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
            # Each Jira numbers its own issues and changes, so the same ids occur in both.
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
    for webhook in site.webhooks:
        for position, hook in enumerate(site.hooks):
            late = 0.0 if position == 0 else site.rng.choice((0, 0, 0, 0.02, 0.04, 1.3))
            post = _post(site, webhook, hook, webhook.at + late)
            yield _count(site, webhook, post)
            if site.jira.cloud and site.rng.random() < 0.05:
                again = post.headers | {"X-Atlassian-Webhook-Retry": "1"}
                note = f"{post.note}, sent again"
                again_post = replace(post, headers=again, note=note, **_instant(post.at + 1.1))
                yield _count(site, webhook, again_post)


def _count(site: Site, webhook: Webhook, post: Post) -> Post:
    site.broken += isinstance(webhook.body, bytes)
    site.naive_comment_writes += webhook.comment_writes
    return post


def _post(site: Site, webhook: Webhook, hook: str, at: float) -> Post:
    body = webhook.body if isinstance(webhook.body, bytes) else orjson.dumps(webhook.body)
    headers = {"Content-Type": "application/json; charset=UTF-8"}
    query: dict[str, str] = {}
    if site.jira.cloud:
        headers |= {
            "User-Agent": "Atlassian Webhook HTTP Client",
            "X-Atlassian-Webhook-Identifier": str(site.rng.randrange(10**18, 10**19)),
            "X-Atlassian-Webhook-Flow": "Secondary" if webhook.secondary else "Primary",
        }
        query = {} if webhook.by is None else {"triggeredByUser": webhook.by.account}
    else:
        headers |= {"User-Agent": "Atlassian HttpClient 3.0.4 / JIRA-9.12.2 (9120002) / Default"}
        if webhook.by is not None:
            query = {"user_id": webhook.by.name, "user_key": webhook.by.name}
    return Post(
        hook=hook, headers=headers, query=query, body=body, note=webhook.note, **_instant(at)
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
    effects = {
        (site.name, *effect) for site in sites for t in site.webhooks for effect in t.effects
    }
    return Expectations(
        remarks=remarks,
        comments=written,
        edits=written & {edit for site in sites for edit in site.edits},
        effects=len(effects),
        broken=sum(site.broken for site in sites),
        naive_comment_writes=sum(site.naive_comment_writes for site in sites),
    )
