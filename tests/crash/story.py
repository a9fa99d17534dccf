"""What is sent: for each record a chain of steps, each told after the one before it was answered.

Every comment, change and issue has an id of its own, so that both journals speak of one thing.
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
#: The projects that the routes let through.
WANTED = frozenset({"PLAT", "CORE"})
_START = 1_772_697_600_000

#: ("comment", id, created | edited), ("change", id, ""), ("issue", id, created)
Effect = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Telling:
    """One body, sent to every hook of its site."""

    #: "cloud" or "dc".
    site: str
    body: bytes
    #: What it tells; () for what cannot be read.
    effects: tuple[Effect, ...]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is told at one instant; the next step is told when each telling was answered."""

    record: str
    #: Its place in the chain.
    place: int
    tellings: tuple[Telling, ...]
    #: Whether the routes let it through.
    wanted: bool
    #: What Jira holds afterwards, of what was changed: summary, priority, comment:<id>.
    holds: Mapping[str, str]


def is_poison(record: str) -> bool:
    """Tell whether a record is one whose bodies Aha! never takes, if it is told to be so."""
    return record.isdigit() and int(record) % 12 == 5


class World:
    """Two Jiras; hands out ids. With `late`, what was answered long ago is told again."""

    def __init__(self, seed: int, *, late: bool = False) -> None:
        self.rng = random.Random(seed)
        self.late = late
        #: How many of Data Center's thin events nothing fuller follows.
        self.lonely = 0.1
        self.ids = count(10_001)
        self.numbers = count(200_001)
        self.clock = count(_START, 1_500)

    def chains(self, number: int, length: int) -> list[Iterator[Step]]:
        """Tell the lives of so many more issues."""
        return [self.chain(length) for _ in range(number)]

    def chain(self, length: int) -> Iterator[Step]:
        """Tell the life of one more issue, so many steps long."""
        number = next(self.ids)
        cloud = self.rng.random() < 0.6
        project = "HR" if self.rng.random() < 0.1 else ("PLAT" if cloud else "CORE")
        now = next(self.clock)
        issue = Issue(id=number, key=f"{project}-{number}", reporter=ANA, created=now, updated=now)
        life = _Life(self, CLOUD if cloud else DATA_CENTER, issue)
        for place in range(length):
            tellings = life.created() if place == 0 else life.next()
            yield Step(
                record=str(number),
                place=place,
                tellings=tellings,
                wanted=project in WANTED,
                holds=dict(life.holds),
            )


class _Life:
    """One issue, from step to step."""

    def __init__(self, world: World, jira: Installation, issue: Issue) -> None:
        self._world = world
        self._jira = jira
        self._issue = issue
        self._comment: Comment | None = None
        self._edited = True
        #: Told before; some of it is told again, as a late duplicate.
        self._before: list[tuple[Telling, ...]] = []
        #: What Jira holds by now, of what was changed.
        self.holds: dict[str, str] = {}

    def created(self) -> tuple[Telling, ...]:
        change = self._change() if self._jira.cloud else None
        body = self._jira.issue_created(self._issue, ANA, change)
        return (self._told(body, ("issue", str(self._issue.id), "created")),)

    def next(self) -> tuple[Telling, ...]:
        """Go one step on: changes and comments in turn, by chance with a late duplicate."""
        dice = self._world.rng.random()
        told: tuple[Telling, ...]
        if dice < 0.35:
            told = self._changed()
        elif dice < 0.75 or self._edited:
            told = self._commented(both=dice > 0.6)
        else:
            told = self._reworded()
        late = self._before[-1] if self._before and dice * 100 % 1 < 0.15 else ()
        if self._world.late and self._before and self._world.rng.random() < 0.1:
            late += self._world.rng.choice(self._before)
        self._before.append(told)
        return told + late

    def _changed(self) -> tuple[Telling, ...]:
        change = self._change()
        body = self._jira.issue_updated(self._touch(), ANA, "issue_updated", change)
        return (self._told(body, ("change", str(change.id), "")),)

    def _commented(self, *, both: bool) -> tuple[Telling, ...]:
        """Comment; on Data Center told twice, or by chance only thinly; or with a transition."""
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
                self._told(moved, ("change", str(change.id), ""), said),
                self._told(alone, said),
            )
        return self._comment_told("comment_created", comment, issue, said)

    def _reworded(self) -> tuple[Telling, ...]:
        issue = self._touch()
        assert self._comment is not None
        comment = replace(self._comment, text="Looks better.", updated=issue.updated)
        self._edited = True
        self.holds[f"comment:{comment.id}"] = comment.text
        said = ("comment", str(comment.id), "edited")
        return self._comment_told("comment_updated", comment, issue, said)

    def _comment_told(
        self, name: str, comment: Comment, issue: Issue, said: Effect
    ) -> tuple[Telling, ...]:
        if self._jira.cloud:
            return (
                self._told(self._jira.comment_event(name, comment, issue, issue.updated), said),
            )
        thin, full = self._jira.comment_pair(name, comment, issue, gap=20)
        pair = (self._told(thin, said), self._told(full, said))
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

    def _told(self, body: Body, *effects: Effect) -> Telling:
        site = "cloud" if self._jira.cloud else "dc"
        return Telling(site=site, body=orjson.dumps(body), effects=effects)
