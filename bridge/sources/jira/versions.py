"""The age of a body's issue, and of its comment or worklog.

Jira repeats a body minutes later and promises no order. So every event gets the instant of its
issue's fields, and every comment and worklog its version; `core.stale` compares them.

- `fields.updated` is the age of the fields, and not the time of the event: Data Center sends a
  comment with the issue as it last was, minutes before. A body without it (a comment event of Jira
  Cloud contains six fields) is as old as its `timestamp`.
- The ids of changelogs rise with time: they order changes of one instant.
- A comment's or worklog's version is its `updated`; for a deletion it is the time of the event, as
  `updated` stays at the last edit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bridge.core.changelog import setting
from bridge.core.jira_body import as_object
from bridge.sources.jira.values import digits, instant, text

_BIGINT = 2**63


def as_of(fields: Mapping[str, Any], sent: int | None, word: str) -> int:
    """Return the instant of a body's issue, in ms since the epoch; 0 when the body has none.

    `sent` is the body's timestamp, also in ms.
    """
    updated = instant(fields.get("updated"))
    first, second = (sent, updated) if word == "issue_deleted" else (updated, sent)
    return first or second or 0


def change_id(body: Mapping[str, Any]) -> int:
    """Return the number of a body's changelog; 0 when it has none."""
    number = int(digits(text(as_object(body.get("changelog")).get("id"))) or 0)
    return number if number < _BIGINT else 0


def settings(items: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the settings that a changelog's items change; () if one of them has no name."""
    names = tuple(dict.fromkeys(map(setting, items)))
    return () if "" in names else names


def version(part: Mapping[str, Any], action: str, at: int | None) -> int:
    """Return a comment's or worklog's version, in ms; `at` is the time of the event."""
    return (at if action == "deleted" else instant(part.get("updated"))) or 0
