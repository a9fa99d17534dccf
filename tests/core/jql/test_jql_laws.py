"""Laws that hold for every filter and every body."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jql_samples import FIELDS, NOW, SITE, body, judge, shared

from bridge.core import jql
from bridge.core.jql.syntax import (
    And,
    Condition,
    Empty,
    Field,
    Function,
    HistoryPredicate,
    Items,
    Node,
    Not,
    Or,
    Property,
    Query,
    Sort,
    Value,
)
from bridge.errors import BadFilter

# --- bodies and filters to draw from

JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 10**30),
        st.floats(),
        st.text(max_size=12),
        st.sampled_from(["2026-10-08", "2026-10-08T15:00:00.000+0000", "PLAT-1", "x[id=1,name="]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.text(max_size=5),
                st.sampled_from(["id", "key", "name", "value", "fields", "content", "text"]),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)
NAMED = [{"id": "1", "name": "Alpha"}, {"id": "2", "name": "Beta"}, {"name": "Alpha"}, {"id": "2"}]
PEOPLE = [
    {"accountId": "557058:aa", "displayName": "Anna"},
    {"name": "ben", "displayName": "Ben", "emailAddress": "ben@x.example"},
    {"displayName": "Anna"},
]
VALUES: dict[str, list[Any]] = {
    "status": NAMED,
    "resolution": NAMED,
    "priority": [{"id": "2", "name": "High"}, {"id": "5", "name": "Low"}, {"name": "Odd"}],
    "issuetype": NAMED,
    "project": [{"id": "1", "key": "ALPHA", "name": "Alpha"}, {"key": "BETA"}],
    "assignee": PEOPLE,
    "reporter": PEOPLE,
    "labels": [["alpha"], ["beta", "alpha"], ["gamma"], [None], ["alpha", 5]],
    "components": [NAMED[:1], NAMED[:2], NAMED[2:], ["Alpha"]],
    "fixVersions": [NAMED[:1], NAMED[1:], []],
    "created": ["2026-10-08T15:00:00.000+0000", "2026-10-01", "soon"],
    "updated": ["2026-10-08T16:00:00.000+0000"],
    "duedate": ["2026-10-08", "2026-10-09", "soon"],
    "votes": [{"votes": 0}, {"votes": 3}, {}],
    "timespent": [0, 3600, "3600"],
    "summary": ["alpha beta", "gamma", "alphas"],
    "parent": [{"id": "1", "key": "ALPHA-1"}, {"key": "BETA-2"}],
    "customfield_10016": [1, 5.0, "5", {"value": "Alpha", "id": "1"}, ["Alpha", "x"]],
}
ITEMS = st.fixed_dictionaries(
    {
        "field": st.sampled_from(["status", "assignee", "priority"]),
        "from": st.sampled_from([None, "1", "2"]),
        "fromString": st.sampled_from([None, "Alpha", "Beta", "Anna"]),
        "toString": st.sampled_from(["Alpha", "High", "Beta"]),
    }
)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a body in which any field may be absent, empty, malformed or as it should be."""
    fields = {}
    for name, values in VALUES.items():
        told = draw(st.sampled_from(["absent", None, [], "odd", *values]))
        if told != "absent":
            fields[name] = told
    found = body()
    found["issue"]["fields"] = fields
    found["webhookEvent"] = draw(st.sampled_from(["jira:issue_created", "jira:issue_updated"]))
    found["changelog"] = {"items": draw(st.lists(ITEMS, max_size=2))}
    found["user"] = draw(st.sampled_from([None, *PEOPLE]))
    found["timestamp"] = draw(st.sampled_from([None, NOW, NOW - 3_600_000]))
    return found


#: A field and values that go with it.
EQUAL = {
    "status": ["Alpha", "1", "beta", "2"],
    "resolution": ["Alpha", "Unresolved"],
    "priority": ["High", "5"],
    "type": ["Alpha", "2"],
    "project": ["ALPHA", "Beta", "1", "beta"],
    "assignee": ["Anna", "557058:aa", "ben", '"ben@x.example"'],
    "labels": ["alpha", "BETA", "x"],
    "component": ["Alpha", "2"],
    "fixVersion": ["Alpha", "2"],
    "due": ["1d", "2026-10-08", "now()"],
    "created": ["-1d", '"2026/10/08 15:00"', "startOfDay()"],
    "votes": ["0", "3"],
    "parent": ["ALPHA-1", "2"],
    "cf[10016]": ["5", "Alpha", "1"],
}
ORDER = {
    "priority": ["Low", "High", "2"],
    "fixVersion": ["Alpha", "2"],
    "due": ["1d", "endOfDay()", "2026-10-08"],
    "created": ["-1d", "now()"],
    "votes": ["0", "2"],
    "timeSpent": ["1h", "0"],
    "key": ["PLAT-9", "PLAT-10", "MOB-1", "10042"],
    "cf[10016]": ["4", "2026-10-08"],
}
PAST = {"status": ["Alpha", "1", "EMPTY"], "assignee": ["Anna", "ben"], "priority": ["High", "5"]}
WHEN = ["", " BEFORE -2h", " AFTER startOfDay()", " BY Anna", " ON '2026/10/08'"]


QUOTED = '"gam*"'


@st.composite
def conditions(draw: st.DrawFn) -> str:
    """Draw a clause."""
    kind = draw(st.sampled_from(["equal", "in", "order", "empty", "search", "was", "changed"]))
    if kind in ("was", "changed"):
        name = draw(st.sampled_from(sorted(PAST)))
        value, when = draw(st.sampled_from(PAST[name])), draw(st.sampled_from(WHEN))
        if kind == "was":
            return f"{name} {draw(st.sampled_from(['was', 'was not']))} {value}{when}"
        return (
            f"{name} changed{draw(st.sampled_from(['', f' from {value}', f' to {value}']))}{when}"
        )
    if kind == "empty":
        sign = draw(st.sampled_from(["is EMPTY", "is not EMPTY", "= EMPTY", "!= null"]))
        names = sorted(EQUAL.keys() - {"votes", "project"})
        return f"{draw(st.sampled_from(names))} {sign}"
    if kind == "search":
        sign = draw(st.sampled_from(["~", "!~"]))
        return f"summary {sign} {draw(st.sampled_from(['alpha', QUOTED, 'betas']))}"
    table = ORDER if kind == "order" else EQUAL
    name = draw(st.sampled_from(sorted(table)))
    values = draw(st.lists(st.sampled_from(table[name]), min_size=1, max_size=3))
    if kind == "in":
        empty = draw(st.sampled_from(["", ", EMPTY"])) if name not in ("votes", "project") else ""
        return f"{name} {draw(st.sampled_from(['in', 'not in']))} ({', '.join(values)}{empty})"
    signs = ["=", "!="] if kind == "equal" else ["<", "<=", ">", ">="]
    return f"{name} {draw(st.sampled_from(signs))} {values[0]}"


FILTERS = st.recursive(
    conditions(),
    lambda inner: st.one_of(
        inner.map(lambda text: f"not ({text})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda t: f"({') and ('.join(t)})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda t: f"({') or ('.join(t)})"),
    ),
    max_leaves=5,
)

# --- Kleene and NOT


def both(answers: list[bool | None]) -> bool | None:
    return False if False in answers else None if None in answers else True


def any_of(answers: list[bool | None]) -> bool | None:
    return True if True in answers else None if None in answers else False


FLIP = {
    "=": "!=",
    "in": "not in",
    "is": "is not",
    "~": "!~",
    "<": ">=",
    ">": "<=",
    "was": "was not",
}
FLIP |= {other: one for one, other in FLIP.items()}


def by_hand(node: Node, told: dict[str, Any], positive: bool = True) -> bool | None:
    """Judge a tree the slow way: NOT moved down by De Morgan, every clause asked by itself."""
    match node:
        case Not(part=part):
            return by_hand(part, told, not positive)
        case Condition(operator="changed"):
            return judge(str(node) if positive else f"NOT {node}", told)
        case Condition():
            operator = node.operator if positive else FLIP[node.operator]
            return judge(str(Condition(**parts(node) | {"operator": operator})), told)
        case And() | Or():
            join = both if isinstance(node, And) is positive else any_of
            return join([by_hand(part, told, positive) for part in node.parts])


def parts(node: Condition) -> dict[str, Any]:
    return {name: getattr(node, name) for name in ("field", "operator", "operand", "predicates")}


@given(FILTERS, bodies())
def test_not_is_pushed_down_and_the_rest_is_kleene(text: str, told: dict[str, Any]) -> None:
    where = jql.parse(text).where
    assert where is not None
    assert judge(text, told) is by_hand(where, told)
    assert judge(f"not ({text})", told) is by_hand(where, told, positive=False)
    assert judge(f"not not ({text})", told) is judge(text, told)


@given(conditions(), conditions(), bodies())
def test_kleene(one: str, other: str, told: dict[str, Any]) -> None:
    answers = [judge(one, told), judge(other, told)]
    assert judge(f"{one} and {other}", told) is both(answers)
    assert judge(f"{one} or {other}", told) is any_of(answers)
    assert judge(f"{other} and {one}", told) is both(answers)
    assert judge(f"not ({one} and {other})", told) is judge(f"not {one} or not {other}", told)
    assert judge(f"not ({one} or {other})", told) is judge(f"not {one} and not {other}", told)


@given(conditions(), bodies())
def test_a_clause_and_its_opposite_are_never_both_true(text: str, told: dict[str, Any]) -> None:
    # One of several values may be less and another one greater.
    assume(not re.match(r"(?:fixVersion|cf\S+) [<>]", text))
    one, other = judge(text, told), judge(f"not {text}", told)
    assert not (one and other)
    assert (one is None) is (other is None)


@given(st.sampled_from(sorted(EQUAL.keys() - {"votes"})), bodies())
def test_a_field_is_empty_or_not_or_nobody_knows(name: str, told: dict[str, Any]) -> None:
    empty = judge(f"{name} is EMPTY", told)
    assert judge(f"{name} is not EMPTY", told) is (None if empty is None else not empty)
    if empty:
        value = EQUAL[name][0]
        assert judge(f"{name} = {value}", told) is False
        assert judge(f"{name} != {value}", told) is False
        assert judge(f"{name} not in ({value}) or {name} is EMPTY", told) is True


@given(FILTERS, bodies())
def test_explaining_says_the_same_and_names_every_clause(text: str, told: dict[str, Any]) -> None:
    found = jql.compile(text, SITE, lookup=True)
    lines = found.explain(told, NOW)
    assert lines[0].value is found.match(told, NOW).value
    assert lines[0].depth == 0
    for line in lines:
        assert bool(line.why) is (line.text not in ("AND", "OR"))


@given(FILTERS, bodies())
def test_a_match_goes_by_a_project_and_a_type_the_filter_asks_for(
    text: str, told: dict[str, Any]
) -> None:
    found = jql.compile(text, SITE, lookup=True)
    if found.match(told, NOW).value:
        fields = told["issue"]["fields"]
        for asked, name in ((found.projects, "project"), (found.types, "issuetype")):
            if asked is not None:
                value = fields.get(name) or {"key": "PLAT"}
                assert asked & {str(told).casefold() for told in value.values()}


# --- nothing breaks it


@st.composite
def nonsense(draw: st.DrawFn) -> dict[str, Any]:
    fields = draw(st.dictionaries(st.sampled_from([*FIELDS, "comment", "worklog"]), JSON))
    found: dict[str, Any] = {"issue": {"key": draw(JSON), "id": draw(JSON), "fields": fields}}
    for name in draw(
        st.sets(st.sampled_from(["user", "changelog", "comment", "timestamp", "issue"]))
    ):
        found[name] = draw(JSON)
    if draw(st.booleans()):
        items = draw(st.lists(st.dictionaries(st.sampled_from(["field", "from", "to"]), JSON)))
        found["changelog"] = {"items": items}
    return found


EVERYTHING = jql.compile(
    """
    project = A or type = B or key > A-1 or id in (5, A-2) or key ~ "A*" or parent = A-1 or
    status = 1 or statusCategory = Done or priority > Low or priority > 5 or resolution is EMPTY or
    assignee in ("x", "y@z", 557058:aa) or creator = x or labels = a or component = c or
    fixVersion > 1 or fixVersion ~ "1*" or fixVersion in releasedVersions(A) or
    fixVersion = latestReleasedVersion() or created > -1d or due < endOfDay() or
    worklogDate > -1d or worklogAuthor = x or worklogComment ~ x or comment ~ x or text ~ "a b" or
    textfields ~ "a*" or summary ~ x or description ~ x or environment is EMPTY or votes > 1 or
    voter = x or watcher is EMPTY or timeSpent > 1h or workRatio > 1 or hierarchyLevel = 0 or
    level = x or category = x or projectType = software or attachments is EMPTY or
    issueLinkType = blocks or issueLink = A-1 or sprint = 1 or sprint in openSprints() or
    "Epic Link" = A-1 or "Epic Link" = name or cf[10016] > 5 or cf[10030] = Berlin or cf[10031] = 1d
    or cf[10033] ~ x or City in cascadeOption(a, b) or City in choiceOption(1) or
    type in standardIssueTypes() or issue.property[a].b = c or status changed from 1 or
    status changed after -1d by x or status was 5 or assignee was x before now() or
    priority was EMPTY during (-1d, 1d) or filter = 5
    """,
    SITE,
    lookup=True,
)


@given(nonsense())
def test_no_body_breaks_a_filter(told: dict[str, Any]) -> None:
    answer = EVERYTHING.match(told, NOW)
    assert answer.value in (True, False, None)
    assert "\n" not in answer.why
    assert all(line.why or line.depth == 0 for line in EVERYTHING.explain(told, NOW))


LIKELY = st.sampled_from(
    [
        *("project", "=", "!=", "~", "in", "not", "is", "EMPTY", "(", ")", ",", "and", "or", "was"),
        *("changed", "from", "by", "'x y'", '"a', "\\u0041", "\\", "5", "cf", "[", "]", "order by"),
        *("-1d", "membersOf", "\u00a0", "“", "\x00", "\ud800", "!", "&&", "|", "\n", "<", ">="),
    ]
)


@given(st.one_of(st.text(max_size=80), st.lists(LIKELY, max_size=12).map(" ".join)))
@settings(max_examples=200)
def test_no_text_breaks_the_parser(text: str) -> None:
    said = jql.verdict(text)
    assert said["valid"] is (said["ast"] is not None)
    error = refusal(text)
    if error is not None:
        assert 0 <= error.offset <= len(text)
        assert jql.caret(error).split("\n")[2].endswith("^")


def refusal(text: str) -> BadFilter | None:
    try:
        jql.compile(text, SITE, lookup=True)
    except BadFilter as error:
        return error
    return None


@pytest.mark.parametrize(
    "piece",
    [
        *("a", " ", "(", "!", "not ", '"', "'", "\\", "\\u0041", "a\\", '"\\"', "a=1 and ", "a[b]"),
        *(
            "a in (1,",
            "((1),",
            "f(",
            "'x' ",
            "&",
            "-",
            "5",
            "“",
            "\u00a0",
            "a=1 or (",
            "a ~ 'x' or ",
        ),
    ],
)
def test_long_texts_take_no_longer_than_their_length(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    assert isinstance(jql.verdict(text)["valid"], bool)
    assert isinstance(jql.verdict(f'summary ~ "{text}')["valid"], bool)


# --- printing

TEXTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        ["end", "EMPTY", "5", "-5", "", "a b", "cf", "cf[1]", '"', "\\", "\t", "\n", "é"]
    ),
)
FIELD = st.one_of(
    st.builds(
        Field,
        name=TEXTS.filter(lambda name: not re.fullmatch(r"-?\d+", name, re.ASCII)),
        properties=st.lists(
            st.builds(Property, key=TEXTS, path=st.lists(TEXTS, max_size=2).map(tuple)), max_size=2
        ).map(tuple),
    ),
    st.integers(0, 99_999).map(lambda n: Field(name=f"cf[{n}]", number=n)),
)
VALUE = st.one_of(
    st.builds(Value, text=TEXTS),
    st.integers(-9_999, 9_999).map(lambda n: Value(text=str(n), number=True)),
)
FUNCTION = st.builds(Function, name=TEXTS, arguments=st.lists(TEXTS, max_size=2).map(tuple))
LIST = st.recursive(
    st.one_of(VALUE, FUNCTION, st.just(Empty())),
    lambda inner: st.builds(Items, values=st.lists(inner, min_size=1, max_size=3).map(tuple)),
    max_leaves=4,
)
ITEMS_ONLY = st.builds(Items, values=st.lists(LIST, min_size=1, max_size=3).map(tuple))


def predicates(operators: str) -> st.SearchStrategy[tuple[HistoryPredicate, ...]]:
    one = st.builds(HistoryPredicate, operator=st.sampled_from(operators.split()), operand=LIST)
    return st.lists(one, max_size=2).map(tuple)


WHENS = predicates("after before on during by")
CONDITION = st.one_of(
    st.builds(
        Condition,
        field=FIELD,
        operator=st.sampled_from(["=", "!=", "~", "!~"]),
        operand=st.one_of(VALUE, FUNCTION, st.just(Empty())),
    ),
    st.builds(
        Condition,
        field=FIELD,
        operator=st.sampled_from(["<", ">", "<=", ">="]),
        operand=st.one_of(VALUE, FUNCTION),
    ),
    st.builds(
        Condition,
        field=FIELD,
        operator=st.sampled_from(["in", "not in"]),
        operand=st.one_of(ITEMS_ONLY, FUNCTION),
    ),
    st.builds(
        Condition, field=FIELD, operator=st.sampled_from(["is", "is not"]), operand=st.just(Empty())
    ),
    st.builds(
        Condition,
        field=FIELD,
        operator=st.sampled_from(["was", "was not"]),
        operand=st.one_of(VALUE, FUNCTION, st.just(Empty())),
        predicates=WHENS,
    ),
    st.builds(
        Condition,
        field=FIELD,
        operator=st.sampled_from(["was in", "was not in"]),
        operand=ITEMS_ONLY,
        predicates=WHENS,
    ),
    st.builds(
        Condition,
        field=FIELD,
        operator=st.just("changed"),
        operand=st.none(),
        predicates=predicates("after before on during by from to"),
    ),
)
NODE = st.recursive(
    CONDITION,
    lambda inner: st.one_of(
        st.builds(Not, part=inner),
        st.builds(And, parts=st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Or, parts=st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=4,
)
SORT = st.builds(Sort, field=FIELD, direction=st.sampled_from(["", "asc", "desc"]))
QUERY = st.builds(
    Query, where=st.one_of(st.none(), NODE), order_by=st.lists(SORT, max_size=2).map(tuple)
)


@given(QUERY)
def test_what_is_printed_reads_the_same(query: Query) -> None:
    assert jql.parse(str(query)) == query
    assert str(jql.parse(str(query))) == str(query)


# --- filters that mean the same

SAME = """
a != b|NOT a = b
a != EMPTY|a IS NOT EMPTY
a = EMPTY|a IS EMPTY
a IS NULL|a IS EMPTY
a IN (b, b2)|a = b OR a = b2
a NOT IN (b, b2)|a != b AND a != b2
NOT a IN (b, b2)|a NOT IN (b, b2)
a IN ((b), (b2, b))|a IN (b, b2)
a IN (b, EMPTY)|a = b OR a IS EMPTY
a NOT IN (b, EMPTY)|a != b AND a IS NOT EMPTY
NOT (a = b AND c = d)|a != b OR c != d
NOT (a = b OR c = d)|a != b AND c != d
NOT NOT a = b|a = b
NOT a IS EMPTY|a IS NOT EMPTY
a = b && c = d|a = b AND c = d
a = b | c = d|a = b OR c = d
! a = b|NOT a = b
"a" = b|a = b
a = b ORDER BY created|a = b
"""
SAME_ORDER = "NOT a < b|a >= b\nNOT a > b|a <= b\nNOT a <= b|a > b"
SAME_PAST = """
a WAS IN (b, b2)|a WAS b OR a WAS b2
a WAS NOT IN (b, b2)|a WAS NOT b AND a WAS NOT b2
NOT a WAS b|a WAS NOT b
NOT a WAS IN (b, b2)|a WAS NOT IN (b, b2)
a WAS b BY Anna AFTER -1d|a WAS b AFTER -1d BY Anna
"""
SAME_NAMES = """
createdDate > "-1d"|created > "-1d"
dueDate > "1d"|due > "1d"
issuetype = Alpha|type = Alpha
space = ALPHA|project = ALPHA
issue = A-1|key = A-1
timeEstimate > 1h|remainingEstimate > 1h
created > startOfDay("+1")|created > startOfDay("+1d")
created > startOfWeek("+1")|created > startOfWeek("+1w")
created > startOfMonth("1")|created > startOfMonth("+1M")
created > startOfYear("-1")|created > startOfYear("-1y")
resolution = Unresolved|resolution IS EMPTY
resolution NOT IN (Unresolved, Alpha)|resolution != Alpha AND resolution IS NOT EMPTY
"""


def pairs(text: str) -> list[tuple[str, str]]:
    """Cut lines at a bar that is not an OR."""
    cut = [re.split(r"(?<! )\|(?! )", line) for line in text.strip().split("\n")]
    return [(left, right) for left, right in cut]


def put(text: str, words: dict[str, str]) -> str:
    """Put fields and values in for the letters of a law; a quoted field keeps its quotes."""
    return re.sub(r"\b(?:[abcd]|b2)\b", lambda m: words.get(m.group(), m.group()), text)


@st.composite
def instances(draw: st.DrawFn, laws: list[tuple[str, str]], table: dict[str, list[str]]) -> Any:
    left, right = draw(st.sampled_from(laws))
    a, c = (draw(st.sampled_from(sorted(table))) for _ in range(2))
    if '"a"' in left:
        a = draw(st.sampled_from(["status", "labels"]))
    if "EMPTY" in left + right or "NULL" in left:
        a = a if a not in ("votes", "project", "key") else "labels"
    b, b2 = (draw(st.sampled_from(table[a])) for _ in range(2))
    words = {"a": a, "b": b, "b2": b2, "c": c, "d": draw(st.sampled_from(table[c]))}
    return put(left, words), put(right, words)


@given(instances(pairs(SAME), EQUAL), bodies())
def test_filters_that_mean_the_same(law: tuple[str, str], told: dict[str, Any]) -> None:
    assert judge(law[0], told) is judge(law[1], told)


@given(instances(pairs(SAME_ORDER), ORDER), bodies())
def test_orders_that_mean_the_same(law: tuple[str, str], told: dict[str, Any]) -> None:
    assert judge(law[0], told) is judge(law[1], told)


@given(instances(pairs(SAME_PAST), PAST), bodies())
def test_pasts_that_mean_the_same(law: tuple[str, str], told: dict[str, Any]) -> None:
    assert judge(law[0], told) is judge(law[1], told)


@given(st.sampled_from(pairs(SAME_NAMES)), bodies())
def test_names_that_mean_the_same(law: tuple[str, str], told: dict[str, Any]) -> None:
    assert judge(law[0], told) is judge(law[1], told)


LETTERS = re.compile(r"(?<![\w\"'+-])(?:\"a\"|[abcd])(?![\w(-])|'b'|\"b\"")


@given(st.data(), bodies())
def test_the_laws_of_the_corpus(data: st.DataObject, told: dict[str, Any]) -> None:
    law = data.draw(st.sampled_from(list(shared("equivalences.json"))))
    left, right = law["left"], law["right"]
    table = PAST if "WAS" in left else ORDER if "<" in left and "a <" in left else EQUAL
    names = sorted(table.keys() - {"votes", "project", "key"})
    a, c = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(names))
    plain = [value for value in table[a] if value.isalpha() and value != "EMPTY"] or ["Alpha"]
    if "'b'" in left or '"b"' in left or '"a"' in left:
        a, plain = "labels", ["alpha", "x"]
    words = {"a": a, "c": c, "b": data.draw(st.sampled_from(plain if a in PAST else table[a]))}
    words["d"] = data.draw(st.sampled_from(table[c]))
    if re.search(r"\(b, c\)|WAS c", left + right):
        words["c"] = data.draw(st.sampled_from(table[a]))
    if "a = c" in right or "a != c" in right:
        words["c"] = data.draw(st.sampled_from(table[a]))

    def word(match: re.Match[str]) -> str:
        letter = match.group().strip("'\"")
        quote = match.group()[0] if match.group()[0] in "'\"" else ""
        return f"{quote}{words[letter]}{quote}"

    left, right = LETTERS.sub(word, left), LETTERS.sub(word, right)
    left = left.replace(f"ORDER BY {words['c']}", "ORDER BY created")
    assert judge(left, told) is judge(right, told)
