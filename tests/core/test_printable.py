"""Text made safe for a line, a terminal, a sheet or a database."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core import printable

ODD = "a\x00b\tc\nd\x1b[31me\x9f\u202ef\u2028g\ud83dh=é😀"


def test_one_line_holds_only_printable_characters():
    assert printable.one_line(ODD) == "a b c d [31me  f g h=é😀"
    assert printable.one_line("as it is: é") == "as it is: é"


def test_an_excerpt_has_single_spaces():
    assert printable.excerpt("  a\r\n\tb\x00\x1b[31mc  ") == "a b [31mc"
    assert printable.excerpt("\x00 \x9f") == ""


def test_a_terminal_is_shown_escapes_in_place_of_what_it_would_obey():
    assert printable.for_terminal("a\x1b[31mb\n\u202ec\x9f") == "a\\x1b[31mb\\n\\u202ec\\x9f"
    assert printable.for_terminal("as it is: é😀") == "as it is: é😀"


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1"])
def test_a_sheet_calculates_nothing(formula):
    assert printable.for_csv(formula) == f"'{formula}"


def test_a_sheet_shows_other_text_as_it_is():
    assert [printable.for_csv(text) for text in ("", "a=b", "PLAT-1")] == ["", "a=b", "PLAT-1"]


def test_what_a_database_refuses_is_replaced():
    assert printable.storable("a\0b\ud83dc") == "a\ufffdb?c"
    assert printable.storable("é😀") == "é😀"


def test_a_long_key_ends_with_its_digest():
    exact, longer = "x" * printable.KEY_CHARS, "x" * printable.KEY_CHARS + "y"
    assert printable.key_text(exact) == exact
    assert len(printable.key_text(longer)) == printable.KEY_CHARS
    assert printable.key_text(longer) != printable.key_text(longer + "z")
    assert printable.key_text("a\0") == "a\ufffd"


@given(st.text(st.characters(exclude_categories=())))
def test_laws(text):
    assert printable.one_line(text).isprintable()
    assert len(printable.one_line(text)) == len(text)
    for function in (printable.one_line, printable.excerpt, printable.storable, printable.key_text):
        assert function(function(text)) == function(text)
    stored = printable.storable(text)
    assert "\0" not in stored
    assert stored.encode().decode() == stored
    assert len(printable.key_text(text)) <= printable.KEY_CHARS
    line = io.StringIO()
    csv.writer(line).writerow([printable.for_csv(stored)])
    assert not line.getvalue().startswith(("=", "+", "-", "@"))
    shown = printable.for_terminal(text)
    assert not any(c < " " or "\x7f" <= c <= "\x9f" for c in shown)
