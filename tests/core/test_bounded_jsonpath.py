"""Paths that would take for ever: patterns in linear time, and steps that are counted."""

from __future__ import annotations

import pytest

from bridge.core.mapping import compile_fields
from bridge.core.paths import NOTHING, query
from bridge.errors import BadField, Unmappable

#: Python's own `re` would take 2^40 steps to find that this does not match.
SLOW = "a" * 40 + "b"


@pytest.mark.parametrize("function", ["match", "search"])
@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}$"])
def test_a_pattern_takes_linear_time(function, pattern):
    body = {"a": [{"x": SLOW, "y": 1}, {"x": "a" * 30, "y": 2}]}
    assert query(f"$.a[?{function}(@.x, '{pattern}')].y").find(body) == [2]


def test_a_pattern_may_come_from_the_body_and_then_a_wrong_one_matches_nothing():
    body = {"a": [{"x": "aa", "p": "a+"}, {"x": "b", "p": "("}, {"x": 1, "p": "1"}]}
    assert query("$.a[?match(@.x, @.p)].x").find(body) == ["aa"]
    assert query("$.a[?search(@.x, @.p)].x").find(body) == ["aa"]


@pytest.mark.parametrize("pattern", ["(", "(?=a)b", "a{5000}"])
def test_a_pattern_that_cannot_be_used_is_refused_where_it_is_written(pattern):
    with pytest.raises(ValueError, match="is no regular expression that can be used here: "):
        query(f"$.a[?!(match(@.x, '{pattern}') || @.y)].x")


WIDE = {"a": [{"b": [{"c": [n, n]} for n in range(20)]} for _ in range(100)]}


@pytest.mark.parametrize(
    "path",
    [
        "$..*..*..*..*",
        "$..*..*..*..nothing",
        "$..[?@..*..*..nothing].b",
        "$.a[*].b[?count($..*) > 3].c",
    ],
)
def test_a_path_is_given_up_after_so_many_steps(path):
    with pytest.raises(Unmappable, match="was given up after 100,000 steps in this body"):
        query(path).find(WIDE)


def test_each_body_has_its_own_steps():
    found = query("$..c")
    for _ in range(20):
        assert len(found.find(WIDE)) == 2000


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.a[0].b[?@.c[0] == 3].c", [[3, 3]]),
        ("$.a[0].b[?@.c[0] == $.a[0].b[2].c[0]].c", [[2, 2]]),
        ("$.a[0].b[?@.c[?@ == 4]].c[*]", [4, 4]),
        ("$.a[1].b[?count(@.c[*]) == 2].c[5]", []),
    ],
)
def test_filters_find_what_they_found(path, found):
    assert query(path).find(WIDE) in (found, NOTHING)


def test_check_says_so_at_the_line():
    line = {"from": "$.a[?match(@.x, '(')].y", "to": "$.z"}
    with pytest.raises(BadField, match="no regular expression"):
        compile_fields([line])
