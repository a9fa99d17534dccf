"""The demo: a day in two Jiras goes through the bridge, and what came of it is counted."""

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

#: Who registered which hook: two of the Cloud's overlap.
HOOKS = {"cloud_a": "jira-main", "cloud_b": "jira-legacy", "dc": "jira-dc"}
#: How many requests are on their way at most.
AT_ONCE = 16
#: How long what was sent may take to be delivered, in seconds.
PATIENCE = 30
_SITES = {"cloud": CLOUD, "dc": DATA_CENTER}
_HOSTS = {urlsplit(jira.base).netloc: name for name, jira in _SITES.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Happening:
    """One thing that was decided, and what in the Jiras it was about."""

    #: Seconds from the start.
    at: float
    #: What happened, in the words of the script; "" when the answer is not there yet.
    note: str
    line: LogEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What came of it all."""

    status: Status
    #: Comments that Aha! wrote, and how many of these it had written before.
    written: int
    doubled: int
    #: The same, had every request gone to Aha! as it is.
    naive_written: int
    naive_doubled: int
    #: Comments, and edits of comments, that Aha! never got though it should have.
    lost: tuple[tuple[str, str], ...]
    #: Comments that it got though it should not have.
    unwanted: tuple[tuple[str, str], ...]
    seconds: float

    @property
    def delivered(self) -> int:
        """Count the deliveries that arrived."""
        return self.status.totals.deliveries.get("delivered", 0)

    @property
    def good(self) -> bool:
        """Tell whether nothing was lost, doubled, leaked, or left on its way."""
        return not (self.lost or self.doubled or self.unwanted or self.status.totals.open)


def told(summary: Summary) -> dict[str, Any]:
    """Say it as plain data: the contract of `demo --json`."""
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
    stage: Stage, *, issues: int, seed: int, fast: bool, tell: Callable[[Happening], None]
) -> Summary:
    """Send the whole script and wait until all of it is delivered; `fast` sends without pauses."""
    written = script(issues=issues, seed=seed, hooks=HOOKS, wanted=_wanted(stage.plan))
    notes: dict[str, str] = {}
    started = monotonic()
    with ThreadPoolExecutor(1) as beside:
        sending = beside.submit(_send, stage, written, notes, fast=fast)
        for line in decisions.follow(stage.store, Query(), wait=_until_delivered(stage, sending)):
            note = notes.get(line.event, "")
            tell(Happening(at=monotonic() - started, note=note, line=line))
        sending.result()
    return _summary(stage, written, monotonic() - started)


def _wanted(plan: Plan) -> Callable[[str, Issue], bool]:
    """Tell of an issue whether the routes let it through, by its full body."""
    hooks = {name.partition("_")[0]: plan.configuration.hooks[HOOKS[name]] for name in HOOKS}

    def wanted(site: str, issue: Issue) -> bool:
        body, hook = {"issue": _SITES[site].issue(issue)}, hooks[site]
        filters = [route.filters[hook.site] for route in plan.by_hook[hook.name]]
        return any(each.match(body, issue.updated).value for each in filters)

    return wanted


# Sending, as the Jiras do


def _send(stage: Stage, written: Script, notes: dict[str, str], *, fast: bool) -> None:
    """Post everything at its time; what has the same instant goes out side by side."""
    started = monotonic()
    sessions = threading.local()
    with ThreadPoolExecutor(AT_ONCE) as pool:
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
        session.trust_env = False  # nothing of this leaves the machine, whatever proxies there are
    token = stage.plan.configuration.hooks[post.hook].token
    answer = session.post(
        f"{stage.url}/api/v1/webhooks/{token}",
        data=post.body,
        headers=post.headers,
        params=post.query,
        timeout=PATIENCE,
    )
    if answer.status_code != 200:
        raise BridgeError(f"a webhook was answered {answer.status_code}: {answer.text[:200]}")
    notes[answer.headers["X-Bridge-Event"]] = post.note


def _until_delivered(stage: Stage, sending: Future[None]) -> Callable[[float], bool]:
    """Wait between two looks; end when all was sent and nothing is on its way any more."""
    pause = threading.Event()
    until = [0.0]

    def wait(seconds: float) -> bool:
        done = sending.done()
        pause.wait(min(seconds, 0.2))
        if not done:
            return False
        until[0] = until[0] or monotonic() + PATIENCE
        nothing_open = not status.totals(stage.store).open
        return nothing_open or monotonic() > until[0]

    return wait


# Counting


def _summary(stage: Stage, written: Script, seconds: float) -> Summary:
    naive = Sandbox(Integration(token="naive"))  # noqa: S106 - it opens nothing
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
    """Name the comments that were created, or changed, by site and id."""
    found = (one for one in aha.writes() if one.kind == "comment" and one.verb == verb)
    return {(_HOSTS[one.site], one.comment) for one in found}
