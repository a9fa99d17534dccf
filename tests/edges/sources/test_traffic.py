"""The made-up traffic: what it says will come of it is what the source reads out of it."""

from collections import Counter, defaultdict

import orjson
import pytest

from bridge import sources
from bridge.demo.traffic import WANTED, script
from bridge.errors import Unreadable
from bridge.model import Request

HOOKS = {"cloud_a": "main", "cloud_b": "legacy", "dc_a": "dc", "dc_b": "dc-old"}
SITES = {"main": "cloud", "legacy": "cloud", "dc": "dc", "dc-old": "dc"}
SCRIPT = script(hooks=HOOKS)


def read(post):
    headers = {name.lower(): value for name, value in post.headers.items()}
    request = Request(
        id="1", hook=post.hook, site=SITES[post.hook], received=0, headers=headers,
        query=post.query, body=post.body,
    )  # fmt: skip
    try:
        (event,) = sources.get("jira").read(request)
    except Unreadable:
        return None
    return event


READ = [(post, read(post)) for post in SCRIPT.posts]
EVENTS = [event for _, event in READ if event]


def test_the_same_seed_gives_the_same_script():
    assert script(hooks=HOOKS) == SCRIPT
    assert script(hooks=HOOKS, seed=8) != SCRIPT


def test_posts_are_in_order_and_together_when_they_are():
    instants = [post.at for post in SCRIPT.posts]
    assert instants == sorted(instants)
    together = defaultdict(set)
    for post in SCRIPT.posts:
        together[post.group].add(post.at)
    assert all(len(instants) == 1 for instants in together.values())
    assert max(Counter(post.group for post in SCRIPT.posts).values()) > 2


def test_every_hook_receives_the_changes_of_its_site():
    seen = defaultdict(set)
    for event in EVENTS:
        seen[event.hook] |= {effect.identity for effect in event.effects}
    assert seen["main"] == seen["legacy"]
    assert seen["dc"] == seen["dc-old"]


@pytest.mark.parametrize("seed", [7, 8, 9])
@pytest.mark.parametrize("issues", [1, 40])
@pytest.mark.parametrize("hooks", [HOOKS, {"cloud": "main"}, {"dc": "dc"}])
def test_the_expected_effects_are_those_of_the_events(hooks, issues, seed):
    made = script(hooks=hooks, issues=issues, seed=seed)
    expected = made.expected
    events = [read(post) for post in made.posts]
    told = {(e.site, effect.identity) for e in events if e for effect in e.effects}
    assert len(told) == expected.effects
    assert events.count(None) == expected.broken
    writes = [
        effect
        for event in events
        if event
        for effect in event.effects
        if effect.event in ("comment_created", "comment_updated")
    ]
    assert len(writes) == expected.naive_comment_writes


def test_the_comments_to_be_written_are_public_and_by_people():
    said = defaultdict(list)
    for event in EVENTS:
        for effect in event.effects:
            if effect.event == "comment_created":
                said[event.site, effect.identity.split(":")[1]].append((event, effect))
    assert set(said) == {(remark.site, remark.id) for remark in SCRIPT.expected.remarks}
    for remark in SCRIPT.expected.remarks:
        tellings = said[remark.site, remark.id]
        assert {effect.private for _, effect in tellings} == {remark.private}
        assert {bool(effect.echo) for _, effect in tellings} == {remark.echo}
        assert {event.record for event, _ in tellings} == {str(remark.issue.id)}
        wanted = (
            remark.issue.project in WANTED[remark.site] and not remark.private and not remark.echo
        )
        assert ((remark.site, remark.id) in SCRIPT.expected.comments) is wanted


def test_edits_are_of_comments_that_are_written():
    assert SCRIPT.expected.edits
    assert SCRIPT.expected.edits < SCRIPT.expected.comments


def test_everything_that_goes_wrong_in_the_world_is_in_it():
    names = {event.name for event in EVENTS}
    assert {
        "jira:issue_created", "jira:issue_updated", "jira:issue_deleted", "comment_created",
        "comment_updated", "comment_deleted", "worklog_created", "sprint_started",
        "jira:version_released", "user_created",
    } <= names  # fmt: skip
    assert any(event.attempt for event in EVENTS), "retries"
    assert any(event.moved for event in EVENTS), "moves"
    assert any(len(event.effects) == 2 for event in EVENTS), "a change and a comment in one"
    assert any(event.empty for event in EVENTS), "updates that say nothing"
    assert any("aha-sync@acme.example" in event.handles for event in EVENTS), "echoes"
    assert any(post.headers.get("X-Atlassian-Webhook-Flow") == "Secondary" for post in SCRIPT.posts)
    assert {event.key.split("-")[0] for event in EVENTS if event.key} == {
        *("PLAT", "MOB", "CORE", "HR")
    }


def test_the_expected_routes_can_be_narrowed_down():
    made = script(hooks=HOOKS, wanted=lambda site, issue: site == "dc" and issue.type == "Story")
    assert made.posts == SCRIPT.posts
    kinds = {(r.site, r.id): (r.site, r.issue.type) for r in made.expected.remarks}
    assert {kinds[comment] for comment in made.expected.comments} == {("dc", "Story")}


def test_each_jira_has_its_own_fields_and_words():
    for event in EVENTS:
        fields = event.body["issue"]["fields"] if event.full else {}
        if fields:
            assert ("customfield_10006" in fields) is (event.site == "dc")
            assert ("customfield_10016" in fields) is (event.site == "cloud")
            assert (fields["priority"]["name"] in ("Major", "Critical", "Minor", "Blocker")) is (
                event.site == "dc"
            )


def test_data_center_sends_the_thin_and_the_full_event_in_either_order():
    firsts = {}
    for event in EVENTS:
        if event.site == "dc":
            for effect in event.effects:
                if effect.event == "comment_created":
                    firsts.setdefault(effect.identity, event.thin)
    assert set(firsts.values()) == {True, False}


def test_the_two_jiras_have_ids_of_issues_in_common():
    records = defaultdict(set)
    for event in EVENTS:
        records[event.site].add(event.record)
    assert len(records["cloud"] & records["dc"]) > 1


def test_bodies_are_as_large_as_real_ones():
    sizes = sorted(len(post.body) for post, event in READ if event and event.full)
    assert 4_000 < sizes[len(sizes) // 2] < 10_000


def test_a_retry_is_the_same_delivery():
    first = {e.delivery_id: post.body for post, e in READ if e and e.delivery_id and not e.attempt}
    again = [(post, e) for post, e in READ if e and e.attempt]
    assert all(first[event.delivery_id] == post.body for post, event in again)


def test_each_post_has_a_line_for_people():
    assert all(post.note.isprintable() and 10 < len(post.note) < 100 for post in SCRIPT.posts)
    assert any("commented by" in post.note for post in SCRIPT.posts)


def test_readable_bodies_name_their_event():
    assert all("webhookEvent" in orjson.loads(post.body) for post, event in READ if event)


@pytest.mark.parametrize("hooks", [{}, {"github": "x"}])
def test_only_a_jira_can_be_played(hooks):
    with pytest.raises(ValueError, match="hooks are named"):
        script(hooks=hooks)
