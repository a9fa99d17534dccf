"""The events of a run: a chain of steps for each record, sent one after the other.

Every comment, change and issue has a unique id, by which the two journals are compared.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count

import orjson

from bridge.demo.bodies import PRIORITIES, Body, Change, Comment, Installation, Issue, Item, Person

CLOUD = Installation(base="https://acme.atlassian.net", cloud=True, zone=1)
DATA_CENTER = Installation(base="https://jira.acme.example/jira", cloud=False)
ANA = Person(name="ana", display="Ana Duarte", email="ana@acme.example", account="712020:ana")
#: The projects that the routes accept.
WANTED = frozenset({"PLAT", "CORE"})
_START = 1_772_697_600_000

#: ("comment", id, created | edited), ("change", id, ""), ("issue", id, created)
Effect = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Report:
    """One body, sent to every hook of its site."""

    #: "cloud" or "dc".
    site: str
    body: bytes
    #: Its effects; () for an unreadable body.
    effects: tuple[Effect, ...]


@dataclass(frozen=True, kw_only=True)
class Step:
    """The reports of one moment; the next step is sent once each of them is accepted."""

    record: str
    #: Its position in the chain.
    place: int
    reports: tuple[Report, ...]
    #: Whether the routes accept it.
    wanted: bool
    #: The values in Jira afterwards, of everything changed so far: summary, priority, comment:<id>.
    holds: Mapping[str, str]


def is_poison(record: str) -> bool:
    """Whether Aha! rejects all bodies about the record, in runs with the play `poison`."""
    return record.isdigit() and int(record) % 12 == 5


class World:
    """Two Jiras with common ids. With `late`, old reports are sent again."""

    def __init__(self, seed: int, *, late: bool = False) -> None:
        self.rng = random.Random(seed)
        self.late = late
        #: The share of Data Center's thin events without a complete event after them.
        self.lonely = 0.1
        self.ids = count(10_001)
        self.numbers = count(200_001)
        self.clock = count(_START, 1_500)

    def chains(self, number: int, length: int) -> list[Iterator[Step]]:
        """Yield chains for that many new issues."""
        return [self.chain(length) for _ in range(number)]

    def chain(self, length: int) -> Iterator[Step]:
        """Yield the steps of one new issue."""
        number = next(self.ids)
        cloud = self.rng.random() < 0.6
        project = "HR" if self.rng.random() < 0.1 else ("PLAT" if cloud else "CORE")
        now = next(self.clock)
        issue = Issue(id=number, key=f"{project}-{number}", reporter=ANA, created=now, updated=now)
        life = _Life(self, CLOUD if cloud else DATA_CENTER, issue)
        for place in range(length):
            reports = life.create() if place == 0 else life.next_step()
            yield Step(
                record=str(number),
                place=place,
                reports=reports,
                wanted=project in WANTED,
                holds=dict(life.holds),
            )


class _Life:
    """One issue and its changes."""

    def __init__(self, world: World, jira: Installation, issue: Issue) -> None:
        self._world = world
        self._jira = jira
        self._issue = issue
        self._comment: Comment | None = None
        self._edited = True
        #: The reports of earlier steps; some are sent again as late duplicates.
        self._before: list[tuple[Report, ...]] = []
        #: The present values in Jira of everything changed so far.
        self.holds: dict[str, str] = {}

    def create(self) -> tuple[Report, ...]:
        change = self._change() if self._jira.cloud else None
        body = self._jira.issue_created(self._issue, ANA, change)
        return (self._report(body, ("issue", str(self._issue.id), "created")),)

    def next_step(self) -> tuple[Report, ...]:
        """Take a step: change, comment or edit a comment, sometimes with a late duplicate."""
        dice = self._world.rng.random()
        reports: tuple[Report, ...]
        if dice < 0.35:
            reports = self._change_fields()
        elif dice < 0.75 or self._edited:
            reports = self._add_comment(both=dice > 0.6)
        else:
            reports = self._edit_comment()
        late = self._before[-1] if self._before and dice * 100 % 1 < 0.15 else ()
        if self._world.late and self._before and self._world.rng.random() < 0.1:
            late += self._world.rng.choice(self._before)
        self._before.append(reports)
        return reports + late

    def _change_fields(self) -> tuple[Report, ...]:
        change = self._change()
        body = self._jira.issue_updated(self._touch(), ANA, "issue_updated", change)
        return (self._report(body, ("change", str(change.id), "")),)

    def _add_comment(self, *, both: bool) -> tuple[Report, ...]:
        """Add a comment, with or without a transition; on Data Center by one thin event or two."""
        issue = self._touch()
        at = issue.updated
        self._comment = comment = Comment(
            id=next(self._world.numbers), author=ANA, text="Looks good.", created=at, updated=at
        )
        self._edited = False
        self.holds[f"comment:{comment.id}"] = comment.text
        said = ("comment", str(comment.id), "created")
        if self._jira.cloud and both:
            change = self._change()
            issue = self._issue
            moved = self._jira.issue_updated(issue, ANA, "issue_generic", change, comment)
            alone = self._jira.comment_event("comment_created", comment, issue, at)
            return (
                self._report(moved, ("change", str(change.id), ""), said),
                self._report(alone, said),
            )
        return self._comment_told("comment_created", comment, issue, said)

    def _edit_comment(self) -> tuple[Report, ...]:
        issue = self._touch()
        assert self._comment is not None
        comment = replace(self._comment, text="Looks better.", updated=issue.updated)
        self._edited = True
        self.holds[f"comment:{comment.id}"] = comment.text
        said = ("comment", str(comment.id), "edited")
        return self._comment_told("comment_updated", comment, issue, said)

    def _comment_told(
        self, name: str, comment: Comment, issue: Issue, said: Effect
    ) -> tuple[Report, ...]:
        if self._jira.cloud:
            return (
                self._report(self._jira.comment_event(name, comment, issue, issue.updated), said),
            )
        thin, full = self._jira.comment_pair(name, comment, issue, gap=20)
        pair = (self._report(thin, said), self._report(full, said))
        return pair[:1] if self._world.rng.random() < self._world.lonely else pair

    def _change(self) -> Change:
        """Change the priority to the next one, and the summary."""
        before = self._issue
        names = list(PRIORITIES)
        priority = names[(names.index(before.priority) + 1) % len(names)]
        number = next(self._world.numbers)
        self._issue = after = replace(before, priority=priority, summary=f"Export, draft {number}")
        shown = self._jira.priority
        self.holds |= {"priority": shown(priority), "summary": after.summary}
        changed = Item(
            field="priority",
            field_id="priority",
            was=(PRIORITIES[before.priority], shown(before.priority)),
            now=(PRIORITIES[priority], shown(priority)),
        )
        renamed = Item(
            field="summary",
            field_id="summary",
            was=(None, before.summary),
            now=(None, after.summary),
        )
        return Change(id=number, items=(changed, renamed))

    def _touch(self) -> Issue:
        self._issue = replace(self._issue, updated=next(self._world.clock))
        return self._issue

    def _report(self, body: Body, *effects: Effect) -> Report:
        site = "cloud" if self._jira.cloud else "dc"
        return Report(site=site, body=orjson.dumps(body), effects=effects)
