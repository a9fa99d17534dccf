"""Text to tree: the grammar, the lexer's fine points, the caps, and printing."""

from __future__ import annotations

import json

import pytest
from jql_samples import shared

from bridge.core import jql
from bridge.core.jql import lexicon
from bridge.core.jql.parse import MAX_DEPTH, MAX_LENGTH, MAX_LIST
from bridge.core.jql.syntax import (
    And,
    Condition,
    Empty,
    Field,
    Function,
    HistoryPredicate,
    Items,
    Not,
    Or,
    Property,
    Query,
    Sort,
    Value,
)
from bridge.errors import BadFilter


def condition(name: str = "a", operator: str = "=", text: str = "1") -> Condition:
    value = Value(text=text, number=text.isdecimal())
    return Condition(field=Field(name=name), operator=operator, operand=value)


A, B, C = condition("x"), condition("y"), condition("z")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("x = 1", A),
        ("(x = 1)", A),
        ("((x=1))", A),
        ("x = 1 AND y = 1", And(parts=(A, B))),
        ("x=1 and y=1 && z=1", And(parts=(A, B, C))),
        ("x=1 & y=1", And(parts=(A, B))),
        ("x=1 or y=1 || z=1", Or(parts=(A, B, C))),
        ("x=1 | y=1", Or(parts=(A, B))),
        ("x=1 OR y=1 AND z=1", Or(parts=(A, And(parts=(B, C))))),
        ("(x=1 OR y=1) AND z=1", And(parts=(Or(parts=(A, B)), C))),
        ("x=1 AND (y=1 AND z=1)", And(parts=(A, And(parts=(B, C))))),
        ("not x=1 and y=1", And(parts=(Not(part=A), B))),
        ("!x=1", Not(part=A)),
        ("! not !x=1", Not(part=Not(part=Not(part=A)))),
        ("not(x=1 or y=1)", Not(part=Or(parts=(A, B)))),
    ],
)
def test_clauses_are_joined(text: str, where: object) -> None:
    assert jql.parse(text) == Query(where=where)


@pytest.mark.parametrize(
    ("text", "operator", "operand"),
    [
        ("a = b", "=", Value(text="b")),
        ("a != 'b c'", "!=", Value(text="b c")),
        ('a ~ "b c"', "~", Value(text="b c")),
        ("a !~ b", "!~", Value(text="b")),
        ("a<5", "<", Value(text="5", number=True)),
        ("a>-5", ">", Value(text="-5", number=True)),
        ("a<=-5d", "<=", Value(text="-5d")),
        ("a >= 1.33.7", ">=", Value(text="1.33.7")),
        ("a = EMPTY", "=", Empty()),
        ("a ~ null", "~", Empty()),
        ("a is empty", "is", Empty()),
        ("a IS\tNOT\r\nNull", "is not", Empty()),
        ("a in (b)", "in", Items(values=(Value(text="b"),))),
        ("a not in (b, EMPTY)", "not in", Items(values=(Value(text="b"), Empty()))),
        (
            "a in ((b), f())",
            "in",
            Items(values=(Items(values=(Value(text="b"),)), Function(name="f"))),
        ),
        ("a in f()", "in", Function(name="f")),
        ("a = f (x, -1, 'y z')", "=", Function(name="f", arguments=("x", "-1", "y z"))),
        ('a = "f g"()', "=", Function(name="f g")),
        ("a = 5(6)", "=", Function(name="5", arguments=("6",))),
        ("a was b", "was", Value(text="b")),
        ("a was not EMPTY", "was not", Empty()),
        ("a was in (b)", "was in", Items(values=(Value(text="b"),))),
        ("a was not in f()", "was not in", Function(name="f")),
        ("a changed", "changed", None),
        ("a = 557058:f58131cb-b67d", "=", Value(text="557058:f58131cb-b67d")),
        ("a = 日本語", "=", Value(text="日本語")),
        ("a = “b”", "=", Value(text="“b”")),
        ("a = 5b", "=", Value(text="5b")),
        ('a = "5"', "=", Value(text="5")),
    ],
)
def test_operators_and_operands(text: str, operator: str, operand: object) -> None:
    wanted = Condition(field=Field(name="a"), operator=operator, operand=operand)
    assert jql.parse(text) == Query(where=wanted)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("project", Field(name="project")),
        ('"Story Points[Number]"', Field(name="Story Points[Number]")),
        ("cf[10003]", Field(name="cf[10003]", number=10003)),
        ("CF [ 007 ]", Field(name="cf[007]", number=7)),
        ("5", Field(name="5")),
        ("-5", Field(name="-5")),
        ('""', Field(name="")),
        ("a[b]", Field(name="a", properties=(Property(key="b"),))),
        ("a[b].c.d", Field(name="a", properties=(Property(key="b", path=(".c.d",)),))),
        ("a[b].c 'd' 5", Field(name="a", properties=(Property(key="b", path=(".c", "d", "5")),))),
        ("a['b c'][-1]", Field(name="a", properties=(Property(key="b c"), Property(key="-1")))),
        ("cf[1][a]", Field(name="cf[1]", number=1, properties=(Property(key="a"),))),
        ("project\u00a0", Field(name="project\u00a0")),
    ],
)
def test_fields(text: str, field: Field) -> None:
    parsed = jql.parse(f"{text} is empty").where
    assert isinstance(parsed, Condition)
    assert parsed.field == field


def test_predicates_are_kept_in_order() -> None:
    parsed = jql.parse("a changed from (b, c) to d by f() after x before y on z during (1, 2)")
    told = [
        HistoryPredicate(operator="from", operand=Items(values=(Value(text="b"), Value(text="c"))))
    ]
    told += [HistoryPredicate(operator="to", operand=Value(text="d"))]
    told += [HistoryPredicate(operator="by", operand=Function(name="f"))]
    told += [
        HistoryPredicate(operator=operator, operand=Value(text=text))
        for operator, text in (("after", "x"), ("before", "y"), ("on", "z"))
    ]
    pair = Items(values=(Value(text="1", number=True), Value(text="2", number=True)))
    told += [HistoryPredicate(operator="during", operand=pair)]
    field = Field(name="a")
    wanted = Condition(field=field, operator="changed", operand=None, predicates=tuple(told))
    assert parsed.where == wanted


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("", ()),
        (" \t\r\n", ()),
        ("order by a", (("a", ""),)),
        ("ORDER BY a asc, cf[1] DESC", (("a", "asc"), ("cf[1]", "desc"))),
    ],
)
def test_order_alone(text: str, order: tuple[tuple[str, str], ...]) -> None:
    query = jql.parse(text)
    assert query.where is None
    assert tuple((sort.field.name, sort.direction) for sort in query.order_by) == order


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (r'"a\"b"', 'a"b'),
        (r"'it\'s'", "it's"),
        (r'"\t\n\r\\\ x"', "\t\n\r\\ x"),
        (r"\u0041b", "Ab"),
        (r"a\ b", "a b"),
        (r'"\ud83d\ude00"', "😀"),
        ('"a\nb"', "a\nb"),
        ('"tab\\t"', "tab\t"),
    ],
)
def test_escapes(raw: str, text: str) -> None:
    where = jql.parse(f"a = {raw}").where
    assert isinstance(where, Condition)
    assert where.operand == Value(text=text)


@pytest.mark.parametrize("word", sorted(lexicon.RESERVED | {"AND", "IN", "EMPTY", "CF", "ORDER"}))
def test_reserved_words_want_quotes(word: str) -> None:
    for text in (f"{word} = 1", f"a = {word}()", f"a = f({word})", f"a in ({word.lower()}, b c)"):
        with pytest.raises(BadFilter):
            jql.parse(text)
    assert jql.verdict(f"'{word}' = \"{word.lower()}\"")["valid"]


def test_there_are_as_many_reserved_words_as_in_jira() -> None:
    assert len(lexicon.RESERVED) == 159
    assert len(lexicon.KEYWORDS) == 20
    assert len(lexicon.STOP_WORDS) == 33


@pytest.mark.parametrize("word", ["all", "the", "\u017fet", "\u0131f", "at", "be"])
def test_other_words_do_not(word: str) -> None:
    assert jql.verdict(f"a = {word}")["valid"]


INVALID = """
a|a =|= b|a b|a == b|a <> b|a => b|a < = b|a ! = b|a ! in (b)|a is b|a is f()|a is ! empty
a was|a was not|a was (b)|a was changed|a was b from c|a not changed|a not b|a not in b|a notin (b)
a in b|a in EMPTY|a in ()|a in (b|a in (b,)|a in (,b)|a in (b c)|a = (b)|a < EMPTY|a < (b)
a = f(|a = f(b,)|a = f(,)|a = f(EMPTY)|a = f(g())|a = f((b))|a changed before|a changed from
a = b c|a = b and|and a = b|a = b and and c = d|a = b &&& c = d|()|(a = b|a = b)|not|!|(not)
order by|order a|a = b order by|order by a,|order by a asc desc|(a = b order by c)|order by a b
cf = 1|cf[a] = 1|cf[-1] = 1|cf["1"] = 1|cf[1 = 1|a[] = 1|a[b = 1|a[and] = 1|5[a] = 1
a = b/c|a = b@c|a = c++|a = $b|a = #b|a = b;|a = b ? c|a = {b}|a = b^2|a = 100%|a = b*
a = "b|a = 'b|a = "b'|a = "a\\qb"|a = "\\u00zz"|a = a\\qb|a = b\\|a = "b\tc"|a = \x01|a = \x7f
a = b\u00a0AND c = d|a\ufdd0 = b|empty = a|a = b -- c|a = 1and b = 2|cf[9999999999999999] = 1
"""


@pytest.mark.parametrize(
    "text", [text for line in INVALID.strip().split("\n") for text in line.split("|")]
)
def test_what_is_not_jql_is_refused(text: str) -> None:
    with pytest.raises(BadFilter) as caught:
        jql.parse(text)
    assert caught.value.text == text
    assert 0 <= caught.value.offset <= len(text)
    assert jql.caret(caught.value)


def test_depth_is_capped() -> None:
    for deep in ("(", "not ", "!"):
        close = ")" if deep == "(" else ""
        assert jql.parse(deep * MAX_DEPTH + "a = 1" + close * MAX_DEPTH)
        with pytest.raises(BadFilter, match="nested more than 200 levels"):
            jql.parse(deep * (MAX_DEPTH + 1) + "a = 1" + close * (MAX_DEPTH + 1))
    with pytest.raises(BadFilter, match="nested"):
        jql.parse("a in " + "(" * 100_000)


def test_lists_are_capped_each() -> None:
    full = f"a in ({','.join(['1'] * MAX_LIST)})"
    assert jql.parse(f"{full} or {full}")
    with pytest.raises(BadFilter, match="more than 3,000 values"):
        jql.parse(full.replace(")", ",1)"))


def test_length_is_capped() -> None:
    assert jql.parse("a = 1".ljust(MAX_LENGTH))
    with pytest.raises(BadFilter, match="longer than 200,000"):
        jql.parse("a = 1".ljust(MAX_LENGTH + 1))


def test_the_deepest_tree_can_be_printed_compared_and_compiled() -> None:
    text = "x = 1 and (y = 1 or (" * (MAX_DEPTH // 2) + "z = 1" + "))" * (MAX_DEPTH // 2)
    query = jql.parse(text)
    assert jql.parse(str(query)) == query
    assert json.loads(json.dumps(jql.as_json(query)))["where"]["op"] == "and"


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a=1", '"a" = 1'),
        ("x is null && ! y in(1,b c())", None),
        ("summary~'say \"it\"'", r'summary ~ "say \"it\""'),
        ("x = \\u0007", 'x = "\\u0007"'),
        ("x = '5' or x = -5", 'x = "5" OR x = -5'),
        ("x = end", None),
        ("x = 'end'", 'x = "end"'),
        ("not (x=1 or y=1) and not z=1", "NOT (x = 1 OR y = 1) AND NOT z = 1"),
        ("x=1 and (y=1 and z=1)", "x = 1 AND (y = 1 AND z = 1)"),
        ("x=1 or (y=1 or z=1)", "x = 1 OR (y = 1 OR z = 1)"),
        ("x=1 or y=1 and z=1", "x = 1 OR y = 1 AND z = 1"),
        ("cf[1][b].c  .d in (1,(f(x)))", "cf[1][b].c .d IN (1, (f(x)))"),
        (
            "x changed by y after -1d order by z desc,cf[2]",
            "x CHANGED BY y AFTER -1d ORDER BY z DESC, cf[2]",
        ),
        ("", ""),
    ],
)
def test_printing(text: str, printed: str | None) -> None:
    if printed is None:
        with pytest.raises(BadFilter):
            jql.parse(text)
    else:
        assert str(jql.parse(text)) == printed
        assert jql.parse(printed) == jql.parse(text)


def test_the_tree_as_json() -> None:
    found = jql.verdict(
        'issue.property[k].p = "x" and not cf[1] changed from f(1) '
        "or b in (1, EMPTY) order by c asc"
    )
    empty = {"kind": "empty"}
    one = {"kind": "value", "value": "1", "raw": "1", "type": "number"}
    x = {"kind": "value", "value": "x", "raw": '"x"', "type": "string"}
    plain = {"cf": None, "props": []}
    clause = {"op": "clause", "predicates": []}
    assert found == {
        "valid": True,
        "errors": [],
        "ast": {
            "where": {
                "op": "or",
                "args": [
                    {
                        "op": "and",
                        "args": [
                            {
                                **clause,
                                "field": {
                                    "name": "issue.property",
                                    "cf": None,
                                    "props": [{"key": "k", "path": [".p"]}],
                                },
                                "operator": "=",
                                "operand": x,
                            },
                            {
                                "op": "not",
                                "arg": {
                                    **clause,
                                    "field": {"name": "cf[1]", "cf": 1, "props": []},
                                    "operator": "changed",
                                    "operand": None,
                                    "predicates": [
                                        {
                                            "operator": "from",
                                            "operand": {
                                                "kind": "function",
                                                "name": "f",
                                                "args": ["1"],
                                            },
                                        }
                                    ],
                                },
                            },
                        ],
                    },
                    {
                        **clause,
                        "field": {"name": "b", **plain},
                        "operator": "in",
                        "operand": {"kind": "list", "values": [one, empty]},
                    },
                ],
            },
            "orderBy": [{"field": {"name": "c", **plain}, "dir": "asc"}],
        },
    }


def test_the_tree_of_nothing_and_of_nonsense() -> None:
    assert jql.verdict("")["ast"] == {"where": None, "orderBy": None}
    found = jql.verdict("project = X\nAND status")
    assert found["ast"] is None
    assert not found["valid"]
    assert [(e["line"], e["col"]) for e in found["errors"]] == [(2, 10)]


def test_a_tree_made_by_hand_has_a_raw_form_too() -> None:
    query = Query(where=condition(text="b c"), order_by=(Sort(field=Field(name="d")),))
    where = jql.as_json(query)["where"]
    assert where["operand"]["raw"] == '"b c"'


def flat(node: object) -> object:
    """Level AND in AND and OR in OR."""
    if not isinstance(node, dict) or node.get("op") not in ("and", "or"):
        return (
            node | {"arg": flat(node["arg"])} if isinstance(node, dict) and "arg" in node else node
        )
    args = [flat(arg) for arg in node["args"]]
    inner = [arg["args"] if arg["op"] == node["op"] else [arg] for arg in args]
    return {"op": node["op"], "args": [one for several in inner for one in several]}


def test_every_query_of_the_corpus_reads_as_atlassian_reads_it() -> None:
    wrong = []
    for case in shared("queries.jsonl"):
        found = jql.verdict(case["query"])
        agreed = found["valid"] == case["valid"]
        if agreed and found["valid"]:
            ours, theirs = found["ast"], case["ast"]
            agreed = flat(ours["where"]) == flat(theirs["where"])
            agreed = agreed and ours["orderBy"] == theirs["orderBy"]
            agreed = agreed and jql.parse(str(jql.parse(case["query"]))) == jql.parse(case["query"])
        if not agreed:
            wrong.append(case["query"])
    assert wrong == []
