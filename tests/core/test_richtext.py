"""Rich text as plain text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.richtext import plain, words


def node(kind, *content, **attributes):
    made = {"type": kind, "content": list(content)}
    return {**made, "attrs": attributes} if attributes else made


def text(words, *marks):
    return {"type": "text", "text": words, "marks": list(marks)}


def p(*content):
    return node("paragraph", *[text(one) if isinstance(one, str) else one for one in content])


def link(address):
    return {"type": "link", "attrs": {"href": address}}


def li(*content):
    return node("listItem", *content)


@pytest.mark.parametrize(
    ("content", "written"),
    [
        ([], ""),
        ([p("one"), p("two")], "one\n\ntwo"),
        (
            [node("heading", text("Title")), p("one", {"type": "hardBreak"}, "two")],
            "Title\n\none\ntwo",
        ),
        ([p("a", text("b", {"type": "strong"}), "c")], "abc"),
        ([p("see ", text("here", link("https://x.example")))], "see here (https://x.example)"),
        ([p(text("https://x.example", link("https://x.example")))], "https://x.example"),
        ([{"type": "text"}, {"type": "text", "text": "a", "marks": 3}], "a"),
        ([p("ask ", node("mention", id="5b10", text="@Ada"))], "ask @Ada"),
        ([p(node("emoji", shortName=":wave:"))], ":wave:"),
        ([p(node("emoji", shortName=":wave:", text="👋"))], "👋"),
        ([p(node("inlineCard", url="https://x.example/1"))], "https://x.example/1"),
        ([p(node("status", text="DONE", color="green"))], "DONE"),
        ([p(node("date", timestamp="1714550400000"))], "2024-05-01"),
        ([p(node("date", timestamp="soon"))], ""),
        ([node("mediaSingle", node("media", id="1", alt="a cat"))], "a cat"),
        ([node("mediaSingle", node("media", id="1"))], ""),
        ([p("a"), {"type": "rule"}, p("b")], "a\n\n----\n\nb"),
        ([node("bulletList", li(p("one")), li(p("two"), p("more")))], "- one\n- two\n  more"),
        (
            [node("bulletList", li(p("one"), node("orderedList", li(p("a")), li(p("b")))))],
            "- one\n  1. a\n  2. b",
        ),
        ([node("orderedList", li(p("c")), order=3)], "3. c"),
        ([node("orderedList", li(p("c")), order="x")], "1. c"),
        ([node("taskList", node("taskItem", text("do"), state="TODO")), p("end")], "- do\n\nend"),
        ([node("decisionList", node("decisionItem", text("so")))], "- so"),
        ([node("blockquote", p("a"), p("b"))], "> a\n> \n> b"),
        ([node("codeBlock", text("x = 1\ny = 2"), language="python")], "x = 1\ny = 2"),
        (
            [
                node(
                    "table",
                    node("tableRow", node("tableHeader", p("a")), node("tableHeader", p("b"))),
                    node("tableRow", node("tableCell", p("1")), node("tableCell", p("2"))),
                )
            ],
            "a | b\n1 | 2",
        ),
        ([node("panel", p("note"), panelType="info")], "note"),
        ([node("unheard of", p("inside"))], "inside"),
        (["no node", None, {"type": ["odd"]}, {"attrs": "odd"}, {"content": "odd"}], ""),
    ],
)
def test_documents(content, written):
    assert plain({"type": "doc", "version": 1, "content": content}) == written


def test_the_rest_of_what_is_nested_too_deep_is_left_out():
    document = p("bottom")
    for _ in range(2000):
        document = node("panel", text("x"), document)
    assert plain(document) == "x" * 60


def test_the_words_of_a_document_have_no_marks():
    asked = p("ask ", node("mention", id="5b10", text="@Ada"), text("here", link("https://x.ex")))
    document = node("doc", asked, node("orderedList", li(p("one"))))
    assert words(document).split("\n") == ["ask here", "one", "", "", "", ""]


def test_the_words_of_a_text_are_the_text():
    assert words("*as* it is") == "*as* it is"
    assert words(None) == ""


@given(
    st.recursive(
        st.text(max_size=3) | st.none() | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.fixed_dictionaries(
                {
                    "type": st.sampled_from(
                        ["doc", "text", "date", "orderedList", "tableRow", "rule", "x"]
                    )
                },
                optional={
                    "content": st.lists(inner, max_size=3) | inner,
                    "attrs": inner,
                    "marks": inner,
                    "text": inner,
                },
            )
        ),
        max_leaves=12,
    )
)
def test_no_document_is_too_odd(document):
    assert isinstance(plain(document), str)
    assert isinstance(words(document), str)
