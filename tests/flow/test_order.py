"""Whatever order Jira's tellings arrive in, Aha! ends up holding what Jira holds."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.demo.bodies import Item
from bridge.demo.stories import ANA
from bridge.desk import operators

pytestmark = pytest.mark.enable_socket

STATUSES = {"To Do": "1", "In Progress": "3", "Done": "5"}
PRIORITIES = {"High": "2", "Medium": "3", "Low": "4"}
HOOKS = {"cloud": ("cloud_a", "cloud_b"), "dc": ("dc_a", "dc_b")}


def to(field, now, **known):
    return Item(field=field, field_id=field, now=(known.get("id"), now))


# --- one step after the other: what came late


def held(scene):
    [record] = scene.sandbox.records()
    return record


@pytest.fixture(params=["cloud", "dc"])
def kind(request):
    return request.param


@pytest.fixture
def jira(request, kind):
    return request.getfixturevalue(kind)


@pytest.fixture
def started(anywhere, kind):
    """A bridge that is told of one Jira's changes by `tell`."""
    anywhere.start()
    anywhere.tell = lambda body, second=False: anywhere.send(HOOKS[kind][second], body)
    return anywhere


def test_an_older_change_goes_out_with_the_newest_fields(started, jira):
    issue = jira.issue("CORE-1")
    older = replace(issue, summary="First", updated=issue.updated + 1_000)
    newer = replace(older, status="Done", updated=issue.updated + 5_000)
    first = jira.edited(older, to("summary", "First"))
    second = jira.edited(newer, to("status", "Done", id="5"))
    overtook = started.tell(second)
    started.finish()
    late = started.tell(first)
    started.finish()
    assert started.line(late).verdict == "deliver"
    assert overtook in started.line(late).reason
    assert held(started).fields["status"]["name"] == "Done"
    assert held(started).fields["summary"] == "First"
    assert held(started).fields["updated"] == second["issue"]["fields"]["updated"]
    assert held(started).changed == {"status": "Done", "summary": "First"}
    # What is kept of it is what came.
    assert started.life(late).body is not None


def test_an_older_change_goes_out_without_what_was_set_later(started, jira):
    issue = jira.issue("CORE-1")
    older = replace(issue, summary="First", status="In Progress", updated=issue.updated + 1_000)
    newer = replace(older, status="Done", updated=issue.updated + 5_000)
    items = to("summary", "First"), to("status", "In Progress", id="3")
    first = jira.edited(older, *items)
    started.tell(jira.edited(newer, to("status", "Done", id="5")))
    late = started.tell(first)
    started.finish()
    assert "status" in started.line(late).reason
    sent = started.sandbox.writes()[-1].body
    assert [item["field"] for item in sent["changelog"]["items"]] == ["summary"]
    assert held(started).changed == {"status": "Done", "summary": "First"}


def test_a_change_of_which_everything_was_set_later_is_stale(started, jira):
    issue = jira.issue("CORE-1")
    older = replace(issue, status="In Progress", updated=issue.updated + 1_000)
    newer = replace(issue, status="Done", updated=issue.updated + 5_000)
    first = jira.edited(older, to("status", "In Progress", id="3"))
    overtook = started.tell(jira.edited(newer, to("status", "Done", id="5")))
    started.finish()
    late, again = started.tell(first), started.tell(first, second=True)
    account = started.finish()
    for event in (late, again):
        assert started.line(event).verdict == "stale"
        assert overtook in started.line(event).reason
        assert started.line(event).first == overtook
    assert (account.events["stale"], account.deliveries) == (2, {"delivered": 1})
    assert held(started).fields["status"]["name"] == "Done"


def test_changes_of_one_instant_are_ordered_by_their_changelogs(started, jira):
    issue = jira.issue("CORE-1")
    first = jira.edited(replace(issue, status="In Progress"), to("status", "In Progress", id="3"))
    second = jira.edited(replace(issue, status="Done"), to("status", "Done", id="5"))
    started.tell(second)
    late = started.tell(first)
    started.finish()
    assert started.line(late).verdict == "stale"
    assert held(started).fields["status"]["name"] == "Done"


def test_what_comes_in_order_goes_out_as_it_came(started, jira):
    issue = jira.issue("CORE-1")
    bodies = [jira.created(issue)]
    for number, status in enumerate(("In Progress", "Done", "To Do"), 1):
        issue = replace(issue, status=status, updated=issue.updated + number * 1_000)
        bodies.append(jira.edited(issue, to("status", status, id=STATUSES[status])))
    events = [started.tell(body) for body in bodies]
    started.finish()
    assert {started.line(event).verdict for event in events} == {"deliver"}
    assert not any("late" in started.line(event).reason for event in events)
    sent = [one.body for one in started.sandbox.writes()]
    assert [one["issue"] for one in sent] == [one["issue"] for one in bodies]


def test_a_creation_after_a_change_makes_the_newest_record(started, jira):
    issue = jira.issue("CORE-1")
    newer = replace(issue, status="Done", updated=issue.updated + 5_000)
    started.tell(jira.edited(newer, to("status", "Done", id="5")))
    late = started.tell(jira.created(issue))
    started.finish()
    assert started.line(late).verdict == "deliver"
    assert held(started).fields["status"]["name"] == "Done"


@pytest.mark.parametrize("what", ["change", "comment", "worklog"])
def test_what_is_told_of_a_deleted_issue_is_stale(started, jira, what):
    issue = jira.issue("CORE-1")
    bodies = {
        "change": jira.edited(issue),
        "comment": jira.said(jira.comment(), issue),
        "worklog": jira.writes.worklog_created(77, issue, ANA, issue.updated + 500),
    }
    deleted = started.tell(jira.deleted(issue))
    late = started.tell(bodies[what])
    started.later(11)
    started.finish()
    assert started.line(late).verdict == "stale"
    assert deleted in started.line(late).reason
    assert held(started).deleted
    assert held(started).comments == {}


def told(jira, name, comment, issue):
    """Tell of a comment as its Jira does: Data Center by two bodies."""
    if jira.writes.cloud:
        return [jira.writes.comment_event(name, comment, issue, comment.updated)]
    return list(jira.writes.comment_pair(name, comment, issue))


@pytest.mark.parametrize("sent_before", [True, False])
def test_a_comment_that_is_created_after_its_edit_has_the_newest_text(started, jira, sent_before):
    issue, comment = jira.issue("CORE-1"), jira.comment("First.")
    newer, newest = jira.edit(comment, "Second."), jira.edit(comment, "Third.")
    for body in told(jira, "comment_updated", newest, issue):
        started.tell(body)
    if sent_before:
        started.finish()
    for body in told(jira, "comment_updated", newer, issue):
        assert started.line(started.tell(body)).verdict == "stale"
    events = [started.tell(body) for body in told(jira, "comment_created", comment, issue)]
    started.later(11)
    started.finish()
    assert started.line(events[-1]).verdict == "deliver"
    assert held(started).comments == {str(comment.id): ["Third."]}
    assert started.sandbox.doubled() == 0


def test_a_comment_of_an_older_state_does_not_set_the_issue_back(started, jira):
    issue, comment = jira.issue("CORE-1"), jira.comment()
    newer = replace(issue, status="Done", updated=comment.updated + 5_000)
    started.tell(jira.edited(newer, to("status", "Done", id="5")))
    started.finish()
    for body in told(jira, "comment_created", comment, issue):
        started.tell(body)
    started.later(11)
    started.finish()
    assert held(started).fields["status"]["name"] == "Done"
    assert held(started).comments == {str(comment.id): [comment.text]}


def test_a_replay_does_not_set_back_either(started, jira):
    issue = jira.issue("CORE-1")
    first = replace(issue, status="In Progress", updated=issue.updated + 1_000)
    second = replace(issue, status="Done", updated=issue.updated + 5_000)
    older = started.tell(jira.edited(first, to("status", "In Progress", id="3")))
    started.tell(jira.edited(second, to("status", "Done", id="5")))
    started.finish()
    operators.replay(started.bridge.store, started.bridge.plan, older, who="a test")
    started.finish()
    assert len(started.sandbox.writes()) == 3
    assert held(started).fields["status"]["name"] == "Done"
    assert held(started).changed == {"status": "Done"}


def test_what_a_route_did_not_want_sets_nothing(anywhere, cloud):
    """A newer state that Aha! was never told of does not go out with an older change."""
    anywhere.route(when="priority != High")
    anywhere.start()
    issue = cloud.issue("CORE-1")
    older = replace(issue, summary="First", updated=issue.updated + 1_000)
    newer = replace(older, priority="High", summary="Secret", updated=issue.updated + 5_000)
    hidden = anywhere.send("cloud_a", cloud.edited(newer, to("priority", "High", id="2")))
    late = anywhere.send("cloud_a", cloud.edited(older, to("summary", "First")))
    anywhere.finish()
    assert [anywhere.line(event).verdict for event in (hidden, late)] == ["filtered", "deliver"]
    assert held(anywhere).fields["summary"] == "First"


def test_the_newest_fields_go_out_as_their_own_route_maps_them(anywhere, cloud):
    def mapped(word):
        path = "$.issue.fields.summary"
        return [{"from": path, "to": path, "values": {"Export": word}, "otherwise": "keep"}]

    anywhere.route("story", when="issuetype = Story", fields=mapped("By the route story"))
    anywhere.route("epic", when="issuetype = Epic", fields=mapped("By the route epic"))
    anywhere.start()
    issue = replace(cloud.issue("CORE-1"), summary="Export")
    older = replace(issue, labels=("a",), updated=issue.updated + 1_000)
    newer = replace(issue, type="Epic", labels=("a",), updated=issue.updated + 5_000)
    anywhere.send("cloud_a", cloud.edited(newer, to("issuetype", "Epic", id="10000")))
    late = anywhere.send("cloud_a", cloud.edited(older, to("labels", "a")))
    anywhere.finish()
    assert anywhere.line(late).route == "story"
    assert held(anywhere).fields["summary"] == "By the route epic"
    assert held(anywhere).fields["issuetype"]["name"] == "Epic"


# --- the law


@dataclass
class Story:
    """What happened to one issue in one Jira, the bodies that told of it, and where it ended."""

    jira: object
    issue: object
    bodies: list = field(default_factory=list)
    comments: dict = field(default_factory=dict)
    changed: dict = field(default_factory=dict)
    deleted: bool = False
    #: When the issue was changed last, not counting comments; in ms.
    changed_at: int = 0

    def step(self, number, choice, gap):
        self.issue = replace(self.issue, updated=self.issue.updated + gap)
        doing = (self.status, self.summary, self.comment, self.edit, self.unsay)
        doing[choice % len(doing)](number)

    def now(self):
        return self.issue.updated

    def change(self, *items):
        self.changed_at = self.now()
        self.changed |= {item.field: item.now[1] for item in items}
        self.bodies.append(self.jira.edited(self.issue, *items))

    def status(self, number):
        name = sorted(STATUSES)[number % 3]
        self.issue = replace(self.issue, status=name, priority=sorted(PRIORITIES)[number % 3])
        priority = self.jira.writes.priority(self.issue.priority)
        self.change(to("status", name, id=STATUSES[name]), to("priority", priority))

    def summary(self, number):
        self.issue = replace(self.issue, summary=f"Summary {number}")
        items = [to("summary", self.issue.summary)]
        if number % 2:
            self.issue = replace(self.issue, status="Done")
            items.append(to("status", "Done", id="5"))
        self.change(*items)

    def comment(self, number):
        comment = self.jira.comment(f"Text {number}", created=self.now(), updated=self.now())
        self.comments[comment.id] = comment
        self.tell_comment("comment_created", comment)

    def edit(self, number):
        if not self.comments:
            return self.comment(number)
        comment = list(self.comments.values())[number % len(self.comments)]
        comment = replace(comment, text=f"Edit {number}", updated=self.now())
        self.comments[comment.id] = comment
        return self.tell_comment("comment_updated", comment)

    def tell_comment(self, name, comment):
        if self.jira.writes.cloud:
            body = self.jira.writes.comment_event(name, comment, self.issue, comment.updated)
            self.bodies.append(body)
            return
        thin, full = self.jira.writes.comment_pair(name, comment, self.issue)
        # Data Center tells a comment with the issue's `updated` of before, as often as not.
        before = self.jira.writes.instant(self.changed_at)
        full["issue"]["fields"]["updated"] = before
        full["timestamp"] += 7
        self.bodies += [thin, full]

    def unsay(self, number):
        if not self.comments:
            return
        comment = self.comments.pop(list(self.comments)[number % len(self.comments)])
        body = self.jira.writes.comment_event("comment_deleted", comment, self.issue, self.now())
        self.bodies.append(body)

    def delete(self):
        self.deleted = True
        body = self.jira.writes.issue_deleted(self.issue, ANA, self.now() + 1_000)
        self.bodies.append(body)


STEPS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from([1, 40, 1_000, 61_000])), min_size=2, max_size=8
)


@pytest.fixture(scope="module", params=["cloud", "dc"])
def law(request, make_scene, jiras):
    """A bridge, and a Jira in which no issue was ever made before."""
    return make_scene().start(), jiras[request.param], HOOKS[request.param]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS, ends=st.booleans(), seed=st.integers(0, 2**32), split=st.integers(0, 3))
def test_aha_holds_what_jira_holds_in_every_order(law, steps, ends, seed, split):
    scene, jira, hooks = law
    issue = jira.issue("CORE-1")
    story = Story(jira=jira, issue=issue, bodies=[jira.created(issue)], changed_at=issue.updated)
    for number, (choice, gap) in enumerate(steps):
        story.step(number, choice, gap)
    if ends:
        story.delete()
    chance = random.Random(seed)
    arriving = story.bodies * 2
    chance.shuffle(arriving)
    for body in arriving:
        scene.send(chance.choice(hooks), body)
        if chance.randrange(4) < split:
            scene.later(11)
            scene.finish()
    scene.later(11)
    scene.finish()
    holds_what_jira_holds(scene, story)


def holds_what_jira_holds(scene, story):
    [record] = scene.sandbox.records(str(story.issue.id))
    assert record.deleted == story.deleted
    if story.deleted:
        return
    now = story.jira.writes.issue(story.issue)["fields"]
    names = ("summary", "status", "priority", "labels", "assignee")
    assert {n: record.fields[n] for n in names} == {n: now[n] for n in names}
    assert record.changed == story.changed
    assert record.comments == {str(c.id): [c.text] for c in story.comments.values()}
