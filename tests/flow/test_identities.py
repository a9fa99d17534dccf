"""The rules by which two tellings are one effect, or two: the table of docs/how-it-works.md."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from sqlalchemy import text

from bridge.demo.bodies import Body, Change, Comment, Issue, Item
from bridge.demo.stories import ANA, CLOUD, DATA_CENTER

pytestmark = pytest.mark.enable_socket

MIDNIGHT = 1_772_755_200_000  # 2026-03-06T00:00:00Z
DAY, HOUR, MINUTE, SECOND = 86_400_000, 3_600_000, 60_000, 1000
INTERNAL = [{"key": "sd.public.comment", "value": {"internal": True}}]
_numbers = count(30_001)

#: Makes bodies of one thing, whose number it is given.
Make = Callable[[int], list[Body]]


def issue(number: int, created: int = MIDNIGHT, **more: Any) -> Issue:
    plain = {"key": f"CORE-{number}", "reporter": ANA, "created": created, "updated": created}
    return Issue(**{**plain, **more}, id=number)


def comment(number: int, said: str = "Yes.", **more: Any) -> Comment:
    plain = {"author": ANA, "text": said, "created": MIDNIGHT, "updated": MIDNIGHT}
    return Comment(**{**plain, **more}, id=number)


def worklog(number: int, name: str = "worklog_updated", **changes: Any) -> Body:
    body = CLOUD.worklog_created(number, issue(number), ANA, MIDNIGHT)
    return {**body, "webhookEvent": name, "worklog": {**body["worklog"], **changes}}


def edits(*told: tuple[int, str], **more: Any) -> Make:
    """Make edits of one comment, each at so many ms past midnight with its text."""

    def make(number: int) -> list[Body]:
        return [
            CLOUD.comment_event(
                "comment_updated",
                comment(number, said, updated=MIDNIGHT + at, **more),
                issue(number),
                MIDNIGHT + at,
            )
            for at, said in told
        ]

    return make


def halves(name: str, *, created: tuple[int, int], updated: tuple[int, int]) -> Make:
    """Make Data Center's two tellings of a comment, whose instants may differ."""

    def make(number: int) -> list[Body]:
        of = issue(number)
        first = comment(number, created=created[0], updated=updated[0])
        second = replace(first, created=created[1], updated=updated[1])
        thin, _ = DATA_CENTER.comment_pair(name, first, of)
        _, full = DATA_CENTER.comment_pair(name, second, of, 27)
        return [thin, full]

    return make


def halves_created(one: int, other: int) -> Make:
    return halves("comment_created", created=(one, other), updated=(one, other))


def halves_edited(one: int, other: int) -> Make:
    return halves("comment_updated", created=(MIDNIGHT - DAY,) * 2, updated=(one, other))


def comments_created(*created: int) -> Make:
    def make(number: int) -> list[Body]:
        told = [comment(number, created=at, updated=at) for at in created]
        return [CLOUD.comment_event("comment_created", one, issue(number), at)
                for one, at in zip(told, created, strict=True)]  # fmt: skip

    return make


def changed_beside(*changes: dict[str, Any]) -> Make:
    """Make edits of one text in one instant, with other keys beside."""

    def make(number: int) -> list[Body]:
        [body] = edits((0, "Yes."))(number)
        return [{**body, "comment": {**body["comment"], **change}} for change in changes]

    return make


def issues(what: str, *created: int) -> Make:
    def make(number: int) -> list[Body]:
        of = [issue(number, at) for at in created]
        item = Item(field="priority", field_id="priority", now=("2", "High"))
        change = Change(id=number, items=(item,))
        made = {
            "created": lambda one: CLOUD.issue_created(one, ANA),
            "deleted": lambda one: CLOUD.issue_deleted(one, ANA, MIDNIGHT + DAY),
            "changed": lambda one: CLOUD.issue_updated(one, ANA, "issue_updated", change),
        }
        return [made[what](one) for one in of]

    return make


def worklogs(*changes: dict[str, Any], name: str = "worklog_updated") -> Make:
    return lambda number: [worklog(number, name, **change) for change in changes]


def at(ms: int) -> str:
    return CLOUD.instant(MIDNIGHT + ms)


def dated(*times: int) -> Make:
    def make(number: int) -> list[Body]:
        return [CLOUD.sprint("sprint_started", number, "S", MIDNIGHT + ms) for ms in times]

    return make


def properties(*told: tuple[int, object]) -> Make:
    def make(number: int) -> list[Body]:
        head = {"webhookEvent": "issue_property_set", "issue": {"id": str(number)}}
        return [
            {**head, "timestamp": MIDNIGHT + ms, "property": {"key": "k", "value": value}}
            for ms, value in told
        ]

    return make


#: What is told, what tells it, and how many effects that is.
RULES: dict[str, tuple[Make, int]] = {
    # A comment's creation: its id, and when it was created
    "the same through two hooks": (comments_created(MIDNIGHT, MIDNIGHT), 1),
    "Data Center's two tellings": (halves_created(MIDNIGHT, MIDNIGHT), 1),
    "a comment: a ms apart over midnight": (halves_created(MIDNIGHT - 1, MIDNIGHT), 1),
    "a comment: a ms apart at an edge": (
        halves_created(MIDNIGHT + 329_999, MIDNIGHT + 330_000), 1),
    "a comment: one without ms": (halves_created(MIDNIGHT + 317, MIDNIGHT), 1),
    "a comment: one without ms, at an edge": (
        halves_created(MIDNIGHT + 330_000, MIDNIGHT + 329_000 + 1), 1),
    "its id again a year after": (comments_created(MIDNIGHT, MIDNIGHT + 365 * DAY), 2),
    "its id again on the same day": (comments_created(MIDNIGHT, MIDNIGHT + HOUR), 2),
    # A comment's edit: its id, its content, and when it was edited
    "an edit, told twice": (edits((90_000, "B"), (90_000, "B")), 1),
    "an edit's two tellings": (halves_edited(MIDNIGHT + 8, MIDNIGHT + 8), 1),
    "an edit: a ms apart over a second": (halves_edited(MIDNIGHT + 999, MIDNIGHT + 1000), 1),
    "an edit: a ms apart over midnight": (halves_edited(MIDNIGHT - 1, MIDNIGHT), 1),
    "an edit: two ms apart over an edge": (halves_edited(MIDNIGHT + 24, MIDNIGHT + 26), 1),
    "B, then C, in one instant": (edits((0, "B"), (0, "C")), 2),
    "B, C and B again in a second": (edits((100, "B"), (400, "C"), (800, "B")), 3),
    "an edit: and C again": (edits((100, "B"), (300, "C"), (500, "B"), (700, "C")), 4),
    "jsdPublic alone": (changed_beside({"jsdPublic": True}, {"jsdPublic": False}), 2),
    "jsdPublic, as it was before it was told": (changed_beside({"jsdPublic": True}, {}), 1),
    "sd.public.comment alone": (changed_beside({}, {"properties": INTERNAL}), 2),
    "both ways of being internal": (
        changed_beside({"jsdPublic": False}, {"jsdPublic": False, "properties": INTERNAL}), 1),
    "visibility alone": (
        changed_beside({}, {"visibility": {"type": "role", "value": "Developers"}}), 2),
    # An issue: its id and when it was created; a change: its id too
    "an issue, told twice": (issues("created", MIDNIGHT, MIDNIGHT), 1),
    "an issue: a ms apart over midnight": (issues("created", MIDNIGHT - 1, MIDNIGHT), 1),
    "an issue: once without ms": (issues("created", MIDNIGHT + 331, MIDNIGHT), 1),
    "an issue's id again the next day": (issues("created", MIDNIGHT, MIDNIGHT + DAY), 2),
    "an issue: an hour later": (issues("created", MIDNIGHT, MIDNIGHT + HOUR), 2),
    "an issue: and deleted again": (issues("deleted", MIDNIGHT, MIDNIGHT + DAY), 2),
    "a change, told twice": (issues("changed", MIDNIGHT, MIDNIGHT), 1),
    "an issue: at an edge": (issues("changed", MIDNIGHT + 329_999, MIDNIGHT + 330_000), 1),
    "the same ids of issue and change again": (issues("changed", MIDNIGHT, MIDNIGHT + DAY), 2),
    # A worklog: as a comment
    "a worklog, told twice": (worklogs({}, {}, name="worklog_created"), 1),
    "a worklog: over a second's edge": (
        worklogs({"updated": at(-1)}, {"updated": at(0)}, name="worklog_created"), 1),
    "a worklog's id again": (
        worklogs({"created": at(0)}, {"created": at(DAY)}, name="worklog_created"), 2),
    "a worklog's edit, told twice": (worklogs({"updated": at(1)}, {"updated": at(1)}), 1),
    "a worklog: a ms apart over a second": (
        worklogs({"updated": at(999)}, {"updated": at(1000)}), 1),
    "more work in the same instant": (
        worklogs({"timeSpentSeconds": 60}, {"timeSpentSeconds": 120}), 2),
    "another text in the same instant": (worklogs({"comment": "One"}, {"comment": "Two"}), 2),
    "another date in the same instant": (worklogs({"started": at(0)}, {"started": at(DAY)}), 2),
    "B, C and B again of a worklog": (worklogs(
        {"updated": at(100), "timeSpentSeconds": 60},
        {"updated": at(400), "timeSpentSeconds": 120},
        {"updated": at(700), "timeSpentSeconds": 60}), 3),
    "a worklog's deletion, told twice": (worklogs({}, {}, name="worklog_deleted"), 1),
    # What is set to a state: its id, and when
    "a sprint's start, told twice": (dated(0, 0), 1),
    "a state: a ms apart": (dated(999, 1000), 1),
    "a sprint, started again": (dated(0, MINUTE), 2),
    "a property, told twice": (properties((0, 1), (1, 1)), 1),
    "a property, set back": (properties((0, 1), (300, 2), (600, 1)), 3),
}  # fmt: skip


@pytest.fixture(scope="module")
def shared(make_scene):
    scene = make_scene()
    scene.route(comments={"private": "keep"}, events=[
        *("issue_created", "issue_updated", "issue_deleted"),
        *("comment_created", "comment_updated", "comment_deleted"),
        *("worklog_created", "worklog_updated", "worklog_deleted"),
        *("issue_property_set", "sprint_started"),
    ])  # fmt: skip
    return scene.start(deliver=False)


def verdicts(scene, bodies):
    """Send bodies, alternately through two hooks of one site, and read what each came to."""
    hooks = ("dc_a", "dc_b")
    events = [scene.send(hooks[place % 2], body) for place, body in enumerate(bodies)]
    return [scene.line(event).verdict for event in events]


@pytest.mark.parametrize(("make", "effects"), RULES.values(), ids=list(RULES))
def test_a_rule(shared, make, effects):
    bodies = make(next(_numbers))
    told = verdicts(shared, bodies)
    assert told.count("duplicate") == len(bodies) - effects, told


ONE = {name: make for name, (make, effects) in RULES.items() if effects == 1}


@pytest.mark.parametrize("make", ONE.values(), ids=list(ONE))
def test_one_effect_is_one_whoever_tells_of_it_first(shared, make):
    bodies = make(next(_numbers))
    assert verdicts(shared, bodies[::-1]).count("duplicate") == len(bodies) - 1


# --- claims of an older version


def claimed_before(scene, new: str, old: str) -> None:
    """Put a claim into the form in which an older version made it."""

    def rename(conn, _now):
        renamed = conn.execute(
            text("UPDATE claims SET identity = :old WHERE identity LIKE :new"),
            {"old": old, "new": new},
        )
        assert renamed.rowcount == 1

    scene.write(rename)


@pytest.mark.parametrize(
    ("body", "new", "old"),
    [
        (comments_created(MIDNIGHT)(7)[0], "comment:7:created:%", "comment:7:created:2026-03-06"),
        (worklog(7, "worklog_created"), "worklog:7:created:%", "worklog:7:created:1772755200"),
        (worklog(7), "worklog:7:updated:%", "worklog:7:updated:1772755200"),
        (
            edits((317, "Yes."))(7)[0],
            "comment:7:edited:%",
            "comment:7:edited:1772755200:3bb56958a1a5012375e2a74828318d00",
        ),
        (
            CLOUD.comment_event("comment_deleted", comment(7), issue(7), MIDNIGHT),
            "comment:7:deleted:%",
            "comment:7:deleted:2026-03-06",
        ),
    ],
)
def test_what_an_older_version_claimed_is_not_written_again(anywhere, body, new, old):
    anywhere.start(deliver=False)
    assert verdicts(anywhere, [body]) == ["deliver"]
    claimed_before(anywhere, new, old)
    assert verdicts(anywhere, [body, body]) == ["duplicate", "duplicate"]
    assert verdicts(anywhere, comments_created(MIDNIGHT)(8)) == ["deliver"]


@pytest.mark.parametrize("at_once", [False, True])
def test_an_edge_is_no_second_comment(anywhere, at_once):
    anywhere.start()
    edge = MIDNIGHT + 330_000
    pairs = [halves_created(edge - 1, edge)(number) for number in range(1, 9)]
    for thin, full in pairs[:4]:
        tell(anywhere, at_once, thin, full)
    for thin, full in pairs[4:]:
        tell(anywhere, at_once, full, thin)
    anywhere.later(11)
    anywhere.finish()
    assert [one.text for one in anywhere.sandbox.comments()] == ["Yes."] * 8
    assert anywhere.account().events == {"deliver": 8, "duplicate": 8}


def tell(scene, at_once, *bodies):
    told = list(zip(("dc_a", "dc_b"), bodies, strict=True))
    if at_once:
        scene.together(*told)
    else:
        for hook, body in told:
            scene.send(hook, body)
