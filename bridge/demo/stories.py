"""A day's changes to issues, people and sprints in two Jiras, and the webhooks they cause."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.demo.bodies import Body, Change, Comment, Installation, Issue, Item, Person

#: One second of the script is a minute in Jira.
_MINUTE = 60_000

CLOUD = Installation(base="https://acme.atlassian.net", cloud=True, zone=1)
DATA_CENTER = Installation(base="https://jira.acme.example/jira", cloud=False)

ANA = Person(
    name="ana", display="Ana Duarte", email="ana@acme.example", account="712020:5b10ac8d-a"
)
PEOPLE = (
    ANA,
    Person(name="bo", display="Bo Lindqvist", email="bo@acme.example", account="712020:77d1f0e2-b"),
    Person(name="cem", display="Cem Öztürk", email="cem@acme.example", account="712020:9a31c4b7-c"),
    Person(name="dee", display="Dee Marsh", email="dee@acme.example", account="712020:c20e88d5-d"),
)
#: The account with which Aha! writes to Jira: its changes come back as echoes.
SYNC = Person(
    name="aha-sync", display="Aha! Sync", email="aha-sync@acme.example", account="712020:aha-sync"
)

#: The target project of moved issues, by source: to another routed project, or to one without.
_MOVES = {"PLAT": "MOB", "MOB": "PLAT", "CORE": "HR"}
_WORDS = ("Looks good to me.", "Can we ship this?", "Siehe [~accountid:712020:5b10ac8d-a].\r\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """A comment written in a Jira."""

    #: "cloud" or "dc".
    site: str
    id: str
    #: The issue at the time of the comment.
    issue: Issue
    #: Restricted to some readers.
    private: bool
    #: Written by Aha!.
    echo: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Webhook:
    """One webhook request, before it is sent to each hook of its site."""

    at: float
    body: Body | bytes
    note: str
    by: Person | None
    #: The effects it reports, as pairs of a kind, named only in this module, and an id.
    effects: tuple[tuple[str, ...], ...] = ()
    secondary: bool = False

    @property
    def comment_writes(self) -> int:
        """How many comments Aha! writes if it receives this body unfiltered."""
        return sum(kind in ("said", "reworded") for kind, *_ in self.effects)


@dataclass(kw_only=True)
class Site:
    """The state of one Jira while its script is generated."""

    name: str
    jira: Installation
    hooks: tuple[str, ...]
    start: int
    rng: random.Random
    issue_ids: Iterator[int]
    comment_ids: Iterator[int]
    change_ids: Iterator[int]
    webhooks: list[Webhook] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    #: The existing comments, by issue id.
    comments: dict[int, list[Comment]] = field(default_factory=dict)
    #: The existing issues, by id.
    issues: dict[int, Issue] = field(default_factory=dict)
    edits: set[tuple[str, str]] = field(default_factory=set)
    #: The number of unreadable requests.
    broken: int = 0
    #: The number of comments that Aha! would write if every request were forwarded.
    naive_comment_writes: int = 0

    def clock(self, at: float) -> int:
        """Return the time in Jira, in ms since the epoch, at a second of the script."""
        return self.start + round(at * _MINUTE)

    def someone(self) -> Person:
        """Choose a person at random."""
        return self.rng.choice(PEOPLE)

    def send(
        self,
        at: float,
        body: Body | bytes,
        note: str,
        by: Person | None = None,
        effects: tuple[tuple[str, ...], ...] = (),
        **more: bool,
    ) -> None:
        """Add one webhook request; `effects` are those it reports, as in `Webhook`."""
        kind = "Cloud" if self.jira.cloud else "Data Center"
        name = body.get("webhookEvent") if isinstance(body, dict) else "no event"
        self.webhooks.append(
            Webhook(
                at=at, body=body, note=f"{note} ({kind}, {name})", by=by, effects=effects, **more
            )
        )


# --- steps in the life of an issue; each returns the issue afterwards


def _create(site: Site, issue: Issue, at: float) -> Issue:
    by = issue.reporter
    change = None
    if site.jira.cloud:
        items = (Item(field="summary", field_id="summary", now=(None, issue.summary)),)
        change = Change(id=next(site.change_ids), items=items)
    body = site.jira.issue_created(issue, by, change)
    effects = (("created", str(issue.id)),)
    site.send(at, body, f"{issue.key} created by {by.display}", by, effects=effects)
    # An automation that answers at once: 221 ms later, and no duplicate of the creation.
    return _change(site, replace(issue, labels=("triage", *issue.labels)), at + 0.004, "labels")


def _change(site: Site, issue: Issue, at: float, name: str, by: Person | None = None) -> Issue:
    by = by or site.someone()
    issue = replace(issue, updated=site.clock(at))
    change = Change(id=next(site.change_ids), items=(_item(site, issue, name),))
    body = site.jira.issue_updated(issue, by, "issue_updated", change)
    note = f"{issue.key} has new {name}, by {by.display}"
    site.send(at, body, note, by, effects=(("changed", str(change.id)),))
    return issue


def _item(site: Site, issue: Issue, name: str) -> Item:
    field_id = {"Story Points": site.jira.points}.get(name, name)
    values = {"labels": " ".join(issue.labels), "priority": site.jira.priority(issue.priority)}
    return Item(field=name, field_id=field_id, now=(None, values.get(name, str(issue.points))))


def _edit(site: Site, issue: Issue, at: float) -> Issue:
    issue = _change(site, replace(issue, points=5.0), at, "Story Points")
    issue = _change(site, replace(issue, priority="High"), at + 0.05, "priority")
    if site.rng.random() < 0.4:  # Jira does not guarantee the order
        first, second = site.webhooks[-2:]
        site.webhooks[-2:] = replace(first, at=second.at), replace(second, at=first.at)
    return issue


def _assign(site: Site, issue: Issue, at: float) -> Issue:
    by, to = site.someone(), site.someone()
    issue = replace(issue, assignee=to, updated=site.clock(at))
    now = (to.account if site.jira.cloud else to.name, to.display)
    item = Item(field="assignee", field_id="assignee", now=now)
    change = Change(id=next(site.change_ids), items=(item,))
    body = site.jira.issue_updated(issue, by, "issue_assigned", change)
    note = f"{issue.key} given to {to.display} by {by.display}"
    site.send(at, body, note, by, effects=(("changed", str(change.id)),))
    return issue


def _comment(site: Site, issue: Issue, at: float) -> Issue:
    return _write_comment(site, issue, at, author=site.someone())


def _private_comment(site: Site, issue: Issue, at: float) -> Issue:
    hidden = {"internal": True} if site.jira.cloud else {"role": "Administrators"}
    return _write_comment(site, issue, at, author=site.someone(), **hidden)


def _echo(site: Site, issue: Issue, at: float) -> Issue:
    text = (
        f"Comment added by {ANA.display} in [Aha!|https://acme.aha.io/features/{issue.key}]\n\nYes."
    )
    issue = _write_comment(site, issue, at, author=SYNC, text=text)
    return _change(site, replace(issue, points=8.0), at + 0.1, "Story Points", SYNC)


def _write_comment(site: Site, issue: Issue, at: float, author: Person, **more: Any) -> Issue:  # noqa: ANN401
    comment = _new_comment(site, issue, at, author, more)
    _send_comment(site, "comment_created", comment, issue, at)
    return replace(issue, updated=comment.updated)


def _new_comment(
    site: Site, issue: Issue, at: float, author: Person, more: Mapping[str, Any]
) -> Comment:
    now = site.clock(at)
    number, words = next(site.comment_ids), site.rng.choice(_WORDS)
    comment = Comment(id=number, author=author, text=words, created=now, updated=now)
    comment = replace(comment, **more)
    site.comments.setdefault(issue.id, []).append(comment)
    site.remarks.append(
        Remark(
            site=site.name,
            id=str(comment.id),
            issue=issue,
            private=bool(comment.role or comment.internal),
            echo=author is SYNC,
        )
    )
    return comment


def _send_comment(site: Site, name: str, comment: Comment, issue: Issue, at: float) -> None:
    done = {"comment_created": "commented", "comment_updated": "comment edited"}[name]
    note = f"{issue.key} {done} by {comment.author.display}"
    effect = ("said" if name == "comment_created" else "reworded", str(comment.id))
    if site.jira.cloud:
        body = site.jira.comment_event(name, comment, issue, comment.updated)
        site.send(at, body, note, comment.author, effects=(effect,))
        return
    gap = site.rng.randint(10, 50)
    pair = site.jira.comment_pair(name, comment, issue, gap)
    moments = site.rng.sample((at, at + gap / 1000), 2)
    for moment, body in zip(moments, pair, strict=True):
        site.send(moment, body, note, comment.author, effects=(effect,))


def _edit_comment(site: Site, issue: Issue, at: float) -> Issue:
    comment = replace(site.comments[issue.id][-1], updated=site.clock(at))
    comment = replace(comment, text=f"{comment.text.rstrip()} Edited.")
    site.comments[issue.id][-1] = comment
    site.edits.add((site.name, str(comment.id)))
    _send_comment(site, "comment_updated", comment, issue, at)
    return replace(issue, updated=comment.updated)


def _delete_comment(site: Site, issue: Issue, at: float) -> Issue:
    comment = site.comments[issue.id].pop()
    now = site.clock(at)
    _send_deleted(site, comment, issue, at, by=comment.author)
    issue = replace(issue, updated=now + 12)
    if not site.jira.cloud:
        by = comment.author
        body = site.jira.issue_updated(issue, by, "issue_comment_deleted")
        site.send(at + 0.012, body, f"{issue.key} comment deleted by {by.display}", by)
    return issue


def _send_deleted(
    site: Site, comment: Comment, issue: Issue, at: float, *, by: Person, **more: bool
) -> None:
    body = site.jira.comment_event("comment_deleted", comment, issue, site.clock(at))
    note = f"{issue.key} comment deleted by {by.display}"
    site.send(at, body, note, by, effects=(("unsaid", str(comment.id)),), **more)


def _transition_with_comment(site: Site, issue: Issue, at: float) -> Issue:
    """Change the status with a comment: one body reports both, another the comment alone."""
    by = site.someone()
    comment = _new_comment(site, issue, at, by, {"text": f"Taking {issue.key}."})
    item = Item(field="status", field_id="status", was=("10000", "To Do"), now=("3", "In Progress"))
    change = Change(id=next(site.change_ids), items=(item,))
    issue = replace(issue, status="In Progress", updated=comment.updated + 20)
    both = site.jira.issue_updated(issue, by, "issue_generic", change, comment)
    alone = site.jira.comment_event("comment_created", comment, issue, comment.created)
    commented = ("said", str(comment.id))
    changed = ("changed", str(change.id))
    first, second = site.rng.sample((at, at + 0.02), 2)
    note = f"{issue.key} started with a comment by {by.display}"
    site.send(first, both, note, by, effects=(changed, commented))
    site.send(second, alone, note, by, effects=(commented,))
    return issue


def _move(site: Site, issue: Issue, at: float) -> Issue:
    """Move an issue to another project: its key changes, its id does not."""
    by, to = site.someone(), _MOVES.get(issue.project)
    if to is None:
        return issue
    # A change just before the move is reported just after it, under the old key.
    issue = _change(site, replace(issue, priority="Low"), at - 0.01, "priority")
    site.webhooks[-1] = replace(site.webhooks[-1], at=at + 0.03)
    key = f"{to}-{1000 + int(issue.key.rpartition('-')[2])}"
    field_id = "issuekey" if site.jira.cloud else ""
    items = (
        Item(field="project", field_id="project", was=(None, issue.project), now=(None, to)),
        Item(field="Key", field_id=field_id, was=(None, issue.key), now=(None, key)),
    )
    change = Change(id=next(site.change_ids), items=items)
    moved = replace(issue, key=key, updated=site.clock(at))
    body = site.jira.issue_updated(moved, by, "issue_moved", change)
    note = f"{issue.key} moved to {key} by {by.display}"
    site.send(at, body, note, by, effects=(("changed", str(change.id)),))
    return moved


def _log_work(site: Site, issue: Issue, at: float) -> Issue:
    by = site.someone()
    number = next(site.comment_ids)
    body = site.jira.worklog_created(number, issue, by, site.clock(at))
    note = f"{issue.key} work logged by {by.display}"
    site.send(at, body, note, by, effects=(("worked", str(number)),))
    return _change(site, issue, at + 0.012, "timespent", by)


def _delete(site: Site, issue: Issue, at: float) -> Issue:
    by = site.someone()
    body = site.jira.issue_deleted(issue, by, site.clock(at))
    effects = (("deleted", str(issue.id)),)
    site.send(at, body, f"{issue.key} deleted by {by.display}", by, effects=effects)
    for comment in site.comments.pop(issue.id, []):
        _send_deleted(site, comment, issue, at + 0.01, by=by, secondary=True)
    del site.issues[issue.id]
    return issue


PLANS: tuple[tuple[Callable[[Site, Issue, float], Issue], ...], ...] = (
    (_create, _comment, _edit_comment, _edit),
    (_create, _edit, _transition_with_comment, _comment),
    (_create, _comment, _comment, _delete_comment),
    (_create, _comment, _move, _comment),
    (_create, _private_comment, _edit_comment, _comment),
    (_create, _echo, _assign, _comment),
    (_create, _comment, _comment, _delete),
    (_create, _log_work, _comment, _comment),
)


# --- events that concern no issue


def elsewhere(site: Site, at: float) -> None:
    """Start a sprint, release a version, welcome a user."""
    now = site.clock(at)
    effects = (("sprint", "37"),)
    body = site.jira.sprint("sprint_started", 37, "PLAT Sprint 12", now)
    site.send(at, body, "PLAT Sprint 12 started", effects=effects)
    body = site.jira.version("jira:version_released", 10_400, "2.6", now)
    site.send(at + 0.1, body, "version 2.6 released", effects=(("version", "10400"),))
    body = site.jira.user_created(PEOPLE[3], now)
    site.send(at + 0.2, body, "Dee Marsh joined", effects=(("user", PEOPLE[3].name),))


def bulk_change(site: Site, at: float) -> None:
    """Change several issues in the same second, as the bulk editor does."""
    chosen = list(site.issues.values())[-5:]
    by = site.someone()
    for issue in chosen:
        changed = replace(issue, priority="Highest", updated=site.clock(at))
        change = Change(id=next(site.change_ids), items=(_item(site, changed, "priority"),))
        body = site.jira.issue_updated(changed, by, "issue_updated", change)
        note = f"{issue.key} changed in bulk by {by.display}"
        effects = (("changed", str(change.id)),)
        site.send(at, body, note, by, effects=effects, secondary=True)


def breakage(site: Site, at: float) -> None:
    """Send bodies that cannot be read."""
    for body in (b"", b'{"timestamp": 1772697600000, "webhookEvent": "jira:iss', b'["no object"]'):
        site.send(at, body, "a body that cannot be read")
