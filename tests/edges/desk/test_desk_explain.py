"""What would become of a body: the same that does become of it, and why."""

import orjson
import pytest

from bridge import sources
from bridge.core import decide
from bridge.core.plan import Plan
from bridge.demo.stories import SYNC
from bridge.demo.traffic import script
from bridge.desk import explain
from bridge.errors import NotFound, Unreadable
from bridge.model import Request, VerdictName


def explained(house, body, hook="main"):
    found = explain.hook_for(house.plan, hook)
    [each] = explain.explain(house.plan, found, body, house.now)
    return each


def course(house, body, route, hook="main"):
    return next(c for c in explained(house, body, hook).courses if c.route == route)


def test_the_first_hook_of_jira_is_taken_when_none_is_named(house):
    assert explain.hook_for(house.plan, "").name == "main"
    assert explain.hook_for(house.plan, "second").name == "second"
    with pytest.raises(NotFound, match="there is no hook nope; there are: main, second, idle, dc"):
        explain.hook_for(house.plan, "nope")


def test_without_a_hook_of_jira_one_has_to_be_named(house):
    hooks = {name: _other(hook) for name, hook in house.plan.configuration.hooks.items()}
    with pytest.raises(NotFound, match="name one"):
        explain.hook_for(Plan.of(_with(house.plan.configuration, hooks)), "")


def _other(hook):
    return type(hook)(name=hook.name, source="github", site=hook.site, token=hook.token)


def _with(configuration, hooks):
    fields = ("targets", "sites", "routes", "ignored_actors")
    rest = {name: getattr(configuration, name) for name in fields}
    return type(configuration)(hooks=hooks, **rest)


def test_every_stage_and_every_clause_is_told(house):
    found = course(house, house.created(house.issue(key="PLAT-1")), "plat")
    names = [stage.__name__ for stage in decide.STAGES]
    assert [step.stage for step in found.steps] == names
    assert [step.outcome for step in found.steps] == ["passed"] * (len(names) - 1) + ["deliver"]
    [clause] = found.clauses
    assert (clause.text, clause.value) == ("project = PLAT", True)
    [outcome] = found.outcomes
    assert (outcome.verdict.name, outcome.then) == (VerdictName.DELIVER, None)
    assert outcome.body["user"]["emailAddress"] == "one@acme.example"


def test_a_stage_that_ends_it_is_the_last(house):
    echo = house.changed(house.issue(), by=SYNC)
    found = course(house, echo, "plat")
    assert (found.steps[-1].stage, found.steps[-1].outcome) == ("not_an_echo", "echo")
    assert found.outcomes[0].body is None


def test_effects_that_are_taken_out_are_named(house):
    issue = house.issue()
    body = orjson.loads(house.changed(issue))
    body["comment"] = orjson.loads(house.commented(issue, internal=True))["comment"]
    found = course(house, orjson.dumps(body), "plat")
    narrowed = next(step for step in found.steps if step.outcome == "narrowed")
    assert narrowed.stage == "open_to_all"
    assert f"comment:{body['comment']['id']}" in narrowed.why
    assert "comment" not in found.outcomes[0].body


def test_what_is_unknown_comes_with_its_last_word(house):
    thin, _ = house.commented_twice(house.issue())
    found = course(house, thin, "plat", hook="dc")
    [outcome] = found.outcomes
    assert found.waits
    assert outcome.verdict.name is VerdictName.UNDECIDED
    assert outcome.then.name is VerdictName.DELIVER
    assert "nothing is remembered" in outcome.then.reason
    assert outcome.body["issue"]["id"]


def test_each_destination_has_its_own_verdict(house):
    found = course(house, house.created(house.issue("MOB")), "mob")
    verdicts = {o.verdict.destination: o.verdict.name for o in found.outcomes}
    assert verdicts == {"aha": VerdictName.DELIVER, "small": VerdictName.FORBIDDEN}


def test_what_would_be_parked_says_why(house):
    line = {"from": "$.issue.fields.summary", "to": "$.issue.fields.customfield_1"}
    house.edit_plat(fields=[{**line, "type": "number", "otherwise": "park"}])
    [outcome] = course(house, house.created(), "plat").outcomes
    assert outcome.body is None
    assert "is not a number" in outcome.error


def test_a_body_that_cannot_be_read_is_rejected(house):
    each = explained(house, b"[]")
    assert (each.event, each.courses) == (None, ())
    assert "not an object" in each.rejected


def test_a_hook_that_no_route_reads_from_has_no_course(house):
    assert explained(house, house.created(), hook="idle").courses == ()


@pytest.mark.parametrize("hook", ["main", "dc"])
def test_it_says_what_the_door_decides(house, hook):
    site = {"main": "cloud", "dc": "dc"}[hook]
    posts = script(issues=16, hooks={site: hook}).posts
    for post in posts:
        try:
            (event,) = sources.get("jira").read(_request(house, hook, post.body))
        except Unreadable:
            assert explained(house, post.body, hook).rejected
            continue
        decided = house.plan.judge(event, house.now)
        told = {
            (o.verdict.destination, o.verdict.name, o.verdict.reason)
            for c in explained(house, post.body, hook).courses
            for o in c.outcomes
        }
        said = {(v.destination, v.name, v.reason) for v in decided if v.destination}
        assert said <= told
        # What the door does not even ask, as its filter wants another project, ends nowhere else.
        rest = {name for _, name, _ in told - said}
        assert rest <= {VerdictName.FILTERED, VerdictName.ECHO}


def _request(house, hook, body):
    site = house.plan.configuration.hooks[hook].site
    return Request(
        id="x", hook=hook, site=site, received=house.now, headers={}, query={}, body=body
    )


def test_as_plain_data_it_is_json(house):
    found = [explained(house, house.created(house.issue("MOB")))]
    [told] = orjson.loads(orjson.dumps(explain.as_dict(found)))
    assert [route["route"] for route in told["routes"]] == ["mob", "plat"]
    assert told["event"]["effects"][0]["event"] == "issue_created"
    assert "body" not in told["routes"][0]["destinations"][0]
    [told] = explain.as_dict(found, body=True)
    assert told["routes"][0]["destinations"][0]["body"]["issue"]
    [told] = explain.as_dict([explained(house, b"")])
    assert (told["event"], told["routes"]) == (None, [])
