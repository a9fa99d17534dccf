"""A filter's error points at its character in the file, however the filter is written there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.config.documents import Document, Findings
from bridge.config.variables import Variables
from bridge.config.yaml import read

TEXTS = st.text("ab'\"\\=:#é{}[]", min_size=1, max_size=8)
FILTERS = st.lists(TEXTS, min_size=1, max_size=5).map(" ".join)


def document(source: str, **environ: str) -> Document:
    variables = Variables(environ=environ, folder=Path())
    found = read("x.yaml", "x", source.encode(), variables, Findings())
    assert found is not None
    return found


def at(source: str, place: tuple[int, int]) -> str:
    line, column = place
    return source.split("\n")[line - 1][column - 1]


STYLES = {
    "plain": lambda text: f"when: {text}",
    "single": lambda text: "when: '{}'".format(text.replace("'", "''")),
    "double": lambda text: f"when: {json.dumps(text, ensure_ascii=False)}",
    "escaped": lambda text: f"when: {json.dumps(text)}",
    "folded": lambda text: "when: >-\n  {}\n".format(text.replace(" ", "\n  ")),
    "folded with a blank line before": lambda text: "when: >\n\n    {}\n".format(
        text.replace(" ", "\n    ")
    ),
    "literal": lambda text: "when: |\n  {}\n".format(text.replace(" ", "\n  ")),
    "single over lines": lambda text: "when: '{}'".format(
        text.replace("'", "''").replace(" ", "\n   ")
    ),
    "double over lines": lambda text: "when: {}".format(
        json.dumps(text, ensure_ascii=False).replace(" ", " \\\n   ")
    ),
    "in brackets": lambda text: f"a: [1, {{when: {json.dumps(text, ensure_ascii=False)}}}]",
}


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=60)
@given(text=FILTERS)
def test_every_character_is_found(style, text):
    if style == "plain" and text.strip("ab=é "):
        text = "a = b and c"
    source = f"# first\nversion: 1\n{STYLES[style](text)}\n"
    found = document(source)
    steps = ("a", 1, "when") if style == "in brackets" else ("when",)
    value = found.value(steps)
    assert value.split() == text.split()
    for offset, letter in enumerate(value.rstrip("\n")):
        if letter.isspace():
            continue
        shown = at(source, found.position_inside(steps, offset))
        if letter in '"\\é':
            assert shown in (letter, "\\")
        else:
            assert shown == letter


def test_behind_a_variable_its_beginning_is_pointed_at():
    source = "when: a = ${X} and b\n"
    found = document(source, X="1 or 2")
    assert found.value(("when",)) == "a = 1 or 2 and b"
    assert found.position_inside(("when",), 0) == (1, 7)
    assert found.position_inside(("when",), 4) == (1, 11)
    assert found.position_inside(("when",), 15) == (1, 11)


def test_the_end_of_a_text_is_a_place_too():
    assert document("when: a =\nx: 1\n").position_inside(("when",), 3) == (1, 10)
    assert document("when: ''\n").position_inside(("when",), 0) == (1, 8)
    assert document("when: >-\n  a\n  =\nx: 1\n").position_inside(("when",), 3) == (3, 4)
