"""Bodies are read as JSON parsers read them, and half a character as U+FFFD."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core import bodies

texts = st.text(st.characters(exclude_categories=[])).map(lambda text: json.dumps({"a": text}))


@given(texts)
def test_every_half_and_nothing_else_is_replaced(written):
    found = bodies.read(written.encode())
    text = json.loads(written)["a"]
    # Python's own parser keeps halves; two that came from a pair are one character to it.
    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    assert found.value == {"a": expected}
    assert bool(found.note) is (expected != text)


@pytest.mark.parametrize("end", [b"\\", b'\\"', b'"', b"\\ud8", b'"}}'])
def test_what_is_no_json_is_refused_in_no_time(end):
    with pytest.raises(orjson.JSONDecodeError):
        bodies.read(b'{"a":"\\ud83d' + b"x" * 1_000_000 + end)


@pytest.mark.parametrize("raw", [b"", b"{", b'"\xed\xa0\xbd"', b"NaN"])
def test_what_has_no_half_is_not_mended(raw):
    with pytest.raises(orjson.JSONDecodeError):
        bodies.read(raw)


def test_a_body_of_nothing_but_halves_is_refused():
    with pytest.raises(orjson.JSONDecodeError):
        bodies.read(b'"' + b"\\ud83d" * 10_001 + b'"')
    assert bodies.read(b'"' + b"\\ud83d" * 10_000 + b'"').value == "\ufffd" * 10_000
