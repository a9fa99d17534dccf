"""The demo: sends a day of two Jiras through the bridge, and counts the result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import requests

from bridge.core.plan import Plan
from bridge.demo.bodies import Issue
from bridge.demo.stage import Stage
from bridge.demo.stories import CLOUD, DATA_CENTER
from bridge.demo.traffic import Post, Script, script
from bridge.desk import LogEntry, Query, decisions, status
from bridge.desk.status import Status
from bridge.errors import BridgeError
from bridge.sandbox import Integration, Sandbox

#: The hook of each registration; the two of Cloud overlap.
HOOKS = {"cloud_a": "jira-main", "cloud_b": "jira-legacy", "dc": "jira-dc"}
#: The most requests under way at a time.
MAX_REQUESTS = 16
#: How long a request may take, and all deliveries after the last request, in seconds.
TIMEOUT_S = 30
_SITES = {"cloud": CLOUD, "dc": DATA_CENTER}
_HOSTS = {urlsplit(jira.base).netloc: name for name, jira in _SITES.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """One decision of the bridge, and the change in a Jira behind it."""

    #: Seconds from the start.
    at: float
    #: The change in the script's words; "" if the request has not been answered yet.
    note: str
    line: LogEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The result of the demo."""

    status: Status
    #: Comments written by Aha!, and how many of them repeat an earlier one.
    written: int
    doubled: int
    #: The same numbers if every request had been forwarded to Aha!.
    naive_written: int
    naive_doubled: int
    #: Comments and edits of comments that should have reached Aha! and did not; (site, comment id).
    lost: tuple[tuple[str, str], ...]
    #: Comments that should not have reached Aha! and did.
    unwanted: tuple[tuple[str, str], ...]
    seconds: float

    @property
    def delivered(self) -> int:
        """The number of successful deliveries."""
        return self.status.totals.deliveries.get("delivered", 0)

    @property
    def good(self) -> bool:
        """Whether no comment was lost, doubled or leaked, and no delivery is open."""
        return not (self.lost or self.doubled or self.unwanted or self.status.totals.open)


def as_dict(summary: Summary) -> dict[str, Any]:
    """Return a summary as plain data, the output of `demo --json`."""
    return {
        "received": summary.status.received,
        "verdicts": dict(summary.status.verdicts),
        "delivered": summary.delivered,
        "effects_lost": len(summary.lost),
        "comments": {
            "written": summary.written,
            "doubled": summary.doubled,
            "would_have_been_doubled": summary.naive_doubled,
        },
        "seconds": round(summary.seconds, 3),
    }


def play(
    stage: Stage, *, issues: int, seed: int, fast: bool, show: Callable[[Decision], None]
) -> Summary:
    """Send the whole script, call `show` for each decision, and wait until all is delivered.

    With `fast` there are no pauses between the posts.
    """
    written = script(issues=issues, seed=seed, hooks=HOOKS, wanted=_acceptance(stage.plan))
    notes: dict[str, str] = {}
    started = monotonic()
    with ThreadPoolExecutor(1) as beside:
        sending = beside.submit(_send, stage, written, notes, fast=fast)
        for line in decisions.follow(stage.store, Query(), wait=_until_delivered(stage, sending)):
            note = notes.get(line.event, "")
            show(Decision(at=monotonic() - started, note=note, line=line))
        sending.result()
    return _summary(stage, written, monotonic() - started)


def _acceptance(plan: Plan) -> Callable[[str, Issue], bool]:
    """Return a function that evaluates the routes' filters on an issue's complete body."""
    hooks = {name.partition("_")[0]: plan.configuration.hooks[HOOKS[name]] for name in HOOKS}

    def wanted(site: str, issue: Issue) -> bool:
        body, hook = {"issue": _SITES[site].issue(issue)}, hooks[site]
        filters = [route.filters[hook.site] for route in plan.by_hook[hook.name]]
        return any(each.match(body, issue.updated).value for each in filters)

    return wanted


# Sending the posts


def _send(stage: Stage, written: Script, notes: dict[str, str], *, fast: bool) -> None:
    """Send every post at its time; posts of one group are sent concurrently."""
    started = monotonic()
    sessions = threading.local()
    with ThreadPoolExecutor(MAX_REQUESTS) as pool:
        sent: list[Future[None]] = []
        for _, together in groupby(written.posts, key=lambda post: post.group):
            group = list(together)
            if not fast:
                threading.Event().wait(max(0.0, group[0].at - (monotonic() - started)))
            posted = [pool.submit(_post, stage, sessions, post, notes) for post in group]
            if fast:
                for one in posted:
                    one.result()
            sent += posted
    for one in sent:
        one.result()


def _post(stage: Stage, sessions: threading.local, post: Post, notes: dict[str, str]) -> None:
    session = getattr(sessions, "mine", None)
    if session is None:
        session = sessions.mine = requests.Session()
        session.trust_env = False  # never through a proxy: the demo stays on this machine
    token = stage.plan.configuration.hooks[post.hook].token
    answer = session.post(
        f"{stage.url}/api/v1/webhooks/{token}",
        data=post.body,
        headers=post.headers,
        params=post.query,
        timeout=TIMEOUT_S,
    )
    if answer.status_code != 200:
        raise BridgeError(f"a webhook got the answer {answer.status_code}: {answer.text[:200]}")
    notes[answer.headers["X-Bridge-Event"]] = post.note


def _until_delivered(stage: Stage, sending: Future[None]) -> Callable[[float], bool]:
    """Return a function that waits some seconds and returns whether the demo is over.

    It is over when everything was sent and no delivery is open, or after `TIMEOUT_S`.
    """
    pause = threading.Event()
    until = [0.0]

    def wait(seconds: float) -> bool:
        done = sending.done()
        pause.wait(min(seconds, 0.2))
        if not done:
            return False
        until[0] = until[0] or monotonic() + TIMEOUT_S
        nothing_open = not status.totals(stage.store).open
        return nothing_open or monotonic() > until[0]

    return wait


# Counting the result


def _summary(stage: Stage, written: Script, seconds: float) -> Summary:
    naive = Sandbox(Integration(token="naive"))  # noqa: S106 - not a secret
    for post in written.posts:
        naive.receive("naive", post.body)
    created, edited = _comments(stage.aha, "created"), _comments(stage.aha, "updated")
    expected = written.expected
    return Summary(
        status=status.status_of(stage.store),
        written=len(stage.aha.comments()),
        doubled=stage.aha.doubled(),
        naive_written=len(naive.comments()),
        naive_doubled=naive.doubled(),
        lost=(*sorted(expected.comments - created), *sorted(expected.edits - edited)),
        unwanted=tuple(sorted(created - expected.comments)),
        seconds=seconds,
    )


def _comments(aha: Sandbox, verb: str) -> set[tuple[str, str]]:
    """Return the comments created or updated at Aha!, as (site, comment id)."""
    found = (one for one in aha.writes() if one.kind == "comment" and one.verb == verb)
    return {(_HOSTS[one.site], one.comment) for one in found}
