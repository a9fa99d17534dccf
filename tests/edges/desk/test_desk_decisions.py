"""The log: what a line says, which lines there are, and what comes while one looks."""

from bridge.desk import Query, decisions, instant
from bridge.desk.decisions import FIELDS
from bridge.model import State


def told(house, query=None, limit=None):
    return [
        decisions.as_dict(line)
        for line in decisions.read(house.store, query or Query(), limit=limit)
    ]


def test_a_line_says_what_the_contract_says(house):
    issue = house.issue(key="PLAT-1")
    first = house.accept(house.created(issue))
    again = house.accept(house.created(issue), hook="second")
    house.sent(State.DELIVERED)
    one, other = told(house)
    assert one == {
        "event": first,
        "time": instant(house.now - 1000),
        "hook": "main",
        "source": "jira",
        "name": "jira:issue_created",
        "record": str(issue.id),
        "key": "PLAT-1",
        "route": "plat",
        "destination": "aha",
        "verdict": "deliver",
        "stage": "passes_filter",
        "reason": one["reason"],
        "state": "delivered",
        "effects": [f"issue:{issue.id}:created:2026-03-05T08:00"],
    }
    assert 'project is "PLAT"' in one["reason"]
    assert (other["event"], other["verdict"], other["first"]) == (again, "duplicate", first)
    assert list(other) == [name for name in FIELDS if name != "trouble"]


def test_instants_are_in_utc_with_milliseconds():
    assert instant(1_772_697_600_007) == "2026-03-05T08:00:00.007Z"
    assert instant(None) is None


def test_lines_come_in_the_order_of_arrival_and_a_limit_picks_the_last(house):
    events = [house.accept(house.created()) for _ in range(4)]
    assert [line["event"] for line in told(house)] == events
    assert [line["event"] for line in told(house, limit=2)] == events[2:]


def test_since_and_until_are_instants_of_arrival(house):
    events = [house.accept(house.created()) for _ in range(3)]
    query = Query(since=house.now - 1000, until=house.now)
    assert [line["event"] for line in told(house, query)] == [events[1]]
    assert told(house, Query(since=house.now + 1)) == []


def follow(house, *steps, after=""):
    """Follow the log, with a step in each pause; returns (event, verdict) of each line."""
    left = list(steps)

    def wait(_):
        left.pop(0)()
        return not left

    found = decisions.follow(house.store, Query(), after=after, wait=wait)
    return [(line.event, line.verdict) for line in found]


def test_following_gives_what_comes(house):
    known = house.accept(house.created())
    came = []
    found = follow(
        house,
        lambda: came.append(house.accept(house.created())),
        lambda: None,
        lambda: came.append(house.accept(house.created())),
        after=known,
    )
    assert found == [(event, "deliver") for event in came]


def test_following_without_a_last_one_gives_what_just_came(house):
    event = house.accept(house.created())
    assert follow(house, lambda: None) == [(event, "deliver")]


def test_what_was_undecided_is_told_again_when_it_is_decided(house):
    thin, full = house.commented_twice(house.issue())
    first = house.accept(thin, hook="dc")
    second = []
    found = follow(house, lambda: second.append(house.accept(full, hook="dc")))
    assert found[0] == (first, "undecided")
    assert sorted(found[1:]) == [(first, "duplicate"), (second[0], "deliver")]


def test_what_is_kept_after_younger_events_is_not_missed(house):
    known = house.accept(house.created())
    late = []

    def keep_late():
        house.now -= 5_000
        late.append(house.accept(house.created()))
        house.now += 5_000

    assert follow(house, keep_late, after=known) == [(late[0], "deliver")]
    assert late[0] < known


def test_what_is_long_over_is_forgotten(house):
    def much_later():
        house.now += decisions.WINDOW_MS + 1

    house.accept(house.created())
    assert len(follow(house, much_later, lambda: None, lambda: None)) == 1
