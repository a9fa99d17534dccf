"""Text search: words, phrases, the end of a word left open; what cannot be told is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.jql.text_search import Unfaithful, search

TEXT = "Windows wins: the issue-collector's full screen mode (v1.10) will not crash. Café ABC_9"


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("windows", True),
        ("WINDOWS", True),
        ("window", True),
        ("win", True),
        ("wi", False),
        ("win*", True),
        ("wind* mode", True),
        ("mode windows", True),
        ("mode linux", False),
        ('"full screen"', True),
        ('"screen full"', False),
        ('"full screens mode"', True),
        ('"full mode"', False),
        ('"full screening"', None),
        ('"will crash"', True),
        ('"wins the issue"', True),
        ('"wins an issue"', True),
        ('"wins issue"', False),
        ("will crash", True),
        ('"crash the"', True),
        ("will not crash", True),
        ("+crash AND mode", True),
        ("crashed", None),
        ("collect", None),
        ("collection", None),
        ("collecting mode", None),
        ("collecting linux", False),
        ("cafe", None),
        ("café", True),
        ("issue-collector", True),
        ("collector-issue", None),
        ("collector-linux", False),
        ("issue-coll*", True),
        ("v1.10", True),
        ("abc", True),
        ("abc_9", True),
        (r"\(v1\.10\)", True),
        (r"\"mode\"", True),
        ("crash \\", True),
        ("full:screen", True),
        ("crash & mode", True),
        ("issues", True),
        ("the*", True),
    ],
)
def test_what_is_found(query: str, wanted: bool | None) -> None:
    assert search(query)(TEXT) is wanted


@pytest.mark.parametrize(
    ("query", "text", "wanted"),
    [
        ("boxes", "a box", True),
        ("churches", "church", True),
        ("cities", "city", True),
        ("class", "classes", True),
        ("status", "statu", None),
        ("bus", "bu", None),
        ("customize", "customer", None),
        ("customize", "custom", None),
        ("happy", "happiness", None),
        ("stopping", "stopped", None),
        ("running", "runs", None),
        ("test", "text", False),
        ("test", "", False),
        ("日本", "日本語テスト", None),
        ("日本", "中国", False),
        ("日本 test", "日本 TEST", None),
        ("ärger", "arger", None),
        ("éa", "xa", False),
    ],
)
def test_forms_of_words(query: str, text: str, wanted: bool | None) -> None:
    assert search(query)(text) is wanted


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "no word that Jira's text index keeps"),
        ("the of", "no word that Jira's text index keeps"),
        ('""', "no word"),
        ("...", "no word"),
        ('"half', "quotation marks do not pair up"),
        ("roam~", "a fuzzy or proximity search"),
        ('"a b"~10', "a fuzzy or proximity search"),
        ("jira^4", "a boost"),
        ("cha?k", "a wildcard for one letter"),
        ("*box", "a wildcard elsewhere than at the end of a word"),
        ("b*x", "a wildcard elsewhere"),
        ("*", "a wildcard elsewhere"),
        ("foo-*", "a wildcard elsewhere"),
        ("(a b) c", "a group"),
        ("a b)", "a group"),
        ("[a TO b]", "a range"),
        ("{a}", "a range"),
        ("a OR b", "OR between words"),
        ("a NOT b", "NOT before a word"),
        ("a && b", "&& between words"),
        ("a || b", "|| between words"),
        ("foo -bar", "'-' before a word"),
        ("foo !bar", "'!' before a word"),
        ("foo - bar", "'-' before a word"),
    ],
)
def test_what_is_refused(query: str, why: str) -> None:
    with pytest.raises(Unfaithful) as caught:
        search(query)
    assert why in str(caught.value)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_search_of_any_text_answers_or_is_refused(query: str, text: str) -> None:
    try:
        found = search(query)
    except Unfaithful:
        return
    assert found(text) in (True, False, None)


@given(st.lists(st.sampled_from(["alpha", "beta", "gammas", "delta9", "épsilon"]), min_size=1))
def test_a_text_has_all_its_words_in_any_order_and_as_a_phrase(words: list[str]) -> None:
    text = ", ".join(words).upper()
    assert search(" ".join(reversed(words)))(text) is True
    assert search(f'"{" ".join(words)}"')(text) is True
    assert search(f"{words[0][:3]}*")(text) is True
