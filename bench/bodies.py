"""Webhook bodies as Jira sends them, 3 to 20 kB, with ids of their own for every event.

A body is built once and cut where its ids stand; an event is the pieces with other ids between
them, so that a load source spends next to nothing on it.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from itertools import cycle, islice

import orjson

from bridge.demo.bodies import Body, Change, Comment, Issue, Item
from bridge.demo.stories import ANA, CLOUD, DATA_CENTER, PEOPLE

#: What a body is built with: numbers that stand nowhere else in it, as long as what replaces them.
_ISSUE, _CHANGE, _COMMENT, _TIMESTAMP = 7777000001, 8888000002, 9999000003, 1111111111111
#: When the issue was updated, or the comment written: Cloud writes another time zone.
_CLOUD_TIME, _DATA_CENTER_TIME = "2026-03-05T09:00:00.009+0100", "2026-03-05T08:00:00.009+0000"
_MARKS = re.compile(
    rf"({_ISSUE}|{_CHANGE}|{_COMMENT}|{_TIMESTAMP}"
    rf"|{re.escape(_CLOUD_TIME)}|{re.escape(_DATA_CENTER_TIME)})".encode()
)
_AT = 1_772_697_600_000
_CLOUD_START = datetime(2026, 3, 5, 9)  # noqa: DTZ001 - the offset is written as text
_DATA_CENTER_START = datetime(2026, 3, 5, 8)  # noqa: DTZ001 - the offset is written as text
_FIRST_ID = 1_000_000_000
#: What an event is known by at the other end: its timestamp, counted from here. It goes with the
#: issue's `updated`, as Jira's does: Cloud's comment events have no other time.
FIRST_INSTANT = _AT
_SENTENCE = "As a product manager I want to take the roadmap with me, so that we can ship this. "
#: How long the descriptions of the bodies are, in sentences: most are short, some are not.
_SENTENCES = (1, 4, 1, 12, 30, 4, 1, 180)


def templates() -> list[list[bytes]]:
    """Build the bodies, cut at their ids: the odd pieces are ids."""
    return [_cut(body) for sentences in _SENTENCES for body in _bodies(sentences)]


class Bodies:
    """Body number n, for any n: always the same one, and no other has its ids."""

    def __init__(self, issues: int) -> None:
        #: How many issues the events are about.
        self.issues = issues
        self._templates = templates()

    def make(self, number: int) -> bytes:
        """Write one body."""
        pieces = list(self._templates[number % len(self._templates)])
        own = b"%d" % (_FIRST_ID + number)
        since = timedelta(milliseconds=number)
        values = {
            b"%d" % _ISSUE: b"%d" % (_FIRST_ID + number % self.issues),
            b"%d" % _CHANGE: own,
            b"%d" % _COMMENT: own,
            b"%d" % _TIMESTAMP: b"%d" % (FIRST_INSTANT + number),
            # Each event of an issue is newer than the one before it, as Jira's are.
            _CLOUD_TIME.encode(): _written(_CLOUD_START + since, b"+0100"),
            _DATA_CENTER_TIME.encode(): _written(_DATA_CENTER_START + since, b"+0000"),
        }
        pieces[1::2] = [values[mark] for mark in pieces[1::2]]
        return b"".join(pieces)


def _written(instant: datetime, offset: bytes) -> bytes:
    """Write an instant as Jira does, to the millisecond."""
    return instant.isoformat(timespec="milliseconds").encode() + offset


def sample(count: int) -> list[bytes]:
    """Write some bodies of the mixture, for who needs only their lengths."""
    bodies = Bodies(issues=1000)
    return [bodies.make(number) for number in islice(cycle(range(64)), count)]


def _bodies(sentences: int) -> tuple[Body, ...]:
    """Tell of changes and comments of one issue; comments of Data Center only in full."""
    issue = Issue(
        id=_ISSUE,
        key=f"PLAT-{_ISSUE}",
        description=_SENTENCE * sentences,
        labels=("backend", "roadmap"),
        reporter=ANA,
        assignee=PEOPLE[1],
        points=5.0,
        sprint="PLAT Sprint 12",
        created=_AT,
        updated=_AT + 9,
    )
    items = (Item(field="priority", field_id="priority", was=("3", "Medium"), now=("2", "High")),)
    change = Change(id=_CHANGE, items=items)
    comment = Comment(
        id=_COMMENT, author=PEOPLE[2], text=_SENTENCE * 3, created=_AT + 9, updated=_AT + 9
    )
    return (
        CLOUD.issue_updated(issue, ANA, "issue_generic", change),
        CLOUD.comment_event("comment_created", comment, issue, _AT + 9),
        CLOUD.issue_updated(issue, PEOPLE[3], "issue_assigned", change),
        DATA_CENTER.issue_updated(issue, PEOPLE[2], "issue_commented", comment=comment),
    )


def _cut(body: Body) -> list[bytes]:
    return _MARKS.split(orjson.dumps({**body, "timestamp": _TIMESTAMP}))
